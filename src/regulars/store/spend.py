"""The queries of what customers have spent, which count their orders."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import customers, orders


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


def _in_period(table: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of the orders that count, from the time `since` to before `until`."""
    at = table.c.created_at
    is_in = (at >= number("since"), at < number("until"))
    return of_account(table), *is_in, *are_counted(table)


@cache
def spend_of_period() -> Query:
    """What customers have spent from the time `since` to before `until`, most orders first: the
    currency, the amount, the number of orders."""
    amount = sa.cast(sa.func.sum(orders.c.net_payment), sa.BigInteger)
    count = sa.func.count()
    statement = sa.select(orders.c.currency, amount, count).where(*_in_period(orders))
    statement = statement.group_by(orders.c.currency)
    return Query(statement.order_by(count.desc(), orders.c.currency))


@cache
def customers_of_period() -> Query:
    """The number of customers with orders from the time `since` to before `until`, the number of
    those among them with more than one order before `until`, and the number of the orders."""
    columns = (orders.c.customer_id, sa.func.count().label("orders"))
    statement = sa.select(*columns).where(*_in_period(orders)).group_by(orders.c.customer_id)
    buyers = statement.subquery("buyers")
    earlier = orders.alias("earlier")
    has_earlier: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        of_account(earlier),
        earlier.c.customer_id == buyers.c.customer_id,
        earlier.c.created_at < number("since"),
        *are_counted(earlier),
    )
    one: sa.ColumnElement[int] = sa.literal_column("1")
    is_returning = sa.or_(buyers.c.orders > one, has_earlier.correlate(buyers).exists())
    returning = sa.func.coalesce(
        sa.func.sum(sa.case((is_returning, one), else_=sa.literal_column("0"))),
        sa.literal_column("0"),
    )
    bought = sa.func.coalesce(sa.func.sum(buyers.c.orders), sa.literal_column("0"))
    sums = (sa.cast(total, sa.BigInteger) for total in (returning, bought))
    return Query(sa.select(sa.func.count(), *sums).select_from(buyers))


@cache
def top_customers_of_period() -> Query:
    """The customers that spent most in the currency `currency` from the time `since` to before
    `until`, at most `limit`: the customer, the amount, the number of orders."""
    amount = sa.cast(sa.func.sum(orders.c.net_payment), sa.BigInteger)
    currency = orders.c.currency == sa.bindparam("currency", type_=orders.c.currency.type)
    statement = sa.select(orders.c.customer_id, amount, sa.func.count()).where(
        *_in_period(orders), currency
    )
    statement = statement.group_by(orders.c.customer_id)
    return Query(statement.order_by(amount.desc(), orders.c.customer_id).limit(number("limit")))


@cache
def new_customers_of_period() -> Query:
    """The number of customers that were created from the time `since` to before `until`."""
    at = customers.c.created_at
    is_in = (at >= number("since"), at < number("until"))
    return Query(sa.select(sa.func.count()).where(of_account(customers), *is_in))
