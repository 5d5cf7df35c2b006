"""The compiler: a selection becomes a layout (what to read) and a renderer (what to answer).

A renderer is a closure `render(row, run, path)` that turns one row into its part of the
answer. It looks nothing up: positions, arguments and fragments were settled when it was made.
Null propagation follows the GraphQL specification (section 6.4.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.values import VariableValues, get_argument_values

from regulars.graphql.bindings import Bindings, Related, Same, Value
from regulars.graphql.errors import Path
from regulars.graphql.layout import Layout, Layouts
from regulars.graphql.selection import Selector

Link = tuple[Any, str | int] | None
Render = Callable[[Any, "Run", Link], Any]


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


@dataclass(frozen=True, slots=True)
class RootPlan:
    """A root field, compiled: `complete` renders what its binding resolved to."""

    key: str
    name: str
    nodes: Sequence[FieldNode]
    nullable: bool
    layouts: Layouts
    complete: Render


class Compiler:
    """Compiles selections under one set of variable values."""

    def __init__(
        self,
        schema: GraphQLSchema,
        bindings: Bindings,
        selector: Selector,
        variables: VariableValues,
    ) -> None:
        self._schema = schema
        self._bindings = bindings
        self._selector = selector
        self._variables = variables

    def root(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> RootPlan:
        """A root field's plan. Raises Refused for arguments below it that are refused."""
        name = nodes[0].name.value
        type_ = parent.fields[name].type
        named = get_named_type(type_)
        render: Render
        if is_leaf_type(named):
            layouts, render = Layouts({}), _whole
        elif is_abstract_type(named):
            renders: dict[str, Render] = {}
            by_type: dict[str, Layout] = {}
            for possible in self._schema.get_possible_types(named):
                by_type[possible.name], renders[possible.name] = self._fresh(possible, nodes)
            layouts, render = Layouts(by_type), _by_type(renders)
        else:
            layout, render = self._fresh(cast("GraphQLObjectType", named), nodes)
            layouts = Layouts({named.name: layout})
        complete = _complete(type_, render, key, nodes) if not is_leaf_type(named) else _whole
        return RootPlan(key, name, nodes, not is_non_null_type(type_), layouts, complete)

    @staticmethod
    def introspection(key: str, nodes: list[FieldNode]) -> RootPlan:
        """The plan of `__typename`, `__schema` or `__type`: the engine answers it itself."""
        name = nodes[0].name.value
        return RootPlan(key, name, nodes, name == "__type", Layouts({}), _whole)

    def _fresh(self, type_: GraphQLObjectType, nodes: list[FieldNode]) -> tuple[Layout, Render]:
        layout = Layout(self._bindings.types[type_.name].keyed)
        return layout, self._object(type_, nodes, layout)

    def _object(self, type_: GraphQLObjectType, nodes: list[FieldNode], layout: Layout) -> Render:
        sets = [node.selection_set for node in nodes if node.selection_set]
        fields = [
            (key, self._field(type_, key, group, layout), self._nullable(type_, group), group)
            for key, group in self._selector.fields(type_, sets).items()
        ]

        def render(row: Any, run: Run, path: Link) -> dict[str, Any]:
            answer = {}
            for key, make, nullable, group in fields:
                try:
                    value = make(row, run, path)
                    if value is None and not nullable:
                        raise NullError(f"{type_.name}.{group[0].name.value} is null")
                except Exception as cause:
                    error = _located(cause, (path, key), group)
                    if not nullable:
                        raise error from cause
                    run.errors.append(error)
                    value = None
                answer[key] = value
            return answer

        return render

    @staticmethod
    def _nullable(type_: GraphQLObjectType, nodes: list[FieldNode]) -> bool:
        name = nodes[0].name.value
        return name != "__typename" and not is_non_null_type(type_.fields[name].type)

    def _field(
        self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode], layout: Layout
    ) -> Render:
        name = nodes[0].name.value
        if name == "__typename":
            return lambda _row, _run, _path: type_.name
        definition = type_.fields[name]
        binding = self._bindings.types[type_.name].fields[name]
        if isinstance(binding, Value):
            if binding.prepare is None:
                return _read(layout, binding.reads, binding.render)
            arguments = get_argument_values(definition, nodes[0], self._variables)
            return _read_with_env(layout, binding.reads, binding.prepare(arguments))
        target = cast("GraphQLObjectType", get_named_type(definition.type))
        if isinstance(binding, Same):
            inner = self._object(target, nodes, layout)
            return lambda row, run, path: inner(row, run, (path, key))
        keyed = self._bindings.types[target.name].keyed
        if isinstance(binding, Related):
            position, below = layout.related(name, binding, keyed)
            pick: Render = lambda row, _run, _path: row[position]  # noqa: E731  # one of two ways to pick
        else:
            pick, below = _read(layout, binding.reads, binding.pick), layout.part(name, keyed)
        complete = _complete(definition.type, self._object(target, nodes, below), key, nodes)
        return lambda row, run, path: complete(pick(row, run, path), run, path)


def _whole(value: Any, _run: Run, _path: Link) -> Any:
    return value


def _by_type(renders: dict[str, Render]) -> Render:
    def render(value: tuple[str, Any], run: Run, path: Link) -> Any:
        name, row = value
        return renders[name](row, run, path)

    return render


def _read(
    layout: Layout, reads: tuple[str, ...], render: Callable[..., Any] | None
) -> Callable[[Any, Run, Link], Any]:
    places: list[Any] = [layout.column(name) for name in reads]
    if len(places) == 1:
        place = places[0]
        if render is None:
            return lambda row, _run, _path: row[place]
        return lambda row, _run, _path: render(row[place])
    if render is None:
        raise TypeError("a binding that reads several columns needs a function of them")
    return lambda row, _run, _path: render(*[row[place] for place in places])


def _read_with_env(layout: Layout, reads: tuple[str, ...], render: Callable[..., Any]) -> Render:
    places: list[Any] = [layout.column(name) for name in reads]
    return lambda row, run, _path: render(run.env, *[row[place] for place in places])


def _complete(
    type_: GraphQLOutputType, render: Render, key: str, nodes: Sequence[FieldNode]
) -> Render:
    """The renderer of a field's value: an object, or a list of objects."""
    inner = type_.of_type if is_non_null_type(type_) else type_
    if not is_list_type(inner):
        return lambda value, run, path: None if value is None else render(value, run, (path, key))
    item_nullable = not is_non_null_type(inner.of_type)

    def render_list(rows: Sequence[Any] | None, run: Run, path: Link) -> list[Any] | None:
        if rows is None:
            return None
        here = (path, key)
        answer: list[Any] = []
        for index, row in enumerate(rows):
            at = (here, index)
            try:
                if row is None and not item_nullable:
                    raise NullError(f"an item of {nodes[0].name.value} is null")
                answer.append(None if row is None else render(row, run, at))
            except Exception as cause:
                error = _located(cause, at, nodes)
                if not item_nullable:
                    raise error from cause
                run.errors.append(error)
                answer.append(None)
        return answer

    return render_list


def _located(cause: Exception, path: Link, nodes: Sequence[FieldNode]) -> FieldError:
    return cause if isinstance(cause, FieldError) else FieldError(cause, path, nodes)
