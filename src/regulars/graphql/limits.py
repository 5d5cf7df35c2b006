"""The limits of a document.

A document is checked after it is parsed and before it is validated: validation takes time that
grows with the square of the number of fields, and fragments that spread each other can multiply
twenty lines to a million fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
)
from graphql.language.ast import ConstValueNode

from regulars.graphql.errors import DOCUMENT_LIMIT, Fault, RequestError


class DocumentLimits(NamedTuple):
    """The maximum sizes of a document, of its variables, and of its response."""

    characters: int = 100_000
    tokens: int = 10_000
    depth: int = 20  # enough for the introspection query that clients send
    fields: int = 1_000
    root_fields: int = 50
    aliases: int = 100
    directives: int = 100
    list_items: int = 1_000
    response_bytes: int = 16 * 1024 * 1024
    cost: int = 20_000

    @property
    def variable_values(self) -> int:
        """The maximum number of values in all lists of the variables together."""
        return 100 * self.list_items


DEFAULT_LIMITS = DocumentLimits()

# The maximum number of line breaks: errors need line numbers, and comments cost time like tokens.
MAX_LINES = 10_000

# Validation compares two fields with the same response key, and the fields below them. Thirty
# fragments with the same three fields need 1,300 comparisons; the maximum takes about 50 ms.
MAX_COMPARISONS = 3_000

_FIELDS = "fields (those of a fragment count at each spread)"
_TOO_MANY_COMPARISONS = (
    f"The document selects fields with the same name too often: more than {MAX_COMPARISONS:,} "
    "pairs would have to be compared. Select each field once."
)


class FragmentCycleError(Exception):
    """A fragment spreads itself. Validation reports which."""


def check_text(text: str, limits: DocumentLimits) -> None:
    """Raises RequestError with errors_document_limit if a text is too long to be parsed."""
    if len(text) > limits.characters:
        _check_limit("characters", len(text), limits.characters)
    lines = text.count("\n") + text.count("\r")
    if lines > MAX_LINES:
        _check_limit("line breaks", lines, MAX_LINES)


def check_document(document: DocumentNode, text: str, limits: DocumentLimits) -> None:
    """Raises RequestError with errors_document_limit if a document exceeds a limit, and
    FragmentCycleError if its size is infinite. `document` is the parsed `text`."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    counter = _SizeCounter(fragments)
    aliases = directives = comparisons = fields = 0
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            continue
        size = counter.count(node.selection_set)
        aliases += size.aliases
        directives += size.directives + len(node.directives or ())
        if isinstance(node, OperationDefinitionNode):
            variables = node.variable_definitions or ()
            directives += sum(len(variable.directives or ()) for variable in variables)
            _check_limit("levels of fields", size.depth, limits.depth)
            _check_limit("root fields", size.root_fields, limits.root_fields)
            # Each operation is validated by itself, so the fields of all operations count.
            fields += size.fields
        _check_limit(_FIELDS, max(fields, size.fields), limits.fields)
        if size.fields > 1:
            comparisons += _count_comparisons([node.selection_set], fragments)
        if comparisons > MAX_COMPARISONS:
            raise RequestError(Fault(_TOO_MANY_COMPARISONS, DOCUMENT_LIMIT))
    _check_limit("aliases", aliases, limits.aliases)
    _check_limit("directives", directives, limits.directives)
    if "[" in text:
        longest = max((len(values) for values in _lists(document)), default=0)
        _check_limit("values in one list", longest, limits.list_items)


def _check_limit(description: str, size: int, limit: int) -> None:
    if size > limit:
        message = f"The document has too many {description}: {size:,}. The maximum is {limit:,}."
        raise RequestError(Fault(message, DOCUMENT_LIMIT))


class _Size(NamedTuple):
    """The size of a selection set with its fragments. Aliases and directives of a fragment count
    once, in the definition of the fragment."""

    fields: int = 0
    root_fields: int = 0
    depth: int = 0
    aliases: int = 0
    directives: int = 0


class _SizeCounter:
    """Counts the sizes of selection sets, and of each fragment once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        # None while the fragment is being counted.
        self._fragment_sizes: dict[str, _Size | None] = {}

    def count(self, selection_set: SelectionSetNode) -> _Size:
        """Returns the size of a selection set. Raises FragmentCycleError."""
        fields = roots = depth = aliases = directives = 0
        for selection in selection_set.selections:
            if selection.directives:
                directives += len(selection.directives)
            if isinstance(selection, FieldNode):
                fields += 1
                roots += 1
                aliases += selection.alias is not None
                if not selection.selection_set:
                    depth = depth or 1
                    continue
                size = self.count(selection.selection_set)
                depth = max(depth, size.depth + 1)
            else:
                if isinstance(selection, FragmentSpreadNode):
                    size = self._count_fragment(selection.name.value)
                else:
                    assert isinstance(selection, InlineFragmentNode)
                    size = self.count(selection.selection_set)
                roots += size.root_fields
                depth = max(depth, size.depth)
            fields += size.fields
            if not isinstance(selection, FragmentSpreadNode):
                aliases += size.aliases
                directives += size.directives
        return _Size(fields, roots, depth, aliases, directives)

    def _count_fragment(self, name: str) -> _Size:
        if name not in self._fragment_sizes:
            self._fragment_sizes[name] = None
            fragment = self._fragments.get(name)
            self._fragment_sizes[name] = self.count(fragment.selection_set) if fragment else _Size()
        size = self._fragment_sizes[name]
        if size is None:
            raise FragmentCycleError
        return size


def _count_comparisons(
    selection_sets: list[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> int:
    """Returns the number of pairs of fields with the same response key in merged selection sets."""
    inner_sets: dict[str, list[SelectionSetNode]] = {}
    counts: dict[str, int] = {}
    for field in _fields(selection_sets, fragments, set()):
        key = field.alias.value if field.alias else field.name.value
        counts[key] = counts.get(key, 0) + 1
        if field.selection_set:
            inner_sets.setdefault(key, []).append(field.selection_set)
    pairs = sum(count * (count - 1) // 2 for count in counts.values())
    return pairs + sum(_count_comparisons(sets, fragments) for sets in inner_sets.values())


def _fields(
    selection_sets: list[SelectionSetNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    visited_fragments: set[str],
) -> Iterator[FieldNode]:
    """Yields the fields of selection sets, also those in fragments, of each fragment once."""
    for selection_set in selection_sets:
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                yield from _fields([selection.selection_set], fragments, visited_fragments)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in fragments and name not in visited_fragments:
                    visited_fragments.add(name)
                    sets = [fragments[name].selection_set]
                    yield from _fields(sets, fragments, visited_fragments)


def _lists(document: DocumentNode) -> Iterator[tuple[ValueNode, ...]]:
    """Yields the list literals of a document, at any depth."""
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            for field in _descendant_fields(node.selection_set):
                for argument in field.arguments or ():
                    yield from _lists_in_value(argument.value)
        if isinstance(node, OperationDefinitionNode):
            for variable in node.variable_definitions or ():
                if variable.default_value:
                    yield from _lists_in_value(variable.default_value)


def _descendant_fields(selection_set: SelectionSetNode) -> Iterator[FieldNode]:
    """Yields the fields in a selection set at any depth, without those of named fragments."""
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
        inner_set = getattr(selection, "selection_set", None)
        if inner_set:
            yield from _descendant_fields(inner_set)


def _lists_in_value(value: ValueNode | ConstValueNode) -> Iterator[tuple[ValueNode, ...]]:
    if isinstance(value, ListValueNode):
        yield value.values
        for item in value.values:
            yield from _lists_in_value(item)
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            yield from _lists_in_value(field.value)
