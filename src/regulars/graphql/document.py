"""Documents: parsed and validated once, then cached by their text."""

from __future__ import annotations

import asyncio
import re
import sys
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoFragmentCyclesRule,
    OperationDefinitionNode,
    Source,
    SourceLocation,
    parse,
    validate,
)

from regulars.graphql.cache import ByteCache
from regulars.graphql.coercion import Coercers
from regulars.graphql.errors import (
    DOCUMENT_LIMIT,
    INVALID_DOCUMENT,
    INVALID_INPUT,
    Fault,
    RequestError,
    cut,
    error_entry,
)
from regulars.graphql.limits import CyclicError, Limits, check_text, measure
from regulars.graphql.operation import Operation
from regulars.graphql.validation import rules_for, without_value

MAX_ERRORS = 20
SEEN_DOCUMENTS = 10_000
CACHE_BYTES = 64 * 1024 * 1024
# Measured with tracemalloc (tests/test_engine_memory.py): a parsed document takes up to 500 bytes
# for each token, and 20 KB besides; its text is in the tree once more.
_TOKEN_BYTES, _DOCUMENT_BYTES = 600, 20_000
# A longer document, in characters, is parsed in a thread.
_LONG_CHARACTERS = 2_000
# A plan whose key is longer, in characters, is not cached.
_MAX_SHAPE_LENGTH = 1_000
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
            self.starts = [0, *(match.end() for match in _LINE_BREAK.finditer(self.body))]
        line = bisect_right(self.starts, position)
        return SourceLocation(line, position + 1 - self.starts[line - 1])


_LINE_BREAK = re.compile(r"\r\n|[\n\r]")


_Operations = dict[str | None, Operation]


class Documents:
    """A cache of documents with their plans, by their text: at most `cache_bytes` of them."""

    def __init__(
        self, schema: GraphQLSchema, limits: Limits, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._schema = schema
        self._limits = limits
        self.coercers = Coercers(limits)
        self._cache = ByteCache(cache_bytes)
        self._seen_hashes: OrderedDict[int, None] = OrderedDict()
        self._reader = ThreadPoolExecutor(1, "regulars-documents")

    @property
    def cached_count(self) -> int:
        """The number of cached documents."""
        return len(self._cache)

    @property
    def cached_bytes(self) -> int:
        """The memory of the cached documents and their plans, in bytes."""
        return self._cache.size

    def is_cached(self, text: str) -> bool:
        """Returns whether a document is in the cache."""
        return len(text) <= self._limits.characters and text in self._cache

    def operation(self, text: str, name: str | None, owner: Hashable = None) -> Operation:
        """Returns the operation to run. A cached document counts in the share of the owner.

        Raises InvalidDocument for a document that does not parse, validate or hold the operation.
        """
        operations = self._cache.get(text) if len(text) <= self._limits.characters else None
        if operations is None:
            operations = self._cache_document(text, *self._read(text), owner)
        return _select(operations, name)

    async def operation_of_long(
        self, text: str, name: str | None, owner: Hashable = None
    ) -> Operation:
        """`operation`, which parses the document in a thread, one at a time: parsing can take some
        tenths of a second, for which the event loop must not block."""
        if not _LONG_CHARACTERS < len(text) <= self._limits.characters or text in self._cache:
            return self.operation(text, name, owner)
        read = asyncio.get_running_loop().run_in_executor(self._reader, self._read, text)
        return _select(self._cache_document(text, *await read, owner), name)

    def cache_plan(self, operation: Operation, shape: str, plan: Any, size: int) -> None:
        """Caches a plan with its operation. New plans of a document replace its oldest ones."""
        entry, plans = operation.cached, operation.plans
        if entry is None:
            plans.clear()
            plans[shape] = (plan, 0)
            return
        if len(shape) > _MAX_SHAPE_LENGTH:
            return
        size += len(shape) * 4
        most = self._cache.share_bytes // _PLANS_SHARE
        while plans and entry.size + size > most:
            _, (_, freed) = plans.popitem(last=False)
            self._cache.grow(entry, -freed)
        if entry.size + size <= most:
            plans[shape] = (plan, size)
            self._cache.grow(entry, size)

    def _cache_document(
        self, text: str, operations: _Operations, tokens: int, owner: Hashable
    ) -> _Operations:
        """Caches a document that is used for the second time. A document with literals is usually
        used once, and a thousand of them would replace the ones that are used again."""
        text_hash = hash(text)
        if text_hash not in self._seen_hashes:
            self._seen_hashes[text_hash] = None
            if len(self._seen_hashes) > SEEN_DOCUMENTS:
                self._seen_hashes.popitem(last=False)
        elif text not in self._cache:
            size = _DOCUMENT_BYTES + _TOKEN_BYTES * tokens + 2 * sys.getsizeof(text)
            entry = self._cache.add(text, operations, size, owner)
            for operation in operations.values():
                operation.cached = entry
        return operations

    def _read(self, text: str) -> tuple[_Operations, int]:
        """Returns a document's operations and its number of tokens. Changes nothing, so that it can
        run in a thread. Raises InvalidDocument."""
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
        except RequestError as refused:
            raise InvalidDocument([error_entry(fault) for fault in refused.faults]) from refused
        except RecursionError:
            message = (
                "The document is too complex to be checked. Name each field once, and stay "
                f"within {limits.tokens:,} tokens and {limits.depth} levels."
            )
            raise InvalidDocument([error_entry(Fault(message, DOCUMENT_LIMIT))]) from None

    def _operations(self, document: DocumentNode) -> _Operations:
        """Returns the operations of a valid document, by name."""
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


def _select(operations: _Operations, name: str | None) -> Operation:
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
