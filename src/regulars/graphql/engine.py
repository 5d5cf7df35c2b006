"""The engine: a schema, its bindings, and the documents that run against them."""

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
from regulars.graphql.document import CACHE_BYTES, Documents, InvalidDocument
from regulars.graphql.errors import INVALID_INPUT, CostLimitError, Fault, RequestError, error_entry
from regulars.graphql.introspection import Introspector
from regulars.graphql.limits import DEFAULTS, Limits
from regulars.graphql.operation import Operation
from regulars.graphql.plan import Compiler
from regulars.graphql.root_field import RootField
from regulars.graphql.row_renderer import FieldError, RenderContext, located
from regulars.graphql.selection import FieldCollector
from regulars.graphql.variables import refuse_variables, variable_values

# The event loop serves other requests after this time, between two root fields.
_YIELD_SECONDS = 0.01
# Measured as in document.py: what a plan takes besides its root fields.
_PLAN_BYTES = 10_000


Describe = Callable[[Exception, Any], Sequence[Fault]]


class Answer(NamedTuple):
    """The outcome of a request. `executed` is false if it was refused before any field ran; then
    the response has no `data` entry (GraphQL specification, section 7.1). `surplus` is how many
    points the response costs beyond the estimate, because its lists are long."""

    data: dict[str, Any] | None
    errors: Sequence[dict[str, Any]]
    executed: bool = True
    surplus: int = 0

    def response(self) -> dict[str, Any]:
        """The response map, errors first, as the specification recommends."""
        answer: dict[str, Any] = {}
        if self.errors:
            answer["errors"] = self.errors
        if self.executed:
            answer["data"] = self.data
        return answer


class Prepared(NamedTuple):
    """An operation that is ready to be executed: its root fields, each with its arguments or with
    the error in them, and its cost in points."""

    operation: Operation
    raw_variables: Mapping[str, Any]
    fields: Sequence[tuple[RootField, Any]]
    cost: int

    @property
    def is_replica_safe(self) -> bool:
        """Whether a replica may execute it: a query with no other fields than replica-safe ones."""
        if self.operation.kind != "query":
            return False
        return all(
            field.binding is None or field.binding.is_replica_safe for field, _ in self.fields
        )


class Engine:
    """Runs documents against a schema.

    `describe(exception, env)` returns the errors that a client gets for an exception of a binding;
    `limits` are the limits of a document. Raises TypeError when a field of the schema has no
    binding, or a binding no field.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        bindings: Bindings,
        describe: Describe,
        limits: Limits = DEFAULTS,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        _check(schema, bindings)
        self._schema = schema
        self._bindings = bindings
        self._describe = describe
        self._documents = Documents(schema, limits, cache_bytes)
        self._response_bytes = limits.response_bytes
        self._max_cost = limits.cost

    def is_cached(self, text: str) -> bool:
        """Returns whether a document is in the cache."""
        return self._documents.is_cached(text)

    def operation(self, text: str, name: str | None = None, owner: Hashable = None) -> Operation:
        """Returns the operation to run. Its place in the cache counts in the share of the owner.
        Raises InvalidDocument."""
        return self._documents.operation(text, name, owner)

    async def operation_of_long(
        self, text: str, name: str | None, owner: Hashable = None
    ) -> Operation:
        """`operation`, which does not block the event loop while it parses a long document."""
        return await self._documents.operation_of_long(text, name, owner)

    @property
    def cached_bytes(self) -> int:
        """The memory of the cached documents and their plans, in bytes."""
        return self._documents.cached_bytes

    @property
    def cached_document_count(self) -> int:
        """The number of cached documents."""
        return self._documents.cached_count

    async def prepare_large(
        self, operation: Operation, raw_variables: Mapping[str, Any]
    ) -> Prepared:
        """`prepare`, which coerces large variables in a thread, so that the event loop goes on."""
        try:
            variables = await asyncio.to_thread(self._variables, operation, raw_variables)
        except RequestError as refused:
            raise InvalidDocument([error_entry(fault) for fault in refused.faults]) from refused
        return self.prepare(operation, raw_variables, variables)

    def prepare(
        self,
        operation: Operation,
        raw_variables: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """Returns an operation with its variables: `raw_variables` as they were sent, or
        `variables`, which were coerced before. Raises InvalidDocument."""
        try:
            if variables is None:
                variables = self._variables(operation, raw_variables)
            fields = self._fields(operation, variables, raw_variables)
        except RequestError as refused:
            raise InvalidDocument([error_entry(fault) for fault in refused.faults]) from refused
        except FieldError as error:
            raise InvalidDocument(self._entries(error, None)) from error
        prepared_fields: list[tuple[RootField, Any]] = []
        cost = 0
        for field in fields:
            arguments: Any = None
            if field.binding is not None:
                try:
                    arguments = self._arguments(field, operation, variables, raw_variables)
                except (RequestError, GraphQLError) as error:
                    arguments = error  # raised when the field runs
            prepared_fields.append((field, arguments))
            cost += field.cost(arguments) if not isinstance(arguments, Exception) else 1
        return Prepared(operation, raw_variables, prepared_fields, cost)

    def _arguments(
        self,
        field: RootField,
        operation: Operation,
        variables: Mapping[str, Any],
        raw_variables: Mapping[str, Any],
    ) -> dict[str, Any]:
        try:
            return field.arguments.coerce(variables)
        except Exception:
            # An unusual or invalid value: graphql-core handles it.
            values = variable_values(self._schema, operation, raw_variables, variables)
            return get_argument_values(field.definition, field.plan.nodes[0], values)

    async def run(self, operation: Operation, raw_variables: Mapping[str, Any], env: Any) -> Answer:
        """Prepares an operation and executes it."""
        try:
            prepared = self.prepare(operation, raw_variables)
        except InvalidDocument as invalid:
            return Answer(None, invalid.errors, executed=False)
        return await self.execute(prepared, env)

    async def execute(self, prepared: Prepared, env: Any) -> Answer:
        """Executes an operation.

        Fields of a mutation run one after another, in the document's order; after one that
        fails where no null is allowed, none of the rest is run.
        """
        run = RenderContext(env)
        data: dict[str, Any] = {}
        errors: list[FieldError] = []
        until = monotonic() + _YIELD_SECONDS
        left = self._response_bytes
        points, max_points = 0, max(0, self._max_cost - prepared.cost)
        for field, arguments in prepared.fields:
            if monotonic() > until:
                await asyncio.sleep(0)
                until = monotonic() + _YIELD_SECONDS
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
                extra = field.surplus(value)
                points += extra
                if points > max_points:
                    raise CostLimitError(prepared.cost + points, self._max_cost)
                is_large = field.is_large(arguments, extra)
                left -= field.response_bytes(value, is_large, left)
                if is_large:
                    # Other requests go on: Python switches threads every 5 ms.
                    data[plan.key] = await asyncio.to_thread(field.render, value, run)
                else:
                    data[plan.key] = field.render(value, run)
            except Exception as cause:
                errors.append(located(cause, (None, plan.key), plan.nodes))
                if isinstance(cause, CostLimitError):
                    points = max_points
                if not plan.is_nullable:
                    entries = self._all_entries(run.errors + errors, env)
                    return Answer(None, entries, surplus=points)
                data[plan.key] = None
        if not errors and not run.errors:
            return Answer(data, (), surplus=points)
        return Answer(data, self._all_entries(run.errors + errors, env), surplus=points)

    def _variables(self, operation: Operation, raw_variables: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of the variables. Raises RequestError."""
        most = operation.limits.variable_values
        try:
            return operation.variables.coerce(raw_variables, most)
        except TooManyValuesError:
            message = (
                f"The lists in the variables have more than {most:,} values together. "
                "Send fewer values at once."
            )
            raise RequestError(Fault(message, INVALID_INPUT)) from None
        except Exception:
            # A value is invalid: graphql-core finds the error.
            refuse_variables(self._schema, operation, self._documents.coercers, raw_variables)

    def _fields(
        self, operation: Operation, variables: Mapping[str, Any], raw_variables: Mapping[str, Any]
    ) -> list[RootField]:
        """Returns the root fields, cached by the values of the variables that shape their plans."""
        shape = ""
        if operation.structural:
            shape = repr([variables.get(name, ...) for name in operation.structural])
        cached = operation.plans.get(shape)
        if cached is not None:
            fields: list[RootField] = cached[0]
            return fields
        values = variable_values(self._schema, operation, raw_variables, variables)
        fields = self._compile(operation, values)
        size = _PLAN_BYTES + sum(field.size for field in fields)
        self._documents.cache_plan(operation, shape, fields, size)
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
                    introspected = None if name == "__typename" else introspector.resolve(nodes)
                    fields.append(RootField(plan, root, None, introspected))
                else:
                    plan = compiler.compile_root(root, key, nodes)
                    fields.append(RootField(plan, root, self._bindings.roots[name]))
            except (RequestError, GraphQLError) as cause:
                raise FieldError(cause, (None, key), nodes) from cause
        return fields

    def _all_entries(self, errors: Sequence[FieldError], env: Any) -> list[dict[str, Any]]:
        return [entry for error in errors for entry in self._entries(error, env)]

    def _entries(self, error: FieldError, env: Any) -> list[dict[str, Any]]:
        cause = error.cause
        if isinstance(cause, RequestError):
            faults: Sequence[Fault] = cause.faults
        elif isinstance(cause, GraphQLError):
            faults = [Fault(cause.message, INVALID_INPUT)]
        else:
            faults = self._describe(cause, env)
        return [error_entry(fault, error.nodes, error.path) for fault in faults]


def _check(schema: GraphQLSchema, bindings: Bindings) -> None:
    roots = {
        name: type_.fields
        for type_ in (schema.query_type, schema.mutation_type)
        if type_
        for name in type_.fields
    }
    _same("root fields", set(roots), set(bindings.roots))
    root_types = {schema.query_type, schema.mutation_type}
    for name, type_ in schema.type_map.items():
        if is_object_type(type_) and not name.startswith("__") and type_ not in root_types:
            bound = bindings.types[name].fields if name in bindings.types else {}
            _same(f"fields of {name}", set(type_.fields), set(bound))


def _same(description: str, in_schema: set[str], bound: set[str]) -> None:
    if in_schema != bound:
        missing, unknown = sorted(in_schema - bound), sorted(bound - in_schema)
        raise TypeError(
            f"{description}: without a binding {missing}, unknown to the schema {unknown}"
        )
