"""The engine: a schema, its bindings, and the documents that run against them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

import orjson
from graphql import (
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    is_object_type,
)
from graphql.execution.values import VariableValues, get_argument_values

from regulars.graphql.bindings import Bindings, Root
from regulars.graphql.coercion import Arguments, TooManyValuesError
from regulars.graphql.cost import copies, open_lists, surplus, text_bytes, values, weight
from regulars.graphql.document import CACHE_BYTES, Documents, InvalidDocument, Operation
from regulars.graphql.errors import (
    DOCUMENT_LIMIT,
    INVALID_INPUT,
    CostLimitError,
    Fault,
    Refused,
    error_entry,
)
from regulars.graphql.introspection import Introspected, Introspector
from regulars.graphql.limits import DEFAULTS, Limits
from regulars.graphql.plan import Compiler, RootPlan, fields_in
from regulars.graphql.render import FieldError, Run, located, render_root
from regulars.graphql.selection import Selector
from regulars.graphql.source import Render, compiled
from regulars.graphql.variables import refuse_variables, variable_values

# Measured as in document.py: a plan takes up to 1,100 bytes for each field, with its source.
_FIELD_BYTES, _ROOT_BYTES, _PLAN_BYTES = 1_200, 1_500, 10_000

# A field of an introspection's response takes up to 60 bytes; some have descriptions.
_INTROSPECTED_BYTES = 100
_FIELDS_A_POINT = 10

# A field that may have more values is rendered in a thread. A page of 25 customers has some 1,000.
_LARGE_VALUES = 2_000
# After so long other requests get a turn, between two root fields.
_TURN_SECONDS = 0.01

_TOO_LONG = (
    "The response would be longer than the limit (REGULARS_MAX_RESPONSE_BYTES). Request fewer "
    "rows, or fewer long fields: notes, custom, tags, addresses, changes."
)

Describe = Callable[[Exception, Any], Sequence[Fault]]


class Answer(NamedTuple):
    """What a request comes to. `executed` is false when it was refused before any field ran;
    then there is no `data` entry, as the GraphQL specification (section 7.1) says. `surplus` is how
    many points the response costs beyond the estimate, because its lists are long."""

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


class _Field:
    """A root field of a plan, ready to run.

    Its value is rendered with care the first time; a plan that is asked again is worth its
    source.
    """

    __slots__ = (
        "_asked",
        "_copies",
        "_open_lists",
        "_render",
        "_values",
        "_weight",
        "arguments",
        "binding",
        "definition",
        "guard",
        "introspected",
        "plan",
        "resolve",
        "root",
    )

    def __init__(
        self,
        plan: RootPlan,
        root: GraphQLObjectType,
        binding: Root | None,
        introspected: Introspected | None = None,
    ) -> None:
        self.plan = plan
        self.root = root
        self.binding = binding
        self.introspected = introspected
        if binding is not None:
            self.definition = root.fields[plan.name]
            self.arguments = Arguments(self.definition, plan.nodes[0])
            self.resolve = binding.prepare(plan.layouts)
            self.guard = binding.guard(plan.layouts) if binding.guard else None
        self._weight = weight(plan)
        self._values = values(plan)
        self._copies = copies(plan)
        self._open_lists = {name: open_lists(one) for name, one in plan.objects.items()}
        self._asked = False
        self._render: Render | None = None

    @property
    def size(self) -> int:
        """How many bytes the field takes, rounded up."""
        size = _ROOT_BYTES + _FIELD_BYTES * sum(map(fields_in, self.plan.objects.values()))
        return size + (_INTROSPECTED_BYTES * self.introspected.fields if self.introspected else 0)

    def cost(self, arguments: Mapping[str, Any]) -> int:
        """What the field costs, in points."""
        if self.introspected is not None:
            return 1 + self.introspected.fields // _FIELDS_A_POINT
        price = self.binding.price if self.binding else None
        return price(arguments, *self._weight) if price else self._weight.fixed

    def surplus(self, value: Any) -> int:
        """Returns the points that the value costs beyond the estimate, because its lists are
        long."""
        if value is None or not any(self._open_lists.values()):
            return 0
        if self.plan.abstract:
            type_name, row = value
            return surplus(self._open_lists[type_name], [row])
        (lists,) = self._open_lists.values()
        rows = [row for row in value if row is not None] if self.plan.is_list else [value]
        return surplus(lists, rows)

    def is_large(self, arguments: Mapping[str, Any], surplus: int) -> bool:
        """Whether it takes milliseconds to render the answer. Its values are estimated, as the
        cost is: those of one object, for each object."""
        return (self.cost(arguments) + surplus) * self._values > _LARGE_VALUES

    def response_bytes(self, value: Any, is_large: bool, most: int) -> int:
        """About how many bytes the answer takes, of what the binding resolved to; 0 where it
        cannot be many. Raises Refused beyond `most`."""
        times = self._copies or int(is_large)
        size = times * text_bytes(value, most // times) if times else 0
        if size > most:
            raise Refused(Fault(_TOO_LONG, DOCUMENT_LIMIT))
        return size

    def render(self, value: Any, run: Run) -> Any:
        """The answer, of what the binding resolved to."""
        if value is None or not self.plan.objects:
            return render_root(self.plan, value, run)
        if self._render is None:
            if not self._asked:
                self._asked = True
                return render_root(self.plan, value, run)
            self._render = compiled(self.plan)
        try:
            return self._render(value, run.env)
        except Exception:
            return render_root(self.plan, value, run)


class Prepared(NamedTuple):
    """An operation that is ready to be executed: its root fields with their arguments, or with
    what is wrong with those; and what it costs, in points."""

    operation: Operation
    given: Mapping[str, Any]
    fields: Sequence[tuple[_Field, Any]]
    cost: int

    @property
    def is_replica_safe(self) -> bool:
        """Whether it may be executed on a copy of the data: a query, every field of which may."""
        if self.operation.kind != "query":
            return False
        return all(
            field.binding is None or field.binding.is_replica_safe for field, _ in self.fields
        )


class Engine:
    """Runs documents against a schema.

    `describe(exception, env)` says what a client is told of an exception that a binding raised;
    `limits` is what a document may hold. Raises TypeError when a field of the schema has no
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
        """Whether a document is kept from before."""
        return self._documents.is_cached(text)

    def operation(self, text: str, name: str | None = None, owner: Hashable = None) -> Operation:
        """The operation to run. What is kept of it counts as the owner's. Raises
        InvalidDocument."""
        return self._documents.operation(text, name, owner)

    async def operation_of_long(
        self, text: str, name: str | None, owner: Hashable = None
    ) -> Operation:
        """`operation`, which does not stop the event loop while it reads a long document."""
        return await self._documents.operation_of_long(text, name, owner)

    @property
    def cached_bytes(self) -> int:
        """How many bytes the kept documents take, with their plans."""
        return self._documents.cached_bytes

    @property
    def cached_document_count(self) -> int:
        """How many documents are kept with their plans."""
        return self._documents.kept

    async def prepare_large(self, operation: Operation, given: Mapping[str, Any]) -> Prepared:
        """`prepare`, which reads large variables in a thread, so that the event loop goes on."""
        try:
            variables = await asyncio.to_thread(self._variables, operation, given)
        except Refused as refused:
            raise InvalidDocument([error_entry(fault) for fault in refused.faults]) from refused
        return self.prepare(operation, given, variables)

    def prepare(
        self,
        operation: Operation,
        given: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """An operation with the variable values that were sent with it, or with `variables`, which
        were read of them before. Raises InvalidDocument."""
        try:
            if variables is None:
                variables = self._variables(operation, given)
            fields = self._fields(operation, variables, given)
        except Refused as refused:
            raise InvalidDocument([error_entry(fault) for fault in refused.faults]) from refused
        except FieldError as error:
            raise InvalidDocument(self._entries(error, None)) from error
        asked: list[tuple[_Field, Any]] = []
        cost = 0
        for field in fields:
            arguments: Any = None
            if field.binding is not None:
                try:
                    arguments = self._arguments(field, operation, variables, given)
                except (Refused, GraphQLError) as wrong:
                    arguments = wrong  # it is told in the field's place
            asked.append((field, arguments))
            cost += field.cost(arguments) if not isinstance(arguments, Exception) else 1
        return Prepared(operation, given, asked, cost)

    def _arguments(
        self,
        field: _Field,
        operation: Operation,
        variables: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> dict[str, Any]:
        try:
            return field.arguments.coerce(variables)
        except Exception:
            # Something is unusual, or wrong: graphql-core's own way.
            values = variable_values(self._schema, operation, given, variables)
            return get_argument_values(field.definition, field.plan.nodes[0], values)

    async def run(self, operation: Operation, given: Mapping[str, Any], env: Any) -> Answer:
        """Prepares an operation and executes it."""
        try:
            prepared = self.prepare(operation, given)
        except InvalidDocument as invalid:
            return Answer(None, invalid.errors, executed=False)
        return await self.execute(prepared, env)

    async def execute(self, prepared: Prepared, env: Any) -> Answer:
        """Executes an operation.

        Fields of a mutation run one after another, in the document's order; after one that
        fails where no null is allowed, none of the rest is run.
        """
        run = Run(env)
        data: dict[str, Any] = {}
        errors: list[FieldError] = []
        until = monotonic() + _TURN_SECONDS
        left = self._response_bytes
        points, max_points = 0, max(0, self._max_cost - prepared.cost)
        for field, arguments in prepared.fields:
            if monotonic() > until:
                await asyncio.sleep(0)
                until = monotonic() + _TURN_SECONDS
            plan = field.plan
            try:
                if field.binding is None:
                    data[plan.key] = _introspect(field)
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
                    # Other requests go on: threads take turns every 5 ms.
                    data[plan.key] = await asyncio.to_thread(field.render, value, run)
                else:
                    data[plan.key] = field.render(value, run)
            except Exception as cause:
                errors.append(located(cause, (None, plan.key), plan.nodes))
                if isinstance(cause, CostLimitError):
                    points = max_points
                if not plan.nullable:
                    entries = self._all_entries(run.errors + errors, env)
                    return Answer(None, entries, surplus=points)
                data[plan.key] = None
        if not errors and not run.errors:
            return Answer(data, (), surplus=points)
        return Answer(data, self._all_entries(run.errors + errors, env), surplus=points)

    def _variables(self, operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the variables. Raises Refused."""
        most = operation.limits.variable_values
        try:
            return operation.variables.coerce(given, most)
        except TooManyValuesError:
            message = (
                f"The lists in the variables have more than {most:,} values together. "
                "Send fewer values at once."
            )
            raise Refused(Fault(message, INVALID_INPUT)) from None
        except Exception:
            # Something is wrong: graphql-core says what.
            refuse_variables(self._schema, operation, self._documents.coercers, given)

    def _fields(
        self, operation: Operation, variables: Mapping[str, Any], given: Mapping[str, Any]
    ) -> list[_Field]:
        """The root fields, kept by the values of the variables that shape their plans."""
        shape = ""
        if operation.structural:
            shape = repr([variables.get(name, ...) for name in operation.structural])
        kept = operation.plans.get(shape)
        if kept is not None:
            fields: list[_Field] = kept[0]
            return fields
        values = variable_values(self._schema, operation, given, variables)
        fields = self._compile(operation, values)
        size = _PLAN_BYTES + sum(field.size for field in fields)
        self._documents.keep_plan(operation, shape, fields, size)
        return fields

    def _compile(self, operation: Operation, variables: VariableValues) -> list[_Field]:
        root = self._schema.get_root_type(OperationType(operation.kind))
        if root is None:  # a valid document names no operation type that the schema lacks
            raise TypeError(f"the schema has no {operation.kind} type")
        selector = Selector(self._schema, operation.fragments, variables)
        compiler = Compiler(self._schema, self._bindings, selector, variables)
        introspector = Introspector(self._schema, selector, variables)
        fields = []
        for key, nodes in selector.fields(root, [operation.node.selection_set]).items():
            name = nodes[0].name.value
            try:
                if name.startswith("__"):
                    plan = compiler.introspection(key, nodes)
                    found = None if name == "__typename" else introspector.root(nodes)
                    fields.append(_Field(plan, root, None, found))
                else:
                    plan = compiler.root(root, key, nodes)
                    fields.append(_Field(plan, root, self._bindings.roots[name]))
            except (Refused, GraphQLError) as cause:
                raise FieldError(cause, (None, key), nodes) from cause
        return fields

    def _all_entries(self, errors: Sequence[FieldError], env: Any) -> list[dict[str, Any]]:
        return [entry for error in errors for entry in self._entries(error, env)]

    def _entries(self, error: FieldError, env: Any) -> list[dict[str, Any]]:
        cause = error.cause
        if isinstance(cause, Refused):
            faults: Sequence[Fault] = cause.faults
        elif isinstance(cause, GraphQLError):
            faults = [Fault(cause.message, INVALID_INPUT)]
        else:
            faults = self._describe(cause, env)
        return [error_entry(fault, error.nodes, error.path) for fault in faults]


def _introspect(field: _Field) -> Any:
    """The answer of an introspection field; written once for each plan that is kept."""
    if field.introspected is None:
        return field.root.name
    value, fields = field.introspected
    if not isinstance(value, orjson.Fragment):
        value = orjson.Fragment(orjson.dumps(value))
        field.introspected = Introspected(value, fields)
    return value


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


def _same(what: str, in_schema: set[str], bound: set[str]) -> None:
    if in_schema != bound:
        missing, unknown = sorted(in_schema - bound), sorted(bound - in_schema)
        raise TypeError(f"{what}: without a binding {missing}, unknown to the schema {unknown}")
