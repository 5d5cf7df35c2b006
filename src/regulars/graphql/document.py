"""Documents: parsed and validated once, then kept by their text."""

from __future__ import annotations

import asyncio
import re
import sys
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    Source,
    SourceLocation,
    VariableNode,
    Visitor,
    parse,
    validate,
    visit,
)

from regulars.graphql.cache import ByteCache, Entry
from regulars.graphql.coercion import Coercers, Variables
from regulars.graphql.errors import (
    DOCUMENT_LIMIT,
    INVALID_DOCUMENT,
    INVALID_INPUT,
    Fault,
    Refused,
    cut,
    error_entry,
)
from regulars.graphql.limits import CyclicError, Limits, check_text, measure
from regulars.graphql.validation import rules_for, without_value

MAX_ERRORS = 20
SEEN_DOCUMENTS = 10_000
CACHE_BYTES = 64 * 1024 * 1024
# Measured with tracemalloc (tests/test_engine_memory.py): a parsed document takes up to 500 bytes
# for each token, and 20 KB besides; its text is in the tree once more.
_TOKEN_BYTES, _DOCUMENT_BYTES = 600, 20_000
# A longer document, in characters, is read in a thread.
_LONG = 2_000
# The values by which a plan is found are kept with it.
_SHAPE_LENGTH = 1_000
# A document with all its plans has at most this part of an account's share.
_PLANS_SHARE = 4

# What graphql-core says of a document whose fragments nest, or whose fields repeat, beyond
# Python's own recursion.
_ABORTED = "Validation aborted."


class InvalidDocument(Exception):
    """A document that does not parse or validate; `errors` are response entries."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


class _Source(Source):
    """A document's text, whose lines are counted once, however many errors it has."""

    def get_location(self, position: int) -> SourceLocation:
        if "starts" not in self.__dict__:
            self.starts = [0, *(found.end() for found in _LINE_BREAK.finditer(self.body))]
        line = bisect_right(self.starts, position)
        return SourceLocation(line, position + 1 - self.starts[line - 1])


_LINE_BREAK = re.compile(r"\r\n|[\n\r]")


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
        self.plans: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self.cached: Entry | None = None
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


_Operations = dict[str | None, Operation]


class Documents:
    """The documents seen last, by their text, with their plans: at most `cache_bytes` of them."""

    def __init__(
        self, schema: GraphQLSchema, limits: Limits, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._schema = schema
        self._limits = limits
        self.coercers = Coercers(limits)
        self._kept = ByteCache(cache_bytes)
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._reader = ThreadPoolExecutor(1, "regulars-documents")

    @property
    def kept(self) -> int:
        """How many documents are kept."""
        return len(self._kept)

    @property
    def cached_bytes(self) -> int:
        """How many bytes the kept documents take, with their plans."""
        return self._kept.size

    def is_cached(self, text: str) -> bool:
        """Whether a document is kept."""
        return len(text) <= self._limits.characters and text in self._kept

    def operation(self, text: str, name: str | None, owner: Hashable = None) -> Operation:
        """The operation to run; a document that is kept counts in the share of the owner.

        Raises InvalidDocument for a document that does not parse, validate or hold the operation.
        """
        operations = self._kept.get(text) if len(text) <= self._limits.characters else None
        if operations is None:
            operations = self._note(text, *self._read(text), owner)
        return _choose(operations, name)

    async def operation_of_long(
        self, text: str, name: str | None, owner: Hashable = None
    ) -> Operation:
        """`operation`, whose document is read in a thread, one at a time: reading takes up to some
        tenths of a second, for which the event loop does not stop."""
        if not _LONG < len(text) <= self._limits.characters or text in self._kept:
            return self.operation(text, name, owner)
        read = asyncio.get_running_loop().run_in_executor(self._reader, self._read, text)
        return _choose(self._note(text, *await read, owner), name)

    def keep_plan(self, operation: Operation, shape: str, plan: Any, size: int) -> None:
        """Keeps a plan with its operation. The oldest plans of a document make room for its new
        ones."""
        entry, plans = operation.cached, operation.plans
        if entry is None:
            plans.clear()
            plans[shape] = (plan, 0)
            return
        if len(shape) > _SHAPE_LENGTH:
            return
        size += len(shape) * 4
        most = self._kept.share_bytes // _PLANS_SHARE
        while plans and entry.size + size > most:
            _, (_, freed) = plans.popitem(last=False)
            self._kept.grow(entry, -freed)
        if entry.size + size <= most:
            plans[shape] = (plan, size)
            self._kept.grow(entry, size)

    def _note(
        self, text: str, operations: _Operations, tokens: int, owner: Hashable
    ) -> _Operations:
        """Keeps a document that is read for the second time. One that holds its values in its
        text is never seen again: a thousand of them would push out what is."""
        mark = hash(text)
        if mark not in self._seen:
            self._seen[mark] = None
            if len(self._seen) > SEEN_DOCUMENTS:
                self._seen.popitem(last=False)
        elif text not in self._kept:
            size = _DOCUMENT_BYTES + _TOKEN_BYTES * tokens + 2 * sys.getsizeof(text)
            entry = self._kept.add(text, operations, size, owner)
            for operation in operations.values():
                operation.cached = entry
        return operations

    def _read(self, text: str) -> tuple[_Operations, int]:
        """A document's operations, and how many tokens it has. Changes nothing: it may be called
        in a thread. Raises InvalidDocument."""
        limits = self._limits
        try:
            check_text(text, limits)
            document = parse(_Source(text), max_lexical_tokens=limits.tokens)
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
            return self._operations(document), document.token_count or limits.tokens
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

    def _operations(self, document: DocumentNode) -> _Operations:
        """The operations of a valid document, by name."""
        fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        operations: _Operations = {}
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                operations[node.name.value if node.name else None] = Operation(
                    self._schema, self.coercers, node, fragments, self._limits
                )
        return operations


def _choose(operations: _Operations, name: str | None) -> Operation:
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name and name in operations:
        return operations[name]
    names = cut(", ".join(sorted(known for known in operations if known)))
    if name:
        known = f"it has {names}" if names else "its operation has no name"
        message = f"The document has no operation named {name[:100]!r}; {known}."
    elif not operations:
        message = "The document holds no operation; it needs a query or a mutation."
    else:
        message = f"The document holds several operations; say which in operationName: {names}."
    raise InvalidDocument([error_entry(Fault(message, INVALID_DOCUMENT))])


def _entry(error: GraphQLError, limits: Limits) -> dict[str, Any]:
    message = cut(error.message)  # it may quote a name of the document, whole
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
        locations = [{"line": at.line, "column": at.column} for at in error.locations[:MAX_ERRORS]]
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
