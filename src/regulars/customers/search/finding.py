"""Finding: how the customers who meet a condition are read, a page at a time, and counted.

Three ways, of which the cheapest is taken by what the indexes hold:

- *index scan*: where an index names few customers, they are read and put in order; in the order of
  ids, all that is needed is read off the index in that order.
- *order scan*: where every index names many, the list is read along its order until the page is
  full: among many that meet the condition, the next is near. Not further than `FAR` customers.
- where that did not fill the page, the scan goes on as far as what it has found promises, or those
  whom the indexes name together are gathered, whichever costs less. Where there is no index, the
  scan goes on to its end.

Few is what costs less to read than the scan is expected to, and at most `FEW`. So the work is
bounded by `FEW` and `FAR`, unless the indexes name many and yet few of them meet the condition, or
they stand far away in the order; then it is bounded by those whom the smallest index names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isqrt
from typing import Any, NamedTuple

from regulars.core.errors import InvalidQuery, Rejected
from regulars.customers.search.parser import Order
from regulars.store import QueryExecutor, StatementTimeout, searches
from regulars.store.conditions import (
    And,
    Condition,
    Parameters,
    Predicate,
    Union,
    Within,
    conjuncts,
    exact_union,
    unions,
)
from regulars.store.query import Query
from regulars.store.searches import Reading
from regulars.store.tables import ORDER_COLUMNS

FEW = 5_000
FAR = 4_096
# As far as indexes are counted that name more than `FEW`.
MANY = 100_000
# To read a customer costs as much as to read so many entries of an index. One is worth intersecting
# with a smaller one that names at least a fifth of as many.
_ENTRIES = 10
_WORTH = 5
# So many indexes are asked how many they name.
_ASKED = 8


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice of a list: at most `limit` customers past the position of the parameters
    `after_…` and short of `before_…`, where those are among `positions`; `including` says that
    `after_…` itself belongs to it. It is read in the direction of `order`."""

    order: Order
    limit: int
    positions: dict[str, Any]
    including: bool = False


class _Task(NamedTuple):
    """A slice as it is read: of the parts of the condition, the ranges of the order's own column
    are `inside` its index, and the `others` are asked of each row."""

    reading: Reading
    parameters: Mapping[str, Any]
    limit: int
    inside: Sequence[Within]
    others: Sequence[Condition]


class Finder:
    """The customers of an account who meet a condition at a moment. Its methods raise Rejected for
    a search that takes too long."""

    def __init__(
        self, store: QueryExecutor, account_id: int, condition: Condition, now: int
    ) -> None:
        self._store = store
        self._account_id = account_id
        self._now = now
        self._parts = conjuncts(condition)
        self._unions = [union for part in self._parts for union in unions(part)][:_ASKED]

    async def rows(self, slice_: Slice, columns: tuple[str, ...]) -> Sequence[Any]:
        """The columns of those on a slice of the list."""
        task = self._task(slice_, columns)
        if not task.others:
            return await self._order_scan(task, None)
        if slice_.order.by == "id" and len(self._parts) == 1 and self._in_order_of_ids():
            return await self._index_scan(task, self._in_order_of_ids())
        given, sizes = await self._sizes(FEW)
        if 0 in sizes:
            return []
        if not self._unions:
            return await self._to_the_end(task, given)
        few = min(FEW, isqrt(task.limit * given))
        named = [u for u, size in zip(self._unions, sizes, strict=True) if size <= few]
        if named:
            return await self._index_scan(task, named, is_long=True)
        found = await self._along(task, FAR)
        return found if len(found) == task.limit else await self._further(task, len(found))

    async def count(self) -> int:
        """How many there are."""
        named: list[Union] = []
        exact = [exact_union(part) for part in self._parts]
        if len(exact) == 1 and exact[0]:
            named = [exact[0]]
        elif self._unions:
            _, smallest, _, named = await self._fewest()
            if smallest == 0:
                return 0
            if smallest > MANY and not all(exact):
                named = []  # most customers are read anyway
        parameters, shapes, condition = self._shapes(named)
        found = await self._fetch(
            searches.count(shapes, condition), parameters.values, is_long=True
        )
        return int(found[0][0])

    def _task(self, slice_: Slice, columns: tuple[str, ...]) -> _Task:
        order, positions = slice_.order, slice_.positions
        bounded = ("after_id" in positions, "before_id" in positions)
        reading = Reading(columns, order.by, order.ascending, *bounded, slice_.including)
        ranges = {part: _range_of(part, ORDER_COLUMNS[order.by]) for part in self._parts}
        inside = [within for within in ranges.values() if within]
        inside += [implied for part in self._parts if (implied := _implied(part, order.by))]
        others = [part for part, within in ranges.items() if not within]
        return _Task(reading, {**positions, "limit": slice_.limit}, slice_.limit, inside, others)

    def _in_order_of_ids(self) -> list[Union]:
        """One of the unions whose customers an index has in the order of ids, if there is one."""
        one_valued = (u for u in self._unions if len(u) == 1 and u[0].one_value)
        return list(islice(one_valued, 1))

    async def _to_the_end(self, task: _Task, given: int) -> Sequence[Any]:
        """A slice that no index serves, read along the order, each time four times as far."""
        far = FAR
        while True:
            found = await self._along(task, far)
            if len(found) == task.limit or far >= given:
                return found
            far *= 4

    async def _further(self, task: _Task, found: int) -> Sequence[Any]:
        """A slice of which a scan as far as `FAR` found too few."""
        given, smallest, entries, named = await self._fewest()
        everywhere = given * (found + 1) // FAR
        cost = entries // _ENTRIES + (smallest if len(named) == 1 else min(smallest, everywhere))
        promised = 2 * FAR * task.limit // (found + 1)
        # Times a power of two, because each distance is a statement of its own: as far as was
        # promised, or, if that costs more than an index scan, half of what that costs.
        doublings = (promised // FAR).bit_length()
        if promised >= cost:
            doublings = (cost // 2 // FAR).bit_length() - 1
        if doublings > 0:
            scanned = await self._along(task, FAR << doublings)
            if len(scanned) == task.limit:
                return scanned
        return await self._index_scan(task, named, is_long=True)

    async def _sizes(self, most: int) -> tuple[int, list[int]]:
        """How many customers the account has had, and how many each union names, counted to one
        more than `most`."""
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in self._unions)
        (row,) = await self._fetch(searches.sizes(shapes, most), parameters.values, is_long=True)
        given, *sizes = row
        return given, sizes

    async def _fewest(self) -> tuple[int, int, int, list[Union]]:
        """How many customers the account has had; how many the smallest union names, counted to
        one more than `MANY`; and it with those that are worth intersecting with it, after how many
        they name in all."""
        given, sizes = await self._sizes(MANY)
        smallest = min(sizes)
        sized = zip(sizes, self._unions, strict=True)
        worth = [(size, union) for size, union in sized if size <= _WORTH * smallest]
        return given, smallest, sum(size for size, _ in worth), [union for _, union in worth]

    async def _along(self, task: _Task, far: int) -> Sequence[Any]:
        """The first of a slice, read along the order among `far` customers."""
        ordered = self._in_order_of_ids() if task.reading.order == "id" else []
        if ordered:
            return await self._index_scan(task, ordered, far, is_long=True)
        return await self._order_scan(task, far, is_long=True)

    async def _order_scan(
        self, task: _Task, most: int | None, is_long: bool = False
    ) -> Sequence[Any]:
        parameters = Parameters(self._now)
        bounds = tuple(parameters.within(each) for each in task.inside)
        condition = parameters.condition(And(tuple(task.others))) if task.others else None
        query = searches.order_scan(task.reading, bounds, condition, most)
        return await self._fetch(query, {**parameters.values, **task.parameters}, is_long)

    async def _index_scan(
        self, task: _Task, named: Sequence[Union], most: int | None = None, is_long: bool = False
    ) -> Sequence[Any]:
        parameters, shapes, condition = self._shapes(named)
        query = searches.index_scan(task.reading, shapes, condition, most)
        return await self._fetch(query, {**parameters.values, **task.parameters}, is_long)

    def _shapes(
        self, named: Sequence[Union]
    ) -> tuple[Parameters, tuple[Union, ...], Condition | None]:
        """The shapes of unions, and of the parts that they do not answer already."""
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in named)
        rest = tuple(part for part in self._parts if exact_union(part) not in named)
        return parameters, shapes, parameters.condition(And(rest)) if rest else None

    async def _fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool
    ) -> Sequence[Any]:
        try:
            return await self._store.fetch(
                query, {"account_id": self._account_id, **parameters}, is_long
            )
        except StatementTimeout as error:
            message = (
                "This search takes too long and was given up: too many customers are read for it. "
                "Add a term that few of them meet, or leave out the order."
            )
            raise Rejected(InvalidQuery(message, 0, "a term that few customers meet")) from error


def _implied(part: Condition, order: str) -> Within | None:
    """What a part implies for the moment that a list is ordered by: nobody was changed before being
    created. Without it, a scan from the newest would pass all who were created too late."""
    match order, part:
        case "created_at", Predicate(condition=Within("updated_at", _, high, _, through)) if high:
            return Within("created_at", high=high, through=through)
        case "updated_at", Predicate(condition=Within("created_at", low, _, above, _)) if low:
            return Within("updated_at", low=low, above=above)
    return None


def _range_of(part: Condition, column: str) -> Within | None:
    """What a part asks of a column, if it is a range of it."""
    match part:
        case Predicate(condition=Within(column=found) as within) if found == column:
            return within
    return None
