"""Documents: parsed and validated once, then kept by their text."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoFragmentCyclesRule,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    validate,
    visit,
)

from regulars.graphql.coercion import Coercers, Variables
from regulars.graphql.errors import (
    DOCUMENT_LIMIT,
    INVALID_DOCUMENT,
    INVALID_INPUT,
    Fault,
    Refused,
    error_entry,
)
from regulars.graphql.limits import CyclicError, Limits, measure
from regulars.graphql.validation import rules_for, without_value

MAX_ERRORS = 20
MAX_MESSAGE = 1_000
KEPT_DOCUMENTS = 1_000
SEEN_DOCUMENTS = 10_000
# A longer document is read anew each time: a thousand of two megabytes would fill the memory.
KEPT_LENGTH = 20_000

# What graphql-core says of a document whose fragments nest, or whose fields repeat, beyond
# Python's own recursion.
_ABORTED = "Validation aborted."


class InvalidDocument(Exception):
    """A document that does not parse or validate; `errors` are response entries."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


class Operation:
    """One operation of a valid document.

    `used` names the variables that it reads, directly or through fragments; `structural`
    those whose values shape the plan: they stand in a directive or in an argument below
    the root fields.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        coercers: Coercers,
        node: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        limits: Limits,
    ) -> None:
        self.node = node
        self.limits = limits
        self.name = node.name.value if node.name else ""
        self.kind: str = node.operation.value
        self.fragments = fragments
        self.plans: OrderedDict[str, Any] = OrderedDict()
        root_arguments: set[str] = set()
        elsewhere: set[str] = set()
        for field in _root_fields(node.selection_set, fragments, elsewhere, set()):
            root_arguments |= _variables(field.arguments, fragments)
            elsewhere |= _variables(field.directives, fragments)
            if field.selection_set:
                elsewhere |= _variables([field.selection_set], fragments)
        elsewhere |= _variables(node.directives, fragments)
        self.used = frozenset(root_arguments | elsewhere)
        self.structural = tuple(sorted(elsewhere))
        definitions = node.variable_definitions or ()
        self.variables = Variables(schema, coercers, definitions, self.used)


class Documents:
    """The documents seen last, by their text."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, keep: int = KEPT_DOCUMENTS) -> None:
        self._schema = schema
        self._limits = limits
        self._coercers = Coercers(limits.list_items)
        self._keep = keep
        self._kept: OrderedDict[str, dict[str | None, Operation]] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many documents are kept."""
        return len(self._kept)

    def keeps(self, text: str) -> bool:
        """Whether a document is kept."""
        return text in self._kept

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation to run.

        Raises InvalidDocument for a document that does not parse, validate or hold the operation.
        """
        operations = self._kept.get(text)
        if operations is None:
            operations = self._read(text)
            self._note(text, operations)
        else:
            self._kept.move_to_end(text)
        return _choose(operations, name)

    def _note(self, text: str, operations: dict[str | None, Operation]) -> None:
        """Keeps a document that is read for the second time. One that holds its values in its
        text is never seen again: a thousand of them would push out what is."""
        if len(text) > KEPT_LENGTH:
            return
        mark = hash(text)
        if mark not in self._seen:
            self._seen[mark] = None
            if len(self._seen) > SEEN_DOCUMENTS:
                self._seen.popitem(last=False)
            return
        self._kept[text] = operations
        if len(self._kept) > self._keep:
            self._kept.popitem(last=False)

    def _read(self, text: str) -> dict[str | None, Operation]:
        limits = self._limits
        try:
            document = parse(text, max_lexical_tokens=limits.tokens)
            rules = rules_for(text)
            try:
                measure(document, text, limits)
            except CyclicError:
                rules = [NoFragmentCyclesRule]
            errors = validate(self._schema, document, rules, max_errors=MAX_ERRORS)
            if [error.message for error in errors] == [_ABORTED]:
                raise RecursionError
            if errors:
                raise InvalidDocument([_entry(error, limits) for error in errors])
            return self._operations(document)
        except GraphQLSyntaxError as error:
            raise InvalidDocument([_entry(error, limits)]) from error
        except Refused as refused:
            raise InvalidDocument([error_entry(fault) for fault in refused.faults]) from refused
        except RecursionError:
            message = (
                "The document is too complex to be checked. Name each field once, and stay "
                f"within {limits.tokens:,} tokens and {limits.depth} levels."
            )
            raise InvalidDocument([error_entry(Fault(message, DOCUMENT_LIMIT))]) from None

    def _operations(self, document: DocumentNode) -> dict[str | None, Operation]:
        """The operations of a valid document, by name."""
        fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        operations: dict[str | None, Operation] = {}
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                operations[node.name.value if node.name else None] = Operation(
                    self._schema, self._coercers, node, fragments, self._limits
                )
        return operations


def _choose(operations: dict[str | None, Operation], name: str | None) -> Operation:
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name and name in operations:
        return operations[name]
    names = ", ".join(sorted(known for known in operations if known))
    if name:
        known = f"it has {names}" if names else "its operation has no name"
        message = f"The document has no operation named {name[:100]!r}; {known}."
    elif not operations:
        message = "The document holds no operation; it needs a query or a mutation."
    else:
        message = f"The document holds several operations; say which in operationName: {names}."
    raise InvalidDocument([error_entry(Fault(message, INVALID_DOCUMENT))])


def _entry(error: GraphQLError, limits: Limits) -> dict[str, Any]:
    message = error.message
    if len(message) > MAX_MESSAGE:  # it quotes a name of the document, whole
        message = f"{message[: MAX_MESSAGE // 2]}…{message[-MAX_MESSAGE // 4 :]}"
    input_path = (error.extensions or {}).get("input_path")
    if input_path:
        fault = Fault(without_value(message), INVALID_INPUT, tuple(input_path))
    elif isinstance(error, GraphQLSyntaxError) and re.search(r"more than|too deep", message):
        most = f"At most {limits.tokens:,} tokens and {limits.depth} levels are allowed."
        fault = Fault(f"{message} {most}", DOCUMENT_LIMIT)
    else:
        fault = Fault(message, INVALID_DOCUMENT)
    entry = error_entry(fault)
    if error.locations:
        locations = [{"line": at.line, "column": at.column} for at in error.locations]
        entry = {**entry, "locations": locations}
    return entry


def _root_fields(
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    directive_variables: set[str],
    seen: set[str],
) -> Iterator[FieldNode]:
    """The fields at the root, through fragments; variables of directives on the way are added
    to `directive_variables`."""
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
            continue
        directive_variables |= _variables(selection.directives, fragments)
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in seen:
                continue
            seen.add(name)
            inner = fragments[name].selection_set
        else:
            inner = selection.selection_set  # type: ignore[attr-defined]  # InlineFragmentNode
        yield from _root_fields(inner, fragments, directive_variables, seen)


def _variables(nodes: Any, fragments: dict[str, FragmentDefinitionNode]) -> set[str]:
    """The names of the variables in the nodes and in the fragments that they spread."""
    names: set[str] = set()
    spread: set[str] = set()

    class Collect(Visitor):
        def enter_variable(self, node: VariableNode, *_args: Any) -> None:
            names.add(node.name.value)

        def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
            name = node.name.value
            if name not in spread:
                spread.add(name)
                visit(fragments[name].selection_set, collect)

    collect = Collect()
    for node in nodes or ():
        visit(node, collect)
    return names
