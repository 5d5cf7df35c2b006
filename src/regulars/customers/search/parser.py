"""The search language: a query's text read into an order and a condition.

    query  = term { [AND | OR] term }          juxtaposition is AND; AND binds tighter than OR
    term   = [NOT | -] ( "(" query ")" | key ":" [< | <= | > | >=] value | value )
    value  = word | "quoted words" | 'quoted words'        a trailing * makes it a prefix

Reading takes time in proportion to the text's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from regulars.core.errors import Rejected
from regulars.core.limits import DEFAULTS
from regulars.core.text import nearest
from regulars.customers.search import keys, matching
from regulars.customers.search.keys import ALWAYS
from regulars.customers.search.lexer import KeyValue, Text, Value, refused
from regulars.store.conditions import And, Condition, Not, Or
from regulars.store.tables import ORDER_COLUMNS

MAX_TERMS = 50
MAX_DEPTH = 10

ORDER_BY, ORDER_DIR = "order_by", "order_dir"
# What stands with the order's own keys.
ALLOWED = {ORDER_BY: tuple(ORDER_COLUMNS), ORDER_DIR: ("asc", "desc")}


@dataclass(frozen=True, slots=True)
class Order:
    """A list's order: by one of the names of `ORDER_COLUMNS`; ties break by `_id` in the same
    direction."""

    by: str = "id"
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """What a query asks: an order, whether it says so itself, and a condition unless all customers
    are meant."""

    order: Order
    condition: Condition | None = None
    ordered: bool = False


@lru_cache(maxsize=500)
def parse(query: str, most: int = DEFAULTS.search_characters) -> Search:
    """Reads a query of at most `most` characters. Newest first (`order_by:id order_dir:desc`) where
    it does not say.

    Raises Rejected with InvalidQuery: the position of the first fault, what was expected there,
    and the nearest word that would be right.
    """
    if len(query) > most:
        message = f"The query has {len(query):,} characters; at most {most:,} are allowed."
        raise refused(message, most, "the end")
    if "\0" in query:
        message = "The query has a NUL character, which no text here can have."
        raise refused(message, query.index("\0"), "another character")
    return _Parser(query).search()


class _Part(NamedTuple):
    """A term as it was read, and its text if it may be a part of a phone number."""

    condition: Condition
    number: str | None = None


class _Parser:
    """Reads one query."""

    def __init__(self, query: str) -> None:
        self._text = Text(query)
        self._depth = 0
        self._terms = 0
        self._said: dict[str, str] = {}

    def search(self) -> Search:
        """All of the query."""
        found = self._any()
        if not self._text.at_end():
            message = "This parenthesis closes none. Take it away, or write \\) to look for one."
            raise refused(message, self._text.position, "a term")
        order = Order(self._said.get(ORDER_BY, "id"), self._said.get(ORDER_DIR, "desc") == "asc")
        return Search(order, found.condition if found else None, bool(self._said))

    def _any(self) -> _Part | None:
        """Terms up to a closing parenthesis or the end: None if they say nothing but an order."""
        found: list[_Part] = []
        while True:
            part = self._all()
            position = self._text.position
            if found and not part:
                raise self._no_term_behind("OR")
            if part:
                found.append(part)
            if not self._text.take_keyword("OR"):
                break
            if not part:
                raise refused("OR needs a term before it.", position, "a term")
            self._require_term("OR")
        if len(found) < 2:
            return found[0] if found else None
        return _Part(Or(tuple(part.condition for part in found)))

    def _all(self) -> _Part | None:
        """Terms up to an OR, a closing parenthesis or the end."""
        found: list[list[_Part]] = []  # those that stand side by side, without an AND, together
        beside = waiting = False  # for what an AND wants
        while True:
            self._text.skip_spaces()
            if self._text.at_end() or self._text.next_is(")"):
                break
            position = self._text.position
            if self._text.take_keyword("AND"):
                if not found:
                    raise refused("AND needs a term before it.", position, "a term")
                self._require_term("AND")
                beside, waiting = False, True
                continue
            if self._next_keyword("OR"):
                break
            part = self._term()
            if part and beside:
                found[-1].append(part)
            elif part:
                found.append([part])
            beside = part is not None
            waiting = waiting and not part
        if waiting:
            raise self._no_term_behind("AND")
        if len(found) == 1 and len(found[0]) == 1:
            return found[0][0]
        parts = [asked for group in found for asked in _with_numbers_joined(group)]
        return _Part(And(tuple(parts))) if parts else None

    def _next_keyword(self, word: str) -> bool:
        start = self._text.position
        taken = self._text.take_keyword(word)
        self._text.position = start
        return taken

    def _require_term(self, operator: str) -> None:
        """Raises Rejected unless a term follows an operator."""
        self._text.skip_spaces()
        ends = self._text.at_end() or self._text.next_is(")")
        if ends or self._next_keyword("AND") or self._next_keyword("OR"):
            raise self._no_term_behind(operator)

    def _no_term_behind(self, operator: str) -> Rejected:
        message = f"{operator} needs a term behind it. To look for the word, put it in quotes."
        return refused(message, self._text.position, "a term")

    def _term(self) -> _Part | None:
        """One term; None for one that says the order."""
        start = self._text.position
        negated = "NOT" if self._text.take_keyword("NOT") else "-" if self._text.take("-") else ""
        if negated == "NOT":
            self._require_term("NOT")
        if negated == "-" and self._text.ends_word() and not self._text.next_is("("):
            raise refused("A minus needs a term right behind it.", start, "a term")
        part = self._group() if self._text.next_is("(") else self._single(negated)
        if part and negated:
            return _Part(Not(part.condition))
        return part

    def _group(self) -> _Part:
        start = self._text.position
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"Parentheses stand more than {MAX_DEPTH} deep here."
            raise refused(message, start, "a term without parentheses")
        self._text.take("(")
        part = self._any()
        if not self._text.take(")"):
            message = "This parenthesis is not closed. Close it, or write \\( to look for one."
            raise refused(message, start, "a closing parenthesis")
        if part is None:
            raise refused("There is nothing between these parentheses.", start, "a term")
        self._depth -= 1
        return _Part(part.condition, part.number and f"({part.number})")

    def _single(self, negated: str) -> _Part | None:
        position = self._text.position
        self._terms += 1
        if self._terms > MAX_TERMS:
            message = f"The query has more than {MAX_TERMS} terms."
            raise refused(message, position, "the end")
        term = self._text.term()
        if isinstance(term, KeyValue):
            if term.key in ALLOWED:
                self._order(term, negated)
                return None
            asked = keys.keyed(term, tuple(ALLOWED))
        elif term.bare and term.text in keys.WITHIN:
            asked = keys.WITHIN[term.text]
        else:
            return _Part(matching.free(term), _number(term))
        return _Part(asked)

    def _order(self, term: KeyValue, negated: str) -> None:
        """Takes `order_by:` or `order_dir:`."""
        if self._depth or negated:
            message = (
                f"{term.key}: says how the list is ordered; it stands outside parentheses, and is "
                "not negated."
            )
            raise refused(message, term.position, "a term")
        if term.key in self._said:
            raise refused(f"{term.key}: stands here twice.", term.position, "another term")
        said, allowed = term.value.text, ALLOWED[term.key]
        if said not in allowed or term.operator or term.value.prefix:
            message = f"{term.key}: takes one of {', '.join(allowed)}; it is {said[:100]!r} here."
            near = nearest(said, allowed)
            raise refused(message, term.value.position, f"one of {', '.join(allowed)}", near)
        self._said[term.key] = said


def _number(value: Value) -> str | None:
    return value.text if value.bare and matching.phone_digits(value.text) else None


def _with_numbers_joined(parts: Sequence[_Part]) -> list[Condition]:
    """The conditions of terms that stand side by side. Numbers in a row are each what it is, or
    together a phone number."""
    found: list[Condition] = []
    row: list[_Part] = []
    for part in [*parts, _Part(ALWAYS)]:
        if part.number:
            row.append(part)
            continue
        together = (
            matching.number_in_parts([each.number or "" for each in row]) if row[1:] else None
        )
        each = [one.condition for one in row]
        found += [Or((And(tuple(each)), together))] if together else each
        row = []
        found.append(part.condition)
    return found[:-1]
