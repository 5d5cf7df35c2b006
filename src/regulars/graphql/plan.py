"""The compiler: a selection becomes a layout (what to read) and a plan (what to answer).

A plan is a tree of plain data: positions, arguments and fragments are settled, and nothing is
looked up when it is rendered. `render` walks it with care; `source` writes it as Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from regulars.graphql.layout import Layout, Layouts
from regulars.graphql.selection import Selector

# Where a row holds a column: its position, or its name in a keyed row.
ColumnRefs = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Values: the columns at `places`, through `render(*columns)`, or `render(env, *columns)`
    when `with_env`. Without `render` they are its only column. They cost `cost` points, and each
    may have kilobytes if they are `is_long`."""

    column_refs: ColumnRefs
    render: Callable[..., Any] | None = None
    with_env: bool = False
    cost: int = 0
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class TypeName:
    """`__typename`."""

    name: str


@dataclass(frozen=True, slots=True)
class SameRow:
    """An object that is another view of the same row."""

    object: ObjectPlan


@dataclass(frozen=True, slots=True)
class Nested:
    """Objects in rows of their own, or lists of them: what `pick` makes of the columns at
    `places`; without it, the only column. `paged` when they are the rows of a page: of the root's,
    or of the nearest object above that has a `size`, the number of rows on its page. Of a list,
    `size` is how many objects it has at most, if its arguments say so. `is_long` when
    a column may have kilobytes."""

    column_refs: ColumnRefs
    pick: Callable[..., Any] | None
    is_list: bool
    item_nullable: bool
    object: ObjectPlan
    paged: bool = False
    size: int | None = None
    is_long: bool = False
    is_related: bool = False


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field of an object: its response key, the selections that asked for it, and whether it
    may be null."""

    key: str
    nodes: Sequence[FieldNode]
    nullable: bool
    value_plan: Leaf | TypeName | SameRow | Nested


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """An object: its type's name, whether its rows are mappings, and its fields, in the order of
    the answer."""

    type_name: str
    keyed: bool
    fields: Sequence[FieldPlan]


def fields_in(plan: ObjectPlan) -> int:
    """How many fields an object has, with those below."""
    inner = [
        field.value_plan.object
        for field in plan.fields
        if isinstance(field.value_plan, SameRow | Nested)
    ]
    return len(plan.fields) + sum(map(fields_in, inner))


@dataclass(frozen=True, slots=True)
class RootPlan:
    """A root field: what its value is made of, by the names of the object types that it can
    answer; without any, its value is the answer."""

    key: str
    name: str
    nodes: Sequence[FieldNode]
    nullable: bool
    abstract: bool
    is_list: bool
    item_nullable: bool
    layouts: Layouts
    objects: dict[str, ObjectPlan]


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
        """A root field's plan. Raises RequestError for arguments below it that are refused."""
        name = nodes[0].name.value
        type_ = parent.fields[name].type
        named = get_named_type(type_)
        abstract = is_abstract_type(named)
        layouts: dict[str, Layout] = {}
        objects: dict[str, ObjectPlan] = {}
        if not is_leaf_type(named):
            possible = self._schema.get_possible_types(named) if abstract else [named]
            for one in cast("Sequence[GraphQLObjectType]", possible):
                layouts[one.name] = Layout(self._bindings.types[one.name].keyed)
                objects[one.name] = self._object(one, nodes, layouts[one.name])
        nullable = not is_non_null_type(type_)
        is_list, item_nullable = _list_of(type_)
        return RootPlan(
            key, name, nodes, nullable, abstract, is_list, item_nullable, Layouts(layouts), objects
        )

    @staticmethod
    def introspection(key: str, nodes: list[FieldNode]) -> RootPlan:
        """The plan of `__typename`, `__schema` or `__type`: the engine answers it itself."""
        name = nodes[0].name.value
        return RootPlan(key, name, nodes, name == "__type", False, False, False, Layouts({}), {})

    def _object(
        self, type_: GraphQLObjectType, nodes: Sequence[FieldNode], layout: Layout
    ) -> ObjectPlan:
        sets = [node.selection_set for node in nodes if node.selection_set]
        fields = [
            self._field(type_, key, group, layout)
            for key, group in self._selector.fields(type_, sets).items()
        ]
        return ObjectPlan(type_.name, layout.keyed, fields)

    def _field(
        self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode], layout: Layout
    ) -> FieldPlan:
        name = nodes[0].name.value
        if name == "__typename":
            return FieldPlan(key, nodes, False, TypeName(type_.name))
        definition = type_.fields[name]
        binding = self._bindings.types[type_.name].fields[name]
        nullable = not is_non_null_type(definition.type)

        def arguments() -> dict[str, Any]:
            return get_argument_values(definition, nodes[0], self._variables)

        if isinstance(binding, Value):
            column_refs = tuple(layout.column(column) for column in binding.reads)
            if binding.prepare is None:
                leaf = Leaf(column_refs, binding.render, cost=binding.cost, is_long=binding.is_long)
                return FieldPlan(key, nodes, nullable, leaf)
            leaf = Leaf(column_refs, binding.prepare(arguments()), with_env=True, cost=binding.cost)
            return FieldPlan(key, nodes, nullable, leaf)
        target = cast("GraphQLObjectType", get_named_type(definition.type))
        if isinstance(binding, Same):
            return FieldPlan(key, nodes, nullable, SameRow(self._object(target, nodes, layout)))
        keyed = self._bindings.types[target.name].keyed
        size, is_long = None, False
        if isinstance(binding, Related):
            relation, load = name, binding.load
            if load is None:
                assert binding.prepare is not None
                arguments_used = arguments()
                relation, load = f"{name} {arguments_used!r}", binding.prepare(arguments_used)
                size = binding.size(arguments_used) if binding.size else None
            position, rows = layout.related(relation, binding.key, load, keyed)
            column_refs, pick, paged = (position,), None, False
        else:
            column_refs = tuple(layout.column(column) for column in binding.reads)
            pick, rows, paged = binding.pick, layout.part(name, keyed), binding.paged
            is_long = binding.is_long
        below = self._object(target, nodes, rows)
        is_list, item_nullable = _list_of(definition.type)
        is_related = isinstance(binding, Related)
        value_plan = Nested(
            column_refs, pick, is_list, item_nullable, below, paged, size, is_long, is_related
        )
        return FieldPlan(key, nodes, nullable, value_plan)


def _list_of(type_: GraphQLOutputType) -> tuple[bool, bool]:
    """Whether a type is a list, and whether its items may be null."""
    inner = type_.of_type if is_non_null_type(type_) else type_
    if not is_list_type(inner):
        return False, False
    return True, not is_non_null_type(inner.of_type)
