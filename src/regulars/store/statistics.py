"""The queries that count an account's customers and orders. Each reads only an index, if there is
one."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, number
from regulars.store.tables import customers, orders, terms

WEEK_MS = 7 * 86_400_000
DAY_MS = 86_400_000


@cache
def count_by_consent() -> Query:
    """The number of customers by whether they accept marketing."""
    accepts = customers.c.accepts_marketing
    counts = sa.select(accepts, sa.func.count()).where(of_account(customers))
    return Query(counts.group_by(accepts))


@cache
def count_with_orders() -> Query:
    """The number of customers with orders."""
    has_orders = customers.c.orders_count > 0
    return Query(sa.select(sa.func.count()).where(of_account(customers), has_orders))


@cache
def sum_expenses() -> Query:
    """The sum of `expenses`, in 1/10,000 of the currency's unit."""
    total = sa.cast(sa.func.coalesce(sa.func.sum(customers.c.expenses), 0), sa.BigInteger)
    return Query(sa.select(total).where(of_account(customers)))


@cache
def count_new_by_week() -> Query:
    """The number of customers created in each week from the time `since` on: the week, from 0, and
    the number."""
    since = number("since")
    week = ((customers.c.created_at - since) // WEEK_MS).label("week")
    recent = customers.c.created_at >= since
    weeks = sa.select(week).where(of_account(customers), recent).subquery()
    return Query(sa.select(weeks.c.week, sa.func.count()).group_by(weeks.c.week))


def _terms_in_range(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Select columns of the terms from `low` to before `high`."""
    term = terms.c.term
    statement: sa.Select[Any] = sa.select(*columns)
    return statement.where(
        of_account(terms), term >= sa.bindparam("low"), term < sa.bindparam("high")
    )


@cache
def count_terms() -> Query:
    """The terms from `low` to before `high` and their numbers of customers, most frequent first."""
    count = sa.func.count()
    counts = _terms_in_range(terms.c.term, count)
    return Query(counts.group_by(terms.c.term).order_by(count.desc(), terms.c.term))


@cache
def most_frequent_terms() -> Query:
    """The terms from `low` to before `high`, most frequent first, at most `limit`: each with its
    number of customers, and the last of them."""
    count = sa.func.count()
    columns = (terms.c.term, count, sa.func.max(terms.c.customer_id))
    counts = _terms_in_range(*columns).group_by(terms.c.term)
    return Query(counts.order_by(count.desc(), terms.c.term).limit(number("limit")))


@cache
def count_terms_page() -> Query:
    """The first `limit` terms from `low` to before `high`: each with its number of customers, and
    the last of them. Reads the index only as far as these terms."""
    columns = (terms.c.term, sa.func.count(), sa.func.max(terms.c.customer_id))
    counts = _terms_in_range(*columns)
    return Query(counts.group_by(terms.c.term).order_by(terms.c.term).limit(number("limit")))


@cache
def first_term() -> Query:
    """The first term from `low` to before `high`, and one of its customers."""
    found = _terms_in_range(terms.c.term, terms.c.customer_id)
    return Query(found.order_by(terms.c.term, terms.c.customer_id).limit(1))


@cache
def spend_by_day() -> Query:
    """The revenue of each day and currency from the time `since` on, without test and cancelled
    orders: the day since 1970, the currency, the sum in 1/10,000 of its unit, the number of
    orders."""
    day = (orders.c.created_at // DAY_MS).label("day")
    since = orders.c.created_at >= number("since")
    counts = (orders.c.test == sa.false(), orders.c.cancelled_at.is_(None))
    columns = (day, orders.c.currency, orders.c.net_payment)
    days = sa.select(*columns).where(of_account(orders), since, *counts).subquery()
    total = sa.cast(sa.func.sum(days.c.net_payment), sa.BigInteger)
    group = (days.c.day, days.c.currency)
    return Query(sa.select(*group, total, sa.func.count()).group_by(*group).order_by(*group))
