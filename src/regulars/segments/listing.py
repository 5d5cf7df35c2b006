"""The list of segments: its filter, its order and its cursors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from regulars.core.paging import MAX_INTEGER, Cursor, KeysetPage, Page, load
from regulars.core.text import nearest
from regulars.customers.search.lexer import KeyValue, Text, Value, syntax_error
from regulars.customers.search.parser import MAX_TERMS, ORDER_BY, ORDER_DIR, check_text
from regulars.customers.search.words import lines, words
from regulars.segments.definitions import name_key
from regulars.store import Row

# The column of each order. Names are ordered by the form in which they are compared.
ORDERS = {
    "id": "segment_id",
    "name": "name_key",
    **{name: name for name in ("created_at", "updated_at")},
}
_KEYS = {ORDER_BY: tuple(ORDERS), ORDER_DIR: ("asc", "desc"), "name": (), "watched": ()}

_FLAGS = ("true", "false")

# Returns whether a segment, with the words of its texts, is in the list.
Filter = Callable[[Row, str], bool]


@dataclass(slots=True)
class SegmentSearch:
    """A parsed query of the list: an order, and filters that a segment must all meet."""

    order_by: str = "id"
    ascending: bool = False
    filters: list[Filter] = field(default_factory=list)

    def key(self, row: Row) -> Cursor:
        """Return the position of a segment in the list."""
        return row[ORDERS[self.order_by]], row["segment_id"]

    def matches(self, rows: Sequence[Row]) -> list[Row]:
        """Return the segments that meet the filters, in the order."""

        def is_match(row: Row) -> bool:
            texts = lines([row["name"], row["description"]])
            return all(meets(row, texts) for meets in self.filters)

        return sorted(filter(is_match, rows), key=self.key, reverse=not self.ascending)

    def page(self, matches: Sequence[Row], page: KeysetPage) -> Page:
        """Return a page of matches."""
        ascending = self.ascending != page.backward
        start, end = page.bounds
        reading = matches[::-1] if page.backward else matches
        rows = [
            row for row in reading if start is None or _is_past(self.key(row), start, ascending)
        ]
        inside = [row for row in rows if end is None or _is_past(end, self.key(row), ascending)]
        is_ahead, is_behind = len(inside) < len(rows), len(rows) < len(reading)
        return page.cut(inside, is_behind, is_ahead)


def _is_past(key: Cursor, position: Cursor, ascending: bool) -> bool:
    return key > position if ascending else key < position


@dataclass(frozen=True, slots=True)
class SegmentCursors:
    """The cursors of the list in an order: base64 of the JSON array `[order value, _id]`."""

    order_by: str

    @property
    def mismatch(self) -> str:
        return (
            f"This is not a cursor of segments ordered by `{self.order_by}`. Use `cursor` of an "
            "edge, `endCursor` or `startCursor`, from a page in the same order."
        )

    def decode(self, text: str) -> Cursor | None:
        decoded = load(text)
        if not isinstance(decoded, list) or len(decoded) != 2:
            return None
        value, number = decoded
        is_valid = isinstance(value, str) if self.order_by == "name" else _is_number(value)
        return (value, number) if is_valid and _is_number(number) else None


def _is_number(value: object) -> bool:
    return type(value) is int and abs(value) <= MAX_INTEGER


def parse_list(query: str, max_length: int) -> SegmentSearch:
    """Parse a query of the list: words, `name:`, `watched:`, `order_by:` and `order_dir:`. Raises
    Rejected with InvalidQuery."""
    check_text(query, max_length)
    search, text, count = SegmentSearch(), Text(query), 0
    seen: set[str] = set()
    while True:
        text.skip_spaces()
        if text.at_end():
            return search
        position, count = text.position, count + 1
        if count > MAX_TERMS:
            message = f"The query has more than {MAX_TERMS} terms. Remove some."
            raise syntax_error(message, position, "the end")
        if text.next_is("(") or text.next_is(")"):
            message = "Segments cannot be searched with parentheses. Put the character in quotes."
            raise syntax_error(message, position, "a term")
        term = text.term()
        if isinstance(term, Value):
            search.filters.append(_with_words(term))
        elif term.key == "name":
            search.filters.append(_with_name(term))
        elif term.key == "watched":
            search.filters.append(_with_watched(term))
        else:
            _set_order(search, term, seen)


def _set_order(search: SegmentSearch, term: KeyValue, seen: set[str]) -> None:
    allowed = _KEYS.get(term.key)
    if allowed is None:
        message = (
            f"No filter of segments is named {term.key[:100]!r}. Supported: {', '.join(_KEYS)}."
        )
        raise syntax_error(message, term.position, "a key", nearest(term.key, _KEYS))
    value = term.value.text
    if value not in allowed or term.operator or term.value.prefix:
        listed = ", ".join(allowed)
        message = f"`{term.key}:` must be one of {listed}, not {term.value.shown}."
        position = term.value.position
        raise syntax_error(message, position, f"one of {listed}", nearest(value, allowed))
    if term.key in seen:
        message = f"`{term.key}:` occurs more than once. Remove one."
        raise syntax_error(message, term.position, "another term")
    seen.add(term.key)
    if term.key == ORDER_BY:
        search.order_by = value
    else:
        search.ascending = value == "asc"


def _with_words(value: Value) -> Filter:
    """Return the filter for segments with the words in the name or the description, one after the
    other. The last word is a prefix."""
    phrase = " ".join(words(value.text))
    if not phrase:
        message = f"{value.shown} has no letters and no digits, so it cannot be found."
        raise syntax_error(message, value.position, "a word")
    return lambda _row, texts: f" {phrase}" in texts


def _with_name(term: KeyValue) -> Filter:
    if term.operator:
        message = f"`name:` does not support `{term.operator}`."
        raise syntax_error(message, term.value.position - len(term.operator), "a value")
    key = name_key(term.value.text)
    if term.value.prefix:
        return lambda row, _texts: row["name_key"].startswith(key)
    return lambda row, _texts: row["name_key"] == key


def _with_watched(term: KeyValue) -> Filter:
    value = term.value.text
    if value not in _FLAGS or term.operator or term.value.prefix:
        message = f"`watched:` must be true or false, not {term.value.shown}."
        raise syntax_error(message, term.value.position, "true or false", nearest(value, _FLAGS))
    return lambda row, _texts: bool(row["watched"]) == (value == "true")
