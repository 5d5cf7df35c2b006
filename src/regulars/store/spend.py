"""The queries of what customers have spent, which count their orders."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import orders


def are_counted(table: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of orders that count: neither cancelled nor tests."""
    return table.c.test == sa.false(), table.c.cancelled_at.is_(None)


@cache
def spend_of_each() -> Query:
    """What the customers `recounted_ids` have spent in each currency: the customer, the currency,
    the amount, the number of orders, the times of the first and the last order."""
    amount = sa.cast(sa.func.sum(orders.c.net_payment), sa.BigInteger)
    at = orders.c.created_at
    columns = (amount, sa.func.count(), sa.func.min(at), sa.func.max(at))
    group = (orders.c.customer_id, orders.c.currency)
    statement = sa.select(*group, *columns).where(
        of_account(orders), any_of(orders.c.customer_id, "recounted_ids"), *are_counted(orders)
    )
    return Query(statement.group_by(*group).order_by(*group))


@cache
def customers_with_orders() -> Query:
    """The customers with orders after the customer `after`, at most `limit`, in their order."""
    statement = sa.select(orders.c.customer_id).where(
        of_account(orders), orders.c.customer_id > number("after")
    )
    ids = statement.group_by(orders.c.customer_id).order_by(orders.c.customer_id)
    return Query(ids.limit(number("limit")))


@cache
def last_orders_of_customers() -> Query:
    """The customers of the orders named `changed_orders`, each with the time of its last order that
    counts and has none of these names, or null."""
    other = orders.alias("other")
    latest: sa.Select[Any] = sa.select(other.c.created_at).where(
        of_account(other),
        other.c.customer_id == orders.c.customer_id,
        *are_counted(other),
        ~any_of(other.c.name, "changed_orders"),
    )
    latest = latest.order_by(other.c.created_at.desc()).limit(sa.literal_column("1"))
    columns = (orders.c.customer_id, latest.correlate(orders).scalar_subquery())
    statement = sa.select(*columns).where(
        of_account(orders), any_of(orders.c.name, "changed_orders")
    )
    return Query(statement)


@cache
def currencies_of_orders() -> Query:
    """The currencies of the orders that count, in their order. Reads all orders of the account."""
    statement = sa.select(orders.c.currency).where(of_account(orders), *are_counted(orders))
    return Query(statement.distinct().order_by(orders.c.currency))
