"""Parse the text of a search into an order and a condition.

    query  = term { [AND | OR] term }          juxtaposition is AND; AND binds tighter than OR
    term   = [NOT | -] ( "(" query ")" | key ":" [< | <= | > | >=] value | value )
    value  = word | "quoted words" | 'quoted words'        a trailing * makes it a prefix

`segment:VALUE` stands for the query of a segment, in parentheses. Parsing takes time in proportion
to the length of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from regulars.core.errors import Rejected
from regulars.core.limits import DEFAULTS
from regulars.core.text import nearest
from regulars.customers.search import keys, matching
from regulars.customers.search.keys import ALWAYS
from regulars.customers.search.lexer import KeyValue, Text, Value, syntax_error
from regulars.store.conditions import And, Condition, Not, Or
from regulars.store.tables import ORDER_COLUMNS

MAX_TERMS = 50
MAX_DEPTH = 10
# With the terms of the segments that the query uses.
MAX_EXPANDED_TERMS = 500
# In longer queries, words without a key do not search addresses: an index is used for a limited
# number of ranges (`conditions.MAX_RANGES`).
MAX_ADDRESS_TERMS = 25

ORDER_BY, ORDER_DIR = "order_by", "order_dir"
# The keys of the order and their values.
ORDER_KEYS = {ORDER_BY: tuple(ORDER_COLUMNS), ORDER_DIR: ("asc", "desc")}


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list: a name of `ORDER_COLUMNS` and a direction. Ties are sorted by `_id` in
    the same direction."""

    by: str = "id"
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """A parsed query: an order, a condition (None matches all customers), and whether the query
    contains the order."""

    order: Order
    condition: Condition | None = None
    ordered: bool = False


class Expanded(NamedTuple):
    """What a segment stands for: its condition, and the number of its terms."""

    condition: Condition
    terms: int


# Returns what a segment stands for, by its term. Raises Rejected.
Expand = Callable[[KeyValue], Expanded]


class SegmentReference(NamedTuple):
    """A name or an id of a segment in a query, and where it begins and ends."""

    value: str
    start: int
    end: int


class ParsedText(NamedTuple):
    """A parsed query: the search, its number of terms with those of the segments, and the
    references to segments."""

    search: Search
    terms: int
    references: Sequence[SegmentReference]


@lru_cache(maxsize=500)
def parse(query: str, max_length: int = DEFAULTS.search_characters) -> Search:
    """Parse a query of at most `max_length` characters that uses no segments. The default order is
    newest first (`order_by:id order_dir:desc`).

    Raises Rejected with InvalidQuery: the position of the first error, the expected term, and the
    nearest valid word.
    """
    check_text(query, max_length)
    return parse_text(query, _refuse_segment).search


def _refuse_segment(term: KeyValue) -> Expanded:
    raise syntax_error("`segment:` cannot be used here.", term.position, "another term")


def check_text(query: str, max_length: int) -> None:
    """Raise Rejected for a query that is too long, or that no database can store."""
    if len(query) > max_length:
        message = f"The query has {len(query):,} characters; the maximum is {max_length:,}."
        raise syntax_error(message, max_length, "the end")
    if "\0" in query:
        message = "The query contains a NUL character. Remove it."
        raise syntax_error(message, query.index("\0"), "another character")


def parse_text(
    query: str, expand: Expand, max_terms: int = MAX_TERMS, has_order: bool = True
) -> ParsedText:
    """Parse a query that may use segments. Without `has_order`, it cannot set an order. Raises
    Rejected, as `parse` does."""
    parser = Parser(query, expand, max_terms, has_order)
    search = parser.search()
    if parser.has_many_terms:
        parser = Parser(query, expand, max_terms, has_order, in_addresses=False)
        search = parser.search()
    return ParsedText(search, parser.expanded_terms, parser.references)


class Part(NamedTuple):
    """A parsed term, and its text if it can be a part of a phone number. `is_word` says that it is
    a value without a key; `among_others` is its condition with other words, if that differs."""

    condition: Condition
    number: str | None = None
    is_word: bool = False
    among_others: Condition | None = None


class Parser:
    """Parses one query by recursive descent."""

    def __init__(
        self,
        query: str,
        expand: Expand,
        max_terms: int,
        has_order: bool,
        in_addresses: bool = True,
    ) -> None:
        self._text = Text(query)
        self._in_addresses = in_addresses
        self._expand = expand
        self._max_terms = max_terms
        self._has_order = has_order
        self._depth = 0
        self._terms = 0
        self.expanded_terms = 0
        self.references: list[SegmentReference] = []
        self._order_values: dict[str, str] = {}

    @property
    def has_many_terms(self) -> bool:
        """Whether the query has more terms than those whose words search addresses."""
        return self._terms > MAX_ADDRESS_TERMS

    def search(self) -> Search:
        """Parse the whole query."""
        part = self._disjunction()
        if not self._text.at_end():
            message = "Unmatched `)`. Remove it, or write `\\)` to search for the character."
            raise syntax_error(message, self._text.position, "a term")
        order = Order(
            self._order_values.get(ORDER_BY, "id"),
            self._order_values.get(ORDER_DIR, "desc") == "asc",
        )
        return Search(order, part.condition if part else None, bool(self._order_values))

    def _disjunction(self) -> Part | None:
        """Parse terms up to a closing parenthesis or the end. Return None if they contain only an
        order."""
        parts: list[Part] = []
        while True:
            part = self._conjunction()
            position = self._text.position
            if parts and not part:
                raise self._missing_term("OR")
            if part:
                parts.append(part)
            if not self._text.take_keyword("OR"):
                break
            if not part:
                raise syntax_error("`OR` needs a term before it.", position, "a term")
            self._require_term("OR")
        if len(parts) < 2:
            return parts[0] if parts else None
        return Part(Or(tuple(part.condition for part in parts)))

    def _conjunction(self) -> Part | None:
        """Parse terms up to an OR, a closing parenthesis or the end."""
        groups: list[list[Part]] = []  # terms without an AND between them form a group
        is_adjacent = needs_term = False
        while True:
            self._text.skip_spaces()
            if self._text.at_end() or self._text.next_is(")"):
                break
            position = self._text.position
            if self._text.take_keyword("AND"):
                if not groups:
                    raise syntax_error("`AND` needs a term before it.", position, "a term")
                self._require_term("AND")
                is_adjacent, needs_term = False, True
                continue
            if self._is_next_keyword("OR"):
                break
            part = self._term()
            if part and is_adjacent:
                groups[-1].append(part)
            elif part:
                groups.append([part])
            is_adjacent = part is not None
            needs_term = needs_term and not part
        if needs_term:
            raise self._missing_term("AND")
        if len(groups) == 1 and len(groups[0]) == 1:
            return groups[0][0]
        groups = _with_common_words(groups)
        conditions = [condition for group in groups for condition in _join_phone_numbers(group)]
        return Part(And(tuple(conditions))) if conditions else None

    def _is_next_keyword(self, word: str) -> bool:
        start = self._text.position
        is_next = self._text.take_keyword(word)
        self._text.position = start
        return is_next

    def _require_term(self, operator: str) -> None:
        """Raise Rejected unless a term follows an operator."""
        self._text.skip_spaces()
        is_end = self._text.at_end() or self._text.next_is(")")
        if is_end or self._is_next_keyword("AND") or self._is_next_keyword("OR"):
            raise self._missing_term(operator)

    def _missing_term(self, operator: str) -> Rejected:
        message = f"`{operator}` needs a term after it. To search for the word, put it in quotes."
        return syntax_error(message, self._text.position, "a term")

    def _term(self) -> Part | None:
        """Parse one term. Return None if it sets the order."""
        start = self._text.position
        negated = "NOT" if self._text.take_keyword("NOT") else "-" if self._text.take("-") else ""
        if negated == "NOT":
            self._require_term("NOT")
        if negated == "-" and self._text.ends_word() and not self._text.next_is("("):
            raise syntax_error("`-` needs a term after it, without a space.", start, "a term")
        part = self._group() if self._text.next_is("(") else self._single(negated)
        if part and negated:
            return Part(Not(part.condition))
        return part

    def _group(self) -> Part:
        start = self._text.position
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"Parentheses are nested more than {MAX_DEPTH} levels deep."
            raise syntax_error(message, start, "a term without parentheses")
        self._text.take("(")
        part = self._disjunction()
        if not self._text.take(")"):
            message = "Unclosed `(`. Add `)`, or write `\\(` to search for the character."
            raise syntax_error(message, start, "a closing parenthesis")
        if part is None:
            raise syntax_error("The parentheses are empty.", start, "a term")
        self._depth -= 1
        return Part(part.condition, part.number and f"({part.number})")

    def _single(self, negated: str) -> Part | None:
        position = self._text.position
        self._terms += 1
        if self._terms > self._max_terms:
            message = f"The query has more than {self._max_terms} terms. Remove some."
            raise syntax_error(message, position, "the end")
        term = self._text.term()
        if isinstance(term, KeyValue) and term.key == keys.SEGMENT:
            return Part(self._segment(term))
        self._count_expanded(1, position)
        if isinstance(term, KeyValue):
            if term.key in ORDER_KEYS:
                self._take_order(term, negated)
                return None
            condition = keys.keyed(term, tuple(ORDER_KEYS))
        elif term.bare and term.text in keys.WITHIN:
            condition = keys.WITHIN[term.text]
        else:
            condition, among_others = matching.free(term, self._in_addresses)
            return Part(condition, _number(term), True, among_others)
        return Part(condition)

    def _segment(self, term: KeyValue) -> Condition:
        keys.check(term, tuple(ORDER_KEYS))
        position = term.value.position
        self.references.append(SegmentReference(term.value.text, position, self._text.position))
        condition, terms = self._expand(term)
        self._count_expanded(terms, position)
        return condition

    def _count_expanded(self, terms: int, position: int) -> None:
        self.expanded_terms += terms
        if self.expanded_terms > MAX_EXPANDED_TERMS:
            message = (
                f"The query and its segments have more than {MAX_EXPANDED_TERMS} terms. Remove "
                "some."
            )
            raise syntax_error(message, position, "the end")

    def _take_order(self, term: KeyValue, negated: str) -> None:
        """Set the order from `order_by:` or `order_dir:`."""
        if not self._has_order:
            message = f"A segment has no order. Remove `{term.key}:`."
            raise syntax_error(message, term.position, "another term")
        if self._depth or negated:
            message = (
                f"`{term.key}:` sets the order of the list. It cannot be negated or inside "
                "parentheses."
            )
            raise syntax_error(message, term.position, "a term")
        if term.key in self._order_values:
            raise syntax_error(
                f"`{term.key}:` occurs more than once. Remove one.", term.position, "another term"
            )
        value, allowed = term.value.text, ORDER_KEYS[term.key]
        if value not in allowed or term.operator or term.value.prefix:
            message = f"`{term.key}:` must be one of {', '.join(allowed)}, not {value[:100]!r}."
            suggestion = nearest(value, allowed)
            raise syntax_error(
                message, term.value.position, f"one of {', '.join(allowed)}", suggestion
            )
        self._order_values[term.key] = value


def _with_common_words(groups: Sequence[Sequence[Part]]) -> list[list[Part]]:
    """Return groups of terms whose common words of streets match, too, if there is another word: no
    index has the common ones."""
    parts = [part for group in groups for part in group]
    if not any(part.is_word and part.among_others is None for part in parts):
        return [list(group) for group in groups]
    return [
        [p._replace(condition=p.among_others or p.condition) for p in group] for group in groups
    ]


def _number(value: Value) -> str | None:
    return value.text if value.bare and matching.phone_digits(value.text) else None


def _join_phone_numbers(parts: Sequence[Part]) -> list[Condition]:
    """Return the conditions of adjacent terms. Consecutive numbers match separately, or together as
    a phone number."""
    result: list[Condition] = []
    number_parts: list[Part] = []
    for part in [*parts, Part(ALWAYS)]:
        if part.number:
            number_parts.append(part)
            continue
        texts = [number_part.number or "" for number_part in number_parts]
        phone_number = matching.number_in_parts(texts) if len(texts) > 1 else None
        conditions = [number_part.condition for number_part in number_parts]
        result += [Or((And(tuple(conditions)), phone_number))] if phone_number else conditions
        number_parts = []
        result.append(part.condition)
    return result[:-1]
