"""The engine: a schema, its bindings, and the documents that run against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
    is_object_type,
)
from graphql.execution.values import VariableValues, get_argument_values

from regulars.graphql.bindings import Bindings
from regulars.graphql.document import Documents, Operation
from regulars.graphql.errors import INVALID_INPUT, Fault, Refused, error_entry
from regulars.graphql.plan import Compiler, FieldError, RootPlan, Run
from regulars.graphql.selection import Selector
from regulars.graphql.variables import coerce_variables

KEPT_PLANS = 32

Describe = Callable[[Exception, Any], Sequence[Fault]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request comes to. `executed` is false when it was refused before any field ran;
    then there is no `data` entry, as the GraphQL specification (section 7.1) says."""

    data: dict[str, Any] | None
    errors: Sequence[dict[str, Any]]
    executed: bool = True

    def response(self) -> dict[str, Any]:
        """The response map, errors first, as the specification recommends."""
        answer: dict[str, Any] = {}
        if self.errors:
            answer["errors"] = self.errors
        if self.executed:
            answer["data"] = self.data
        return answer


class Engine:
    """Runs documents against a schema.

    `describe(exception, env)` says what a client is told of an exception that a binding raised.
    Raises TypeError when a field of the schema has no binding, or a binding no field.
    """

    def __init__(self, schema: GraphQLSchema, bindings: Bindings, describe: Describe) -> None:
        _check(schema, bindings)
        self._schema = schema
        self._bindings = bindings
        self._describe = describe
        self._documents = Documents(schema)

    def operation(self, text: str, name: str | None = None) -> Operation:
        """The operation to run. Raises InvalidDocument."""
        return self._documents.operation(text, name)

    async def run(self, operation: Operation, given: Mapping[str, Any], env: Any) -> Answer:
        """Runs an operation with the variable values that were sent with it.

        Fields of a mutation run one after another, in the document's order; after one that
        fails where no null is allowed, none of the rest is run.
        """
        root = self._schema.get_root_type(OperationType(operation.kind))
        if root is None:  # a valid document names no operation type that the schema lacks
            raise TypeError(f"the schema has no {operation.kind} type")
        try:
            variables = coerce_variables(self._schema, operation, given)
            plans = self._plans(operation, root, variables)
        except Refused as refused:
            return Answer(None, [error_entry(fault) for fault in refused.faults], executed=False)
        except FieldError as error:
            return Answer(None, self._entries(error, env), executed=False)
        run = Run(env)
        data: dict[str, Any] = {}
        errors: list[dict[str, Any]] = []
        failed = False
        for plan in plans:
            try:
                value = await self._root_value(plan, operation, root, variables, given, run)
            except FieldError as error:
                errors += self._entries(error, env)
                if not plan.nullable:
                    failed = True
                    break
                value = None
            data[plan.key] = value
        errors = [entry for error in run.errors for entry in self._entries(error, env)] + errors
        return Answer(None if failed else data, errors)

    def _plans(
        self, operation: Operation, root: GraphQLObjectType, variables: VariableValues
    ) -> list[RootPlan]:
        """The plans of the root fields, kept by the values of the variables that shape them."""
        shape = repr([variables.coerced.get(name, ...) for name in operation.structural])
        plans: list[RootPlan] | None = operation.plans.get(shape)
        if plans is None:
            plans = self._compile(operation, root, variables)
            operation.plans[shape] = plans
            if len(operation.plans) > KEPT_PLANS:
                operation.plans.popitem(last=False)
        return plans

    def _compile(
        self, operation: Operation, root: GraphQLObjectType, variables: VariableValues
    ) -> list[RootPlan]:
        selector = Selector(self._schema, operation.fragments, variables)
        compiler = Compiler(self._schema, self._bindings, selector, variables)
        plans = []
        for key, nodes in selector.fields(root, [operation.node.selection_set]).items():
            try:
                if nodes[0].name.value.startswith("__"):
                    plans.append(compiler.introspection(key, nodes))
                else:
                    plans.append(compiler.root(root, key, nodes))
            except (Refused, GraphQLError) as cause:
                raise FieldError(cause, (None, key), nodes) from cause
        return plans

    async def _root_value(
        self,
        plan: RootPlan,
        operation: Operation,
        root: GraphQLObjectType,
        variables: VariableValues,
        given: Mapping[str, Any],
        run: Run,
    ) -> Any:
        if plan.name == "__typename":
            return root.name
        if plan.name.startswith("__"):
            return self._introspect(plan, operation, given)
        try:
            arguments = get_argument_values(root.fields[plan.name], plan.nodes[0], variables)
            value = await self._bindings.roots[plan.name].resolve(run.env, arguments, plan.layouts)
            return plan.complete(value, run, None)
        except FieldError:
            raise
        except Exception as cause:
            raise FieldError(cause, (None, plan.key), plan.nodes) from cause

    def _introspect(self, plan: RootPlan, operation: Operation, given: Mapping[str, Any]) -> Any:
        """An introspection field, through graphql-core's own execution."""
        node = operation.node
        alone = OperationDefinitionNode(
            operation=node.operation,
            name=node.name,
            variable_definitions=tuple(
                definition
                for definition in node.variable_definitions or ()
                if definition.variable.name.value in operation.used
            ),
            directives=(),
            selection_set=SelectionSetNode(selections=tuple(plan.nodes)),
        )
        document = DocumentNode(definitions=(alone, *operation.fragments.values()))
        result = execute_sync(self._schema, document, variable_values=dict(given))
        if result.errors or result.data is None:
            messages = "; ".join(error.message for error in result.errors or ())
            raise FieldError(Refused(Fault(messages, INVALID_INPUT)), (None, plan.key), plan.nodes)
        return result.data[plan.key]

    def _entries(self, error: FieldError, env: Any) -> list[dict[str, Any]]:
        cause = error.cause
        if isinstance(cause, Refused):
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


def _same(what: str, in_schema: set[str], bound: set[str]) -> None:
    if in_schema != bound:
        missing, unknown = sorted(in_schema - bound), sorted(bound - in_schema)
        raise TypeError(f"{what}: without a binding {missing}, unknown to the schema {unknown}")
