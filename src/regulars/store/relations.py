"""Rows that belong to rows of another table, newest first: orders and leads of customers, changes
of customers, deliveries of webhooks."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.store.queries import columns_named, of_account
from regulars.store.query import Query, among_rows, any_of, number
from regulars.store.tables import customers, deliveries, history, leads, orders, webhooks


class Relation(NamedTuple):
    """The rows of `table` that have the `parent_key` of a row of `parent`. Their order is that of
    the columns `keyset`, descending; the last of these identifies a row of the parent."""

    table: sa.Table
    parent: sa.Table
    parent_key: str
    keyset: tuple[str, ...]


ORDERS = Relation(orders, customers, "customer_id", ("created_at", "order_id"))
LEADS = Relation(leads, customers, "customer_id", ("created_at", "lead_id"))
CHANGES = Relation(history, customers, "customer_id", ("sequence",))
DELIVERIES = Relation(deliveries, webhooks, "webhook_id", ("created_at", "number"))


def cursor_parameter(column: str) -> str:
    """Return the name of the parameter with a cursor's value of a column."""
    return f"after_{column}"


@lru_cache(maxsize=2_000)
def all_of_each(
    relation: Relation, columns: tuple[str, ...], after: bool = False, limited: bool = False
) -> Query:
    """The rows that belong to the rows `ids` of the parent: the parent's key, then the columns.
    With `after` those past the cursor; if `limited`, at most `limit` altogether."""
    table, parent_key = relation.table, relation.table.c[relation.parent_key]
    statement = sa.select(parent_key.label("key_of_row"), *columns_named(table, columns))
    statement = statement.where(of_account(table), any_of(parent_key, "ids"))
    if after:
        statement = statement.where(_past(relation, table))
    statement = statement.order_by(parent_key, *_newest_first(relation, table))
    return Query(statement.limit(number("limit")) if limited else statement)


@lru_cache(maxsize=2_000)
def first_of_each(relation: Relation, columns: tuple[str, ...], after: bool = False) -> Query:
    """At most `limit` rows that belong to each of the rows `ids` of the parent: the parent's key,
    then the columns. With `after` the first ones past the cursor."""
    table, parent, parent_key, keyset = relation
    key = (parent_key, *keyset)
    nested = table.alias("nested")
    newest = sa.select(*[nested.c[name] for name in key]).where(
        of_account(nested), nested.c[parent_key] == parent.c[parent_key]
    )
    if after:
        newest = newest.where(_past(relation, nested))
    newest = newest.order_by(*_newest_first(relation, nested)).limit(number("limit"))
    columns_compared = [table.c[name] for name in key]
    same: sa.ColumnElement[Any] = among_rows(columns_compared, newest.correlate(parent))
    if parent_key in table.primary_key.columns:  # the last column identifies a row in its parent
        same = sa.and_(table.c[parent_key] == parent.c[parent_key], same)
    statement = (
        sa.select(parent.c[parent_key].label("key_of_row"), *columns_named(table, columns))
        .select_from(parent.join(table, same))
        .where(of_account(parent), of_account(table))
        .where(any_of(parent.c[parent_key], "ids"))
    )
    return Query(statement.order_by(parent.c[parent_key], *_newest_first(relation, table)))


@cache
def one_cursor(relation: Relation) -> Query:
    """The values that the row `number` has in the columns of the order."""
    table, keyset = relation.table, relation.keyset
    statement = sa.select(*columns_named(table, keyset)).where(of_account(table))
    return Query(statement.where(table.c[keyset[-1]] == number("number")))


def _newest_first(relation: Relation, table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    return [table.c[name].desc() for name in relation.keyset]


def _past(relation: Relation, table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The rows past the cursor."""
    columns = [table.c[name] for name in relation.keyset]
    values = [number(cursor_parameter(name)) for name in relation.keyset]
    if len(columns) == 1:
        return columns[0] < values[0]
    return sa.tuple_(*columns) < sa.tuple_(*values)
