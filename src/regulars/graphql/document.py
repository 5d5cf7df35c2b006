"""Documents: parses and validates each document once, and caches it by its text or its shape."""

from __future__ import annotations

import asyncio
import re
import sys
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    Location,
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
    error_entry,
    truncate,
)
from regulars.graphql.limits import DocumentLimits, FragmentCycleError, check_document, check_text
from regulars.graphql.literals import Literals, Template, create_template, find_literals
from regulars.graphql.operation import Operation
from regulars.graphql.validation import find_errors, remove_value

MAX_ERRORS = 20
CACHE_BYTES = 64 * 1024 * 1024
# The number of documents whose first use is remembered.
_SEEN_DOCUMENTS = 10_000
# Measured with tracemalloc (tests/test_documents.py): a parsed document takes up to 500 bytes per
# token, and 20 KB besides. The tree contains its text a second time.
_TOKEN_BYTES, _DOCUMENT_BYTES = 600, 20_000
_SHAPE_BYTES = 1_000
# A longer document, in characters, is parsed in a thread.
_LONG_CHARACTERS = 2_000
# A plan with a longer key, in characters, is not cached.
_MAX_KEY_CHARACTERS = 1_000
# A document with all its plans has at most this fraction of an owner's share: a quarter.
_DOCUMENT_FRACTION = 4

# graphql-core's error for a document that exceeds Python's recursion limit.
_ABORTED = "Validation aborted."

_LINE_BREAK = re.compile(r"\r\n|[\n\r]")


class InvalidDocument(Exception):
    """A document that does not parse or validate; `errors` are entries of the response."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


class _Source(Source):
    """The text of a document. Finds its lines once for all errors."""

    def get_location(self, position: int) -> SourceLocation:
        if "line_starts" not in self.__dict__:
            self.line_starts = [0, *(match.end() for match in _LINE_BREAK.finditer(self.body))]
        line = bisect_right(self.line_starts, position)
        return SourceLocation(line, position + 1 - self.line_starts[line - 1])


_Operations = dict[str | None, Operation]


class _Shared(NamedTuple):
    """The operations of a template."""

    template: Template
    operations: _Operations


class _Parsed(NamedTuple):
    """A valid document, its operations and its number of tokens."""

    document: DocumentNode
    operations: _Operations
    tokens: int


class DocumentCache:
    """Documents with their plans, by text, in at most `cache_bytes` of memory."""

    def __init__(
        self, schema: GraphQLSchema, limits: DocumentLimits, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._schema = schema
        self._limits = limits
        self.coercers = Coercers(limits)
        self._cache = ByteCache(cache_bytes)
        self._seen_hashes: OrderedDict[int, None] = OrderedDict()
        self._parser = ThreadPoolExecutor(1, "regulars-documents")

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

    def find_operation(self, text: str, name: str | None) -> Operation | None:
        """Returns an operation of a cached document, or of a cached one that differs only in its
        literals; None if there is none. Raises InvalidDocument if the document lacks the
        operation."""
        if len(text) > self._limits.characters:
            return None
        operations = self._cache.get(text)
        if operations is not None:
            return _select(operations, name)
        literals = find_literals(text)
        shared = None if literals is None else self._find_shared(literals)
        if literals is None or shared is None:
            return None
        values = shared.template.bind(literals.texts)
        if values is None:
            return None
        return _select(shared.operations, name).bind(values, _Locator(text, shared.template))

    def _find_shared(self, literals: Literals) -> _Shared | None:
        found: _Shared | Sequence[int] | None = self._cache.get((literals.shape,))
        if found is None or isinstance(found, _Shared):
            return found
        shared: _Shared | None = self._cache.get(_variant(literals, found))
        return shared

    def get_operation(self, text: str, name: str | None, owner: Hashable = None) -> Operation:
        """Returns an operation of a document: the one with the name, or the only one. A cached
        document counts in the share of the owner.

        Raises InvalidDocument if the document does not parse or validate, or lacks the operation.
        """
        operation = self.find_operation(text, name)
        if operation is None:
            operation = _select(self._cache_document(text, self._parse(text), owner), name)
        return operation

    async def get_operation_in_thread(
        self, text: str, name: str | None, owner: Hashable = None
    ) -> Operation:
        """Returns an operation that `find_operation` has not found. Parses a long document in a
        thread, one document at a time. Parsing takes up to some tenths of a second, which must not
        block the event loop."""
        if not _LONG_CHARACTERS < len(text) <= self._limits.characters:
            parsed = self._parse(text)
        else:
            loop = asyncio.get_running_loop()
            parsed = await loop.run_in_executor(self._parser, self._parse, text)
        return _select(self._cache_document(text, parsed, owner), name)

    def parse_alone(self, operation: Operation) -> Operation:
        """Returns the operation of a template as it is in its own document."""
        assert isinstance(operation.locate, _Locator)
        return _select(self._parse(operation.locate.text).operations, operation.name or None)

    def _parse(self, text: str) -> _Parsed:
        """Parses and validates a document. Changes no state, so that it can run in a thread.
        Raises InvalidDocument."""
        limits = self._limits
        try:
            check_text(text, limits)
            document = parse(_Source(text), max_lexical_tokens=limits.tokens)
            try:
                check_document(document, text, limits)
                errors = find_errors(self._schema, document, MAX_ERRORS)
            except FragmentCycleError:
                errors = validate(self._schema, document, [NoFragmentCyclesRule])
            if [error.message for error in errors] == [_ABORTED]:
                raise RecursionError
            if errors:
                raise InvalidDocument([_error_entry(error, limits) for error in errors])
            tokens = document.token_count or limits.tokens
            return _Parsed(document, self._operations(document), tokens)
        except GraphQLSyntaxError as error:
            raise InvalidDocument([_error_entry(error, limits)]) from error
        except RequestError as error:
            raise InvalidDocument([error_entry(fault) for fault in error.faults]) from error
        except RecursionError:
            message = (
                "The document is too complex to validate. Select each field once. The maximum is "
                f"{limits.tokens:,} tokens and a depth of {limits.depth}."
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

    def _cache_document(self, text: str, parsed: _Parsed, owner: Hashable) -> _Operations:
        """Caches a document when it is used for the second time, and its template when its shape
        is. Most documents with literals are used once, and a thousand of them would evict those
        that are used again."""
        operations = parsed.operations
        size = _DOCUMENT_BYTES + _TOKEN_BYTES * parsed.tokens + 2 * sys.getsizeof(text)
        if self._note_use(text):
            if text not in self._cache:
                self._add(text, operations, operations, size, owner)
            return operations
        literals = find_literals(text)
        if literals is not None and self._note_use((literals.shape,)):
            self._cache_template(parsed, literals, 2 * size, owner)
        return operations

    def _cache_template(
        self, parsed: _Parsed, literals: Literals, size: int, owner: Hashable
    ) -> None:
        template = create_template(self._schema, parsed.document, literals)
        if not template.free:
            return
        key: Hashable = (literals.shape,)
        if template.fixed:
            if key not in self._cache:
                self._cache.add(key, template.fixed, _SHAPE_BYTES + size, owner)
            key = _variant(literals, template.fixed)
            if not self._note_use(key):
                return
        if key not in self._cache:
            shared = _Shared(template, self._operations(template.document))
            self._add(key, shared, shared.operations, size, owner)

    def _note_use(self, key: Hashable) -> bool:
        """Returns whether a key was used before. Remembers the last ones."""
        key_hash = hash(key)
        if key_hash in self._seen_hashes:
            return True
        self._seen_hashes[key_hash] = None
        if len(self._seen_hashes) > _SEEN_DOCUMENTS:
            self._seen_hashes.popitem(last=False)
        return False

    def _add(
        self, key: Hashable, value: Any, operations: _Operations, size: int, owner: Hashable
    ) -> None:
        entry = self._cache.add(key, value, size, owner)
        for operation in operations.values():
            operation.cache_entry = entry

    def cache_plan(self, operation: Operation, plan_key: str, plan: Any, size: int) -> None:
        """Stores a plan in its operation. `size` is in bytes. If a document has too many plans, new
        plans replace the oldest ones."""
        entry, plans = operation.cache_entry, operation.plans
        if entry is None:
            plans.clear()
            plans[plan_key] = (plan, 0)
            return
        if len(plan_key) > _MAX_KEY_CHARACTERS:
            return
        size += len(plan_key) * 4
        max_bytes = self._cache.share_bytes // _DOCUMENT_FRACTION
        while plans and entry.size + size > max_bytes:
            _, (_, oldest_size) = plans.popitem(last=False)
            self._cache.resize(entry, -oldest_size)
        if entry.size + size <= max_bytes:
            plans[plan_key] = (plan, size)
            self._cache.resize(entry, size)


def _variant(literals: Literals, fixed: Sequence[int]) -> Hashable:
    """Returns the key of a template whose plans depend on the literals with these indexes."""
    return (literals.shape, *(literals.texts[index] for index in fixed))


class _Locator:
    """Returns the locations in a document of the nodes of its template."""

    def __init__(self, text: str, template: Template) -> None:
        self.text = text
        self._template = template
        self._source: _Source | None = None
        self._literals: Literals | None = None

    def __call__(self, location: Location) -> SourceLocation:
        self._literals = self._literals or find_literals(self.text)
        assert self._literals is not None
        self._source = self._source or _Source(self.text)
        return self._source.get_location(self._template.position(location.start, self._literals))


def _select(operations: _Operations, name: str | None) -> Operation:
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name and name in operations:
        return operations[name]
    names = truncate(", ".join(sorted(known for known in operations if known)))
    if name:
        known = f"It has: {names}." if names else "Its operation has no name."
        message = f"The document has no operation named `{name[:100]}`. {known}"
    elif not operations:
        message = "The document has no operation. Add a query or a mutation."
    else:
        message = f"The document has several operations: {names}. Select one with `operationName`."
    raise InvalidDocument([error_entry(Fault(message, INVALID_DOCUMENT))])


def _error_entry(error: GraphQLError, limits: DocumentLimits) -> dict[str, Any]:
    message = truncate(error.message)  # it may quote a name of the document, whole
    input_path = (error.extensions or {}).get("input_path")
    if input_path:
        fault = Fault(remove_value(message), INVALID_INPUT, tuple(input_path))
    elif isinstance(error, GraphQLSyntaxError) and re.search(r"more than|too deep", message):
        maximum = f"The maximum is {limits.tokens:,} tokens and a depth of {limits.depth}."
        fault = Fault(f"{message} {maximum}", DOCUMENT_LIMIT)
    else:
        fault = Fault(message, INVALID_DOCUMENT)
    entry = error_entry(fault)
    if error.locations:
        locations = [
            {"line": location.line, "column": location.column}
            for location in error.locations[:MAX_ERRORS]
        ]
        entry = {**entry, "locations": locations}
    return entry
