"""Describes the errors in the variables of a request, and passes variables to graphql-core."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, NoReturn

from graphql import (
    ArgumentNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    ListValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    Visitor,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    type_from_ast,
    visit,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature
from graphql.execution.get_variable_signature import get_variable_signature as signature_of
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.validate_input_value import validate_input_value

from regulars.graphql.coercion import Coercers
from regulars.graphql.document import MAX_ERRORS
from regulars.graphql.errors import (
    INVALID_INPUT,
    MAX_MESSAGE_CHARACTERS,
    Fault,
    Path,
    RequestError,
    truncate,
)
from regulars.graphql.operation import Operation
from regulars.graphql.validation import named_input_field, remove_value


def variable_values(
    schema: GraphQLSchema,
    operation: Operation,
    raw_variables: Mapping[str, Any],
    coerced: Mapping[str, Any],
) -> VariableValues:
    """Returns the coerced variables of an operation in the form that graphql-core takes."""
    sources = {}
    for definition in operation.node.variable_definitions or ():
        signature = signature_of(schema, definition)
        if isinstance(signature, GraphQLVariableSignature):
            value = raw_variables.get(signature.name, Undefined)
            sources[signature.name] = VariableValueSource(signature, value)
    return VariableValues(sources, dict(coerced))


def raise_variable_errors(
    schema: GraphQLSchema,
    operation: Operation,
    coercers: Coercers,
    raw_variables: Mapping[str, Any],
) -> NoReturn:
    """Raises RequestError with up to 20 faults of the variables, of which at least one is invalid.

    A variable that the operation does not use needs no value, but its value is checked.
    """
    finder = _FaultFinder(operation, coercers)
    for definition in operation.node.variable_definitions or ():
        name = definition.variable.name.value
        type_ = type_from_ast(schema, definition.type)
        is_used = name in operation.used_variables
        if name in raw_variables:
            finder.check_variable(name, type_, raw_variables[name])
        elif is_used and is_non_null_type(type_) and not definition.default_value:
            message = f"Variable '${name}' of type '{type_}' is required and has no value."
            finder.add(name, message, ())
        if len(finder.faults) >= MAX_ERRORS:
            break
    if not finder.faults:  # only for an invalid default value, which validation reports
        finder.faults.append(Fault("A variable has an invalid value.", INVALID_INPUT))
    raise RequestError(*finder.faults)


class _FaultLimitError(Exception):
    """There are as many faults as a response reports."""


class _FaultFinder:
    """Finds the faults of variables. graphql-core checks only the values that the fast coercion
    rejects, because it takes microseconds per value."""

    def __init__(self, operation: Operation, coercers: Coercers) -> None:
        self._operation = operation
        self._coercers = coercers
        self._argument_paths: Mapping[str, Path] | None = None
        self.faults: list[Fault] = []

    def check_variable(self, name: str, type_: Any, value: Any) -> None:
        """Adds the faults of a variable."""
        with suppress(_FaultLimitError):
            self._check(name, type_, value, ())

    def add(self, variable: str, message: str, path: Path) -> None:
        """Adds a fault of the value at a path in a variable."""
        if self._argument_paths is None:
            self._argument_paths = argument_paths(self._operation)
        input_path = (*self._argument_paths.get(variable, (variable,)), *path)
        self.faults.append(Fault(truncate(message), INVALID_INPUT, input_path))

    def _check(self, name: str, type_: Any, value: Any, path: Path) -> None:
        # The number of list values has been checked before.
        self._coercers.list_values_left = self._operation.limits.variable_values
        if self._coercers.is_valid(type_, value):
            return
        nullable_type = type_.of_type if is_non_null_type(type_) else type_
        if is_list_type(nullable_type) and isinstance(value, list):
            if len(value) > self._operation.limits.list_items:
                self._add_long_list(name, len(value), path)
                return
            for index, item in enumerate(value):
                self._check(name, nullable_type.of_type, item, (*path, index))
        elif (
            is_input_object_type(nullable_type)
            and isinstance(value, dict)
            and _has_valid_names(nullable_type, value)
        ):
            for field_name, field in nullable_type.fields.items():
                if field_name in value:
                    self._check(name, field.type, value[field_name], (*path, field_name))
        else:
            self._check_with_graphql_core(name, type_, value, path)

    def _add_long_list(self, name: str, length: int, path: Path) -> None:
        max_items = self._operation.limits.list_items
        message = f"The list has {length:,} values; the maximum is {max_items:,}."
        self.add(name, message, path)
        if len(self.faults) >= MAX_ERRORS:
            raise _FaultLimitError

    def _check_with_graphql_core(self, name: str, type_: Any, value: Any, path: Path) -> None:
        def on_error(error: GraphQLError, inner_path: list[str | int]) -> None:
            message = f"Variable '${name}': {remove_value(truncate(error.message))}"
            self.add(name, message, (*path, *inner_path, *named_input_field(error.message)))
            if len(self.faults) >= MAX_ERRORS:
                raise _FaultLimitError

        value = _shorten(type_, value)
        fault_count = len(self.faults)
        try:
            validate_input_value(value, type_, on_error)
        except IndexError:
            # graphql-core's search for similar names fails for "İ", whose lower case is longer.
            del self.faults[fault_count:]
            validate_input_value(value, type_, on_error, hide_suggestions=True)


def _shorten(type_: Any, value: Any) -> Any:
    """Returns an invalid value without its long parts: graphql-core reads all of it for each
    fault."""
    nullable_type = type_.of_type if is_non_null_type(type_) else type_
    if isinstance(value, str):
        return value[:MAX_MESSAGE_CHARACTERS]
    if not is_input_object_type(nullable_type) or not isinstance(value, dict):
        return value
    fields = nullable_type.fields
    known = {name: value[name] for name in fields if name in value}
    unknown = (name for name in value if name not in fields)
    return known | {name[:MAX_MESSAGE_CHARACTERS]: None for name in islice(unknown, MAX_ERRORS)}


def _has_valid_names(type_: Any, value: Mapping[str, Any]) -> bool:
    """Returns whether an input object has no unknown field, and all required ones."""
    fields = type_.fields
    return (
        not type_.is_one_of
        and value.keys() <= fields.keys()
        and all(name in value for name, field in fields.items() if is_required_input_field(field))
    )


def argument_paths(operation: Operation) -> Mapping[str, Path]:
    """Returns for each variable the path of its first use in an argument: `("node", "email")` for
    `createCustomer(node: {email: $email})`."""
    visitor = _PathVisitor(operation)
    visit(operation.node, visitor)
    return visitor.paths


class _PathVisitor(Visitor):
    """Collects the paths of variables in arguments."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self._operation = operation
        self._visited_fragments: set[str] = set()
        self.paths: dict[str, Path] = {}

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> None:
        self._add_paths(node.value, (node.name.value,))

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
        name = node.name.value
        if name not in self._visited_fragments:
            self._visited_fragments.add(name)
            visit(self._operation.fragments[name].selection_set, self)

    def _add_paths(self, node: ValueNode, path: Path) -> None:
        if isinstance(node, VariableNode):
            self.paths.setdefault(node.name.value, path)
        elif isinstance(node, ListValueNode):
            for index, value in enumerate(node.values):
                self._add_paths(value, (*path, index))
        elif isinstance(node, ObjectValueNode):
            for field in node.fields:
                if isinstance(field, ObjectFieldNode):
                    self._add_paths(field.value, (*path, field.name.value))
