"""The statements of a customer search: one function for each shape of statement.

The form of a statement decides how it runs, not the query planner. `order_scan` reads a page along
the index of its order. `index_scan` reads customers that other indexes name. A subquery with a
limit is a fence: no planner moves a condition into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.store.columns import Number
from regulars.store.conditions import (
    TERM,
    And,
    Condition,
    Contains,
    Not,
    Or,
    Predicate,
    Union,
    Within,
    columns_of,
)
from regulars.store.queries import (
    ORDER_VALUE,
    beyond,
    columns_named,
    of_account,
    sorted_by,
)
from regulars.store.query import Query, among, number, position_in, unindexed
from regulars.store.tables import ORDER_COLUMNS, counters, customers, terms


class Reading(NamedTuple):
    """What is read, in which order: `limit` customers past the position `after_…` and short of
    `before_…`, where those are given; `including` says that `after_…` itself belongs to it."""

    columns: tuple[str, ...]
    order: str
    ascending: bool
    after: bool = False
    before: bool = False
    including: bool = False


@lru_cache(maxsize=500)
def order_scan(
    reading: Reading, inside: tuple[Within, ...], condition: Condition | None, most: int | None
) -> Query:
    """Along the index of the order, between the bounds `inside` of its column, all customers; or,
    among the first `most`, those who meet a condition."""
    return Query(lambda: _order_scan(reading, inside, condition, most))


def _order_scan(
    reading: Reading, inside: tuple[Within, ...], condition: Condition | None, most: int | None
) -> sa.SelectBase:
    order = reading.order
    needed = _stored(reading) if condition is None else _needed(reading, condition)
    here = sa.select(*columns_named(customers, needed)).where(
        of_account(customers), *_bounds(reading), *(_within(each, customers) for each in inside)
    )
    here = here.order_by(*sorted_by(order, reading.ascending))
    if condition is None or most is None:
        return here.limit(number("limit"))
    # Its rows come in its order, and are taken as they come: to order them again would have
    # SQLite read all of them, where the first few are enough.
    fence = here.limit(_literal(most)).subquery("scanned")
    found = sa.select(*columns_named(fence, _stored(reading))).where(_meets(condition, fence))
    return found.limit(number("limit"))


@lru_cache(maxsize=500)
def index_scan(
    reading: Reading, named: tuple[Union, ...], condition: Condition | None, most: int | None = None
) -> Query:
    """Of the customers whom all the unions hold, those who meet a condition. In the order of ids
    the first are chosen before any row is read: all that are needed if there is no condition, or
    the first `most`."""
    return Query(lambda: _index_scan(reading, named, condition, most))


def _index_scan(
    reading: Reading, named: tuple[Union, ...], condition: Condition | None, most: int | None
) -> sa.SelectBase:
    ids = _in_all(named)
    limit = number("limit") if most is None else _literal(most)
    if reading.order == "id" and (condition is None or most is not None):
        inner = ids.subquery("named")
        key = inner.c.customer_id
        ids = sa.select(key).where(*_bounds(reading, inner))
        ids = ids.order_by(key.asc() if reading.ascending else key.desc()).limit(limit)
    found = sa.select(*columns_named(customers, _stored(reading))).where(
        of_account(customers), among(customers.c.customer_id, ids), *_bounds(reading, plain=True)
    )
    if condition is not None:
        found = found.where(_meets(condition, customers, plain=True))
    order = [unindexed(each) for each in sorted_by(reading.order, reading.ascending)]
    return found.order_by(*order).limit(number("limit"))


@lru_cache(maxsize=500)
def sizes(named: tuple[Union, ...], most: int) -> Query:
    """How many `_id`s the account has given to customers; then how many entries each union has: a
    column for each, at most one more than `most`."""
    return Query(lambda: _sizes(named, most))


def _sizes(named: tuple[Union, ...], most: int) -> sa.SelectBase:
    limit = _literal(most + 1)
    given = sa.select(counters.c.customers).where(of_account(counters)).scalar_subquery()
    counts = [given.label("given")]
    for place, union in enumerate(named):
        entries = [_select(within, sa.literal_column("1").label("one")) for within in union]
        few = (entries[0] if len(entries) == 1 else sa.union_all(*entries)).limit(limit)
        counted = sa.select(sa.func.count()).select_from(few.subquery(f"entries_{place}"))
        counts.append(counted.scalar_subquery().label(f"size_{place}"))
    return sa.select(*counts)


@lru_cache(maxsize=500)
def count(named: tuple[Union, ...], condition: Condition | None) -> Query:
    """How many customers all the unions hold (all of the account, where there is none) and meet
    a condition."""
    return Query(lambda: _count(named, condition))


def _count(named: tuple[Union, ...], condition: Condition | None) -> sa.SelectBase:
    total = sa.func.count().label("total")
    if named and condition is None:
        return sa.select(total).select_from(_in_all(named).subquery("named"))
    found = sa.select(total).select_from(customers).where(of_account(customers))
    if named:
        found = found.where(among(customers.c.customer_id, _in_all(named)))
    if condition is not None:
        found = found.where(_meets(condition, customers, plain=bool(named)))
    return found


def _stored(reading: Reading) -> tuple[str, ...]:
    """The columns of a reading, the value of its order by the name that it has in the table."""
    by = ORDER_COLUMNS[reading.order]
    return tuple(by if name == ORDER_VALUE else name for name in reading.columns)


def _needed(reading: Reading, condition: Condition) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_stored(reading), *sorted(columns_of(condition))]))


def _bounds(
    reading: Reading, table: sa.FromClause = customers, plain: bool = False
) -> list[sa.ColumnElement[bool]]:
    """The positions that a reading lies between. `plain` keeps SQLite from reading along them."""
    order, forward = reading.order, reading.ascending
    found = []
    if reading.after:
        found.append(beyond(order, forward, "after", reading.including, table, plain))
    if reading.before:
        found.append(beyond(order, not forward, "before", False, table, plain))
    return found


def _in_all(named: Sequence[Union]) -> sa.SelectBase:
    """The ids of the customers whom every union holds, each once."""
    each = [_in_one(union) for union in named]
    return each[0] if len(each) == 1 else sa.intersect(*each)


def _in_one(union: Union) -> sa.Select[Any]:
    """The ids of the customers of a union of ranges, each once."""
    each = [
        _select(within, (terms if within.column == TERM else customers).c.customer_id)
        for within in union
    ]
    if len(each) > 1:
        return sa.select(sa.union(*each).subquery().c.customer_id)
    within = union[0]
    # Within more than one term a customer may stand more than once.
    return each[0].distinct() if within.column == TERM and not within.one_value else each[0]


def _select(within: Within, what: sa.ColumnElement[Any]) -> sa.Select[Any]:
    table = terms if within.column == TERM else customers
    statement: sa.Select[Any] = sa.select(what).select_from(table)
    return statement.where(of_account(table), _within(within, table))


def _within(within: Within, table: sa.FromClause, plain: bool = False) -> sa.ColumnElement[bool]:
    stored_column = table.c[within.column]
    column = unindexed(stored_column) if plain else stored_column
    if within.one_value:
        return column == sa.bindparam(within.low, type_=stored_column.type)
    found: list[sa.ColumnElement[bool]] = []
    if within.low is not None:
        low = sa.bindparam(within.low, type_=stored_column.type)
        found.append(column > low if within.above else column >= low)
    if within.high is not None:
        high = sa.bindparam(within.high, type_=stored_column.type)
        found.append(column <= high if within.through else column < high)
    return sa.and_(sa.true(), *found)


def _meets(
    condition: Condition, table: sa.FromClause, plain: bool = False
) -> sa.ColumnElement[bool]:
    """The condition on a row. `plain` keeps SQLite from reading along an index of it."""
    match condition:
        case Predicate(condition=Within() as within):
            return _within(within, table, plain)
        case Predicate(condition=Contains() as contains):
            text = sa.bindparam(contains.text, type_=sa.Text())
            nowhere = _literal(0)
            found = [position_in(table.c[name], text) > nowhere for name in contains.columns]
            return sa.or_(*found)
        case And():
            return sa.and_(sa.true(), *(_meets(part, table, plain) for part in condition.parts))
        case Or():
            return sa.or_(sa.false(), *(_meets(part, table, plain) for part in condition.parts))
        case Not():
            return sa.not_(_meets(condition.part, table, plain))
    raise TypeError(condition)


def _literal(value: int) -> sa.ColumnElement[int]:
    """A number that is part of the statement, so that a planner knows it."""
    return sa.literal_column(str(value), Number)
