"""The statements that count an account's customers and orders: each reads an index alone, where
there is one."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, number
from regulars.store.tables import customers, orders, terms

WEEK_MS = 7 * 86_400_000
DAY_MS = 86_400_000


@cache
def count_by_consent() -> Query:
    """Whether customers accept marketing: yes or no, how many."""
    said = customers.c.accepts_marketing
    return Query(sa.select(said, sa.func.count()).where(of_account(customers)).group_by(said))


@cache
def count_with_orders() -> Query:
    """How many customers have ordered."""
    some = customers.c.orders_count > 0
    return Query(sa.select(sa.func.count()).where(of_account(customers), some))


@cache
def sum_expenses() -> Query:
    """The sum of what customers have paid, in the money's scale."""
    total = sa.cast(sa.func.coalesce(sa.func.sum(customers.c.expenses), 0), sa.BigInteger)
    return Query(sa.select(total).where(of_account(customers)))


@cache
def count_new_by_week() -> Query:
    """How many customers were created in each week from the moment `since` on: its number, from 0,
    how many."""
    since = number("since")
    week = ((customers.c.created_at - since) // WEEK_MS).label("week")
    recent = customers.c.created_at >= since
    weeks = sa.select(week).where(of_account(customers), recent).subquery()
    return Query(sa.select(weeks.c.week, sa.func.count()).group_by(weeks.c.week))


@cache
def count_terms() -> Query:
    """The terms from `low` until before `high`, and how many customers each has, most first."""
    count = sa.func.count()
    between = (terms.c.term >= sa.bindparam("low"), terms.c.term < sa.bindparam("high"))
    found = sa.select(terms.c.term, count).where(of_account(terms), *between)
    return Query(found.group_by(terms.c.term).order_by(count.desc(), terms.c.term))


@cache
def spend_by_day() -> Query:
    """What orders that count brought since the moment `since`: the day, counted from 1970, the
    currency, the sum in the money's scale, how many orders."""
    day = (orders.c.created_at // DAY_MS).label("day")
    since = orders.c.created_at >= number("since")
    counts = (orders.c.test == sa.false(), orders.c.cancelled_at.is_(None))
    chosen = (day, orders.c.currency, orders.c.net_payment)
    days = sa.select(*chosen).where(of_account(orders), since, *counts).subquery()
    total = sa.cast(sa.func.sum(days.c.net_payment), sa.BigInteger)
    grouped = (days.c.day, days.c.currency)
    return Query(sa.select(*grouped, total, sa.func.count()).group_by(*grouped).order_by(*grouped))
