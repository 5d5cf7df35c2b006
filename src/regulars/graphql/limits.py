"""How large a document may be, and how large one is.

A document is measured when it is parsed and before it is validated: validation takes the square of
the fields that it must compare, and a fragment that spreads another twice, twenty times over, is a
million fields.
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


class Limits(NamedTuple):
    """What a document, and the variables sent with it, may hold at most."""

    characters: int = 100_000
    tokens: int = 10_000
    depth: int = 20  # enough for the introspection that clients send
    fields: int = 1_000
    root_fields: int = 50
    aliases: int = 100
    directives: int = 100
    list_items: int = 1_000
    response_bytes: int = 16 * 1024 * 1024
    cost: int = 20_000

    @property
    def variable_values(self) -> int:
        """How many values all lists in the variables of a request may have together."""
        return 100 * self.list_items


DEFAULTS = Limits()

# Line breaks of a document. Errors need their line numbers, and comments cost as much as tokens do.
MAX_LINES = 10_000

# Two fields with one response key are compared, and what is below them. Thirty fragments that all
# select the same three fields are 1,300 comparisons; these take some 50 ms.
MAX_COMPARISONS = 3_000


def check_text(text: str, limits: Limits) -> None:
    """Raises RequestError with errors_document_limit for a text that is too long to be parsed."""
    if len(text) > limits.characters:
        _require("characters", len(text), limits.characters)
    lines = text.count("\n") + text.count("\r")
    if lines > MAX_LINES:
        _require("line breaks", lines, MAX_LINES)


class CyclicError(Exception):
    """A fragment spreads itself: validation says which."""


def measure(document: DocumentNode, text: str, limits: Limits) -> None:
    """Raises RequestError with errors_document_limit for a document over a limit, and CyclicError.
    The document is the parsed text."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    sizes = _Sizes(fragments)
    aliases = directives = comparisons = fields = 0
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            continue
        size = sizes.of(node.selection_set)
        aliases += size.aliases
        directives += size.directives + len(node.directives or ())
        if isinstance(node, OperationDefinitionNode):
            directives += sum(len(v.directives or ()) for v in node.variable_definitions or ())
            _require("levels of fields", size.depth, limits.depth)
            _require("root fields", size.root_fields, limits.root_fields)
            # Each operation is validated and measured by itself.
            fields += size.fields
        _require(_FIELDS, max(fields, size.fields), limits.fields)
        if size.fields > 1:
            comparisons += _comparisons([node.selection_set], fragments)
        if comparisons > MAX_COMPARISONS:
            raise RequestError(Fault(_REPEATS, DOCUMENT_LIMIT))
    _require("aliases", aliases, limits.aliases)
    _require("directives", directives, limits.directives)
    if "[" in text:
        longest = max((len(values) for values in _lists(document)), default=0)
        _require("values in one list", longest, limits.list_items)


_FIELDS = "fields, with those of its fragments where they are spread"
_REPEATS = (
    f"The document names the same fields too often: more than {MAX_COMPARISONS:,} pairs of them "
    "would have to be compared. Name each field once where it is wanted."
)


def _require(description: str, size: int, most: int) -> None:
    if size > most:
        message = f"The document has {size:,} {description}; at most {most:,} are allowed."
        raise RequestError(Fault(message, DOCUMENT_LIMIT))


class _Size(NamedTuple):
    """What a selection set holds: through its fragments, but for aliases and directives, which are
    counted where they are written."""

    fields: int = 0
    root_fields: int = 0
    depth: int = 0
    aliases: int = 0
    directives: int = 0


class _Sizes:
    """The sizes of selection sets; each fragment's is counted once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, _Size | None] = {}

    def of(self, selection_set: SelectionSetNode) -> _Size:
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
                size = self.of(selection.selection_set)
                depth = max(depth, size.depth + 1)
            else:
                if isinstance(selection, FragmentSpreadNode):
                    size = self._fragment(selection.name.value)
                else:
                    assert isinstance(selection, InlineFragmentNode)
                    size = self.of(selection.selection_set)
                roots += size.root_fields
                depth = max(depth, size.depth)
            fields += size.fields
            if not isinstance(selection, FragmentSpreadNode):
                aliases += size.aliases
                directives += size.directives
        return _Size(fields, roots, depth, aliases, directives)

    def _fragment(self, name: str) -> _Size:
        if name not in self._known:
            self._known[name] = None
            fragment = self._fragments.get(name)
            self._known[name] = self.of(fragment.selection_set) if fragment else _Size()
        size = self._known[name]
        if size is None:
            raise CyclicError
        return size


def _comparisons(
    sets: list[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> int:
    """How many pairs of fields share a response key in selection sets that are merged."""
    below: dict[str, list[SelectionSetNode]] = {}
    count: dict[str, int] = {}
    for field in _fields(sets, fragments, set()):
        key = field.alias.value if field.alias else field.name.value
        count[key] = count.get(key, 0) + 1
        if field.selection_set:
            below.setdefault(key, []).append(field.selection_set)
    pairs = sum(n * (n - 1) // 2 for n in count.values())
    return pairs + sum(_comparisons(inner, fragments) for inner in below.values())


def _fields(
    sets: list[SelectionSetNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    seen_fragments: set[str],
) -> Iterator[FieldNode]:
    for selection_set in sets:
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                yield from _fields([selection.selection_set], fragments, seen_fragments)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in fragments and name not in seen_fragments:
                    seen_fragments.add(name)
                    yield from _fields([fragments[name].selection_set], fragments, seen_fragments)


def _lists(document: DocumentNode) -> Iterator[tuple[ValueNode, ...]]:
    """The lists that are written in a document, at any depth."""
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            for field in _written(node.selection_set):
                for argument in field.arguments or ():
                    yield from _in_value(argument.value)
        if isinstance(node, OperationDefinitionNode):
            for variable in node.variable_definitions or ():
                if variable.default_value:
                    yield from _in_value(variable.default_value)


def _written(selection_set: SelectionSetNode) -> Iterator[FieldNode]:
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            yield selection
        inner = getattr(selection, "selection_set", None)
        if inner:
            yield from _written(inner)


def _in_value(value: ValueNode | ConstValueNode) -> Iterator[tuple[ValueNode, ...]]:
    if isinstance(value, ListValueNode):
        yield value.values
        for item in value.values:
            yield from _in_value(item)
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            yield from _in_value(field.value)
