"""Finding: how the customers who meet a condition are read, a page at a time, and counted.

Three ways, of which the cheapest is taken by what the indexes hold:

- *gather*: where an index names few customers, they are read and put in order; in the order of
  ids, all that is needed is read off the index in that order.
- *walk*: where every index names many, the list is read along its order until the page is full:
  among many that meet the condition, the next is near. Not further than `FAR` customers.
- where that did not fill the page, the walk goes on as far as what it has found promises, or those
  whom the indexes name together are gathered, whichever costs less. Where there is no index, the
  walk goes on to its end.

Few is what costs less to read than the walk is expected to, and at most `FEW`. So the work is
bounded by `FEW` and `FAR`, unless the indexes name many and yet few of them meet the condition, or
they stand far away in the order; then it is bounded by those whom the smallest index names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from regulars.directory.search import Order
from regulars.store import Store, searches
from regulars.store.conditions import (
    All,
    Condition,
    Parameters,
    Test,
    Union,
    Within,
    conjuncts,
    exact_union,
    unions,
)
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
class Stretch:
    """A stretch of a list: at most `limit` customers past the position of the parameters
    `after_…` and short of `before_…`, where those are among `positions`; `including` says that
    `after_…` itself belongs to it. It is read in the direction of `order`."""

    order: Order
    limit: int
    positions: dict[str, Any]
    including: bool = False


class Finder:
    """The customers of an account who meet a condition at a moment."""

    def __init__(self, store: Store, account_id: int, condition: Condition, now: int) -> None:
        self._store = store
        self._account_id = account_id
        self._now = now
        self._parts = conjuncts(condition)
        self._unions = [union for part in self._parts for union in unions(part)][:_ASKED]

    async def rows(self, stretch: Stretch, columns: tuple[str, ...]) -> Sequence[Any]:
        """The columns of those on a stretch of the list."""
        order = stretch.order
        reading = Reading(
            columns,
            order.by,
            order.ascending,
            "after_id" in stretch.positions,
            "before_id" in stretch.positions,
            stretch.including,
        )
        bounds = {part: _range_of(part, ORDER_COLUMNS[order.by]) for part in self._parts}
        inside = [within for within in bounds.values() if within]
        others = [part for part, within in bounds.items() if not within]
        if not others:
            return await self._walk(reading, stretch, inside, [], None)
        if order.by == "id" and (union := self._in_order_of_ids()):
            return await self._gather(reading, stretch, [union])
        if not self._unions:
            return await self._walk(reading, stretch, inside, others, None)
        given, sizes = await self._sizes(FEW)
        if 0 in sizes:
            return []
        few = min(FEW, isqrt(stretch.limit * given))
        named = [u for u, size in zip(self._unions, sizes, strict=True) if size <= few]
        if named:
            return await self._gather(reading, stretch, named)
        found = await self._along(reading, stretch, inside, others, FAR)
        if len(found) == stretch.limit:
            return found
        return await self._further(reading, stretch, inside, others, len(found))

    async def _further(
        self,
        reading: Reading,
        stretch: Stretch,
        inside: Sequence[Within],
        others: Sequence[Condition],
        found: int,
    ) -> Sequence[Any]:
        """A stretch of which a walk as far as `FAR` found too few."""
        given, smallest, entries, named = await self._fewest()
        everywhere = given * (found + 1) // FAR
        cost = entries // _ENTRIES + (smallest if len(named) == 1 else min(smallest, everywhere))
        promised = 2 * FAR * stretch.limit // (found + 1)
        # Times a power of two, because each distance is a statement of its own: as far as was
        # promised, or, if that costs more than to gather, half of what that costs.
        doublings = (promised // FAR).bit_length()
        if promised >= cost:
            doublings = (cost // 2 // FAR).bit_length() - 1
        if doublings > 0:
            walked = await self._along(reading, stretch, inside, others, FAR << doublings)
            if len(walked) == stretch.limit:
                return walked
        return await self._gather(reading, stretch, named)

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
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in named)
        rest = self._rest(named)
        condition = parameters.condition(All(tuple(rest))) if rest else None
        ((total,),) = await self._store.fetch(
            searches.count(shapes, condition), self._with(parameters)
        )
        return int(total)

    def _in_order_of_ids(self) -> Union | None:
        """The only part's entries, where an index has them in the order of ids."""
        if len(self._parts) > 1:
            return None
        union = exact_union(self._parts[0])
        return union if union and len(union) == 1 and union[0].one_value else None

    async def _sizes(self, most: int) -> tuple[int, list[int]]:
        """How many customers the account has had, and how many each union names, counted to one
        more than `most`."""
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in self._unions)
        (row,) = await self._store.fetch(searches.sizes(shapes, most), self._with(parameters))
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

    async def _along(
        self,
        reading: Reading,
        stretch: Stretch,
        inside: Sequence[Within],
        others: Sequence[Condition],
        far: int,
    ) -> Sequence[Any]:
        """The first of a stretch, read along the order among `far` customers."""
        if reading.order == "id":
            ordered = [union for union in self._unions if len(union) == 1 and union[0].one_value]
            if ordered:
                return await self._gather(reading, stretch, ordered[:1], far)
        return await self._walk(reading, stretch, inside, others, far)

    async def _walk(
        self,
        reading: Reading,
        stretch: Stretch,
        inside: Sequence[Within],
        others: Sequence[Condition],
        most: int | None,
    ) -> Sequence[Any]:
        parameters = Parameters(self._now)
        bounds = tuple(parameters.within(each) for each in inside)
        condition = parameters.condition(All(tuple(others))) if others else None
        query = searches.walk(reading, bounds, condition, most)
        return await self._store.fetch(query, self._with(parameters, stretch))

    async def _gather(
        self,
        reading: Reading,
        stretch: Stretch,
        named: Sequence[Union],
        most: int | None = None,
    ) -> Sequence[Any]:
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in named)
        rest = self._rest(named)
        condition = parameters.condition(All(tuple(rest))) if rest else None
        query = searches.gather(reading, shapes, condition, most)
        return await self._store.fetch(query, self._with(parameters, stretch))

    def _rest(self, named: Sequence[Union]) -> list[Condition]:
        """The parts that the unions do not answer already."""
        return [part for part in self._parts if exact_union(part) not in named]

    def _with(self, parameters: Parameters, stretch: Stretch | None = None) -> dict[str, Any]:
        found = {"account_id": self._account_id, **parameters.values}
        return {**found, "limit": stretch.limit, **stretch.positions} if stretch else found


def _range_of(part: Condition, column: str) -> Within | None:
    """What a part asks of a column, if it is a range of it."""
    match part:
        case Test(condition=Within(column=found) as within) if found == column:
            return within
    return None
