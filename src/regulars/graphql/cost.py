"""The cost of a root field, in points: one point per object that the response can have.

A list counts the number of objects that its arguments request, or else `LIST_SIZE`. The binding of
a root field says how many rows its page has.
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

# The estimated length of a list whose arguments do not say it.
LIST_SIZE = 10
# The bytes of a number, a boolean or null in a response.
_SCALAR_BYTES = 6
_SCALARS = (type(None), int, float, bytes)
# A value that a function renders takes as long as this number of plain values.
_FUNCTION_VALUES = 10


class Weight(NamedTuple):
    """The points of a root field: `fixed`, and `per_row` for each row of its page."""

    fixed: int
    per_row: int


def compute_weight(plan: RootPlan) -> Weight:
    """Returns the weight of a root field: the weight of the most expensive type, if there are
    several."""
    weights = [_object_weight(object_plan) for object_plan in plan.objects.values()]
    if not weights:
        return Weight(1, 0)
    fixed = 1 + max(weight.fixed for weight in weights)
    return Weight(fixed, max(weight.per_row for weight in weights))


def _object_weight(plan: ObjectPlan) -> Weight:
    """Returns the points of the fields of an object, without the object itself."""
    fixed = per_row = 0
    for field in plan.fields:
        value_plan = field.value_plan
        if isinstance(value_plan, LeafPlan):
            fixed += value_plan.cost
        elif isinstance(value_plan, SameRowPlan):
            inner = _object_weight(value_plan.object)
            fixed, per_row = fixed + inner.fixed, per_row + inner.per_row
        elif isinstance(value_plan, NestedPlan):
            inner = _object_weight(value_plan.object)
            if value_plan.is_page:
                per_row += 1 + inner.fixed + inner.per_row
            elif value_plan.size is not None and not value_plan.is_list:
                fixed += 1 + inner.fixed + value_plan.size * inner.per_row
            else:
                count = _estimate_count(value_plan)
                fixed += count * (1 + inner.fixed)
                per_row += count * inner.per_row
    return Weight(fixed, per_row)


def _estimate_count(plan: NestedPlan) -> int:
    """Returns the estimated number of objects: 1 if the field is not a list."""
    if not plan.is_list:
        return 1
    return LIST_SIZE if plan.size is None else max(0, plan.size)


class OpenList(NamedTuple):
    """A field that is a list of estimated length, or has such lists below it.

    `column_refs` and `extract` find its objects in a row, and `total` only their number. `points`
    is the cost of each object if the field itself is such a list, else 0. `inner` are the open
    lists of its objects.
    """

    column_refs: ColumnRefs
    extract: Callable[..., Any] | None
    is_list: bool
    points: int
    inner: Sequence[OpenList]
    total: Callable[..., int] | None = None


def find_open_lists(plan: ObjectPlan) -> Sequence[OpenList]:
    """Returns the open lists of an object."""
    lists: list[OpenList] = []
    for field in plan.fields:
        nested = field.value_plan
        if isinstance(nested, SameRowPlan):
            lists += find_open_lists(nested.object)
        elif isinstance(nested, NestedPlan):
            inner = find_open_lists(nested.object)
            has_count = nested.is_related or nested.count is not None
            is_open = has_count and nested.is_list and nested.size is None
            points = 1 + _object_weight(nested.object).fixed if is_open else 0
            if points or inner:
                lists.append(
                    OpenList(
                        nested.column_refs,
                        nested.extract,
                        nested.is_list,
                        points,
                        inner,
                        nested.count,
                    )
                )
    return lists


def compute_surplus(lists: Sequence[OpenList], rows: Sequence[Any]) -> int:
    """Returns the points of the objects in the lists of the rows beyond the estimated length."""
    points = 0
    for open_list in lists:
        columns = [[row[column_ref] for row in rows] for column_ref in open_list.column_refs]
        if open_list.total is not None and not open_list.inner:
            surplus = open_list.total(*columns) - LIST_SIZE * len(rows)
            points += open_list.points * max(0, surplus)
            continue
        cells = columns[0] if open_list.extract is None else open_list.extract(*columns)
        present = [cell for cell in cells if cell is not None]
        if open_list.points:
            points += open_list.points * max(0, sum(map(len, present)) - LIST_SIZE * len(rows))
        if open_list.inner:
            objects = [row for cell in present for row in cell] if open_list.is_list else present
            points += compute_surplus(open_list.inner, [row for row in objects if row is not None])
    return points


def count_values(plan: RootPlan) -> int:
    """Returns the number of values that are rendered per object of a root field. A value that a
    function renders counts as several plain values."""
    return max((_count_values(object_plan) for object_plan in plan.objects.values()), default=0)


def _count_values(plan: ObjectPlan) -> int:
    count = 0
    for field in plan.fields:
        value_plan = field.value_plan
        if isinstance(value_plan, LeafPlan):
            count += 1 if value_plan.render is None else _FUNCTION_VALUES
        elif isinstance(value_plan, SameRowPlan | NestedPlan):
            count += _count_values(value_plan.object)
    return count


def count_copies(plan: RootPlan) -> int:
    """Returns how many times the response can contain the rows: the number of selections of the
    large column that is selected most often. Returns 0 if there are no large columns and no lists
    of unknown length."""
    return max((_count_copies(object_plan) for object_plan in plan.objects.values()), default=0)


def _count_copies(plan: ObjectPlan) -> int:
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
            is_unbounded = value_plan.is_list and not value_plan.is_page and value_plan.size is None
            counts[value_plan.column_refs] += max(
                _count_copies(value_plan.object), int(value_plan.can_be_large or is_unbounded)
            )
    return counts


def estimate_bytes(value: Any, max_bytes: int) -> int:
    """Returns the approximate size of rows in a response, in bytes. Stops counting above
    `max_bytes`."""
    pending: list[Any] = [(value,)]
    size = 0
    for container in pending:
        if size > max_bytes:
            break
        for item in container.values() if isinstance(container, dict) else container:
            if isinstance(item, str):
                size += len(item) if item.isascii() else 3 * len(item)
            elif isinstance(item, _SCALARS):
                size += _SCALAR_BYTES
            else:  # a dict, a list, or a row of the database driver
                pending.append(item)
    return size
