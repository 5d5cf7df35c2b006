"""The row renderer: renders a plan row by row, and finds the path of each error.

Null propagation follows the GraphQL specification (section 6.4.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode

from regulars.graphql.column_renderer import render_items
from regulars.graphql.errors import Path
from regulars.graphql.plan import (
    FieldPlan,
    LeafPlan,
    NestedPlan,
    ObjectPlan,
    RootPlan,
    SameRowPlan,
    TypeNamePlan,
)

Link = tuple[Any, str | int] | None


class FieldError(Exception):
    """A field failed: the cause, the path in the response, and the selections of the field."""

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
    """A binding returned null where the schema allows none."""


@dataclass(slots=True)
class RenderContext:
    """One execution: the `env` of the bindings, and the errors of nullable fields."""

    env: Any
    errors: list[FieldError] = field(default_factory=list)


def render_root(plan: RootPlan, value: Any, context: RenderContext) -> Any:
    """Returns the response of a root field whose binding resolved to `value`. Raises FieldError if
    no null is allowed up to the root."""
    path = (None, plan.key)
    if value is None and not plan.is_nullable:
        raise FieldError(NullError(f"{plan.name} is null"), path, plan.nodes)
    if value is None or not plan.objects:
        return value
    if plan.is_abstract:
        name, row = value
        return _object(plan.objects[name], row, context, path)
    (object_plan,) = plan.objects.values()
    if plan.is_list:
        return _list(object_plan, plan.has_nullable_items, value, context, path, plan.nodes)
    return _object(object_plan, value, context, path)


def _object(plan: ObjectPlan, row: Any, context: RenderContext, path: Link) -> dict[str, Any]:
    response = {}
    for field_plan in plan.fields:
        item_path = (path, field_plan.key)
        try:
            value = _value(field_plan, row, context, item_path)
            if value is None and not field_plan.is_nullable:
                raise NullError(f"{plan.type_name}.{field_plan.nodes[0].name.value} is null")
        except Exception as cause:
            error = located(cause, item_path, field_plan.nodes)
            if not field_plan.is_nullable:
                raise error from cause
            context.errors.append(error)
            value = None
        response[field_plan.key] = value
    return response


def _value(plan: FieldPlan, row: Any, context: RenderContext, path: Link) -> Any:
    match plan.value_plan:
        case LeafPlan(column_refs, render, has_env):
            columns = [(row[column_ref],) for column_ref in column_refs]
            if render is None:
                return columns[0][0]
            return (render(context.env, *columns) if has_env else render(*columns))[0]
        case TypeNamePlan(name):
            return name
        case SameRowPlan(inner):
            return _object(inner, row, context, path)
        case NestedPlan(column_refs, extract, is_list, has_nullable_items, inner):
            columns = [(row[column_ref],) for column_ref in column_refs]
            value = (columns[0] if extract is None else extract(*columns))[0]
            if value is None:
                return None
            if is_list:
                return _list(inner, has_nullable_items, value, context, path, plan.nodes)
            return _object(inner, value, context, path)


def _list(
    plan: ObjectPlan,
    has_nullable_items: bool,
    rows: Sequence[Any],
    context: RenderContext,
    path: Link,
    nodes: Sequence[FieldNode],
) -> list[Any]:
    try:
        return render_items(plan, has_nullable_items, rows, context.env)
    except Exception:  # a row has an error, which is located below
        response: list[Any] = []
    for index, row in enumerate(rows):
        item_path = (path, index)
        try:
            if row is None and not has_nullable_items:
                raise NullError(f"an item of {nodes[0].name.value} is null")
            response.append(None if row is None else _object(plan, row, context, item_path))
        except Exception as cause:
            error = located(cause, item_path, nodes)
            if not has_nullable_items:
                raise error from cause
            context.errors.append(error)
            response.append(None)
    return response


def located(cause: Exception, path: Link, nodes: Sequence[FieldNode]) -> FieldError:
    """Returns the error of a field with its path; an error below the field keeps its own path."""
    return cause if isinstance(cause, FieldError) else FieldError(cause, path, nodes)
