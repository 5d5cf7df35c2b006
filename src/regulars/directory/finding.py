"""Finding: how the customers who meet a condition are read, a page at a time, and counted.

Three ways, of which the cheapest is taken by what the indexes hold:

- *gather*: where an index names few customers (at most `FEW`), they are read and put in order;
  in the order of ids, all that is needed is read off the index in that order.
- *walk*: where every index names many, the list is read along its order until the page is full:
  among many that meet the condition, the next is near. Not further than `FAR` customers.
- where that did not fill the page, the walk goes on as far as what it has found promises, but to
  no more than half of those whom the smallest index names; then those whom the indexes name
  together are gathered. Where there is no index, the walk goes on to its end.

So the work is bounded by `FEW` and `FAR`, unless the indexes name many and yet few of them meet the
condition, or they stand far away in the order; then it is bounded by one and a half times those
whom the smallest index names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
FAR = 5_000
# As far as indexes are counted that name more than `FEW`.
MANY = 100_000
# To read an entry of an index costs a tenth of reading a customer or less: one is worth intersecting
# with a smaller one that names at least so much of it.
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
        self._few: list[Union] | None = None
        self._nobody = False

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
        few = await self._named_by_few()
        if self._nobody:
            return []
        if few:
            return await self._gather(reading, stretch, few)
        found = await self._along(reading, stretch, inside, others, FAR)
        if len(found) == stretch.limit:
            return found
        smallest, fewest = await self._fewest()
        promised = 2 * FAR * stretch.limit // (len(found) + 1)
        # A power of two, because each distance is a statement of its own.
        doublings = (min(promised, smallest // 2) // FAR).bit_length() - 1
        if doublings > 0:
            far = FAR << doublings
            found = await self._along(reading, stretch, inside, others, far)
            if len(found) == stretch.limit:
                return found
        return await self._gather(reading, stretch, fewest)

    async def count(self) -> int:
        """How many there are."""
        named: list[Union] = []
        exact = [exact_union(part) for part in self._parts]
        if len(exact) == 1 and exact[0]:
            named = [exact[0]]
        elif self._unions:
            named = await self._named_by_few() or (await self._fewest())[1]
        if self._nobody:
            return 0
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

    async def _sizes(self, most: int) -> list[int]:
        parameters = Parameters(self._now)
        shapes = tuple(parameters.union(union) for union in self._unions)
        (row,) = await self._store.fetch(searches.sizes(shapes, most), self._with(parameters))
        return list(row)

    async def _named_by_few(self) -> list[Union]:
        """The unions that name few."""
        if self._few is None:
            sized = list(zip(await self._sizes(FEW), self._unions, strict=True))
            self._few = [union for size, union in sized if size <= FEW]
            self._nobody = any(size == 0 for size, _ in sized)
        return self._few

    async def _fewest(self) -> tuple[int, list[Union]]:
        """How many the smallest union names (`MANY` and one more if that is more), and it with
        those that are worth intersecting with it."""
        sizes = await self._sizes(MANY)
        smallest = min(sizes)
        sized = zip(sizes, self._unions, strict=True)
        return smallest, [union for size, union in sized if size <= _WORTH * smallest]

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
