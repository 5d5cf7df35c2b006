"""The statements of a customer search: one function for each shape of statement.

The form of a statement decides how it runs, not the query planner. `order_scan` reads a page along
the index of its order. `index_scan` reads customers that other indexes name. `order_walk` reads
the two indexes, and then the rows of the page. A subquery with a limit is a fence: no planner
moves a condition into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.store.columns import Number
from regulars.store.comments import comment_terms, comments, has_comment
from regulars.store.conditions import (
    COMMENT_TERM,
    COMMENT_WORDS,
    COMMENTED,
    ORDER_NAME,
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
from regulars.store.query import Query, among, any_of, in_set, number, position_in, unindexed
from regulars.store.tables import ORDER_COLUMNS, counters, customers, orders, terms

# A walk looks up so many customers in a hash table. PostgreSQL plans 32 bytes for each of a fifth
# more, which is less than three times its default `work_mem` (`HASH_MEM_MULTIPLIER`).
MAX_WALK_SET = 300_000
_MAX_ENTRIES = 2**62  # no limit

# The columns of other tables than `customers`. Each of their indexes is in the order of the values.
_COLUMNS: dict[str, sa.Column[Any]] = {
    TERM: terms.c.term,
    ORDER_NAME: orders.c.name,
    COMMENT_TERM: comment_terms.c.term,
    COMMENTED: comments.c.customer_id,
}


class Reading(NamedTuple):
    """What a query reads, in which order: at most `limit` customers, after the position `after_…`
    and before the position `before_…` if these are set. With `is_inclusive` the customer at
    `after_…` belongs to it."""

    columns: tuple[str, ...]
    order: str
    ascending: bool
    after: bool = False
    before: bool = False
    is_inclusive: bool = False


@lru_cache(maxsize=500)
def order_scan(
    reading: Reading,
    ranges: tuple[Within, ...],
    condition: Condition | None,
    max_rows: int | None,
) -> Query:
    """Read along the index of the order, within `ranges` of its column. With a condition: the
    customers that meet it among the first `max_rows`."""
    return Query(lambda: _order_scan(reading, ranges, condition, max_rows))


def _order_scan(
    reading: Reading,
    ranges: tuple[Within, ...],
    condition: Condition | None,
    max_rows: int | None,
) -> sa.SelectBase:
    columns = _stored(reading) if condition is None else _needed(reading, condition)
    scan = sa.select(*columns_named(customers, columns)).where(
        of_account(customers),
        *_bounds(reading),
        *(_within(within, customers) for within in ranges),
    )
    scan = scan.order_by(*sorted_by(reading.order, reading.ascending))
    if condition is None or max_rows is None:
        return scan.limit(number("limit"))
    # The fence returns its rows in order. With another ORDER BY, SQLite would read all of them
    # where the first few are enough.
    fence = scan.limit(_literal(max_rows)).subquery("scanned")
    matches = sa.select(*columns_named(fence, _stored(reading))).where(_meets(condition, fence))
    return matches.limit(number("limit"))


@lru_cache(maxsize=500)
def index_scan(
    reading: Reading,
    unions: tuple[Union, ...],
    condition: Condition | None,
    max_ids: int | None = None,
) -> Query:
    """Read the customers that all unions contain and that meet the condition. In the order of ids,
    ids are chosen before any row is read: `limit` of them without a condition, or the first
    `max_ids`."""
    return Query(lambda: _index_scan(reading, unions, condition, max_ids))


def _index_scan(
    reading: Reading,
    unions: tuple[Union, ...],
    condition: Condition | None,
    max_ids: int | None,
) -> sa.SelectBase:
    ids = _in_all(unions)
    if reading.order == "id" and (condition is None or max_ids is not None):
        # With a DISTINCT in the subquery, all ids of a frequent word would be read first.
        is_repeated = len(unions) == 1 and _is_of_one_word(unions[0])
        inner = (_ids(unions[0][0]) if is_repeated else ids).subquery("named")
        key = inner.c.customer_id
        limit = number("limit") if max_ids is None else _literal(max_ids)
        ids = sa.select(key).where(*_bounds(reading, inner))
        ids = ids.distinct() if is_repeated else ids
        ids = ids.order_by(key.asc() if reading.ascending else key.desc()).limit(limit)
    matches = sa.select(*columns_named(customers, _stored(reading))).where(
        of_account(customers),
        among(customers.c.customer_id, ids),
        *_bounds(reading, without_index=True),
    )
    if condition is not None:
        matches = matches.where(_meets(condition, customers, without_index=True))
    order = [unindexed(column) for column in sorted_by(reading.order, reading.ascending)]
    return matches.order_by(*order).limit(number("limit"))


@lru_cache(maxsize=500)
def order_walk(reading: Reading, union: Union, max_entries: int | None) -> Query:
    """Read the customers of a union among the first `max_entries` entries of the index of the
    order. No row is read until the page is chosen. The union has at most `MAX_WALK_SET`
    customers, unless it is a range of ids."""
    return Query(lambda: _order_walk(reading, union, max_entries))


def _order_walk(reading: Reading, union: Union, max_entries: int | None) -> sa.SelectBase:
    names = dict.fromkeys([ORDER_COLUMNS[reading.order], "customer_id"])
    walk = sa.select(*columns_named(customers, tuple(names))).where(
        of_account(customers), *_bounds(reading)
    )
    walk = walk.order_by(*sorted_by(reading.order, reading.ascending))
    # The fence returns its entries in order, as in `_order_scan`.
    fence = walk.limit(_literal(max_entries or _MAX_ENTRIES)).subquery("walked")
    ids = sa.select(fence.c.customer_id).where(_is_member(fence, union))
    matches = sa.select(*columns_named(customers, _stored(reading))).where(
        of_account(customers), among(customers.c.customer_id, ids.limit(number("limit")))
    )
    order = [unindexed(column) for column in sorted_by(reading.order, reading.ascending)]
    return matches.order_by(*order)


def _is_member(walked: sa.FromClause, union: Union) -> sa.ColumnElement[bool]:
    if is_id_range(union):
        return _within(union[0], walked)
    members = _entries(union, _id_of)
    # PostgreSQL makes no hash table if it expects too many values. It trusts a limit.
    members = sa.select(members.subquery("named").c.customer_id).limit(
        _literal(MAX_WALK_SET * 6 // 5)
    )
    return in_set(walked.c.customer_id, members)


def is_id_range(union: Union) -> bool:
    """Return whether a union is one range of ids, so that a walk needs no hash table."""
    return len(union) == 1 and union[0].column == "customer_id"


@lru_cache(maxsize=500)
def sizes(unions: tuple[Union, ...], max_entries: int) -> Query:
    """Count the customers that the account has ever created; then the index entries of each union,
    up to one more than `max_entries`: a column for each."""
    return Query(lambda: _sizes(unions, max_entries))


def _sizes(unions: tuple[Union, ...], max_entries: int) -> sa.SelectBase:
    limit = _literal(max_entries + 1)
    created = sa.select(counters.c.customers).where(of_account(counters)).scalar_subquery()
    counts = [created.label("created")]
    for index, union in enumerate(unions):
        entries = _entries(union, lambda _: sa.literal_column("1").label("one")).limit(limit)
        counted = sa.select(sa.func.count()).select_from(entries.subquery(f"entries_{index}"))
        counts.append(counted.scalar_subquery().label(f"size_{index}"))
    return sa.select(*counts)


@lru_cache(maxsize=500)
def count(
    unions: tuple[Union, ...], condition: Condition | None, is_limited: bool = False
) -> Query:
    """Count the customers that all unions contain (without any, all of the account) and that meet
    the condition: at most `limit` if the count is limited."""
    return Query(lambda: _count(unions, condition, is_limited))


@lru_cache(maxsize=500)
def matches_among(condition: Condition) -> Query:
    """The customers among `ids` that meet a condition: id, version. The version is in no index: if
    an index had all columns, SQLite would read all of the account's entries instead of the rows."""
    return Query(lambda: _matches_among(condition))


@lru_cache(maxsize=100)
def matches_of_each(conditions: tuple[Condition, ...]) -> Query:
    """The customers among `ids`: id, and for each condition whether they meet it."""

    def build() -> sa.SelectBase:
        columns = [
            _meets(condition, customers, without_index=True).label(f"meets_{index}")
            for index, condition in enumerate(conditions)
        ]
        rows = sa.select(customers.c.customer_id, *columns).where(of_account(customers))
        return rows.where(any_of(customers.c.customer_id, "ids"))

    return Query(build)


def all_matches(condition: Condition) -> sa.Select[Any]:
    """Return the statement that selects all customers that meet a condition: the id."""
    rows = sa.select(customers.c.customer_id).where(of_account(customers))
    return rows.where(_meets(condition, customers))


def _matches_among(condition: Condition) -> sa.SelectBase:
    return sa.select(customers.c.customer_id, customers.c.version).where(
        of_account(customers),
        any_of(customers.c.customer_id, "ids"),
        _meets(condition, customers, without_index=True),
    )


def _count(
    unions: tuple[Union, ...], condition: Condition | None, is_limited: bool
) -> sa.SelectBase:
    total = sa.func.count().label("total")
    if unions and condition is None:
        named = _in_all(unions).subquery("named")
        if is_limited:
            named = sa.select(named).limit(number("limit")).subquery("limited")
        return sa.select(total).select_from(named)
    one: sa.ColumnElement[Any] = sa.literal_column("1").label("one")
    matches = sa.select(one if is_limited else total).select_from(customers)
    matches = matches.where(of_account(customers))
    if unions:
        matches = matches.where(among(customers.c.customer_id, _in_all(unions)))
    if condition is not None:
        matches = matches.where(_meets(condition, customers, without_index=bool(unions)))
    if is_limited:
        return sa.select(total).select_from(matches.limit(number("limit")).subquery("matches"))
    return matches


def _stored(reading: Reading) -> tuple[str, ...]:
    """The columns of a reading, with the table's name of the order's column."""
    order_column = ORDER_COLUMNS[reading.order]
    return tuple(order_column if name == ORDER_VALUE else name for name in reading.columns)


def _needed(reading: Reading, condition: Condition) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_stored(reading), *sorted(columns_of(condition))]))


def _bounds(
    reading: Reading, table: sa.FromClause = customers, without_index: bool = False
) -> list[sa.ColumnElement[bool]]:
    """The positions that a reading lies between. `without_index` keeps SQLite from using the index
    of the order."""
    order, forward = reading.order, reading.ascending
    bounds = []
    if reading.after:
        is_inclusive = reading.is_inclusive
        bounds.append(beyond(order, forward, "after", is_inclusive, table, without_index))
    if reading.before:
        bounds.append(beyond(order, not forward, "before", False, table, without_index))
    return bounds


def _in_all(unions: Sequence[Union]) -> sa.SelectBase:
    """The distinct ids of the customers that all unions contain."""
    selects = [_in_union(union) for union in unions]
    return selects[0] if len(selects) == 1 else sa.intersect(*selects)


def _in_union(union: Union) -> sa.Select[Any]:
    """The distinct ids of the customers of a union of ranges."""
    if len(union) == 2 and union[0].column not in _COLUMNS and union[1].column == TERM:
        return _in_column_or_terms(*union)
    selects = _parts(union, _id_of)
    if len(selects) > 1:
        return sa.select(sa.union(*selects).subquery().c.customer_id)
    # A range of several terms or orders may contain a customer more than once, and so may comments.
    has_duplicates = union[0].column in _COLUMNS and not (len(union) == 1 and union[0].one_value)
    has_duplicates |= _is_of_one_word(union)
    return selects[0].distinct() if has_duplicates else selects[0]


def _is_of_one_word(union: Union) -> bool:
    """Return whether a union is one word of comments: a customer has an entry for each comment."""
    return len(union) == 1 and union[0].column == COMMENT_TERM and union[0].one_value


def _in_column_or_terms(of_column: Within, of_terms: Within) -> sa.Select[Any]:
    """The distinct ids of the customers of a range of a column, and of a range of terms that has
    few of them. A UNION would sort the ids of the column: 2 ms for 3,000."""
    named = customers.alias("named_customers")
    is_in_column = sa.exists(
        sa.select(sa.literal_column("1")).where(
            of_account(named),
            named.c.customer_id == terms.c.customer_id,
            _within(of_column, named, without_index=True),
        )
    )
    others = _select([of_terms], terms.c.customer_id).where(~is_in_column).distinct()
    selects = (_select([of_column], customers.c.customer_id), others)
    return sa.select(sa.union_all(*selects).subquery().c.customer_id)


def _entries(
    union: Union, column: Callable[[sa.FromClause], sa.ColumnElement[Any]]
) -> sa.GenerativeSelect:
    """A column of the entries of a union of ranges, with duplicates."""
    selects = _parts(union, column)
    return selects[0] if len(selects) == 1 else sa.union_all(*selects)


def _parts(
    union: Union, column: Callable[[sa.FromClause], sa.ColumnElement[Any]]
) -> list[sa.Select[Any]]:
    """The statements whose entries are those of a union: one for each range, but only one for all
    single values of a column. A database plans one with 250 values in a tenth of the time of 250
    statements."""
    groups: dict[object, list[Within]] = {}
    for within in union:
        groups.setdefault(within.column if within.one_value else within, []).append(within)
    return [_select(group, column(_table(group[0]))) for group in groups.values()]


def _ids(within: Within) -> sa.Select[Any]:
    """The ids of the customers in a range, one for each entry."""
    return _select([within], _id_of(_table(within)))


def _id_of(table: sa.FromClause) -> sa.ColumnElement[Any]:
    return table.c.customer_id


def _table(within: Within) -> sa.FromClause:
    return _COLUMNS[within.column].table if within.column in _COLUMNS else customers


def _select(ranges: Sequence[Within], column: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The entries of a range, or of several single values of one column."""
    table = _table(ranges[0])
    statement: sa.Select[Any] = sa.select(column).select_from(table)
    if len(ranges) == 1:
        return statement.where(of_account(table), _within(ranges[0], table))
    stored_column = _stored_column(ranges[0].column, table)
    values = [sa.bindparam(within.low, type_=stored_column.type) for within in ranges]
    return statement.where(of_account(table), stored_column.in_(values))


def _stored_column(name: str, table: sa.FromClause) -> sa.ColumnElement[Any]:
    return _COLUMNS[name] if name in _COLUMNS else table.c[name]


def _within(
    within: Within, table: sa.FromClause, without_index: bool = False
) -> sa.ColumnElement[bool]:
    stored_column = _stored_column(within.column, table)
    column = unindexed(stored_column) if without_index else stored_column
    if within.one_value:
        return column == sa.bindparam(within.low, type_=stored_column.type)
    bounds: list[sa.ColumnElement[bool]] = []
    if within.low is not None:
        low = sa.bindparam(within.low, type_=stored_column.type)
        bounds.append(column > low if within.above else column >= low)
    if within.high is not None:
        high = sa.bindparam(within.high, type_=stored_column.type)
        bounds.append(column <= high if within.through else column < high)
    return sa.and_(sa.true(), *bounds)


def _meets(
    condition: Condition, table: sa.FromClause, without_index: bool = False
) -> sa.ColumnElement[bool]:
    """A condition on a row. `without_index` keeps SQLite from using an index for it."""
    match condition:
        case Predicate(condition=Within(column=column) as within) if column == ORDER_NAME:
            key = table.c.customer_id
            return in_set(unindexed(key) if without_index else key, _ids(within))
        case Predicate(condition=Within() as within):
            return _within(within, table, without_index)
        case Predicate(condition=Contains() as contains):
            text = sa.bindparam(contains.text, type_=sa.Text())
            if contains.columns == (COMMENT_WORDS,):
                return has_comment(table.c.customer_id, text)
            absent = _literal(0)
            return sa.or_(*(position_in(table.c[name], text) > absent for name in contains.columns))
        case And():
            parts = (_meets(part, table, without_index) for part in condition.parts)
            return sa.and_(sa.true(), *parts)
        case Or():
            parts = (_meets(part, table, without_index) for part in condition.parts)
            return sa.or_(sa.false(), *parts)
        case Not():
            return sa.not_(_meets(condition.part, table, without_index))
    raise TypeError(condition)


def _literal(value: int) -> sa.ColumnElement[int]:
    """A number in the SQL itself, which the planner knows."""
    return sa.literal_column(str(value), Number)
