"""Read and count the customers that match a condition.

A page is read in the cheapest of four ways, chosen by the sizes of the index entries:

- *Index scan*: if an index has few entries, their customers are read and sorted. In the order of
  ids, the entries are sorted already and reading stops at the end of the page.
- *Order walk*: if one index has all matches, and they are neither few nor frequent, the index of
  the order is read until it has named a page of them. Only the rows of the page are read. Late
  matches end the walk, and an index scan follows.
- *Order scan*: if all indexes have many entries, the list is read in its order until the page is
  full, because matches are frequent. It stops after `MAX_ORDER_SCAN` customers.
- If that does not fill the page, a walk follows if one index has all matches. Otherwise the order
  scan continues for the distance that its matches predict, or the entries of several indexes are
  intersected, whichever costs less. Without an index, the order scan continues to the end of the
  list.

An index has few entries if reading them is cheaper than the expected order scan, with
`MAX_INDEX_SCAN` as the limit. These two limits bound the work, unless large indexes have few
matches together, or the matches are late in the order. Then the smallest index bounds the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import isqrt
from typing import Any, NamedTuple

from regulars.core.errors import InvalidQuery, Rejected
from regulars.customers.search.parser import Order
from regulars.store import QueryExecutor, StatementTimeout, searches
from regulars.store.conditions import (
    And,
    Condition,
    Contains,
    Or,
    Parameters,
    Predicate,
    Union,
    Within,
    conjuncts,
    exact_union,
    unions,
)
from regulars.store.queries import ORDER_VALUE
from regulars.store.query import Query
from regulars.store.searches import MAX_WALK_SET, Reading
from regulars.store.tables import ORDER_COLUMNS

# A value of this column can also be that of a facet, of one customer in all.
_UNIQUE_COLUMN = "email_key"
MAX_INDEX_SCAN = 5_000
MAX_ORDER_SCAN = 4_096
# Larger indexes are counted up to this many entries.
MAX_COUNTED = 100_000
# An index that has all matches is counted up to this many entries.
MAX_WALKED_FIRST = 12_500
# A walk reads so many entries in the time of one customer. It goes on to the end if that takes at
# most `_MAX_EXTENSION` times as long as reading its set. If not, it ends soon after `_MAX_WALKED`.
WALKED_PER_ROW = 25
_MAX_EXTENSION = 3
_MAX_WALKED = 100_000
# Reading a customer costs as much as reading this many entries of an index. An index is intersected
# with the smallest one if it has at most `_MAX_SIZE_RATIO` times as many entries.
_ENTRIES_PER_ROW = 10
_MAX_SIZE_RATIO = 5
# The number of unions whose entries are counted.
_MAX_UNIONS = 8


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice of a list in the direction of `order`: at most `limit` customers after the position
    `after_…` and before `before_…`, if `positions` has them. With `including`, it starts at
    `after_…` itself."""

    order: Order
    limit: int
    positions: dict[str, Any]
    including: bool = False


class _Task(NamedTuple):
    """The parameters of a read. `order_ranges` are conditions on the column of the order, which
    limit the scan of its index. `filters` are the other conditions, which are tested per row."""

    reading: Reading
    parameters: Mapping[str, Any]
    limit: int
    order_ranges: Sequence[Within]
    filters: Sequence[Condition]


class Finder:
    """Finds the customers of an account that match a condition at `now`, in milliseconds since
    1970. Its methods raise Rejected if a search takes too long."""

    def __init__(
        self, store: QueryExecutor, account_id: int, condition: Condition, now: int
    ) -> None:
        self._store = store
        self._account_id = account_id
        self._now = now
        self._parts = conjuncts(condition)

    @cached_property
    def _unions(self) -> list[Union]:
        return [union for part in self._parts for union in unions(part)][:_MAX_UNIONS]

    async def rows(self, slice_: Slice, columns: tuple[str, ...]) -> Sequence[Any]:
        """Return columns of the customers in a slice of the list."""
        if halves := self._halves(_UNIQUE_COLUMN):  # one customer at most has the value
            for half in halves:
                finder = Finder(self._store, self._account_id, half, self._now)
                read = finder.rows if len(self._parts) > 1 else finder._rows
                if found := await read(slice_, columns):
                    break
            return found
        halves = self._halves(ORDER_COLUMNS[slice_.order.by])
        if not halves:
            return await self._rows(slice_, columns)
        added = [name for name in (ORDER_VALUE, "customer_id") if name not in columns]
        names = (*columns, *added)
        value, customer_id = names.index(ORDER_VALUE), names.index("customer_id")
        rows: dict[int, Any] = {}
        for half in halves:
            finder = Finder(self._store, self._account_id, half, self._now)
            rows |= {row[customer_id]: row for row in await finder._rows(slice_, names)}
        in_order = sorted(
            rows.values(),
            key=lambda row: (row[value], row[customer_id]),
            reverse=not slice_.order.ascending,
        )[: slice_.limit]
        return [tuple(row)[: len(columns)] for row in in_order] if added else in_order

    def _halves(self, order_column: str) -> list[And]:
        """Return two conditions that together are that of the search, if a term is looked up both
        in the column of the order, or a unique column, and in a facet. The first is read along the
        order, the second matches few customers. Only one term is divided, however many there
        are."""
        for index, part in enumerate(self._parts):
            match part:
                case Or((Predicate(Within(column)), Predicate(Contains(("facets",))))) if (
                    column == order_column
                ):
                    before, after = self._parts[:index], self._parts[index + 1 :]
                    return [And((*before, half, *after)) for half in part.parts]
        return []

    async def _rows(self, slice_: Slice, columns: tuple[str, ...]) -> Sequence[Any]:
        task = self._task(slice_, columns)
        if not task.filters:
            return await self._order_scan(task, None)
        if slice_.order.by == "id" and len(self._parts) == 1:
            union = self._id_ordered_union()
            # All customers with the words of a phrase would be read.
            if union and exact_union(self._parts[0]):
                return await self._index_scan(task, union)
        walkable = self._walkable_union(slice_.order)
        max_count = max(MAX_WALKED_FIRST if walkable else 0, MAX_INDEX_SCAN)
        customer_count, sizes = await self._count_unions(max_count)
        if 0 in sizes:
            return []
        if not self._unions:
            return await self._scan_all(task, customer_count)
        # At this size, an index scan and an order scan are expected to read as many customers.
        balanced_size = isqrt(task.limit * customer_count)
        if walkable and balanced_size // 5 < sizes[0]:
            max_set = min(MAX_WALKED_FIRST, balanced_size * 3)
            if sizes[0] <= max_set or searches.is_id_range(walkable):
                return await self._walk(task, walkable, sizes[0], customer_count)
        max_entries = min(MAX_INDEX_SCAN, balanced_size)
        small_unions = [
            u for u, size in zip(self._unions, sizes, strict=True) if size <= max_entries
        ]
        if small_unions:
            return await self._index_scan(task, small_unions, is_long=True)
        rows = await self._scan(task, MAX_ORDER_SCAN)
        if len(rows) == task.limit:
            return rows
        if walkable:
            customer_count, sizes = await self._count_unions(MAX_WALK_SET)
            if sizes[0] <= MAX_WALK_SET:
                return await self._walk(task, walkable, sizes[0], customer_count)
        return await self._continue(task, len(rows))

    async def count(self, limit: int | None = None) -> int:
        """Return the number of matching customers, at most one more than a limit."""
        chosen_unions: list[Union] = []
        exact = [exact_union(part) for part in self._parts]
        if len(exact) == 1 and exact[0]:
            chosen_unions = [exact[0]]
        elif self._unions:
            _, smallest_size, _, chosen_unions = await self._smallest_unions()
            if smallest_size == 0:
                return 0
            if smallest_size > MAX_COUNTED and not all(exact):
                chosen_unions = []  # most customers are read anyway
        parameters, shapes, condition = self._shapes(chosen_unions)
        values = parameters.values if limit is None else {**parameters.values, "limit": limit + 1}
        query = searches.count(shapes, condition, limit is not None)
        rows = await self._fetch(query, values, is_long=True)
        return int(rows[0][0])

    def _task(self, slice_: Slice, columns: tuple[str, ...]) -> _Task:
        order, positions = slice_.order, slice_.positions
        bounds = ("after_id" in positions, "before_id" in positions)
        reading = Reading(columns, order.by, order.ascending, *bounds, slice_.including)
        ranges = {part: _range_of(part, ORDER_COLUMNS[order.by]) for part in self._parts}
        order_ranges = [within for within in ranges.values() if within]
        order_ranges += [implied for part in self._parts if (implied := _implied(part, order.by))]
        filters = [part for part, within in ranges.items() if not within]
        return _Task(
            reading, {**positions, "limit": slice_.limit}, slice_.limit, order_ranges, filters
        )

    def _id_ordered_union(self) -> list[Union]:
        """Return a union whose index entries are in the order of ids, as a list of at most one."""
        one_valued = (u for u in self._unions if len(u) == 1 and u[0].one_value)
        return list(islice(one_valued, 1))

    async def _scan_all(self, task: _Task, customer_count: int) -> Sequence[Any]:
        """Read a slice without an index: scan in the order, four times as far each time."""
        max_rows = MAX_ORDER_SCAN
        while True:
            rows = await self._scan(task, max_rows)
            if len(rows) == task.limit or max_rows >= customer_count:
                return rows
            max_rows *= 4

    def _walkable_union(self, order: Order) -> Union | None:
        """Return the first union if it contains exactly the matches, in an order with an index."""
        is_single = len(self._parts) == 1 and order.by != "id"
        return exact_union(self._parts[0]) if is_single else None

    async def _walk(
        self, task: _Task, union: Union, size: int, customer_count: int
    ) -> Sequence[Any]:
        """Read a slice by a walk. If the whole walk costs much more than an index scan, it ends
        when it has cost as much as one, and an index scan follows."""
        max_entries = WALKED_PER_ROW * size
        is_long_range = size > MAX_WALKED_FIRST and searches.is_id_range(union)
        is_whole = max_entries * _MAX_EXTENSION >= customer_count or is_long_range
        # A power of two, because each length is a separate statement.
        max_entries = 1 << min(max_entries, _MAX_WALKED).bit_length()
        parameters = Parameters(self._now)
        shape = parameters.union(union)
        query = searches.order_walk(task.reading, shape, None if is_whole else max_entries)
        rows = await self._fetch(query, {**parameters.values, **task.parameters}, is_long=True)
        if is_whole or len(rows) == task.limit:
            return rows
        return await self._index_scan(task, [union], is_long=True)

    async def _continue(self, task: _Task, row_count: int) -> Sequence[Any]:
        """Read a slice for which an order scan of `MAX_ORDER_SCAN` customers returned only
        `row_count` rows."""
        customer_count, smallest_size, entry_count, index_unions = await self._smallest_unions()
        expected_matches = customer_count * (row_count + 1) // MAX_ORDER_SCAN
        cost = entry_count // _ENTRIES_PER_ROW + (
            smallest_size if len(index_unions) == 1 else min(smallest_size, expected_matches)
        )
        expected_distance = 2 * MAX_ORDER_SCAN * task.limit // (row_count + 1)
        # A power of two, because each distance is a separate statement: the expected distance, or
        # half the cost of an index scan if that is cheaper.
        doublings = (expected_distance // MAX_ORDER_SCAN).bit_length()
        if expected_distance >= cost:
            doublings = (cost // 2 // MAX_ORDER_SCAN).bit_length() - 1
        if doublings > 0:
            rows = await self._scan(task, MAX_ORDER_SCAN << doublings)
            if len(rows) == task.limit:
                return rows
        return await self._index_scan(task, index_unions, is_long=True)

    async def _count_unions(self, max_count: int) -> tuple[int, list[int]]:
        """Return how many customers the account has ever had, and the size of each union, counted
        up to `max_count` + 1."""
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in self._unions)
        (row,) = await self._fetch(
            searches.sizes(shapes, max_count), parameters.values, is_long=True
        )
        customer_count, *sizes = row
        return customer_count, sizes

    async def _smallest_unions(self) -> tuple[int, int, int, list[Union]]:
        """Return how many customers the account has ever had, the size of the smallest union
        (counted up to `MAX_COUNTED` + 1), and the total size and the list of the unions that are
        worth intersecting, including the smallest."""
        customer_count, sizes = await self._count_unions(MAX_COUNTED)
        smallest_size = min(sizes)
        sized_unions = zip(sizes, self._unions, strict=True)
        candidates = [
            (size, union) for size, union in sized_unions if size <= _MAX_SIZE_RATIO * smallest_size
        ]
        return (
            customer_count,
            smallest_size,
            sum(size for size, _ in candidates),
            [union for _, union in candidates],
        )

    async def _scan(self, task: _Task, max_rows: int) -> Sequence[Any]:
        """Read a slice by an order scan of at most `max_rows` customers."""
        ordered_unions = self._id_ordered_union() if task.reading.order == "id" else []
        if ordered_unions:
            return await self._index_scan(task, ordered_unions, max_rows, is_long=True)
        return await self._order_scan(task, max_rows, is_long=True)

    async def _order_scan(
        self, task: _Task, max_rows: int | None, is_long: bool = False
    ) -> Sequence[Any]:
        parameters = Parameters(self._now)
        bounds = tuple(parameters.within(order_range) for order_range in task.order_ranges)
        condition = parameters.condition(And(tuple(task.filters))) if task.filters else None
        query = searches.order_scan(task.reading, bounds, condition, max_rows)
        return await self._fetch(query, {**parameters.values, **task.parameters}, is_long)

    async def _index_scan(
        self,
        task: _Task,
        index_unions: Sequence[Union],
        max_rows: int | None = None,
        is_long: bool = False,
    ) -> Sequence[Any]:
        parameters, shapes, condition = self._shapes(index_unions)
        query = searches.index_scan(task.reading, shapes, condition, max_rows)
        return await self._fetch(query, {**parameters.values, **task.parameters}, is_long)

    def _shapes(
        self, index_unions: Sequence[Union]
    ) -> tuple[Parameters, tuple[Union, ...], Condition | None]:
        """Return the shapes of unions, and of the conditions that they do not cover."""
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in index_unions)
        remaining = tuple(part for part in self._parts if exact_union(part) not in index_unions)
        return parameters, shapes, parameters.condition(And(remaining)) if remaining else None

    async def _fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool
    ) -> Sequence[Any]:
        try:
            return await self._store.fetch(
                query, {"account_id": self._account_id, **parameters}, is_long
            )
        except StatementTimeout as error:
            message = (
                "This search takes too long, because it reads too many customers. Add a term "
                "that matches few customers, or remove the order."
            )
            raise Rejected(InvalidQuery(message, 0, "a term that matches few customers")) from error


def _implied(part: Condition, order: str) -> Within | None:
    """Return the range that a condition implies for the timestamp of the order: no customer is
    updated before it is created. Without it, a scan would read all rows outside this range."""
    match order, part:
        case "created_at", Predicate(condition=Within("updated_at", _, high, _, through)) if high:
            return Within("created_at", high=high, through=through)
        case "updated_at", Predicate(condition=Within("created_at", low, _, above, _)) if low:
            return Within("updated_at", low=low, above=above)
    return None


def _range_of(part: Condition, column: str) -> Within | None:
    """Return the range of a column in a condition, or None."""
    match part:
        case Predicate(condition=Within(column=range_column) as within) if range_column == column:
            return within
    return None
