"""The statements of the trash."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from regulars.store.entity import BatchStatement, Change, Where, batch_account
from regulars.store.moving import MAX_BYTES
from regulars.store.queries import columns_named, of_account
from regulars.store.query import Query, among, any_of, number, unindexed
from regulars.store.tables import additional_emails, customers, deleted_shop_ids, orders, shop_ids
from regulars.trash.table import EMAIL, ORDER, SHOP_ID, trash, trash_keys

COLUMNS = tuple(str(column.name) for column in trash.c)
WITHOUT_BODY = tuple(name for name in COLUMNS if name != "body")

# The tables in which a restore can meet a conflict: the kind of the key and its column.
CONFLICTS = (
    (customers, EMAIL, customers.c.email_key),
    (additional_emails, EMAIL, additional_emails.c.email_key),
    (shop_ids, SHOP_ID, shop_ids.c.shop_id),
    (orders, ORDER, orders.c.name),
)


@cache
def restored_rows() -> Query:
    """Whole rows of the customers `restored_ids` in the trash, up to `MAX_BYTES` of bodies and the
    row that exceeds them."""
    previous = sa.func.sum(trash.c.size).over(order_by=trash.c.customer_id) - trash.c.size
    rows = sa.select(*trash.c, previous.label("previous_bytes"))
    rows = rows.where(of_account(trash), any_of(trash.c.customer_id, "restored_ids"))
    sized = rows.subquery("sized")
    is_loaded = sized.c.previous_bytes <= sa.literal_column(str(MAX_BYTES))
    return Query(sa.select(*(sized.c[name] for name in COLUMNS)).where(is_loaded))


@cache
def purged_rows() -> Query:
    """The customers `purged_ids` in the trash, without their bodies."""
    rows = sa.select(*(trash.c[name] for name in WITHOUT_BODY))
    return Query(rows.where(of_account(trash), any_of(trash.c.customer_id, "purged_ids")))


@cache
def conflicting_rows(table: sa.Table, kind: str, column: sa.Column[Any]) -> Query:
    """Whole rows of a table with a key of the customers `restored_ids`."""
    values = sa.select(trash_keys.c.value).where(
        of_account(trash_keys),
        any_of(trash_keys.c.customer_id, "restored_ids"),
        trash_keys.c.kind == sa.literal_column(f"'{kind}'"),
    )
    return Query(sa.select(*table.c).where(of_account(table), among(column, values)))


@cache
def with_shop_id(with_present: bool) -> Query:
    """The ids of at most 10 customers with the external id `shop_id` in any system, newest first:
    those in the trash and, `with_present`, others. It may be an id of their orders."""
    id_ = sa.bindparam("shop_id", type_=trash_keys.c.value.type)
    ids: sa.SelectBase = sa.select(trash_keys.c.customer_id.label("customer_id")).where(
        of_account(trash_keys),
        trash_keys.c.kind == sa.literal_column(f"'{SHOP_ID}'"),
        trash_keys.c.value == id_,
    )
    if with_present:
        present = sa.select(shop_ids.c.customer_id)
        present = present.where(of_account(shop_ids), shop_ids.c.shop_id == id_)
        ids = sa.union_all(ids, present)
    found = ids.subquery("found").c.customer_id
    return Query(sa.select(found).distinct().order_by(found.desc()).limit(sa.literal_column("10")))


def _delete_keys(where: Where) -> Change:
    is_key = any_of(trash_keys.c.customer_id, "left_trash")
    return trash_keys.delete().where(where(trash_keys.c.account_id == batch_account(), is_key))


# Deletes the keys of the customers `left_trash`.
DELETE_KEYS = BatchStatement("left_trash", _delete_keys)


def _forget_deletions(where: Where) -> Change:
    is_id = any_of(deleted_shop_ids.c.shop_id, "restored_shop_ids")
    of_batch = deleted_shop_ids.c.account_id == batch_account()
    return deleted_shop_ids.delete().where(where(of_batch, is_id))


# Deletes the records that the shop ids `restored_shop_ids` belong to deleted customers.
FORGET_DELETIONS = BatchStatement("restored_shop_ids", _forget_deletions, needs_snapshot=True)


@lru_cache(maxsize=1_000)
def page(columns: tuple[str, ...], with_email: bool, after: bool) -> Query:
    """At most `limit` customers in the trash at the time `now`, latest deletion first: with the
    email `email_key`, past the position `after_time` and `after_id`."""
    statement = sa.select(*columns_named(trash, columns)).where(*_is_listed(with_email))
    if after:
        position = sa.tuple_(number("after_time"), number("after_id"))
        statement = statement.where(sa.tuple_(trash.c.deleted_at, trash.c.customer_id) < position)
    deleted_at: sa.ColumnElement[Any] = trash.c.deleted_at
    if with_email:  # along its index, SQLite would read the trash of the account
        deleted_at = unindexed(deleted_at)
    order = (deleted_at.desc(), trash.c.customer_id.desc())
    return Query(statement.order_by(*order).limit(number("limit")))


@cache
def count(with_email: bool) -> Query:
    """The number of customers in the trash at the time `now`, with the email `email_key`."""
    statement = sa.select(sa.func.count()).select_from(trash)
    return Query(statement.where(*_is_listed(with_email)))


def _is_listed(with_email: bool) -> list[sa.ColumnElement[bool]]:
    conditions = [of_account(trash), trash.c.purge_at > number("now")]
    if with_email:
        ids = sa.select(trash_keys.c.customer_id).where(
            of_account(trash_keys),
            trash_keys.c.kind == sa.literal_column(f"'{EMAIL}'"),
            trash_keys.c.value == sa.bindparam("email_key", type_=trash_keys.c.value.type),
        )
        conditions.append(among(trash.c.customer_id, ids))
    return conditions


@cache
def due() -> Query:
    """At most `limit` customers of all accounts whose time has come at `now`: account, customer."""
    statement = sa.select(trash.c.account_id, trash.c.customer_id)
    statement = statement.where(trash.c.purge_at <= number("now"))
    return Query(statement.order_by(trash.c.purge_at).limit(number("limit")))


@cache
def mark_due() -> Query:
    """Make all customers in the trash of an account due at `now`."""
    is_later = trash.c.purge_at > number("now")
    return Query(trash.update().where(of_account(trash), is_later).values(purge_at=number("now")))


@cache
def shorten() -> Query:
    """Purge the customers of an account at most `milliseconds` after their deletion."""
    latest = trash.c.deleted_at + number("milliseconds")
    is_later = trash.c.purge_at > latest
    return Query(trash.update().where(of_account(trash), is_later).values(purge_at=latest))
