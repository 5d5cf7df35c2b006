"""Introspection: resolves `__schema` and `__type` with graphql-core's resolvers.

Each type is resolved once per selection, and the response shares the result wherever the type
occurs. So the value is small even if the response is large, and the size of the response is known
before it is serialized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    SchemaMetaFieldDef,
    SelectionSetNode,
    TypeMetaFieldDef,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_wrapping_type,
)
from graphql.execution.values import VariableValues, get_argument_values

from regulars.graphql.errors import DOCUMENT_LIMIT, Fault, RequestError
from regulars.graphql.selection import FieldCollector

# The most types, fields and arguments that a document may look at, each counted once per selection.
# The query that clients send takes 800.
_MAX_OBJECTS = 2_500
_TOO_MANY_OBJECTS = (
    f"The introspection selects more than {_MAX_OBJECTS:,} different types, fields and "
    "arguments. Select fewer, or send several requests."
)

_ROOTS = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


class IntrospectionResult(NamedTuple):
    """A part of the response, and its number of fields, with those below."""

    value: Any
    field_count: int


class _SelectedField(NamedTuple):
    """A selected field; `definition` is None for `__typename`."""

    key: str
    definition: GraphQLField | None
    arguments: Mapping[str, Any]
    selection_sets: tuple[SelectionSetNode, ...]


class Introspector:
    """Resolves introspection fields, for one set of variable values."""

    def __init__(
        self, schema: GraphQLSchema, collector: FieldCollector, variables: VariableValues
    ) -> None:
        self._schema = schema
        self._collector = collector
        self._variables = variables
        self._info = SimpleNamespace(schema=schema)
        self._fields: dict[tuple[Any, ...], list[_SelectedField]] = {}
        # The keys have ids of sources. A source is stored, so that its id is not used again.
        self._objects: dict[tuple[Any, ...], tuple[Any, IntrospectionResult]] = {}

    def resolve(self, nodes: Sequence[FieldNode]) -> IntrospectionResult:
        """Returns the value of `__schema` or `__type`. Raises GraphQLError for invalid arguments,
        and RequestError for a selection that looks at too many objects."""
        definition = _ROOTS[nodes[0].name.value]
        source: Any = self._schema
        if definition is TypeMetaFieldDef:
            arguments = get_argument_values(definition, nodes[0], self._variables)
            source = self._schema.get_type(arguments["name"])
        return self._value(definition.type, source, _selection_sets(nodes))

    def _value(
        self, type_: Any, source: Any, selection_sets: tuple[SelectionSetNode, ...]
    ) -> IntrospectionResult:
        if is_non_null_type(type_):
            type_ = type_.of_type
        if source is None:
            return IntrospectionResult(None, 1)
        if is_list_type(type_):
            items = [self._value(type_.of_type, item, selection_sets) for item in source]
            field_count = sum(item.field_count for item in items) + 1
            return IntrospectionResult([item.value for item in items], field_count)
        if is_leaf_type(type_):
            return IntrospectionResult(type_.coerce_output_value(source), 1)
        return self._object(type_, source, selection_sets)

    def _object(
        self, type_: GraphQLObjectType, source: Any, selection_sets: tuple[SelectionSetNode, ...]
    ) -> IntrospectionResult:
        cache_key = (_identity(source), *map(id, selection_sets))
        if cache_key not in self._objects:
            if len(self._objects) >= _MAX_OBJECTS:
                raise RequestError(Fault(_TOO_MANY_OBJECTS, DOCUMENT_LIMIT))
            value: dict[str, Any] = {}
            field_count = 1
            for field in self._selected_fields(type_, selection_sets):
                if field.definition is None:
                    value[field.key] = type_.name
                    field_count += 1
                    continue
                assert field.definition.resolve is not None
                resolved = field.definition.resolve(source, self._info, **field.arguments)
                result = self._value(field.definition.type, resolved, field.selection_sets)
                value[field.key] = result.value
                field_count += result.field_count
            self._objects[cache_key] = (source, IntrospectionResult(value, field_count))
        return self._objects[cache_key][1]

    def _selected_fields(
        self, type_: GraphQLObjectType, selection_sets: tuple[SelectionSetNode, ...]
    ) -> list[_SelectedField]:
        cache_key = (type_.name, *map(id, selection_sets))
        if cache_key not in self._fields:
            self._fields[cache_key] = [
                self._selected_field(type_, key, nodes)
                for key, nodes in self._collector.collect(type_, selection_sets).items()
            ]
        return self._fields[cache_key]

    def _selected_field(
        self, type_: GraphQLObjectType, key: str, nodes: Sequence[FieldNode]
    ) -> _SelectedField:
        definition = type_.fields.get(nodes[0].name.value)
        if definition is None:
            return _SelectedField(key, None, {}, ())
        arguments = get_argument_values(definition, nodes[0], self._variables)
        is_leaf = is_leaf_type(get_named_type(definition.type))
        return _SelectedField(key, definition, arguments, () if is_leaf else _selection_sets(nodes))


def _selection_sets(nodes: Sequence[FieldNode]) -> tuple[SelectionSetNode, ...]:
    return tuple(node.selection_set for node in nodes if node.selection_set)


def _identity(source: Any) -> Any:
    """Returns a cache key for a source: `[String!]` is a new object in each field."""
    if isinstance(source, tuple):  # a field, an argument or an enum value, with its name
        return source[0], id(source[1])
    return str(source) if is_wrapping_type(source) else id(source)
