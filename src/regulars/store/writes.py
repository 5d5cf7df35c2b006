"""What is written: a statement for each kind of change. On SQLite each is run for each row within
the transaction; on PostgreSQL they are put together (`saving.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import COUNTERS
from regulars.store.query import Query, among, any_of, number
from regulars.store.tables import (
    attempts,
    counters,
    customers,
    deleted_shop_ids,
    deliveries,
    inbox,
    inbox_keys,
    metadata,
    orders,
    receipts,
    shop_ids,
    terms,
    webhooks,
)
from regulars.store.writer import Changes, Row, State


@cache
def insert_one(table: sa.Table) -> Query:
    """One row; a parameter for each column, of its name."""
    return Query(
        table.insert().values({c.name: sa.bindparam(c.name, type_=c.type) for c in table.c})
    )


@lru_cache(maxsize=1_000)
def update_one(columns: tuple[str, ...]) -> Query:
    """Columns of one customer; a parameter for each, and for the keys, of its name."""
    statement = customers.update().where(
        customers.c.account_id == number("only_account"),
        customers.c.customer_id == number("only_customer"),
    )
    parameters = {name: sa.bindparam(name, type_=customers.c[name].type) for name in columns}
    return Query(statement.values(parameters))


SKIPPED = "skipped"

# What the writer changes of rows that it updates as a whole.
EDITED = {
    "orders": tuple(str(c.name) for c in orders.c if not c.primary_key),
    "shop_ids": ("event",),
    "imports": (
        "position",
        "bytes_read",
        "created",
        "updated",
        "unchanged",
        "rejected",
        "rejected_at",
        "last_rejected",
        "problems",
        "cursor",
        "updated_at",
    ),
}


def updated(changes: Changes) -> list[tuple[str, tuple[str, ...], Sequence[Row]]]:
    """The rows to update of tables other than the customers: the table, the columns, the rows.

    Of a webhook only the columns that a command sets are written: the worker may change the others
    meanwhile.
    """
    whole = [(name, EDITED[name], rows) for name, rows in changes.updated.items() if rows]
    some = [("webhooks", columns, rows) for columns, rows in changes.updated_webhooks.items()]
    return whole + some


@lru_cache(maxsize=1_000)
def update_row(table_name: str, columns: tuple[str, ...]) -> Query:
    """Columns of one row of a table; a parameter for each, and for the keys, of its name."""
    table = metadata.tables[table_name]
    keys = [c == sa.bindparam(c.name, type_=c.type) for c in table.primary_key]
    values = {n: sa.bindparam(n, type_=table.c[n].type) for n in columns}
    return Query(table.update().where(*keys).values(values))


@cache
def skip_deliveries() -> Query:
    """Ends what waits to be sent to the webhooks `ids`."""
    return Query(skipped(number("account_id"), "ids", sa.and_))


def skipped(
    account_id: sa.ColumnElement[int], ids: str, after: Callable[..., sa.ColumnElement[bool]]
) -> sa.Update:
    """Ends the pending deliveries of the webhooks of a parameter; `after` puts its conditions
    together."""
    theirs = (deliveries.c.account_id == account_id, any_of(deliveries.c.webhook_id, ids))
    statement = deliveries.update().where(after(*theirs, deliveries.c.due_at.is_not(None)))
    return statement.values(state=SKIPPED, due_at=sa.null(), ended_at=number("skipped_at"))


@cache
def delete_customers() -> Query:
    """The customers `ids`, with what belongs to them."""
    statement = customers.delete().where(customers.c.account_id == number("account_id"))
    return Query(statement.where(any_of(customers.c.customer_id, "ids")))


# What holds values of customers elsewhere than in their own rows: forgotten with the customer.
BLANKED = {"receipts": "outcome", "history": "fields", "attempts": "exchange"}


@cache
def blank(table_name: str) -> Query:
    """Forgets what a table keeps of the customers `ids`."""
    return Query(blanked(table_name, number("account_id"), "ids", sa.and_))


def blanked(
    table_name: str,
    account_id: sa.ColumnElement[int],
    ids: str,
    after: Callable[..., sa.ColumnElement[bool]],
) -> sa.Update:
    """Forgets what a table keeps of the customers of a parameter; `after` puts its conditions
    together."""
    table, column = metadata.tables[table_name], BLANKED[table_name]
    theirs = (table.c.account_id == account_id, any_of(table.c.customer_id, ids))
    statement = table.update().where(after(*theirs, table.c[column].is_not(None)))
    return statement.values({column: sa.null()})


@cache
def blank_late_attempts() -> Query:
    """Forgets what was sent, at the moment `since` or later, of customers of any account who are
    deleted. PostgreSQL does not show an attempt that is being noted to the statement that deletes
    its customer (section 13.2.1), so the attempt may keep what was sent."""
    same = (
        customers.c.account_id == attempts.c.account_id,
        customers.c.customer_id == attempts.c.customer_id,
    )
    there: sa.Select[Any] = sa.select(sa.literal_column("1")).where(*same)
    statement = attempts.update().where(
        attempts.c.at >= number("since"),
        attempts.c.exchange.is_not(None),
        attempts.c.customer_id.is_not(None),
        ~there.correlate(attempts).exists(),
    )
    return Query(statement.values(exchange=sa.null()))


@cache
def delete_shop_ids() -> Query:
    """What a shop called the customers `ids`, and what was theirs."""
    statement = shop_ids.delete().where(shop_ids.c.account_id == number("account_id"))
    return Query(statement.where(any_of(shop_ids.c.customer_id, "ids")))


@cache
def note_deleted_shop_ids() -> Query:
    """Notes the ids of the shop that are about to be deleted with the customers `ids`."""
    row = deleted_ids(number("account_id"), shop_ids.c.account_id, "ids", sa.and_)
    return Query(deleted_shop_ids.insert().from_select([c.name for c in deleted_shop_ids.c], row))


def deleted_ids(
    account_id: sa.ColumnElement[int],
    own_account: sa.ColumnElement[int],
    ids: str,
    after: Callable[..., sa.ColumnElement[bool]],
) -> sa.Select[Any]:
    """Rows of `deleted_shop_ids` for the customers of a parameter, unless they are there."""
    at = number("deleted_at")
    same: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        deleted_shop_ids.c.account_id == account_id,
        deleted_shop_ids.c.shop_id == shop_ids.c.shop_id,
        deleted_shop_ids.c.deleted_at == at,
    )
    theirs = (shop_ids.c.account_id == account_id, any_of(shop_ids.c.customer_id, ids))
    noted = ~same.correlate(shop_ids).exists()
    return sa.select(own_account, shop_ids.c.shop_id, at).where(after(*theirs, noted))


# Deleted with the events of the inbox that name a customer: the keys last, which say whom they
# name.
INBOX = (inbox, inbox_keys)


@cache
def delete_inbox(table: sa.Table) -> Query:
    """Events of the inbox that name one of the customers `ids`, or their keys. It is run while the
    customers and their ids of the shop are there still."""
    return Query(deleted_inbox(table, number("account_id"), "ids", sa.and_))


def deleted_inbox(
    table: sa.Table,
    account_id: sa.ColumnElement[int],
    ids: str,
    after: Callable[..., sa.ColumnElement[bool]],
) -> sa.Delete:
    """Deletes the rows of a table of `INBOX` whose event names one of the customers of a
    parameter."""
    emails = sa.select(customers.c.email_key).where(
        customers.c.account_id == account_id, any_of(customers.c.customer_id, ids)
    )
    theirs = sa.select(shop_ids.c.shop_id).where(
        shop_ids.c.account_id == account_id, any_of(shop_ids.c.customer_id, ids)
    )
    keys = inbox_keys.alias("keys")
    of_them = [among(keys.c.key, found) for found in (emails, theirs)]
    named = sa.select(keys.c.inbox_id).where(
        keys.c.account_id == account_id, sa.or_(*of_them, keys.c.key == sa.literal_column("''"))
    )
    return table.delete().where(
        after(table.c.account_id == account_id, among(table.c.inbox_id, named))
    )


@cache
def delete_webhooks() -> Query:
    """The webhooks `ids`, with what was delivered to them."""
    statement = webhooks.delete().where(webhooks.c.account_id == number("account_id"))
    return Query(statement.where(any_of(webhooks.c.webhook_id, "ids")))


@cache
def delete_receipts() -> Query:
    """The receipts that others take the place of."""
    return Query(receipts.delete().where(replaced(number("account_id"))))


def replaced(account_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether a receipt is one that others take the place of."""
    return sa.and_(
        receipts.c.account_id == account_id,
        any_of(receipts.c.key, "receipt_keys"),
        receipts.c.created_at <= number("receipts_before"),
    )


def replaced_receipts(account_id: int, changes: Changes) -> dict[str, Any]:
    """The parameters of `delete_receipts`."""
    return {
        "account_id": account_id,
        "receipt_keys": [row["key"] for row in changes.inserted_receipts],
        "receipts_before": changes.receipts_before,
    }


@cache
def forget_receipts() -> Query:
    """The receipts of every account that were made at `receipts_before` or earlier."""
    return Query(receipts.delete().where(receipts.c.created_at <= number("receipts_before")))


@cache
def forget_deleted_shop_ids() -> Query:
    """The ids of a shop of every account whose customers were deleted at `before` or earlier."""
    old = deleted_shop_ids.c.deleted_at <= number("before")
    return Query(deleted_shop_ids.delete().where(old))


@cache
def set_counters() -> Query:
    """The account's counters, and one more for its revision, if the revision is still that of the
    parameter."""
    return Query(hold())


def hold() -> sa.Update:
    """Sets the counters of an account that still has the revision of the parameter."""
    statement = counters.update().where(
        counters.c.account_id == number("only_account"),
        counters.c.revision == number("only_revision"),
    )
    changed = {name: number(f"last_{name}") for name in COUNTERS}
    return statement.values(revision=counters.c.revision + 1, **changed)


def counters_after(account_id: int, state: State, changes: Changes) -> dict[str, int]:
    """The parameters of `set_counters`."""
    after = {**state.counters, **changes.counters}
    return {
        "only_account": account_id,
        "only_revision": state.revision,
        **{f"last_{name}": after[name] for name in COUNTERS},
    }


@cache
def remove_term() -> Query:
    """One row of the terms; a parameter for each column, in its order."""
    same = [column == sa.bindparam(column.name, type_=column.type) for column in terms.c]
    return Query(terms.delete().where(*same))
