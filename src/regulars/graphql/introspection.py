"""Introspection: `__schema` and `__type`, resolved by graphql-core's resolvers.

What is selected of a type is the same wherever the type is named, so it is built once. The value
shares its parts: it is small where the response is large, and the size of the response is known
before it is written.
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
from regulars.graphql.selection import Selector

# What one document may look at: a type under another selection counts again. The query that
# clients send takes 800.
_MAX_OBJECTS = 2_500
_TOO_MUCH = (
    f"The introspection looks at more than {_MAX_OBJECTS:,} different types, fields and arguments. "
    "Select fewer, or send several requests."
)

_ROOTS = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


class Introspected(NamedTuple):
    """A part of the response: its value, and how many fields it has, with those below."""

    value: Any
    fields: int


class _Selected(NamedTuple):
    key: str
    definition: GraphQLField | None
    arguments: Mapping[str, Any]
    below: tuple[SelectionSetNode, ...]


class Introspector:
    """Answers introspection fields under one set of variable values."""

    def __init__(
        self, schema: GraphQLSchema, selector: Selector, variables: VariableValues
    ) -> None:
        self._schema = schema
        self._selector = selector
        self._variables = variables
        self._info = SimpleNamespace(schema=schema)
        self._selected: dict[tuple[Any, ...], list[_Selected]] = {}
        # The source is kept with what was built of it, so that its id is not used again.
        self._built: dict[tuple[Any, ...], tuple[Any, Introspected]] = {}

    def root(self, nodes: Sequence[FieldNode]) -> Introspected:
        """The value of `__schema` or `__type`. Raises GraphQLError for invalid arguments."""
        definition = _ROOTS[nodes[0].name.value]
        source: Any = self._schema
        if definition is TypeMetaFieldDef:
            arguments = get_argument_values(definition, nodes[0], self._variables)
            source = self._schema.get_type(arguments["name"])
        return self._complete(definition.type, source, _sets(nodes))

    def _complete(
        self, type_: Any, source: Any, sets: tuple[SelectionSetNode, ...]
    ) -> Introspected:
        if is_non_null_type(type_):
            type_ = type_.of_type
        if source is None:
            return Introspected(None, 1)
        if is_list_type(type_):
            items = [self._complete(type_.of_type, item, sets) for item in source]
            return Introspected([item.value for item in items], sum(i.fields for i in items) + 1)
        if is_leaf_type(type_):
            return Introspected(type_.coerce_output_value(source), 1)
        return self._object(type_, source, sets)

    def _object(
        self, type_: GraphQLObjectType, source: Any, sets: tuple[SelectionSetNode, ...]
    ) -> Introspected:
        cache_key = (_identity(source), *map(id, sets))
        if cache_key not in self._built:
            if len(self._built) >= _MAX_OBJECTS:
                raise RequestError(Fault(_TOO_MUCH, DOCUMENT_LIMIT))
            answer: dict[str, Any] = {}
            fields = 1
            for one in self._fields_of(type_, sets):
                if one.definition is None:
                    answer[one.key] = type_.name
                    fields += 1
                    continue
                assert one.definition.resolve is not None
                value = one.definition.resolve(source, self._info, **one.arguments)
                built = self._complete(one.definition.type, value, one.below)
                answer[one.key] = built.value
                fields += built.fields
            self._built[cache_key] = (source, Introspected(answer, fields))
        return self._built[cache_key][1]

    def _fields_of(
        self, type_: GraphQLObjectType, sets: tuple[SelectionSetNode, ...]
    ) -> list[_Selected]:
        cache_key = (type_.name, *map(id, sets))
        if cache_key not in self._selected:
            self._selected[cache_key] = [
                self._field(type_, key, nodes)
                for key, nodes in self._selector.fields(type_, sets).items()
            ]
        return self._selected[cache_key]

    def _field(self, type_: GraphQLObjectType, key: str, nodes: Sequence[FieldNode]) -> _Selected:
        definition = type_.fields.get(nodes[0].name.value)  # none of __typename
        if definition is None:
            return _Selected(key, None, {}, ())
        arguments = get_argument_values(definition, nodes[0], self._variables)
        below = () if is_leaf_type(get_named_type(definition.type)) else _sets(nodes)
        return _Selected(key, definition, arguments, below)


def _sets(nodes: Sequence[FieldNode]) -> tuple[SelectionSetNode, ...]:
    return tuple(node.selection_set for node in nodes if node.selection_set)


def _identity(source: Any) -> Any:
    """What a source is known by: `[String!]` is another object at each field."""
    if isinstance(source, tuple):  # a field, an argument or an enum value, with its name
        return source[0], id(source[1])
    return str(source) if is_wrapping_type(source) else id(source)
