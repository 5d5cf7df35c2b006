"""The engine: prepares and executes the operations of documents against a schema and its bindings.

A request passes through these modules: `document.py` parses, validates and caches its document;
`argument_values.py` coerces its variables and arguments; `plan.py` compiles its root fields;
`root_field.py` computes their cost and chooses the renderer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from graphql import (
    GraphQLError,
    GraphQLSchema,
    OperationType,
    is_object_type,
)
from graphql.execution.values import VariableValues, get_argument_values

from regulars.graphql.bindings import Bindings
from regulars.graphql.coercion import TooManyValuesError
from regulars.graphql.document import CACHE_BYTES, DocumentCache, InvalidDocument
from regulars.graphql.errors import INVALID_INPUT, CostLimitError, Fault, RequestError, error_entry
from regulars.graphql.introspection import Introspector
from regulars.graphql.limits import DEFAULT_LIMITS, DocumentLimits
from regulars.graphql.operation import Operation
from regulars.graphql.plan import Compiler
from regulars.graphql.root_field import RootField
from regulars.graphql.row_renderer import FieldError, RenderContext, as_field_error
from regulars.graphql.selection import FieldCollector
from regulars.graphql.variables import raise_variable_errors, variable_values

# Between two root fields, the event loop serves other requests after this time.
_YIELD_SECONDS = 0.01
# Measured as in document.py: the memory of a plan without its root fields.
_PLAN_BYTES = 10_000


ErrorFormatter = Callable[[Exception, Any], Sequence[Fault]]


class _UnusualLiterals(Exception):
    """The arguments of an operation of a template are invalid or unusual."""


class ExecutionResult(NamedTuple):
    """The result of a request.

    `is_executed` is false if the request was refused before any field ran. Then the response has no
    `data` entry (GraphQL specification, section 7.1). `surplus` is the cost of the response beyond
    the estimate, in points: its lists are longer than estimated.
    """

    data: dict[str, Any] | None
    errors: Sequence[dict[str, Any]]
    is_executed: bool = True
    surplus: int = 0

    def to_response(self, extensions: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the response map, errors first, as the specification recommends."""
        response: dict[str, Any] = {}
        if self.errors:
            response["errors"] = self.errors
        if self.is_executed:
            response["data"] = self.data
        if extensions:
            response["extensions"] = extensions
        return response


class PreparedOperation(NamedTuple):
    """An operation that is ready to be executed. `fields` are its root fields, each with its
    arguments, or with the exception of an invalid argument, and with its cost. Costs are in
    points."""

    operation: Operation
    raw_variables: Mapping[str, Any]
    fields: Sequence[tuple[RootField, Any, int]]
    cost: int

    @property
    def is_replica_safe(self) -> bool:
        """Whether a replica may execute it: a query whose fields are all replica-safe."""
        if self.operation.kind != "query":
            return False
        return all(
            field.binding is None or field.binding.is_replica_safe for field, _, _ in self.fields
        )


class Engine:
    """Executes documents against a schema.

    `format_error(exception, env)` returns the faults that a client sees for an exception of a
    binding. `limits` are the limits of a document, `cache_bytes` the memory for documents and their
    plans. Raises TypeError if a field of the schema has no binding, or a binding has no field.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        bindings: Bindings,
        format_error: ErrorFormatter,
        limits: DocumentLimits = DEFAULT_LIMITS,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        _check_bindings(schema, bindings)
        self._schema = schema
        self._bindings = bindings
        self._format_error = format_error
        self._documents = DocumentCache(schema, limits, cache_bytes)
        self._max_response_bytes = limits.response_bytes
        self._max_cost = limits.cost

    @property
    def cached_bytes(self) -> int:
        """The memory of the cached documents and their plans, in bytes."""
        return self._documents.cached_bytes

    @property
    def cached_document_count(self) -> int:
        """The number of cached documents."""
        return self._documents.cached_count

    def is_cached(self, text: str) -> bool:
        """Returns whether a document is in the cache."""
        return self._documents.is_cached(text)

    async def run(
        self, operation: Operation, raw_variables: Mapping[str, Any], env: Any
    ) -> ExecutionResult:
        """Prepares an operation and executes it."""
        try:
            prepared = self.prepare(operation, raw_variables)
        except InvalidDocument as error:
            return ExecutionResult(None, error.errors, is_executed=False)
        return await self.execute(prepared, env)

    def get_operation(
        self, text: str, name: str | None = None, owner: Hashable = None
    ) -> Operation:
        """Returns an operation of a document: the one with the name, or the only one. The document
        counts in the owner's share of the cache. Raises InvalidDocument."""
        return self._documents.get_operation(text, name, owner)

    def find_operation(self, text: str, name: str | None = None) -> Operation | None:
        """Returns an operation of a document if the cache has the document, or one that differs
        only in its literals. Raises InvalidDocument."""
        return self._documents.find_operation(text, name)

    async def get_operation_in_thread(
        self, text: str, name: str | None, owner: Hashable = None
    ) -> Operation:
        """Returns an operation that `find_operation` has not found. Parses a long document in a
        thread."""
        return await self._documents.get_operation_in_thread(text, name, owner)

    def prepare(
        self,
        operation: Operation,
        raw_variables: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
    ) -> PreparedOperation:
        """Returns an operation with its arguments and its cost. `raw_variables` are the variables
        of the request, `variables` the same if they are already coerced. Raises
        InvalidDocument."""
        try:
            if variables is None:
                variables = self._coerce_variables(operation, raw_variables)
            if operation.literals:
                variables = {**variables, **operation.literals}
            fields = self._root_fields(operation, variables, raw_variables)
        except RequestError as error:
            raise InvalidDocument([error_entry(fault) for fault in error.faults]) from error
        except FieldError as error:
            raise InvalidDocument(self._field_error_entries(error, operation, None)) from error
        prepared_fields: list[tuple[RootField, Any, int]] = []
        cost = 0
        for field in fields:
            arguments: Any = None
            if field.binding is not None:
                try:
                    arguments = self._coerce_arguments(field, operation, variables, raw_variables)
                except (RequestError, GraphQLError) as error:
                    arguments = error  # raised when the field runs
                except _UnusualLiterals:
                    return self.prepare(self._documents.parse_alone(operation), raw_variables)
            is_invalid = isinstance(arguments, Exception)
            field_cost = 1 if is_invalid else field.estimate_cost(arguments)
            prepared_fields.append((field, arguments, field_cost))
            cost += field_cost
        return PreparedOperation(operation, raw_variables, prepared_fields, cost)

    async def prepare_in_thread(
        self, operation: Operation, raw_variables: Mapping[str, Any]
    ) -> PreparedOperation:
        """`prepare`, but coerces the variables in a thread, because they are large."""
        try:
            variables = await asyncio.to_thread(self._coerce_variables, operation, raw_variables)
        except RequestError as error:
            raise InvalidDocument([error_entry(fault) for fault in error.faults]) from error
        return self.prepare(operation, raw_variables, variables)

    def _coerce_variables(
        self, operation: Operation, raw_variables: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns the values of the variables. Raises RequestError."""
        max_values = operation.limits.variable_values
        try:
            return operation.variable_coercer.coerce(raw_variables, max_values)
        except TooManyValuesError:
            message = (
                f"The lists in the variables have more than {max_values:,} values together. "
                "Send fewer values."
            )
            raise RequestError(Fault(message, INVALID_INPUT)) from None
        except Exception:
            # A value is invalid: graphql-core describes the error.
            raise_variable_errors(self._schema, operation, self._documents.coercers, raw_variables)

    def _root_fields(
        self, operation: Operation, variables: Mapping[str, Any], raw_variables: Mapping[str, Any]
    ) -> list[RootField]:
        """Returns the root fields. They are cached by the values of the plan variables."""
        plan_key = ""
        if operation.plan_variables:
            plan_key = repr([variables.get(name, ...) for name in operation.plan_variables])
        cached = operation.plans.get(plan_key)
        if cached is not None:
            fields: list[RootField] = cached[0]
            return fields
        values = variable_values(self._schema, operation, raw_variables, variables)
        fields = self._compile(operation, values)
        plan_bytes = _PLAN_BYTES + sum(field.size_bytes for field in fields)
        self._documents.cache_plan(operation, plan_key, fields, plan_bytes)
        return fields

    def _compile(self, operation: Operation, variables: VariableValues) -> list[RootField]:
        root = self._schema.get_root_type(OperationType(operation.kind))
        if root is None:  # a valid document names no operation type that the schema lacks
            raise TypeError(f"the schema has no {operation.kind} type")
        collector = FieldCollector(self._schema, operation.fragments, variables)
        compiler = Compiler(self._schema, self._bindings, collector, variables)
        introspector = Introspector(self._schema, collector, variables)
        fields = []
        for key, nodes in collector.collect(root, [operation.node.selection_set]).items():
            name = nodes[0].name.value
            try:
                if name.startswith("__"):
                    plan = compiler.compile_introspection(key, nodes)
                    result = None if name == "__typename" else introspector.resolve(nodes)
                    fields.append(RootField(plan, root, None, result))
                else:
                    plan = compiler.compile_root(root, key, nodes)
                    fields.append(RootField(plan, root, self._bindings.roots[name]))
            except (RequestError, GraphQLError) as cause:
                raise FieldError(cause, (None, key), nodes) from cause
        return fields

    def _coerce_arguments(
        self,
        field: RootField,
        operation: Operation,
        variables: Mapping[str, Any],
        raw_variables: Mapping[str, Any],
    ) -> dict[str, Any]:
        try:
            return field.argument_coercer.coerce(variables)
        except Exception:
            if operation.literals:
                raise _UnusualLiterals from None
            # An unusual or invalid value: graphql-core handles it.
            values = variable_values(self._schema, operation, raw_variables, variables)
            return get_argument_values(field.definition, field.plan.nodes[0], values)

    async def execute(self, prepared: PreparedOperation, env: Any) -> ExecutionResult:
        """Executes an operation.

        Fields run one after another, in the order of the document. If a field fails that must not
        be null, the fields after it do not run.
        """
        context = RenderContext(env)
        data: dict[str, Any] = {}
        errors: list[FieldError] = []
        yield_at = monotonic() + _YIELD_SECONDS
        bytes_left = self._max_response_bytes
        surplus, max_surplus = 0, max(0, self._max_cost - prepared.cost)
        for field, arguments, cost in prepared.fields:
            if data and monotonic() > yield_at:
                await asyncio.sleep(0)
                yield_at = monotonic() + _YIELD_SECONDS
            plan = field.plan
            try:
                if field.binding is None:
                    data[plan.key] = field.introspect()
                    continue
                if field.guard is not None:
                    field.guard(env)
                if isinstance(arguments, Exception):
                    raise arguments
                value = await field.resolve(env, arguments)
                field_surplus = field.compute_surplus(value)
                surplus += field_surplus
                if surplus > max_surplus:
                    raise CostLimitError(prepared.cost + surplus, self._max_cost)
                is_large = field.is_large(cost + field_surplus)
                bytes_left -= field.estimate_bytes(value, is_large, bytes_left)
                if is_large:
                    # The event loop serves other requests: Python switches threads every 5 ms.
                    data[plan.key] = await asyncio.to_thread(field.render, value, context)
                else:
                    data[plan.key] = field.render(value, context)
            except Exception as cause:
                errors.append(as_field_error(cause, (None, plan.key), plan.nodes))
                if isinstance(cause, CostLimitError):
                    surplus = max_surplus
                if not plan.is_nullable:
                    entries = self._error_entries(context.errors + errors, prepared, env)
                    return ExecutionResult(None, entries, surplus=surplus)
                data[plan.key] = None
        if not errors and not context.errors:
            return ExecutionResult(data, (), surplus=surplus)
        entries = self._error_entries(context.errors + errors, prepared, env)
        return ExecutionResult(data, entries, surplus=surplus)

    def _error_entries(
        self, errors: Sequence[FieldError], prepared: PreparedOperation, env: Any
    ) -> list[dict[str, Any]]:
        return [
            entry
            for error in errors
            for entry in self._field_error_entries(error, prepared.operation, env)
        ]

    def _field_error_entries(
        self, error: FieldError, operation: Operation, env: Any
    ) -> list[dict[str, Any]]:
        cause = error.cause
        if isinstance(cause, RequestError):
            faults: Sequence[Fault] = cause.faults
        elif isinstance(cause, GraphQLError):
            faults = [Fault(cause.message, INVALID_INPUT)]
        else:
            faults = self._format_error(cause, env)
        return [error_entry(fault, error.nodes, error.path, operation.locate) for fault in faults]


def _check_bindings(schema: GraphQLSchema, bindings: Bindings) -> None:
    root_types = {schema.query_type, schema.mutation_type}
    root_fields = {name for type_ in root_types if type_ for name in type_.fields}
    _check_names("root fields", root_fields, set(bindings.roots))
    for name, type_ in schema.type_map.items():
        if is_object_type(type_) and not name.startswith("__") and type_ not in root_types:
            field_bindings = bindings.types[name].fields if name in bindings.types else {}
            _check_names(f"fields of {name}", set(type_.fields), set(field_bindings))


def _check_names(description: str, in_schema: set[str], in_bindings: set[str]) -> None:
    if in_schema != in_bindings:
        missing, unknown = sorted(in_schema - in_bindings), sorted(in_bindings - in_schema)
        raise TypeError(
            f"{description}: without a binding {missing}, unknown to the schema {unknown}"
        )
