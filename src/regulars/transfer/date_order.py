"""Decide the order of day and month in the columns of a file, from all their values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from regulars.transfer.date_text import Order, UnreadableDate, find_days
from regulars.transfer.date_words import fold

_ORDERS: frozenset[Order] = frozenset(("dmy", "mdy", "ymd"))
# A date of three numbers of which none is a year of four digits at the start.
_SHORT_DATE = re.compile(r"(?<![\d:])\d{1,2}( ?[./-] ?| )\d{1,2}\1(?:\d{4}|\d\d?)(?![\d:])")
_MAX_CHARACTERS = 80
# Distinct dates that wait for a look. There are 10,000 days in 27 years.
_MAX_WAITING = 10_000


class Clue(NamedTuple):
    """What a date says about the order of its column: its separator, the orders in which it is a
    date, and whether its meaning depends on the order."""

    separator: str
    orders: frozenset[Order]
    is_ambiguous: bool


class DateOrderEvidence:
    """What the values of one column say about the order of day, month and year.

    `18/03/2024` proves that the day is first, `03/18/2024` that the month is. `03/04/2024` proves
    nothing, and neither does a clock of 12 hours, which Australia has with the day first. A day of
    the week is proof: `Mon, 03/04/2024`.
    """

    __slots__ = ("_clues", "_waiting")

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        # Each kind of clue, with its first example.
        self._clues: dict[Clue, str] = {}

    def add(self, value: Any) -> None:
        """Take in a value of the column. Values other than texts say nothing."""
        if type(value) is not str or len(value) > _MAX_CHARACTERS:
            return
        if value[4:5] == "-" and value[:4].isdigit():
            return
        text = value if value.isascii() else fold(value)
        match = _SHORT_DATE.search(text)
        if not match:
            return
        waiting = self._waiting
        before = text[: match.start()]
        # A day of the week says something, a time does not.
        is_needed = before and not any(map(str.isdigit, before))
        waiting.add(text[: match.end()] if is_needed else match[0])
        if len(waiting) >= _MAX_WAITING:
            self._examine()

    def add_all(self, values: Iterable[Any]) -> None:
        """Take in many values of the column."""
        for value in values:
            self.add(value)

    def _examine(self) -> None:
        for text in sorted(self._waiting):
            try:
                numbers, days = find_days(fold(text))
            except UnreadableDate:
                continue
            if numbers:
                is_ambiguous = numbers.choose(days, None) is None
                clue = Clue(numbers.separator, frozenset(days), is_ambiguous)
                self._clues.setdefault(clue, text)
        self._waiting.clear()

    @property
    def clues(self) -> Mapping[Clue, str]:
        """The kinds of dates in the column, with an example of each."""
        self._examine()
        return self._clues

    @property
    def separators(self) -> frozenset[str]:
        """The separators of the dates of three numbers."""
        return frozenset(clue.separator for clue in self.clues)

    @property
    def possible(self) -> frozenset[Order]:
        """The orders that every value allows: none if the values contradict each other."""
        possible = _ORDERS
        for clue in self.clues:
            # Dates with dots have the day first everywhere: they leave the others open.
            if clue.separator != "." or not {"dmy", "mdy"} <= clue.orders:
                possible &= clue.orders
        return possible if self.clues else _ORDERS

    @property
    def usual(self) -> frozenset[Order]:
        """The orders that every value allows and that are usual: no language of CLDR has a year of
        two digits before slashes or dots but Basque and Korean."""
        possible = self.possible
        is_unusual = len(possible) > 1 and self.separators <= {"/", "."}
        return possible - {"ymd"} if is_unusual else possible

    @property
    def assumed(self) -> Order | None:
        """The only usual order, if the values do not prove it: `24/03/18` may begin with a year."""
        return next(iter(self.usual)) if len(self.usual) == 1 < len(self.possible) else None

    @property
    def proven(self) -> Order | None:
        """The only order that every value allows, if there is one."""
        possible = self.possible
        return next(iter(possible)) if len(possible) == 1 else None

    @property
    def is_contradictory(self) -> bool:
        """Whether one value proves an order, and another value another one."""
        return not self.possible

    @property
    def ambiguous_example(self) -> str | None:
        """A date of the column whose meaning depends on the order; None without one."""
        return next((text for clue, text in self.clues.items() if clue.is_ambiguous), None)


def decide_order(
    columns: Sequence[DateOrderEvidence], chosen: Order | None = None
) -> list[Order | None]:
    """Return the order of each column of a file.

    An order that the values of a column prove counts for it; then `chosen`, the user's option;
    then the only usual one; then the order that other columns of the file prove, those with the
    same separator first. It is None if none of these decides. `read_timestamp` then refuses the
    dates with several meanings, of which `ambiguous_example` is one.
    """
    return [
        column.proven or chosen or column.assumed or _order_of_others(column, columns)
        for column in columns
    ]


def _order_of_others(
    column: DateOrderEvidence, columns: Sequence[DateOrderEvidence]
) -> Order | None:
    if column.is_contradictory:
        return None
    proofs = [other for other in columns if other.proven]
    same = [other for other in proofs if other.separators & column.separators]
    # An order with dots says nothing about other separators, nor they about dots.
    similar = [other for other in proofs if other.separators - {"."} and column.separators != {"."}]
    for others in (same, similar):
        orders = {other.proven for other in others}
        if orders:
            order = orders.pop()
            return order if not orders and order in column.usual else None
    return None
