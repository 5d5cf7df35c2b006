"""What is read: one function for each shape of query, each shape built once."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from regulars.store.columns import Number
from regulars.store.query import Query, among, any_of, number, unindexed
from regulars.store.tables import (
    ORDER_COLUMNS,
    compatibility,
    counters,
    customers,
    deleted_shop_ids,
    history,
    idempotency_records,
    leads,
    orders,
    shop_ids,
    webhooks,
)

# A column that a page has beside the table's: the value by which it is ordered.
ORDER_VALUE = "order_value"


def columns_named(table: sa.FromClause, names: tuple[str, ...]) -> list[sa.ColumnElement[Any]]:
    """The columns; a constant where nothing is read, so that there is a row all the same."""
    return [table.c[name] for name in names] or [sa.literal_column("1")]


def of_account(table: sa.FromClause) -> sa.ColumnElement[bool]:
    return table.c.account_id == number("account_id")


def beyond(
    order: str,
    forward: bool,
    name: str,
    inclusive: bool,
    table: sa.FromClause = customers,
    plain: bool = False,
) -> sa.ColumnElement[bool]:
    """Rows beyond the position (`{name}_value`, `{name}_id`): greater when `forward`. `plain`
    keeps SQLite from reading along the order's index."""
    column = table.c[ORDER_COLUMNS[order]]
    value = sa.bindparam(f"{name}_value", type_=column.type)
    if order == "id":
        here: sa.ColumnElement[Any] = unindexed(column) if plain else column
        there: sa.ColumnElement[Any] = value
    else:
        here = sa.tuple_(unindexed(column) if plain else column, table.c.customer_id)
        there = sa.tuple_(value, number(f"{name}_id"))
    if forward:
        return here >= there if inclusive else here > there
    return here <= there if inclusive else here < there


def sorted_by(order: str, ascending: bool) -> list[sa.ColumnElement[Any]]:
    """A list's order; ties break by id in the same direction."""
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
    told: bool = False,
) -> Query:
    """At most `limit` customers in the direction of reading, past the position `after_…` and
    short of the position `before_…` where those are given. The column `order_value` is the one
    by which they are ordered.

    After the columns come, where `behind` and `ahead` ask for them, whether a customer stands at
    the position `after_…` or before it, and at `before_…` or past it; and last, where it is `told`,
    the number of the account's last change.
    """
    stored = tuple(ORDER_COLUMNS[order] if name == ORDER_VALUE else name for name in columns)
    probes: list[sa.ColumnElement[Any]] = []
    if behind:
        probes.append(_any_at_or_beyond(order, not ascending, "after"))
    if ahead:
        probes.append(_any_at_or_beyond(order, ascending, "before"))
    if told:
        number_of = sa.select(counters.c.changes).where(of_account(counters)).scalar_subquery()
        probes.append(number_of.label("last_change"))
    shown = [*columns_named(customers, stored), *probes]
    statement = sa.select(*shown).where(of_account(customers))
    if after:
        statement = statement.where(beyond(order, ascending, "after", inclusive=False))
    if before:
        statement = statement.where(beyond(order, not ascending, "before", inclusive=False))
    return Query(statement.order_by(*sorted_by(order, ascending)).limit(number("limit")))


@cache
def any_at_or_beyond(order: str, forward: bool) -> Query:
    """Whether a customer stands at the position `edge_…` or beyond it."""
    return Query(sa.select(_any_at_or_beyond(order, forward, "edge")))


def _any_at_or_beyond(order: str, forward: bool, name: str) -> sa.ColumnElement[Any]:
    there = customers.alias("there")
    position = beyond(order, forward, name, inclusive=True, table=there)
    one: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(there)
    return one.where(of_account(there), position).exists().label(f"any_{name}")


@lru_cache(maxsize=2_000)
def customers_by_id(columns: tuple[str, ...]) -> Query:
    """The customers among `ids`: their id, then the columns."""
    return _by_id(customers, "customer_id", columns)


@lru_cache(maxsize=2_000)
def orders_by_id(columns: tuple[str, ...]) -> Query:
    """The orders among `ids`: their id, then the columns."""
    return _by_id(orders, "order_id", columns)


def _by_id(table: sa.Table, key: str, columns: tuple[str, ...]) -> Query:
    statement = sa.select(table.c[key].label("key_of_row"), *columns_named(table, columns))
    return Query(statement.where(of_account(table), any_of(table.c[key], "ids")))


@lru_cache(maxsize=2_000)
def one_customer(columns: tuple[str, ...]) -> Query:
    """The columns of the customer `number`."""
    return _one(customers, "customer_id", columns)


@lru_cache(maxsize=2_000)
def one_order(columns: tuple[str, ...]) -> Query:
    """The columns of the order `number`."""
    return _one(orders, "order_id", columns)


@lru_cache(maxsize=2_000)
def one_lead(columns: tuple[str, ...]) -> Query:
    """The columns of the lead `number`."""
    return _one(leads, "lead_id", columns)


def _one(table: sa.Table, key: str, columns: tuple[str, ...]) -> Query:
    statement = sa.select(*columns_named(table, columns))
    return Query(statement.where(of_account(table), table.c[key] == number("number")))


@lru_cache(maxsize=2_000)
def changes_after(columns: tuple[str, ...]) -> Query:
    """At most `limit` changes of the account that come after the change number `after`, in their
    order."""
    statement = sa.select(*columns_named(history, columns)).where(of_account(history))
    statement = statement.where(history.c.sequence > number("after"))
    return Query(statement.order_by(history.c.sequence).limit(number("limit")))


@cache
def last_change() -> Query:
    """The number of the account's last change; 0 where there is none."""
    return Query(sa.select(counters.c.changes).where(of_account(counters)))


@cache
def position() -> Query:
    """The number of the account's last change, and how many batches have changed it."""
    statement = sa.select(counters.c.changes, counters.c.revision)
    return Query(statement.where(of_account(counters)))


# Plain strings: SQLAlchemy names are of a class of their own, which JSON does not take for keys.
CUSTOMER_COLUMNS = tuple(str(column.name) for column in customers.columns)


@cache
def lock_account() -> Query:
    """The account's row, locked until the transaction ends (PostgreSQL)."""
    statement: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(counters)
    return Query(statement.where(of_account(counters)).with_for_update())


@cache
def counters_table(names: tuple[str, ...]) -> sa.TableClause:
    """The table of the counters `names`."""
    columns = [sa.column(name, Number) for name in ("account_id", "revision", *names)]
    return sa.table(counters.name, *columns)


def state(names: tuple[str, ...], customers_named: sa.SelectBase) -> Query:
    """The account's revision and counters, joined with each of the customers. Without any there is
    one row, with nulls."""
    table, named = counters_table(names), customers_named.subquery("named")
    joined = table.outerjoin(named, sa.true())
    account = [table.c[name] for name in ("revision", *names)]
    return Query(sa.select(*account, *named.columns).select_from(joined).where(of_account(table)))


def customers_of_orders() -> sa.Select[Any]:
    """The customers who have the orders `order_names`."""
    owners = sa.select(orders.c.customer_id).where(of_account(orders))
    return owners.where(any_of(orders.c.name, "order_names"))


def customers_of_shop_ids() -> sa.Select[Any]:
    """The customers whom the shop knows by the ids `shop_ids`."""
    known = sa.select(shop_ids.c.number).where(of_account(shop_ids))
    known = known.where(any_of(shop_ids.c.shop_id, "shop_ids"))
    return known.where(shop_ids.c.type == sa.literal_column("'Customer'"))


def urls_of_webhooks() -> sa.Select[Any]:
    """The URLs of the webhooks `webhook_ids`."""
    named = webhooks.alias("named")
    urls = sa.select(named.c.url).where(of_account(named))
    return urls.where(any_of(named.c.webhook_id, "webhook_ids"))


WHOLE_ORDER = tuple(str(column.name) for column in orders.columns)


SHOP_ID_COLUMNS = tuple(str(column.name) for column in shop_ids.columns)


# The type, among those of `shop_ids`, of an id whose customer is deleted.
DELETED_ID = "Deleted"


@cache
def named_shop_ids() -> Query:
    """What the ids `shop_ids` of the account's shop stand for, whole; those of the customers with
    the emails `email_keys`; and, of the type `DELETED_ID`, which of the ids a deleted customer
    had, with the time of the deletion as the number. An id found in two ways comes twice."""
    known = sa.select(*shop_ids.columns).where(of_account(shop_ids))
    holders = sa.select(customers.c.customer_id).where(of_account(customers))
    holders = holders.where(any_of(customers.c.email_key, "email_keys"))
    gone = deleted_shop_ids.c
    type_: sa.ColumnElement[Any] = sa.literal_column(f"'{DELETED_ID}'")
    nobody: sa.ColumnElement[Any] = sa.literal_column("0")
    deleted = sa.select(gone.account_id, gone.shop_id, type_, gone.deleted_at, nobody, nobody)
    deleted = deleted.where(of_account(deleted_shop_ids))
    return Query(
        sa.union_all(
            known.where(any_of(shop_ids.c.shop_id, "shop_ids")),
            known.where(among(shop_ids.c.customer_id, holders)),
            deleted.where(any_of(gone.shop_id, "shop_ids")),
        )
    )


WHOLE_WEBHOOK = tuple(str(column.name) for column in webhooks.columns)


@cache
def used_customer_ids() -> Query:
    """The `_id`s among `taken_ids` that the account's history has: those that were used."""
    statement = sa.select(history.c.customer_id).where(of_account(history)).distinct()
    return Query(statement.where(any_of(history.c.customer_id, "taken_ids")))


@cache
def creator() -> Query:
    """Who created the customer `number`: the kind of the actor, and its name."""
    statement = sa.select(history.c.actor_kind, history.c.actor).where(
        of_account(history),
        history.c.customer_id == number("number"),
        history.c.kind == sa.literal_column("'created'"),
    )
    return Query(statement.order_by(history.c.sequence).limit(sa.literal_column("1")))


IDEMPOTENCY_RECORD_COLUMNS = tuple(str(column.name) for column in idempotency_records.columns)


@cache
def idempotency_records_of() -> Query:
    """What became of the writes that were sent with the keys `idempotency_keys`, whoever sent
    them."""
    named = any_of(idempotency_records.c.key, "idempotency_keys")
    return Query(
        sa.select(*idempotency_records.columns).where(of_account(idempotency_records), named)
    )


@cache
def table_version() -> Query:
    """The version of the database's tables, and of the oldest program that can work with them."""
    version = sa.table("alembic_version", sa.column("version_num"))
    return Query(sa.select(version.c.version_num, compatibility.c.oldest))


@cache
def count_customers() -> Query:
    """How many customers each account has: id, number. For the command line; reads them all."""
    number_of = sa.func.count().label("customers")
    return Query(sa.select(customers.c.account_id, number_of).group_by(customers.c.account_id))
