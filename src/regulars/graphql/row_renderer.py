"""The row renderer: renders a plan row by row, and finds the path of each error.

It renders the first response of a plan, whose lists it leaves to the column renderer, and each
response with an error. Null propagation follows the GraphQL specification (section 6.4.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode

from regulars.graphql.column_renderer import render_list
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

# A path as a linked list: (parent link, key or index).
PathLink = tuple[Any, str | int] | None


class FieldError(Exception):
    """A field failed. `cause` is the exception, `nodes` are the selections of the field."""

    def __init__(self, cause: Exception, path: PathLink, nodes: Sequence[FieldNode]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.nodes = nodes
        self._path = path

    @property
    def path(self) -> Path:
        """The path of the field in the response."""
        steps: list[str | int] = []
        link = self._path
        while link is not None:
            link, step = link
            steps.append(step)
        return tuple(reversed(steps))


class NullError(Exception):
    """A binding returned null for a field that must not be null."""


@dataclass(slots=True)
class RenderContext:
    """The `env` of an execution, and the errors of nullable fields."""

    env: Any
    errors: list[FieldError] = field(default_factory=list)


def render_root(plan: RootPlan, value: Any, context: RenderContext) -> Any:
    """Returns the response of a root field for its resolved value. Raises FieldError if an error
    propagates beyond the root field, which must not be null then."""
    path = (None, plan.key)
    if value is None and not plan.is_nullable:
        raise FieldError(NullError(f"{plan.name} is null"), path, plan.nodes)
    if value is None or not plan.objects:
        return value
    if plan.is_abstract and plan.is_list:
        items = [
            (None, None) if item is None else (plan.objects[item[0]], item[1]) for item in value
        ]
        return _items(items, plan.has_nullable_items, context, path, plan.nodes)
    if plan.is_abstract:
        type_name, row = value
        return _object(plan.objects[type_name], row, context, path)
    (object_plan,) = plan.objects.values()
    if plan.is_list:
        return _list(object_plan, plan.has_nullable_items, value, context, path, plan.nodes)
    return _object(object_plan, value, context, path)


def _object(plan: ObjectPlan, row: Any, context: RenderContext, path: PathLink) -> dict[str, Any]:
    response = {}
    for field_plan in plan.fields:
        field_path = (path, field_plan.key)
        try:
            value = _value(field_plan, row, context, field_path)
            if value is None and not field_plan.is_nullable:
                raise NullError(f"{plan.type_name}.{field_plan.nodes[0].name.value} is null")
        except Exception as cause:
            error = as_field_error(cause, field_path, field_plan.nodes)
            if not field_plan.is_nullable:
                raise error from cause
            context.errors.append(error)
            value = None
        response[field_plan.key] = value
    return response


def _value(plan: FieldPlan, row: Any, context: RenderContext, path: PathLink) -> Any:
    match plan.value_plan:
        case LeafPlan(column_refs, render, has_env):
            columns = [(row[column_ref],) for column_ref in column_refs]
            if render is None:
                return columns[0][0]
            return (render(context.env, *columns) if has_env else render(*columns))[0]
        case TypeNamePlan(type_name):
            return type_name
        case SameRowPlan(object_plan):
            return _object(object_plan, row, context, path)
        case NestedPlan(column_refs, extract, is_list, has_nullable_items, object_plan):
            columns = [(row[column_ref],) for column_ref in column_refs]
            value = (columns[0] if extract is None else extract(*columns))[0]
            if value is None:
                return None
            if is_list:
                return _list(object_plan, has_nullable_items, value, context, path, plan.nodes)
            return _object(object_plan, value, context, path)


def _list(
    plan: ObjectPlan,
    has_nullable_items: bool,
    rows: Sequence[Any],
    context: RenderContext,
    path: PathLink,
    nodes: Sequence[FieldNode],
) -> list[Any]:
    try:
        return render_list(plan, has_nullable_items, rows, context.env)
    except Exception:  # a row has an error, which is located
        items = [(plan, row) for row in rows]
        return _items(items, has_nullable_items, context, path, nodes)


def _items(
    items: Sequence[tuple[ObjectPlan | None, Any]],
    has_nullable_items: bool,
    context: RenderContext,
    path: PathLink,
    nodes: Sequence[FieldNode],
) -> list[Any]:
    """Returns the items of a list, each with its plan."""
    response: list[Any] = []
    for index, (plan, row) in enumerate(items):
        item_path = (path, index)
        try:
            if plan is not None and row is not None:
                response.append(_object(plan, row, context, item_path))
            elif has_nullable_items:
                response.append(None)
            else:
                raise NullError(f"an item of {nodes[0].name.value} is null")
        except Exception as cause:
            error = as_field_error(cause, item_path, nodes)
            if not has_nullable_items:
                raise error from cause
            context.errors.append(error)
            response.append(None)
    return response


def as_field_error(cause: Exception, path: PathLink, nodes: Sequence[FieldNode]) -> FieldError:
    """Returns the FieldError of an exception. The error of a field below keeps its own path."""
    return cause if isinstance(cause, FieldError) else FieldError(cause, path, nodes)
