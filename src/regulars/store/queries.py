"""The queries that read: one function for each shape of query. Each shape is built once."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from regulars.store.columns import Number
from regulars.store.query import Query, among, any_of, number, unindexed
from regulars.store.tables import (
    ORDER_COLUMNS,
    additional_emails,
    compatibility,
    counters,
    customers,
    deleted_shop_ids,
    history,
    idempotency_records,
    leads,
    orders,
    shop_ids,
    terms,
    webhooks,
)

# A column of a page that is not in the table: the value by which the page is ordered.
ORDER_VALUE = "order_value"


def columns_named(table: sa.FromClause, names: tuple[str, ...]) -> list[sa.ColumnElement[Any]]:
    """Return the columns; without any, a constant, so that each row still has a column."""
    return [table.c[name] for name in names] or [sa.literal_column("1")]


def of_account(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to the account `account_id`."""
    return table.c.account_id == number("account_id")


def beyond(
    order: str,
    forward: bool,
    name: str,
    inclusive: bool,
    table: sa.FromClause = customers,
    without_index: bool = False,
) -> sa.ColumnElement[bool]:
    """Return the condition that a row comes after the position (`{name}_value`, `{name}_id`), or
    before it unless `forward`. `without_index` keeps SQLite from using the index of the order."""
    column = table.c[ORDER_COLUMNS[order]]
    value = sa.bindparam(f"{name}_value", type_=column.type)
    if order == "id":
        key: sa.ColumnElement[Any] = unindexed(column) if without_index else column
        bound: sa.ColumnElement[Any] = value
    else:
        key = sa.tuple_(unindexed(column) if without_index else column, table.c.customer_id)
        bound = sa.tuple_(value, number(f"{name}_id"))
    if forward:
        return key >= bound if inclusive else key > bound
    return key <= bound if inclusive else key < bound


def sorted_by(order: str, ascending: bool) -> list[sa.ColumnElement[Any]]:
    """Return the columns of an order. Ties are broken by id, in the same direction."""
    names = dict.fromkeys([ORDER_COLUMNS[order], "customer_id"])
    columns = [customers.c[name] for name in names]
    return [column.asc() if ascending else column.desc() for column in columns]


@lru_cache(maxsize=2_000)
def page(
    order: str,
    columns: tuple[str, ...],
    ascending: bool,
    after: bool,
    before: bool,
    behind: bool = False,
    ahead: bool = False,
    with_change: bool = False,
) -> Query:
    """At most `limit` customers in the direction of reading: with `after` those past the position
    `after_…`, with `before` those short of the position `before_…`. The column `order_value` is the
    one by which they are ordered.

    After `columns` come: with `behind`, whether there is a customer at or before `after_…`; with
    `ahead`, whether there is one at or past `before_…`; with `with_change`, the number of the
    account's last change.
    """
    table_columns = tuple(ORDER_COLUMNS[order] if name == ORDER_VALUE else name for name in columns)
    probes: list[sa.ColumnElement[Any]] = []
    if behind:
        probes.append(_any_at_or_beyond(order, not ascending, "after"))
    if ahead:
        probes.append(_any_at_or_beyond(order, ascending, "before"))
    if with_change:
        probes.append(_change_of_account())
    selected = [*columns_named(customers, table_columns), *probes]
    statement = sa.select(*selected).where(of_account(customers))
    if after:
        statement = statement.where(beyond(order, ascending, "after", inclusive=False))
    if before:
        statement = statement.where(beyond(order, not ascending, "before", inclusive=False))
    return Query(statement.order_by(*sorted_by(order, ascending)).limit(number("limit")))


def _change_of_account() -> sa.ColumnElement[int]:
    number_of = sa.select(counters.c.changes).where(of_account(counters)).scalar_subquery()
    return number_of.label("last_change")


@cache
def any_at_or_beyond(order: str, forward: bool) -> Query:
    """Whether there is a customer at the position `edge_…` or beyond it."""
    return Query(sa.select(_any_at_or_beyond(order, forward, "edge")))


def _any_at_or_beyond(order: str, forward: bool, name: str) -> sa.ColumnElement[Any]:
    table = customers.alias("there")
    position = beyond(order, forward, name, inclusive=True, table=table)
    statement: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table)
    return statement.where(of_account(table), position).exists().label(f"any_{name}")


@lru_cache(maxsize=2_000)
def customers_by_id(columns: tuple[str, ...], with_change: bool = False) -> Query:
    """The customers among `ids`: their id, then the columns, and `with_change` the number of the
    account's last change."""
    return _by_id(customers, "customer_id", columns, with_change)


@lru_cache(maxsize=2_000)
def orders_by_id(columns: tuple[str, ...]) -> Query:
    """The orders among `ids`: their id, then the columns."""
    return _by_id(orders, "order_id", columns)


def _by_id(table: sa.Table, key: str, columns: tuple[str, ...], with_change: bool = False) -> Query:
    probes = [_change_of_account()] if with_change else []
    selected = [table.c[key].label("key_of_row"), *columns_named(table, columns), *probes]
    statement = sa.select(*selected)
    return Query(statement.where(of_account(table), any_of(table.c[key], "ids")))


@lru_cache(maxsize=2_000)
def one_customer(columns: tuple[str, ...], with_change: bool = False) -> Query:
    """The columns of the customer `number`, and `with_change` the number of the account's last
    change."""
    return _by_number(customers, "customer_id", columns, with_change)


@lru_cache(maxsize=2_000)
def one_order(columns: tuple[str, ...], with_change: bool = False) -> Query:
    """The columns of the order `number`, and `with_change` the number of the account's last
    change."""
    return _by_number(orders, "order_id", columns, with_change)


@lru_cache(maxsize=2_000)
def one_lead(columns: tuple[str, ...], with_change: bool = False) -> Query:
    """The columns of the lead `number`, and `with_change` the number of the account's last
    change."""
    return _by_number(leads, "lead_id", columns, with_change)


def _by_number(table: sa.Table, key: str, columns: tuple[str, ...], with_change: bool) -> Query:
    probes = [_change_of_account()] if with_change else []
    statement = sa.select(*columns_named(table, columns), *probes)
    return Query(statement.where(of_account(table), table.c[key] == number("number")))


@lru_cache(maxsize=2_000)
def changes_after(columns: tuple[str, ...]) -> Query:
    """At most `limit` changes of the account after the change number `after`, in their order."""
    statement = sa.select(*columns_named(history, columns)).where(of_account(history))
    statement = statement.where(history.c.sequence > number("after"))
    return Query(statement.order_by(history.c.sequence).limit(number("limit")))


@cache
def last_change() -> Query:
    """The number of the account's last change; 0 without changes."""
    return Query(sa.select(counters.c.changes).where(of_account(counters)))


@cache
def position() -> Query:
    """The number of the account's last change, and its revision."""
    statement = sa.select(counters.c.changes, counters.c.revision)
    return Query(statement.where(of_account(counters)))


# Plain strings: orjson does not accept SQLAlchemy's class of names as keys.
CUSTOMER_COLUMNS = tuple(str(column.name) for column in customers.columns)


@cache
def lock_account() -> Query:
    """The account's row, locked until the transaction ends (PostgreSQL)."""
    statement: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(counters)
    return Query(statement.where(of_account(counters)).with_for_update())


@cache
def counters_table(names: tuple[str, ...]) -> sa.TableClause:
    """Return the table of counters with the columns `names`."""
    columns = [sa.column(name, Number) for name in ("account_id", "revision", *names)]
    return sa.table(counters.name, *columns)


def state(names: tuple[str, ...], customer_rows: sa.SelectBase) -> Query:
    """The account's revision and the counters `names`, joined with each of the customers. Without
    customers there is one row, with nulls."""
    table, rows = counters_table(names), customer_rows.subquery("named")
    joined = table.outerjoin(rows, sa.true())
    account = [table.c[name] for name in ("revision", *names)]
    return Query(sa.select(*account, *rows.columns).select_from(joined).where(of_account(table)))


def customers_of_orders() -> sa.Select[Any]:
    """Select the ids of the customers of the orders `order_names`."""
    owners = sa.select(orders.c.customer_id).where(of_account(orders))
    return owners.where(any_of(orders.c.name, "order_names"))


def customers_of_shop_ids() -> sa.Select[Any]:
    """Select the ids of the customers with the external ids `shop_ids` in any system."""
    numbers = sa.select(shop_ids.c.number).where(of_account(shop_ids))
    numbers = numbers.where(any_of(shop_ids.c.shop_id, "shop_ids"))
    return numbers.where(shop_ids.c.type == sa.literal_column("'Customer'"))


def customers_of_emails(account: sa.ColumnElement[int]) -> sa.Select[Any]:
    """Select the ids of the customers of an account that have the emails `email_keys`, but not as
    their default."""
    columns = additional_emails.c
    owners = sa.select(columns.customer_id).where(columns.account_id == account)
    return owners.where(any_of(columns.email_key, "email_keys"))


def customers_of_phones() -> sa.Select[Any]:
    """Select the ids of the customers with the search terms `phone_terms`: the first eleven of
    each."""
    position = sa.func.row_number().over(partition_by=terms.c.term, order_by=terms.c.customer_id)
    ranked = sa.select(terms.c.customer_id, position.label("position")).where(of_account(terms))
    rows = ranked.where(any_of(terms.c.term, "phone_terms")).subquery("with_phone")
    return sa.select(rows.c.customer_id).where(rows.c.position <= sa.literal_column("11"))


def moved_customers() -> sa.SelectBase:
    """Select the ids of the customers `moved_ids`, and of those with the shop ids
    `moved_shop_ids`."""
    rows = sa.select(customers.c.customer_id).where(of_account(customers))
    numbers = sa.select(shop_ids.c.number).where(of_account(shop_ids))
    return sa.union_all(
        rows.where(any_of(customers.c.customer_id, "moved_ids")),
        numbers.where(
            any_of(shop_ids.c.shop_id, "moved_shop_ids"),
            shop_ids.c.type == sa.literal_column("'Customer'"),
        ),
    )


def urls_of_webhooks() -> sa.Select[Any]:
    """Select the URLs of the webhooks `webhook_ids`."""
    table = webhooks.alias("named")
    urls = sa.select(table.c.url).where(of_account(table))
    return urls.where(any_of(table.c.webhook_id, "webhook_ids"))


WHOLE_ORDER = tuple(str(column.name) for column in orders.columns)
SHOP_ID_COLUMNS = tuple(str(column.name) for column in shop_ids.columns)


# The type, in the rows of `named_shop_ids`, of an id whose customer is deleted.
DELETED_ID = "Deleted"


@cache
def named_shop_ids() -> Query:
    """Whole rows of `shop_ids`: those of the ids `shop_ids` in any system; those of the customers
    with the emails `email_keys`; and, with the type `DELETED_ID` and the time of the deletion as
    the number, the deletions of each of the ids that a deleted customer had. An id may
    occur twice."""
    rows = sa.select(*shop_ids.columns).where(of_account(shop_ids))
    holders = sa.select(customers.c.customer_id).where(of_account(customers))
    holders = holders.where(any_of(customers.c.email_key, "email_keys"))
    other_holders = customers_of_emails(number("account_id"))
    columns = deleted_shop_ids.c
    type_: sa.ColumnElement[Any] = sa.literal_column(f"'{DELETED_ID}'")
    source: sa.ColumnElement[Any] = sa.literal_column("'shop'")
    zero: sa.ColumnElement[Any] = sa.literal_column("0")
    deletions = sa.select(
        columns.account_id, columns.shop_id, source, type_, columns.deleted_at, zero, columns.event
    ).where(of_account(deleted_shop_ids))
    return Query(
        sa.union_all(
            rows.where(any_of(shop_ids.c.shop_id, "shop_ids")),
            rows.where(among(shop_ids.c.customer_id, sa.union_all(holders, other_holders))),
            deletions.where(any_of(columns.shop_id, "shop_ids")),
        )
    )


@cache
def customer_with_email() -> Query:
    """The id of the customer with the email `email_key`, as its default or as another one."""
    key = sa.bindparam("email_key", type_=customers.c.email_key.type)
    return Query(
        sa.union_all(
            *(
                sa.select(table.c.customer_id).where(of_account(table), table.c.email_key == key)
                for table in (customers, additional_emails)
            )
        )
    )


@cache
def customers_with_term() -> Query:
    """The ids of at most `limit` customers with the search term `term`, in their order."""
    term = sa.bindparam("term", type_=terms.c.term.type)
    rows = sa.select(terms.c.customer_id).where(of_account(terms), terms.c.term == term)
    return Query(rows.order_by(terms.c.customer_id).limit(number("limit")))


@cache
def customers_with_term_after() -> Query:
    """The ids of at most `limit` customers with the search term `term`, above `after`, in their
    order."""
    term = sa.bindparam("term", type_=terms.c.term.type)
    rows = sa.select(terms.c.customer_id).where(
        of_account(terms), terms.c.term == term, terms.c.customer_id > number("after")
    )
    return Query(rows.order_by(terms.c.customer_id).limit(number("limit")))


@cache
def objects_of_shop_ids() -> Query:
    """The objects with the external ids `shop_ids`: source, id, type and `_id` of the object."""
    columns = shop_ids.c
    rows = sa.select(columns.source, columns.shop_id, columns.type, columns.number)
    return Query(rows.where(of_account(shop_ids), any_of(columns.shop_id, "shop_ids")))


WHOLE_WEBHOOK = tuple(str(column.name) for column in webhooks.columns)


@cache
def used_customer_ids() -> Query:
    """The customer ids among `taken_ids` that occur in the account's history."""
    statement = sa.select(history.c.customer_id).where(of_account(history)).distinct()
    return Query(statement.where(any_of(history.c.customer_id, "taken_ids")))


@cache
def creator() -> Query:
    """The actor that created the customer `number`: its kind and its name."""
    statement = sa.select(history.c.actor_kind, history.c.actor).where(
        of_account(history),
        history.c.customer_id == number("number"),
        history.c.kind == sa.literal_column("'created'"),
    )
    return Query(statement.order_by(history.c.sequence).limit(sa.literal_column("1")))


IDEMPOTENCY_RECORD_COLUMNS = tuple(str(column.name) for column in idempotency_records.columns)


@cache
def idempotency_records_of() -> Query:
    """The idempotency records of the tokens `idempotency_tokens` with the keys
    `idempotency_keys`."""
    is_named = (
        any_of(idempotency_records.c.token_id, "idempotency_tokens"),
        any_of(idempotency_records.c.key, "idempotency_keys"),
    )
    return Query(
        sa.select(*idempotency_records.columns).where(of_account(idempotency_records), *is_named)
    )


@cache
def table_version() -> Query:
    """The version of the database's tables, and of the oldest program that can work with them."""
    version = sa.table("alembic_version", sa.column("version_num"))
    return Query(sa.select(version.c.version_num, compatibility.c.oldest))


@cache
def finished_version() -> Query:
    """The last version of the tables whose contract part is finished."""
    return Query(sa.select(compatibility.c.finished))


@cache
def count_customers() -> Query:
    """The number of customers of each account: account, number. Reads all customers."""
    number_of = sa.func.count().label("customers")
    return Query(sa.select(customers.c.account_id, number_of).group_by(customers.c.account_id))
