"""What a root field costs before it is run: a point for each object that it can answer.

A list counts as many objects as its arguments request, or else `LIST_SIZE`. What depends on the
arguments alone (how many rows a page has) is the binding's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from regulars.graphql.plan import (
    ColumnRefs,
    LeafPlan,
    NestedPlan,
    ObjectPlan,
    RootPlan,
    SameRowPlan,
)

LIST_SIZE = 10
# What a number, a flag or a null takes.
_OTHER_BYTES = 6
# How many plain values take as long as one that is rendered by a function.
_RENDERED = 10


class Weight(NamedTuple):
    """The points of a root field: those that it has in any case, and those of each row of its
    page."""

    fixed: int
    per_row: int


def weight(plan: RootPlan) -> Weight:
    """The weight of a root field: of the heaviest type, where it may answer several."""
    each = [_object(one) for one in plan.objects.values()] or [Weight(0, 0)]
    return Weight(1 + max(w.fixed for w in each), max(w.per_row for w in each))


def _object(plan: ObjectPlan) -> Weight:
    """The points of what is in an object; not of itself."""
    fixed = per_row = 0
    for field in plan.fields:
        value_plan = field.value_plan
        if isinstance(value_plan, LeafPlan):
            fixed += value_plan.cost
        elif isinstance(value_plan, SameRowPlan):
            inner = _object(value_plan.object)
            fixed, per_row = fixed + inner.fixed, per_row + inner.per_row
        elif isinstance(value_plan, NestedPlan):
            inner = _object(value_plan.object)
            if value_plan.is_page:
                per_row += 1 + inner.fixed + inner.per_row
            elif value_plan.size is not None and not value_plan.is_list:
                fixed += 1 + inner.fixed + value_plan.size * inner.per_row
            else:
                times = _length(value_plan)
                fixed += times * (1 + inner.fixed)
                per_row += times * inner.per_row
    return Weight(fixed, per_row)


def _length(plan: NestedPlan) -> int:
    """How many objects a list is estimated to have; 1 where there is no list."""
    if not plan.is_list:
        return 1
    return LIST_SIZE if plan.size is None else max(0, plan.size)


class OpenList(NamedTuple):
    """A field with objects below, of which some are in lists of estimated length: how to find them
    in a row. `points` is what each object costs if the field itself is such a list, else 0."""

    column_refs: ColumnRefs
    extract: Callable[..., Any] | None
    is_list: bool
    points: int
    below: Sequence[OpenList]


def open_lists(plan: ObjectPlan) -> Sequence[OpenList]:
    """Return the fields of an object that are lists of estimated length, or have some below."""
    lists: list[OpenList] = []
    for field in plan.fields:
        nested = field.value_plan
        if isinstance(nested, SameRowPlan):
            lists += open_lists(nested.object)
        elif isinstance(nested, NestedPlan):
            below = open_lists(nested.object)
            is_open = nested.is_related and nested.is_list and nested.size is None
            points = 1 + _object(nested.object).fixed if is_open else 0
            if points or below:
                lists.append(
                    OpenList(nested.column_refs, nested.extract, nested.is_list, points, below)
                )
    return lists


def surplus(lists: Sequence[OpenList], rows: Sequence[Any]) -> int:
    """Return the points of the objects that rows have in lists beyond the estimate."""
    points = 0
    for open_list in lists:
        columns = [[row[index] for row in rows] for index in open_list.column_refs]
        cells = columns[0] if open_list.extract is None else open_list.extract(*columns)
        present = [cell for cell in cells if cell is not None]
        if open_list.points:
            points += open_list.points * max(0, sum(map(len, present)) - LIST_SIZE * len(rows))
        if open_list.below:
            objects = [row for cell in present for row in cell] if open_list.is_list else present
            points += surplus(open_list.below, [row for row in objects if row is not None])
    return points


def values(plan: RootPlan) -> int:
    """How many values are rendered for each object of a root field. One that a function renders
    counts as some plain ones."""
    return max((_values(one) for one in plan.objects.values()), default=0)


def _values(plan: ObjectPlan) -> int:
    count = 0
    for field in plan.fields:
        value_plan = field.value_plan
        if isinstance(value_plan, LeafPlan):
            count += 1 if value_plan.render is None else _RENDERED
        elif isinstance(value_plan, SameRowPlan | NestedPlan):
            count += _values(value_plan.object)
    return count


def copies(plan: RootPlan) -> int:
    """How many times the response can hold what is read: the selections of the column that is
    selected most often, of those that may have kilobytes. 0 where there are none, and no lists of
    unknown length."""
    return max((_copies(one) for one in plan.objects.values()), default=0)


def _copies(plan: ObjectPlan) -> int:
    return max(_copies_by_column(plan).values(), default=0)


def _copies_by_column(plan: ObjectPlan) -> Counter[Any]:
    counts: Counter[Any] = Counter()
    for field in plan.fields:
        value_plan = field.value_plan
        if isinstance(value_plan, LeafPlan) and value_plan.can_be_large:
            counts[value_plan.column_refs] += 1
        elif isinstance(value_plan, SameRowPlan):
            counts += _copies_by_column(value_plan.object)
        elif isinstance(value_plan, NestedPlan):
            unbounded = value_plan.is_list and not value_plan.is_page and value_plan.size is None
            counts[value_plan.column_refs] += max(
                _copies(value_plan.object), int(value_plan.can_be_large or unbounded)
            )
    return counts


def text_bytes(value: Any, most: int) -> int:
    """About how many bytes rows take in a response: their text, and some for every other value.
    Looks no further than `most`."""
    waiting, size = [value], 0
    while waiting and size <= most:
        here = waiting.pop()
        if isinstance(here, str):
            size += len(here) if here.isascii() else 3 * len(here)
        elif here is None or isinstance(here, int | float | bytes):
            size += _OTHER_BYTES
        else:  # a mapping, a list, or a row of whatever kind the database's driver has
            waiting += here.values() if isinstance(here, dict) else here
    return size
