"""The values of variables and arguments, from the variables of a request and the literals of a
document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
)
from graphql.utilities.coerce_input_value import coerce_input_literal

from regulars.graphql.coercion import (
    Coerce,
    Coercers,
    InvalidValueError,
    default_factory,
    raise_missing,
)


class VariableCoercer:
    """Coerces the variables of an operation. A variable that it does not use needs no value."""

    def __init__(
        self,
        schema: GraphQLSchema,
        coercers: Coercers,
        definitions: Sequence[VariableDefinitionNode],
        used_variables: frozenset[str],
    ) -> None:
        self._coercers = coercers
        self._variables: list[tuple[str, Coerce, Any]] = []
        for definition in definitions:
            name = definition.variable.name.value
            type_ = type_from_ast(schema, definition.type)
            default: Any = Undefined
            if definition.default_value is not None:
                default = _constant(coerce_input_literal(definition.default_value, type_))  # type: ignore[arg-type]  # a valid document's variables have input types
            elif is_non_null_type(type_) and name in used_variables:
                default = raise_missing
            self._variables.append((name, coercers.for_type(type_), default))  # type: ignore[arg-type]  # as above

    def coerce(self, raw_variables: Mapping[str, Any], max_list_values: int) -> dict[str, Any]:
        """Returns the values of the variables by name. Their lists may have at most
        `max_list_values` values together. Raises TooManyValuesError, or another exception for an
        invalid value."""
        values = {}
        self._coercers.list_values_left = max_list_values
        for name, coerce, default in self._variables:
            if name in raw_variables:
                values[name] = coerce(raw_variables[name])
            elif default is not Undefined:
                values[name] = default()
        return values


# (variables) -> the value of a literal.
Build = Callable[[Mapping[str, Any]], Any]


class ArgumentCoercer:
    """Coerces the arguments of a field in a document."""

    def __init__(self, field: GraphQLField, node: FieldNode) -> None:
        nodes = {argument.name.value: argument.value for argument in node.arguments or ()}
        self._build = _build_fields(field.args, nodes)

    def coerce(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of the arguments by name. Values of literals are the same objects each
        time and must not be changed. Raises for an invalid value."""
        values: dict[str, Any] = self._build(variables)
        return values


def _build_fields(
    definitions: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    nodes: Mapping[str, ValueNode],
) -> Build:
    """Returns the function that builds the values of arguments, or of the fields of an input
    object. A field whose variable has no value is absent."""
    fields: list[tuple[str, Build | None, str | None, Any]] = []
    for name, definition in definitions.items():
        node = nodes.get(name)
        build = None if node is None else _build_literal(node, definition.type)
        variable = node.name.value if isinstance(node, VariableNode) else None
        out_name = definition.out_name or name
        fields.append((out_name, build, variable, default_factory(definition)))

    def build_fields(variables: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, build, variable, default in fields:
            if build is not None and (variable is None or variable in variables):
                values[name] = build(variables)
            elif default is not Undefined:
                values[name] = default()
        return values

    return build_fields


def _build_literal(node: ValueNode, type_: GraphQLInputType) -> Build:
    """Returns the function that builds the value of a literal. A literal without variables is
    coerced once."""
    if isinstance(node, VariableNode):
        return _build_variable(node.name.value, is_required=is_non_null_type(type_))
    if not any(variables_in(node)):
        constant = _constant(coerce_input_literal(node, type_))
        return lambda _variables: constant()
    nullable_type = type_.of_type if is_non_null_type(type_) else type_
    if is_list_type(nullable_type):
        nodes = node.values if isinstance(node, ListValueNode) else (node,)
        items = [_build_literal(item, nullable_type.of_type) for item in nodes]
        return lambda variables: [build(variables) for build in items]
    if (
        is_input_object_type(nullable_type)
        and isinstance(node, ObjectValueNode)
        and not nullable_type.is_one_of
    ):
        fields = {field.name.value: field.value for field in node.fields}
        if fields.keys() <= nullable_type.fields.keys():
            build_fields = _build_fields(nullable_type.fields, fields)
            return lambda variables: nullable_type.out_type(build_fields(variables))
    return lambda _variables: raise_missing()


def _build_variable(name: str, is_required: bool) -> Build:
    def build(variables: Mapping[str, Any]) -> Any:
        value = variables[name]
        if value is None and is_required:
            raise InvalidValueError
        return value

    return build


def _constant(value: Any) -> Callable[[], Any]:
    if value is Undefined:
        return raise_missing
    return lambda: value


def variables_in(node: ValueNode) -> Iterator[str]:
    """Yields the names of the variables in a value."""
    if isinstance(node, VariableNode):
        yield node.name.value
    elif isinstance(node, ListValueNode):
        for item in node.values:
            yield from variables_in(item)
    elif isinstance(node, ObjectValueNode):
        for field in node.fields:
            yield from variables_in(field.value)
