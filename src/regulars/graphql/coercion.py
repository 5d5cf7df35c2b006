"""Input values, held against their types: quickly where they are right.

What is wrong raises, whatever it is; graphql-core then says what. The rules are those of the
GraphQL specification (sections 3.5 to 3.12, input coercion, and 6.4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
    visit,
)
from graphql.utilities.coerce_input_value import (
    coerce_default_value,
    coerce_input_literal,
    coerce_input_value,
)

from regulars.graphql.limits import Limits

Coerce = Callable[[Any], Any]

# The Python type whose every value a built-in scalar takes as it is.
_AS_IT_IS: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}


class WrongValueError(Exception):
    """A value that its type does not take; which, and why, is graphql-core's to say."""


class TooManyValuesError(Exception):
    """The lists in the variables of a request have too many values together."""


class Coercers:
    """The coercion of each input type of a schema, made once. A list of more than `list_items`
    values is wrong. `list_values` is how many more values the lists of a request may have together:
    a document can declare lists of lists, and a million values take seconds."""

    def __init__(self, limits: Limits) -> None:
        self._list_items = limits.list_items
        self.list_values = limits.variable_values
        self._made: dict[str, Coerce] = {}

    def of(self, type_: GraphQLInputType) -> Coerce:
        """What turns a value from a request into a value of the type."""
        name = str(type_)
        if name not in self._made:
            # A type may lead back to itself: it is found by name once it is made.
            self._made[name] = lambda value: self._made[name](value)
            self._made[name] = self._make(type_)
        return self._made[name]

    def takes(self, type_: GraphQLInputType, value: Any) -> bool:
        """Whether a type takes a value."""
        try:
            self.of(type_)(value)
        except Exception:
            return False
        return True

    def _make(self, type_: GraphQLInputType) -> Coerce:
        if is_non_null_type(type_):
            return _non_null(self.of(type_.of_type))
        if is_list_type(type_):
            return self._list(self.of(type_.of_type))
        if is_input_object_type(type_):
            return self._object(type_)
        return _leaf(type_)  # type: ignore[arg-type]  # no other input type is left

    def _list(self, inner: Coerce) -> Coerce:
        most = self._list_items

        def coerce(value: Any) -> Any:
            if value is None:
                return None
            if type(value) is not list:
                return [inner(value)]
            if len(value) > most:
                raise WrongValueError
            self.list_values -= len(value)
            if self.list_values < 0:
                raise TooManyValuesError
            return [inner(item) for item in value]

        return coerce

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        if type_.is_one_of:
            return _by_library(type_)
        fields = [
            (name, field.out_name or name, self.of(field.type), _default(field))
            for name, field in type_.fields.items()
        ]
        known = type_.fields.keys()

        def coerce(value: Any) -> Any:
            if value is None:
                return None
            if type(value) is not dict or not value.keys() <= known:
                raise WrongValueError
            coerced = {}
            for name, out_name, inner, default in fields:
                if name in value:
                    coerced[out_name] = inner(value[name])
                elif default is not Undefined:
                    coerced[out_name] = default()
            return type_.out_type(coerced)

        return coerce


def _default(field: GraphQLInputField | GraphQLArgument) -> Any:
    """What makes the value of an input that is not given; Undefined when it is left out."""
    default = coerce_default_value(field)
    if default is Undefined:
        return _missing if is_non_null_type(field.type) else Undefined
    return lambda: default


def _by_library(type_: GraphQLInputType) -> Coerce:
    def coerce(value: Any) -> Any:
        coerced = coerce_input_value(value, type_)
        if coerced is Undefined:
            raise WrongValueError
        return coerced

    return coerce


def _missing() -> None:
    raise WrongValueError


def _non_null(inner: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise WrongValueError
        return inner(value)

    return coerce


def _leaf(type_: GraphQLLeafType) -> Coerce:
    if is_enum_type(type_):
        return _enum(type_)
    as_it_is = _AS_IT_IS.get(type_.name, Undefined)
    slowly = type_.coerce_input_value

    def coerce(value: Any) -> Any:
        return value if value is None or type(value) is as_it_is else slowly(value)

    return coerce


def _enum(type_: GraphQLEnumType) -> Coerce:
    """Without graphql-core's search for a similar name, which a wrong value need not be worth."""
    values = type_.values

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not str or value not in values:
            raise WrongValueError
        return values[value].value

    return coerce


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
                absent = _missing
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
        return _missing
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
        parts.append((field.out_name or name, build, variable, _default(field)))

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
    return lambda _variables: _missing()


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
