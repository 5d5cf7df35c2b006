"""Split a query into its terms, for programs that edit one term and keep the rest of the text."""

from __future__ import annotations

from typing import NamedTuple

from regulars.customers.search.keys import ALWAYS
from regulars.customers.search.lexer import KeyValue, Text
from regulars.customers.search.parser import MAX_TERMS, Expanded, Parser


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
    gaps = zip(bounds, bounds[1:], strict=False)
    if any(query[end:start].strip() == "OR" for (_, end), (start, _) in gaps):
        start, end = bounds[0][0], bounds[-1][1]
        return [QueryTerm(start, end, query[start:end])]
    return [_term(query, start, end) for start, end in bounds]


class _Splitter(Parser):
    """Records where the terms outside of parentheses begin and end."""

    def __init__(self, query: str) -> None:
        super().__init__(query, lambda _: Expanded(ALWAYS, 0), MAX_TERMS, has_order=True)
        self.bounds: list[tuple[int, int]] = []

    def _term(self) -> object:
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
