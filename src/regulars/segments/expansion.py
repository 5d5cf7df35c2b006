"""Segments in searches: each `segment:VALUE` is replaced by the query of the segment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from regulars.core.errors import InvalidQuery, Rejected
from regulars.core.text import nearest
from regulars.customers.search.keys import ALWAYS, SEGMENT
from regulars.customers.search.lexer import KeyValue, syntax_error
from regulars.customers.search.parser import (
    MAX_EXPANDED_TERMS,
    Expanded,
    ParsedText,
    SegmentReference,
    parse_text,
)
from regulars.segments.definitions import Definition, Definitions
from regulars.store.conditions import Condition, Or

MAX_NESTING = 5
# The version of the search language in which queries are stored.
LANGUAGE = 1

_EXPECTED = "the name or id of a segment"
# A value that means the same without quotes.
_PLAIN = re.compile(r"[^\s()\"'\\*<>=:]+")


class UnreadableSegment(InvalidQuery):
    """The query of a segment cannot be evaluated."""


class _Known(NamedTuple):
    """An expanded segment, and the number of segments in the longest chain that begins with it."""

    condition: Condition
    terms: int
    height: int


class Expansion:
    """Expands the segments of an account in queries. Each segment is parsed once."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._known: dict[int, _Known] = {}
        self._path: list[Definition] = []
        # For each segment of the path, the height of the segments in it so far.
        self._heights: list[int] = []

    def __call__(self, term: KeyValue) -> Expanded:
        """Return what a segment in a query stands for. Raises Rejected with the position of the
        term."""
        position = term.value.position
        definition = self.definitions.find(term.value.text)
        if definition is None:
            message = f"No segment has the name or id {term.value.shown}."
            names = [each.name for each in self.definitions]
            raise syntax_error(message, position, _EXPECTED, nearest(term.value.text, names))
        known = self._expand(definition, position)
        if len(self._path) + known.height > MAX_NESTING:
            raise _too_deep(position)
        if self._heights:
            self._heights[-1] = max(self._heights[-1], known.height)
        return Expanded(known.condition, known.terms)

    def condition(self, definition: Definition) -> Condition:
        """Return the condition of a segment. Raises Rejected with UnreadableSegment."""
        return self._expand(definition, 0).condition

    def any_of(self, definitions: Iterable[Definition]) -> Condition:
        """Return the condition that a customer belongs to one of several segments. Raises Rejected
        with UnreadableSegment."""
        expanded = [self._expand(each, 0) for each in definitions]
        if sum(each.terms for each in expanded) > MAX_EXPANDED_TERMS:
            message = f"The segments have more than {MAX_EXPANDED_TERMS} terms. Use fewer segments."
            raise Rejected(UnreadableSegment(message, 0, _EXPECTED))
        return Or(tuple(each.condition for each in expanded))

    def parse(self, definition: Definition, max_terms: int = MAX_EXPANDED_TERMS) -> ParsedText:
        """Parse the query of a segment. Raises Rejected with a position in this query."""
        if any(each.segment_id == definition.segment_id for each in self._path):
            chain = " → ".join(each.name[:50] for each in [*self._path, definition])
            message = f'The segment "{definition.name[:100]}" contains itself: {chain}.'
            raise Rejected(UnreadableSegment(message, 0, _EXPECTED))
        if len(self._path) >= MAX_NESTING:
            raise _too_deep(0)
        self._path.append(definition)
        self._heights.append(0)
        try:
            parsed = parse_text(definition.query, self, max_terms, has_order=False)
            height = self._heights[-1] + 1
        finally:
            self._path.pop()
            self._heights.pop()
        condition = parsed.search.condition or ALWAYS
        self._known[definition.segment_id] = _Known(condition, parsed.terms, height)
        return parsed

    def _expand(self, definition: Definition, position: int) -> _Known:
        known = self._known.get(definition.segment_id)
        if known is not None:
            return known
        try:
            self.parse(definition)
        except Rejected as rejection:
            (problem,) = rejection.problems
            message = problem.message
            if not isinstance(problem, UnreadableSegment):
                message = f'The segment "{definition.name[:100]}" cannot be read: {message}'
            raise Rejected(UnreadableSegment(message, position, _EXPECTED)) from rejection
        return self._known[definition.segment_id]


def _too_deep(position: int) -> Rejected:
    message = f"Segments are nested more than {MAX_NESTING} deep."
    return Rejected(UnreadableSegment(message, position, _EXPECTED))


def uses_segments(query: str) -> bool:
    """Return whether a query may use segments. A backslash in the key is ignored."""
    return f"{SEGMENT}:" in query.replace("\\", "")


def references(query: str) -> list[SegmentReference]:
    """Return the references to segments in a query; none if it cannot be read."""
    if not uses_segments(query):
        return []
    try:
        return list(parse_text(query, _always, MAX_EXPANDED_TERMS).references)
    except Rejected:
        return []


def _always(_term: KeyValue) -> Expanded:
    return Expanded(ALWAYS, 0)


def rename(query: str, new_value: Callable[[str], str | None]) -> str:
    """Return a query with other values of `segment:`. `new_value` returns the name that replaces a
    value, or None to keep it."""
    for reference in reversed(references(query)):
        name = new_value(reference.value)
        if name is not None:
            query = f"{query[: reference.start]}{as_value(name)}{query[reference.end :]}"
    return query


def as_value(name: str) -> str:
    """Return a name as it is written after `segment:`."""
    return name if _PLAIN.fullmatch(name) else quote(name)


def quote(text: str) -> str:
    """Return a text in quotes for the search language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
