"""Variables: the values that come with a request, held against the types of their definitions."""

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
from regulars.graphql.errors import INVALID_INPUT, MAX_MESSAGE, Fault, Path, RequestError, cut
from regulars.graphql.operation import Operation
from regulars.graphql.validation import named_field, without_value


def variable_values(
    schema: GraphQLSchema,
    operation: Operation,
    raw_variables: Mapping[str, Any],
    coerced: Mapping[str, Any],
) -> VariableValues:
    """The coerced values of an operation's variables as graphql-core takes them."""
    sources = {}
    for definition in operation.node.variable_definitions or ():
        signature = signature_of(schema, definition)
        if isinstance(signature, GraphQLVariableSignature):
            value = raw_variables.get(signature.name, Undefined)
            sources[signature.name] = VariableValueSource(signature, value)
    return VariableValues(sources, dict(coerced))


def refuse_variables(
    schema: GraphQLSchema,
    operation: Operation,
    coercers: Coercers,
    raw_variables: Mapping[str, Any],
) -> NoReturn:
    """Raises RequestError with up to 20 faults of the variables' values, which are wrong.

    A variable that the operation does not use needs no value, whatever its type; one that is
    sent is checked all the same.
    """
    search = _Search(operation, coercers)
    for definition in operation.node.variable_definitions or ():
        name = definition.variable.name.value
        type_ = type_from_ast(schema, definition.type)
        if name in raw_variables:
            search.variable(name, type_, raw_variables[name])
        elif name in operation.used and is_non_null_type(type_) and not definition.default_value:
            message = f"Variable '${name}' of type '{type_}' is required and has no value."
            search.add(name, message, ())
        if len(search.faults) >= MAX_ERRORS:
            break
    if not search.faults:  # a default value is wrong, which validation reports: it is not reached
        search.faults.append(Fault("A variable has an invalid value.", INVALID_INPUT))
    raise RequestError(*search.faults)


class _EnoughError(Exception):
    """There are as many faults as a response reports."""


class _Search:
    """Looks for faults where the fast coercion finds a value wrong, and nowhere else: graphql-core
    takes microseconds for each value."""

    def __init__(self, operation: Operation, coercers: Coercers) -> None:
        self._operation = operation
        self._coercers = coercers
        self._paths: Mapping[str, Path] | None = None
        self.faults: list[Fault] = []

    def variable(self, name: str, type_: Any, value: Any) -> None:
        with suppress(_EnoughError):
            self._look(name, type_, value, ())

    def add(self, variable: str, message: str, path: Path) -> None:
        if self._paths is None:
            self._paths = argument_paths(self._operation)
        place = (*self._paths.get(variable, (variable,)), *path)
        self.faults.append(Fault(cut(message), INVALID_INPUT, place))

    def _look(self, name: str, type_: Any, value: Any, path: Path) -> None:
        # The lists have been counted before.
        self._coercers.list_values = self._operation.limits.variable_values
        if self._coercers.takes(type_, value):
            return
        inner = type_.of_type if is_non_null_type(type_) else type_
        if is_list_type(inner) and isinstance(value, list):
            if len(value) > self._operation.limits.list_items:
                self._too_many(name, len(value), path)
                return
            for index, item in enumerate(value):
                self._look(name, inner.of_type, item, (*path, index))
        elif is_input_object_type(inner) and isinstance(value, dict) and _is_whole(inner, value):
            for field_name, field in inner.fields.items():
                if field_name in value:
                    self._look(name, field.type, value[field_name], (*path, field_name))
        else:
            self._ask_library(name, type_, value, path)

    def _too_many(self, name: str, length: int, path: Path) -> None:
        most = self._operation.limits.list_items
        message = f"The list has {length:,} values; at most {most:,} are allowed."
        self.add(name, message, path)
        if len(self.faults) >= MAX_ERRORS:
            raise _EnoughError

    def _ask_library(self, name: str, type_: Any, value: Any, path: Path) -> None:
        def on_error(error: GraphQLError, below: list[str | int]) -> None:
            message = f"Variable '${name}': {without_value(cut(error.message))}"
            self.add(name, message, (*path, *below, *named_field(error.message)))
            if len(self.faults) >= MAX_ERRORS:
                raise _EnoughError

        value = _trimmed(type_, value)
        before = len(self.faults)
        try:
            validate_input_value(value, type_, on_error)
        except IndexError:
            # graphql-core cannot look for a name like one that grows in lower case, as "İ" does.
            del self.faults[before:]
            validate_input_value(value, type_, on_error, hide_suggestions=True)


def _trimmed(type_: Any, value: Any) -> Any:
    """A wrong value without what makes it long: graphql-core looks at all of it for each fault."""
    inner = type_.of_type if is_non_null_type(type_) else type_
    if isinstance(value, str):
        return value[:MAX_MESSAGE]
    if not is_input_object_type(inner) or not isinstance(value, dict):
        return value
    known = {name: value[name] for name in inner.fields if name in value}
    unknown = (name for name in value if name not in inner.fields)
    return known | {name[:MAX_MESSAGE]: None for name in islice(unknown, MAX_ERRORS)}


def _is_whole(type_: Any, value: Mapping[str, Any]) -> bool:
    """Whether an input object has no unknown field and lacks no required one."""
    fields = type_.fields
    return (
        not type_.is_one_of
        and value.keys() <= fields.keys()
        and all(name in value for name, one in fields.items() if is_required_input_field(one))
    )


def argument_paths(operation: Operation) -> Mapping[str, Path]:
    """Where in an argument each variable is used first: `("node", "email")` for
    `createCustomer(node: {email: $email})`."""
    finder = _Finder(operation)
    visit(operation.node, finder)
    return finder.paths


class _Finder(Visitor):
    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self._operation = operation
        self._seen: set[str] = set()
        self.paths: dict[str, Path] = {}

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> None:
        self._search(node.value, (node.name.value,))

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
        name = node.name.value
        if name not in self._seen:
            self._seen.add(name)
            visit(self._operation.fragments[name].selection_set, self)

    def _search(self, node: ValueNode, path: Path) -> None:
        if isinstance(node, VariableNode):
            self.paths.setdefault(node.name.value, path)
        elif isinstance(node, ListValueNode):
            for index, value in enumerate(node.values):
                self._search(value, (*path, index))
        elif isinstance(node, ObjectValueNode):
            for field in node.fields:
                if isinstance(field, ObjectFieldNode):
                    self._search(field.value, (*path, field.name.value))
