"""The values of variables and arguments: made from the variables of a request and the literals of a
document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    Visitor,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
    visit,
)
from graphql.utilities.coerce_input_value import (
    coerce_input_literal,
)

from regulars.graphql.coercion import Coerce, Coercers, WrongValueError, default_of, missing


class Variables:
    """The variables of an operation: `coerce(given)` answers their values, by name.

    A variable that the operation does not use needs no value.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        coercers: Coercers,
        definitions: Sequence[VariableDefinitionNode],
        used: frozenset[str],
    ) -> None:
        self._coercers = coercers
        self._known: list[tuple[str, Coerce, Any]] = []
        for definition in definitions:
            name = definition.variable.name.value
            type_ = type_from_ast(schema, definition.type)
            absent: Any = Undefined
            if definition.default_value is not None:
                absent = _constant(coerce_input_literal(definition.default_value, type_))  # type: ignore[arg-type]  # a valid document's variables have input types
            elif is_non_null_type(type_) and name in used:
                absent = missing
            self._known.append((name, coercers.of(type_), absent))  # type: ignore[arg-type]  # as above

    def coerce(self, given: Mapping[str, Any], list_values: int) -> dict[str, Any]:
        """The values of the variables, whose lists have at most `list_values` values together.
        Raises TooManyValuesError, and any other exception for a value that is wrong."""
        values = {}
        self._coercers.list_values = list_values
        for name, inner, absent in self._known:
            if name in given:
                values[name] = inner(given[name])
            elif absent is not Undefined:
                values[name] = absent()
        return values


def _constant(value: Any) -> Callable[[], Any]:
    if value is Undefined:
        return missing
    return lambda: value


Build = Callable[[Mapping[str, Any]], Any]


class Arguments:
    """The arguments of a field, as a document has them: `coerce(variables)` answers their values,
    by name. Values of literals are the same objects each time: they are not to be changed."""

    def __init__(self, field: GraphQLField, node: FieldNode) -> None:
        given = {one.name.value: one.value for one in node.arguments or ()}
        self._build = _object_of(field.args, given)

    def coerce(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the arguments. Raises for any that is wrong."""
        values: dict[str, Any] = self._build(variables)
        return values


def _object_of(
    fields: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    given: Mapping[str, ValueNode],
) -> Build:
    """What makes the values of arguments, or of the fields of an input object. One whose variable
    has no value is as good as left out."""
    parts: list[tuple[str, Build | None, str | None, Any]] = []
    for name, field in fields.items():
        node = given.get(name)
        build = None if node is None else _literal(node, field.type)
        variable = node.name.value if isinstance(node, VariableNode) else None
        parts.append((field.out_name or name, build, variable, default_of(field)))

    def make(variables: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, build, variable, default in parts:
            if build is not None and (variable is None or variable in variables):
                values[name] = build(variables)
            elif default is not Undefined:
                values[name] = default()
        return values

    return make


def _literal(node: ValueNode, type_: GraphQLInputType) -> Build:
    """What makes a value of a literal; of one without variables, once for all."""
    if isinstance(node, VariableNode):
        return _variable(node.name.value, needed=is_non_null_type(type_))
    if not _has_variable(node):
        constant = _constant(coerce_input_literal(node, type_))
        return lambda _variables: constant()
    inner = type_.of_type if is_non_null_type(type_) else type_
    if is_list_type(inner):
        nodes = node.values if isinstance(node, ListValueNode) else (node,)
        items = [_literal(item, inner.of_type) for item in nodes]
        return lambda variables: [item(variables) for item in items]
    if is_input_object_type(inner) and isinstance(node, ObjectValueNode) and not inner.is_one_of:
        given = {one.name.value: one.value for one in node.fields}
        if given.keys() <= inner.fields.keys():
            make = _object_of(inner.fields, given)
            return lambda variables: inner.out_type(make(variables))
    return lambda _variables: missing()


def _variable(name: str, needed: bool) -> Build:
    def build(variables: Mapping[str, Any]) -> Any:
        value = variables[name]
        if value is None and needed:
            raise WrongValueError
        return value

    return build


def _has_variable(node: ValueNode) -> bool:
    found: list[VariableNode] = []

    class Find(Visitor):
        def enter_variable(self, variable: VariableNode, *_args: Any) -> None:
            found.append(variable)

    visit(node, Find())
    return bool(found)
