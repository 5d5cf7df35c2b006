"""The compiler: turns a selection into a layout (what to read) and a plan (what to render).

A plan is a tree of plain data. Positions, arguments and fragments are resolved, so that a renderer
looks nothing up. `column_renderer.py` and `row_renderer.py` walk a plan; `compiled_renderer.py`
writes it as Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLField,
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

from regulars.graphql.bindings import Bindings, Related, SameRow, Value
from regulars.graphql.layout import Layout, Layouts
from regulars.graphql.selection import FieldCollector

# The positions of columns in a row, or their names in a dict.
ColumnRefs = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class LeafPlan:
    """A leaf. `render(*columns)` returns its values, or `render(env, *columns)` if `has_env`;
    without `render` they are its only column. `cost` is in points. `can_be_large` is true if a
    value can have kilobytes."""

    column_refs: ColumnRefs
    render: Callable[..., Any] | None = None
    has_env: bool = False
    cost: int = 0
    can_be_large: bool = False


@dataclass(frozen=True, slots=True)
class TypeNamePlan:
    """`__typename`."""

    name: str


@dataclass(frozen=True, slots=True)
class SameRowPlan:
    """An object whose fields read the row of the parent object."""

    object: ObjectPlan


@dataclass(frozen=True, slots=True)
class NestedPlan:
    """An object, or a list of objects, with rows of its own: nested or related ones.

    `extract(*columns)` returns a column of rows, or of lists of rows; without `extract` that is the
    only column. `is_page` is true for the rows of a page. `size` is the number of rows on the page
    inside the object, or the maximum length of the list; None if it is unknown. `can_be_large` is
    true if a column can have kilobytes. `count(*columns)` returns the number of rows in all lists.
    """

    column_refs: ColumnRefs
    extract: Callable[..., Any] | None
    is_list: bool
    has_nullable_items: bool
    object: ObjectPlan
    is_page: bool = False
    size: int | None = None
    can_be_large: bool = False
    is_related: bool = False
    count: Callable[..., int] | None = None


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field of an object: its response key, its selections, and the plan of its value."""

    key: str
    nodes: Sequence[FieldNode]
    is_nullable: bool
    value_plan: LeafPlan | TypeNamePlan | SameRowPlan | NestedPlan


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """An object: its type, and its fields in the order of the response."""

    type_name: str
    has_dict_rows: bool
    fields: Sequence[FieldPlan]


@dataclass(frozen=True, slots=True)
class RootPlan:
    """A root field. `objects` are the plans of the object types that it can return, by name; a leaf
    has none, and its value is the response."""

    key: str
    name: str
    nodes: Sequence[FieldNode]
    is_nullable: bool
    is_abstract: bool
    is_list: bool
    has_nullable_items: bool
    layouts: Layouts
    objects: dict[str, ObjectPlan]


def count_fields(plan: ObjectPlan) -> int:
    """Returns the number of fields of an object and of the objects below it."""
    inner = [
        field.value_plan.object
        for field in plan.fields
        if isinstance(field.value_plan, SameRowPlan | NestedPlan)
    ]
    return len(plan.fields) + sum(map(count_fields, inner))


class Compiler:
    """Compiles the selections of an operation, for one set of variable values."""

    def __init__(
        self,
        schema: GraphQLSchema,
        bindings: Bindings,
        collector: FieldCollector,
        variables: VariableValues,
    ) -> None:
        self._schema = schema
        self._bindings = bindings
        self._collector = collector
        self._variables = variables

    def compile_root(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> RootPlan:
        """Returns the plan of a root field. Raises RequestError or GraphQLError for invalid
        arguments of the fields below it."""
        name = nodes[0].name.value
        type_ = parent.fields[name].type
        named_type = get_named_type(type_)
        is_abstract = is_abstract_type(named_type)
        layouts: dict[str, Layout] = {}
        objects: dict[str, ObjectPlan] = {}
        if not is_leaf_type(named_type):
            types = self._schema.get_possible_types(named_type) if is_abstract else [named_type]
            for object_type in cast("Sequence[GraphQLObjectType]", types):
                layout = Layout(self._bindings.types[object_type.name].has_dict_rows)
                layouts[object_type.name] = layout
                objects[object_type.name] = self._object(object_type, nodes, layout)
        is_list, has_nullable_items = _list_of(type_)
        return RootPlan(
            key,
            name,
            nodes,
            not is_non_null_type(type_),
            is_abstract,
            is_list,
            has_nullable_items,
            Layouts(layouts, key),
            objects,
        )

    @staticmethod
    def compile_introspection(key: str, nodes: list[FieldNode]) -> RootPlan:
        """Returns the plan of `__typename`, `__schema` or `__type`, which read no rows."""
        name = nodes[0].name.value
        return RootPlan(
            key, name, nodes, name == "__type", False, False, False, Layouts({}, key), {}
        )

    def _object(
        self, type_: GraphQLObjectType, nodes: Sequence[FieldNode], layout: Layout
    ) -> ObjectPlan:
        selection_sets = [node.selection_set for node in nodes if node.selection_set]
        fields = [
            self._field(type_, key, field_nodes, layout)
            for key, field_nodes in self._collector.collect(type_, selection_sets).items()
        ]
        return ObjectPlan(type_.name, layout.has_dict_rows, fields)

    def _field(
        self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode], layout: Layout
    ) -> FieldPlan:
        name = nodes[0].name.value
        if name == "__typename":
            return FieldPlan(key, nodes, False, TypeNamePlan(type_.name))
        definition = type_.fields[name]
        binding = self._bindings.types[type_.name].fields[name]
        is_nullable = not is_non_null_type(definition.type)
        if isinstance(binding, Value):
            leaf = self._leaf(binding, definition, nodes[0], layout)
            return FieldPlan(key, nodes, is_nullable, leaf)
        target = cast("GraphQLObjectType", get_named_type(definition.type))
        if isinstance(binding, SameRow):
            same_row = SameRowPlan(self._object(target, nodes, layout))
            return FieldPlan(key, nodes, is_nullable, same_row)
        has_dict_rows = self._bindings.types[target.name].has_dict_rows
        is_list, has_nullable_items = _list_of(definition.type)
        if isinstance(binding, Related):
            relation, load, size = name, binding.load, None
            if load is None:
                assert binding.prepare is not None
                arguments = get_argument_values(definition, nodes[0], self._variables)
                relation, load = f"{name} {arguments!r}", binding.prepare(arguments)
                size = binding.size(arguments) if binding.size else None
            position, rows = layout.add_relation(relation, binding.key, load, has_dict_rows)
            nested = NestedPlan(
                (position,),
                None,
                is_list,
                has_nullable_items,
                self._object(target, nodes, rows),
                size=size,
                is_related=True,
            )
        else:
            nested = NestedPlan(
                tuple(layout.add_column(column) for column in binding.columns),
                binding.extract,
                is_list,
                has_nullable_items,
                self._object(target, nodes, layout.nested(name, has_dict_rows)),
                is_page=binding.is_page,
                can_be_large=binding.can_be_large,
                count=binding.count,
            )
        return FieldPlan(key, nodes, is_nullable, nested)

    def _leaf(
        self, binding: Value, definition: GraphQLField, node: FieldNode, layout: Layout
    ) -> LeafPlan:
        column_refs = tuple(layout.add_column(column) for column in binding.columns)
        if binding.prepare is None:
            return LeafPlan(
                column_refs, binding.render, cost=binding.cost, can_be_large=binding.can_be_large
            )
        render = binding.prepare(get_argument_values(definition, node, self._variables))
        return LeafPlan(column_refs, render, has_env=True, cost=binding.cost)


def _list_of(type_: GraphQLOutputType) -> tuple[bool, bool]:
    """Returns whether a type is a list, and whether its items may be null."""
    nullable_type = type_.of_type if is_non_null_type(type_) else type_
    if not is_list_type(nullable_type):
        return False, False
    return True, not is_non_null_type(nullable_type.of_type)
