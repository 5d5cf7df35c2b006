"""Variables: the values that come with a request, held against the types of their definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    ArgumentNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    ListValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_variable_values,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
    visit,
)
from graphql.execution.values import VariableValues
from graphql.utilities.validate_input_value import validate_input_value

from regulars.graphql.document import MAX_ERRORS, Operation
from regulars.graphql.errors import INVALID_INPUT, Fault, Path, Refused
from regulars.graphql.validation import named_field, without_value


def coerce_variables(
    schema: GraphQLSchema, operation: Operation, given: Mapping[str, Any]
) -> VariableValues:
    """The values of an operation's variables.

    A variable that the operation does not use needs no value, whatever its type; one that is
    sent is checked all the same. Raises Refused with a fault for each wrong value.
    """
    definitions = operation.node.variable_definitions or ()
    long = [
        fault
        for definition in definitions
        if definition.variable.name.value in given
        for fault in _too_long(schema, operation, definition, given)
    ]
    if long:
        raise Refused(*long)
    needed = [
        definition
        for definition in definitions
        if definition.variable.name.value in operation.used
        or definition.variable.name.value in given
    ]
    try:
        return _coerced(schema, operation, needed, given, hide_suggestions=False)
    except IndexError:
        # graphql-core cannot look for a name like one that grows in lower case, as "İ" does.
        return _coerced(schema, operation, needed, given, hide_suggestions=True)


def _coerced(
    schema: GraphQLSchema,
    operation: Operation,
    needed: Sequence[VariableDefinitionNode],
    given: Mapping[str, Any],
    hide_suggestions: bool,
) -> VariableValues:
    values = get_variable_values(
        schema, needed, dict(given), max_errors=MAX_ERRORS, hide_suggestions=hide_suggestions
    )
    if isinstance(values, VariableValues):
        return values
    faults = [
        fault
        for definition in needed
        for fault in _faults(schema, operation, definition, given, hide_suggestions)
    ]
    raise Refused(*(faults or [Fault(error.message, INVALID_INPUT) for error in values]))


def _faults(
    schema: GraphQLSchema,
    operation: Operation,
    definition: VariableDefinitionNode,
    given: Mapping[str, Any],
    hide_suggestions: bool,
) -> list[Fault]:
    name = definition.variable.name.value
    type_ = type_from_ast(schema, definition.type)
    if name not in given:
        if definition.default_value is not None or not str(type_).endswith("!"):
            return []
        message = f"Variable '${name}' of type '{type_}' is required and has no value."
        return [Fault(message, INVALID_INPUT, argument_path(operation, name))]
    found: list[Fault] = []

    def on_error(error: GraphQLError, path: list[str | int]) -> None:
        message = f"Variable '${name}': {without_value(error.message)}"
        place = (*argument_path(operation, name), *path, *named_field(error.message))
        if len(found) < MAX_ERRORS:
            found.append(Fault(message, INVALID_INPUT, place))

    validate_input_value(given[name], type_, on_error, hide_suggestions)  # type: ignore[arg-type]  # a valid document's variables have input types
    return found


def _too_long(
    schema: GraphQLSchema,
    operation: Operation,
    definition: VariableDefinitionNode,
    given: Mapping[str, Any],
) -> list[Fault]:
    """A variable's lists with more values than allowed: they are not even looked at."""
    most = operation.limits.list_items
    found: list[tuple[Path, int]] = []

    def look(type_: Any, value: Any, path: Path) -> None:
        named = type_.of_type if is_non_null_type(type_) else type_
        if is_list_type(named) and isinstance(value, list):
            if len(value) > most:
                found.append((path, len(value)))
                return
            for place, item in enumerate(value):
                look(named.of_type, item, (*path, place))
        elif is_input_object_type(named) and isinstance(value, dict):
            for name, field in named.fields.items():
                if name in value:
                    look(field.type, value[name], (*path, name))

    name = definition.variable.name.value
    look(type_from_ast(schema, definition.type), given[name], ())
    return [
        Fault(
            f"The list has {length:,} values; at most {most:,} are allowed.",
            INVALID_INPUT,
            (*argument_path(operation, name), *path),
        )
        for path, length in found[:MAX_ERRORS]
    ]


def argument_path(operation: Operation, variable: str) -> Path:
    """Where in an argument the variable is used first: `("node", "email")` for
    `createCustomer(node: {email: $email})`. Its own name when it is used nowhere."""
    finder = _Finder(operation, variable)
    visit(operation.node, finder)
    return finder.path or (variable,)


class _Finder(Visitor):
    def __init__(self, operation: Operation, variable: str) -> None:
        super().__init__()
        self._operation = operation
        self._variable = variable
        self._seen: set[str] = set()
        self.path: Path = ()

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> None:
        if not self.path:
            self.path = self._search(node.value, (node.name.value,))

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
        name = node.name.value
        if not self.path and name not in self._seen:
            self._seen.add(name)
            visit(self._operation.fragments[name].selection_set, self)

    def _search(self, node: ValueNode, path: Path) -> Path:
        if isinstance(node, VariableNode):
            return path if node.name.value == self._variable else ()
        inner: list[tuple[str | int, ValueNode]] = []
        if isinstance(node, ListValueNode):
            inner = list(enumerate(node.values))
        elif isinstance(node, ObjectValueNode):
            inner = [(f.name.value, f.value) for f in node.fields if isinstance(f, ObjectFieldNode)]
        for step, value in inner:
            found = self._search(value, (*path, step))
            if found:
                return found
        return ()
