"""Moments as text: the `format` and `suffix` arguments of every timestamp.

The tokens and the wording of relative times are those of moment.js, in English and in UTC.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import Any, Protocol

from regulars.graphql import Fault, Refused

MAX_FORMAT = 255
FROM_NOW = "fromNow"
ISO = "ISO"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

# `calendar` formats its names each time that they are read, in the language of the process: 5 µs.
_MONTHS = (
    "",
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_PART = re.compile(
    r"\[[^\[]*\]|YYYY|YY|MMMM|MMM|MM|M|DDDD|DDD|DD|Do|D|dddd|ddd|HH|H|hh|h|mm|m|ss|s|SSS|A|a|ZZ|Z|X|x"
)

Token = Callable[[datetime, int], str]


class Clock(Protocol):
    """What a moment is rendered with: the request's own present, in milliseconds since 1970."""

    @property
    def now(self) -> int: ...


Render = Callable[[Clock, Sequence[int | None]], list[str | None]]


def _ordinal(number: int) -> str:
    if number in (11, 12, 13):
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def _twelve(hour: int) -> int:
    return hour % 12 or 12


def _day_of_year(at: datetime) -> int:
    return at.timetuple().tm_yday


# Each token of moment.js, of a moment as a datetime in UTC and as milliseconds since 1970.
TOKENS: Mapping[str, Token] = {
    "YYYY": lambda at, _: f"{at.year:04}",
    "YY": lambda at, _: f"{at.year % 100:02}",
    "MMMM": lambda at, _: _MONTHS[at.month],
    "MMM": lambda at, _: _MONTHS[at.month][:3],
    "MM": lambda at, _: f"{at.month:02}",
    "M": lambda at, _: str(at.month),
    "DDDD": lambda at, _: f"{_day_of_year(at):03}",
    "DDD": lambda at, _: str(_day_of_year(at)),
    "DD": lambda at, _: f"{at.day:02}",
    "D": lambda at, _: str(at.day),
    "Do": lambda at, _: _ordinal(at.day),
    "dddd": lambda at, _: _DAYS[at.weekday()],
    "ddd": lambda at, _: _DAYS[at.weekday()][:3],
    "HH": lambda at, _: f"{at.hour:02}",
    "H": lambda at, _: str(at.hour),
    "hh": lambda at, _: f"{_twelve(at.hour):02}",
    "h": lambda at, _: str(_twelve(at.hour)),
    "mm": lambda at, _: f"{at.minute:02}",
    "m": lambda at, _: str(at.minute),
    "ss": lambda at, _: f"{at.second:02}",
    "s": lambda at, _: str(at.second),
    "SSS": lambda at, _: f"{at.microsecond // 1000:03}",
    "A": lambda at, _: "AM" if at.hour < 12 else "PM",
    "a": lambda at, _: "am" if at.hour < 12 else "pm",
    "Z": lambda _at, _: "+00:00",
    "ZZ": lambda _at, _: "+0000",
    "X": lambda _at, ms: str(ms // _SECOND),
    "x": lambda _at, ms: str(ms),
}


def prepare(arguments: Mapping[str, Any]) -> Render:
    """The renderer for a timestamp's arguments: of moments in milliseconds since 1970.

    `format` is `fromNow`, `ISO`, or a text of tokens; null is as good as absent. Raises Refused
    for a format of more than 255 characters.
    """
    form = arguments.get("format")
    form = FROM_NOW if form is None else form
    if len(form) > MAX_FORMAT:
        message = f"The format has {len(form):,} characters; at most {MAX_FORMAT} are allowed."
        raise Refused(Fault(message, "errors_invalid_input", ("format",)))
    suffix = arguments.get("suffix") is not False

    if form == FROM_NOW:
        return _from_now(suffix)
    pieces = _pieces("YYYY-MM-DD[T]HH:mm:ss.SSS[Z]" if form == ISO else form)

    def render(at: int | None) -> str | None:
        if at is None:
            return None
        moment = _EPOCH + timedelta(milliseconds=at)
        return "".join([p if isinstance(p, str) else p(moment, at) for p in pieces])

    return lambda _clock, moments: [render(at) for at in moments]


@lru_cache(maxsize=256)
def _pieces(form: str) -> tuple[str | Token, ...]:
    """A format cut into tokens and the text between them."""
    pieces: list[str | Token] = []
    end = 0
    for found in _PART.finditer(form):
        pieces.append(form[end : found.start()])
        text = found[0]
        pieces.append(text[1:-1] if text[0] == "[" else TOKENS[text])
        end = found.end()
    pieces.append(form[end:])
    return tuple(piece for piece in pieces if piece != "")


def _from_now(suffix: bool) -> Render:
    # An age by where it stands among _AGES: before the first it is to come, and after the last it
    # is of more years than have words of their own here.
    words = [f"{words} ago" for words in _WORDS] if suffix else _WORDS
    by_place = ("", *words[:-1], "")

    def render(clock: Clock, moments: Sequence[int | None]) -> list[str | None]:
        now, ages = clock.now, _AGES
        return [
            None
            if at is None
            else by_place[bisect_right(ages, now - at)] or from_now(now - at, suffix)
            for at in moments
        ]

    return render


def from_now(age: int, suffix: bool = True) -> str:
    """An age in milliseconds in words, as moment.js rounds and words it; negative for a moment
    to come. `suffix` adds ` ago` or `in `."""
    words = _words(abs(age))
    if not suffix:
        return words
    return f"in {words}" if age < 0 else f"{words} ago"


def _words(age: int) -> str:
    if age < _AGES[-1]:
        return _WORDS[bisect_right(_AGES, age) - 1]
    return f"{floor(age / _YEAR + _HALF)} years"


def _wording() -> Iterator[tuple[int, str]]:
    """The ages, in milliseconds, from which on other words are used, and the words: a unit is
    rounded to the nearest number of it, halves up."""
    smaller, enough = Fraction(_SECOND), 45
    for one, many, unit, most in (
        ("a minute", "minutes", Fraction(_MINUTE), 45),
        ("an hour", "hours", Fraction(_HOUR), 22),
        ("a day", "days", Fraction(_DAY), 26),
        ("a month", "months", _YEAR / 12, 11),
        ("a year", "years", _YEAR, 200),
    ):
        yield ceil((enough - _HALF) * smaller), one
        for number in range(2, most):
            yield ceil((number - _HALF) * unit), f"{number} {many}"
        smaller, enough = unit, most


_HALF = Fraction(1, 2)
# 400 years of the Gregorian calendar have 146,097 days.
_YEAR = Fraction(146_097 * _DAY, 400)
_CHANGES = ((0, "a few seconds"), *_wording())
_AGES = [age for age, _ in _CHANGES]
_WORDS = [words for _, words in _CHANGES]
