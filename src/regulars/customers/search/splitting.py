"""Split a query into its terms, for programs that edit one term and keep the rest of the text, and
find those of a tag."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

from regulars.customers.search.keys import ALWAYS
from regulars.customers.search.lexer import KeyValue, Text
from regulars.customers.search.parser import MAX_EXPANDED_TERMS, MAX_TERMS, Expanded, Parser, Part
from regulars.customers.search.search_document import TAG_KEYS, make_facet


class QueryTerm(NamedTuple):
    """A term of a query: its bounds in the text, and its key, comparison and value. Words, groups
    in parentheses and alternatives have no key. A `prefix` is a value with a star."""

    start: int
    end: int
    text: str
    negated: bool = False
    key: str | None = None
    operator: str = ""
    value: str | None = None
    prefix: bool = False


def split(query: str) -> list[QueryTerm]:
    """Return the terms of a query, which it joins by AND. A query of alternatives (OR) is one term.
    Segments are not looked up. Raises Rejected if the query cannot be parsed."""
    splitter = _Splitter(query)
    splitter.search()
    bounds = splitter.bounds
    if any(query[end:start].strip() == "OR" for (_, end), (start, _) in pairwise(bounds)):
        start, end = bounds[0][0], bounds[-1][1]
        return [QueryTerm(start, end, query[start:end])]
    return [_term(query, start, end) for start, end in bounds]


def tag_terms(query: str, terms: Collection[str]) -> list[tuple[int, int]]:
    """Return where the terms of some tags begin and end in a query, which may be in parentheses.
    `terms` are those of the tags in the index. A beginning with a star is none. Raises Rejected
    if the query cannot be parsed."""
    finder = _TagFinder(query)
    finder.search()
    return [
        (start, end)
        for start, end in finder.bounds
        if _is_tag(Text(query[start:end]).term(), terms)
    ]


def _is_tag(term: object, terms: Collection[str]) -> bool:
    if not isinstance(term, KeyValue) or term.key not in TAG_KEYS or term.value.prefix:
        return False
    return make_facet(term.key, term.value.text) in terms


class _Bounded(Parser):
    """Parses a query without its segments, and records where terms begin and end."""

    def __init__(self, query: str, max_terms: int) -> None:
        super().__init__(query, lambda _: Expanded(ALWAYS, 0), max_terms, has_order=True)
        self.bounds: list[tuple[int, int]] = []


class _TagFinder(_Bounded):
    """Records single terms, without the minus before them."""

    def __init__(self, query: str) -> None:
        super().__init__(query, MAX_EXPANDED_TERMS)

    def _single(self, negated: str) -> Part | None:
        start = self._text.position
        part = super()._single(negated)
        self.bounds.append((start, self._text.position))
        return part


class _Splitter(_Bounded):
    """Records the terms outside of parentheses."""

    def __init__(self, query: str) -> None:
        super().__init__(query, MAX_TERMS)

    def _term(self) -> Part | None:
        start, is_outside = self._text.position, not self._depth
        part = super()._term()
        if is_outside:
            self.bounds.append((start, self._text.position))
        return part


def _term(query: str, start: int, end: int) -> QueryTerm:
    text = query[start:end]
    reader = Text(text)
    negated = reader.take_keyword("NOT") or reader.take("-")
    reader.skip_spaces()
    term = None if reader.next_is("(") else reader.term()
    if not isinstance(term, KeyValue):
        return QueryTerm(start, end, text, negated)
    value = term.value
    return QueryTerm(start, end, text, negated, term.key, term.operator, value.text, value.prefix)
