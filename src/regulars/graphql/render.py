"""The careful renderer: a plan and its rows become an answer, and each error finds its place.

Null propagation follows the GraphQL specification (section 6.4.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode

from regulars.graphql.errors import Path
from regulars.graphql.plan import Below, FieldPlan, Leaf, ObjectPlan, RootPlan, TypeName, View
from regulars.graphql.together import items_together

Link = tuple[Any, str | int] | None


class FieldError(Exception):
    """A field failed: why, where in the response, and which selections asked for it."""

    def __init__(self, cause: Exception, path: Link, nodes: Sequence[FieldNode]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.nodes = nodes
        self._path = path

    @property
    def path(self) -> Path:
        steps: list[str | int] = []
        link = self._path
        while link is not None:
            link, step = link
            steps.append(step)
        return tuple(reversed(steps))


class NullError(Exception):
    """A binding answered null where the schema allows none."""


@dataclass(slots=True)
class Run:
    """One execution: what the bindings are given, and the errors met under nullable fields."""

    env: Any
    errors: list[FieldError] = field(default_factory=list)


def render_root(plan: RootPlan, value: Any, run: Run) -> Any:
    """The answer of a root field whose binding resolved to `value`. Raises FieldError where no
    null is allowed up to the root."""
    path = (None, plan.key)
    if value is None and not plan.nullable:
        raise FieldError(NullError(f"{plan.name} is null"), path, plan.nodes)
    if value is None or not plan.objects:
        return value
    if plan.abstract:
        name, row = value
        return _object(plan.objects[name], row, run, path)
    (object_plan,) = plan.objects.values()
    if plan.is_list:
        return _list(object_plan, plan.item_nullable, value, run, path, plan.nodes)
    return _object(object_plan, value, run, path)


def _object(plan: ObjectPlan, row: Any, run: Run, path: Link) -> dict[str, Any]:
    answer = {}
    for one in plan.fields:
        here = (path, one.key)
        try:
            value = _value(one, row, run, here)
            if value is None and not one.nullable:
                raise NullError(f"{plan.type_name}.{one.nodes[0].name.value} is null")
        except Exception as cause:
            error = located(cause, here, one.nodes)
            if not one.nullable:
                raise error from cause
            run.errors.append(error)
            value = None
        answer[one.key] = value
    return answer


def _value(plan: FieldPlan, row: Any, run: Run, path: Link) -> Any:
    match plan.what:
        case Leaf(places, render, with_env):
            columns = [(row[place],) for place in places]
            if render is None:
                return columns[0][0]
            return (render(run.env, *columns) if with_env else render(*columns))[0]
        case TypeName(name):
            return name
        case View(inner):
            return _object(inner, row, run, path)
        case Below(places, pick, is_list, item_nullable, inner):
            columns = [(row[place],) for place in places]
            value = (columns[0] if pick is None else pick(*columns))[0]
            if value is None:
                return None
            if is_list:
                return _list(inner, item_nullable, value, run, path, plan.nodes)
            return _object(inner, value, run, path)


def _list(
    plan: ObjectPlan,
    item_nullable: bool,
    rows: Sequence[Any],
    run: Run,
    path: Link,
    nodes: Sequence[FieldNode],
) -> list[Any]:
    try:
        return items_together(plan, item_nullable, rows, run.env)
    except Exception:  # something is wrong with one of them, and has a place
        answer: list[Any] = []
    for index, row in enumerate(rows):
        here = (path, index)
        try:
            if row is None and not item_nullable:
                raise NullError(f"an item of {nodes[0].name.value} is null")
            answer.append(None if row is None else _object(plan, row, run, here))
        except Exception as cause:
            error = located(cause, here, nodes)
            if not item_nullable:
                raise error from cause
            run.errors.append(error)
            answer.append(None)
    return answer


def located(cause: Exception, path: Link, nodes: Sequence[FieldNode]) -> FieldError:
    """The error of a field, with its place; one that has a place further down keeps it."""
    return cause if isinstance(cause, FieldError) else FieldError(cause, path, nodes)
