"""Timestamps as text: the `format` and `suffix` arguments of every timestamp.

The tokens and the wording of relative times are those of moment.js, in English and in UTC.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Protocol

from regulars.graphql import Fault, RequestError

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
    """The time of a request, in milliseconds since 1970. Relative times refer to it."""

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
    """Return a function that renders timestamps (milliseconds since 1970) for the arguments.

    `format` is `fromNow` (also if it is null or absent), `ISO`, or a text with tokens. Raises
    RequestError if it has more than 255 characters.
    """
    form = arguments.get("format")
    form = FROM_NOW if form is None else form
    if len(form) > MAX_FORMAT:
        message = f"`format` has {len(form):,} characters; the maximum is {MAX_FORMAT}."
        raise RequestError(Fault(message, "errors_invalid_input", ("format",)))
    suffix = arguments.get("suffix") is not False

    if form == FROM_NOW:
        return _from_now(suffix)
    pieces = _pieces("YYYY-MM-DD[T]HH:mm:ss.SSS[Z]" if form == ISO else form)

    def render(at: int | None) -> str | None:
        if at is None:
            return None
        timestamp = _EPOCH + timedelta(milliseconds=at)
        return "".join([p if isinstance(p, str) else p(timestamp, at) for p in pieces])

    return lambda _clock, timestamps: [render(at) for at in timestamps]


@lru_cache(maxsize=256)
def _pieces(form: str) -> tuple[str | Token, ...]:
    """Split a format into tokens and the text between them."""
    pieces: list[str | Token] = []
    end = 0
    for match in _PART.finditer(form):
        pieces.append(form[end : match.start()])
        text = match[0]
        pieces.append(text[1:-1] if text[0] == "[" else TOKENS[text])
        end = match.end()
    pieces.append(form[end:])
    return tuple(piece for piece in pieces if piece != "")


@cache
def _from_now(suffix: bool) -> Render:
    # An age by where it stands among _AGES: empty where it alone does not decide.
    by_place = ("", *[f"{words} ago" if words and suffix else words for words in _WORDS])

    def render(clock: Clock, timestamps: Sequence[int | None]) -> list[str | None]:
        now, ages = clock.now, _AGES
        return [
            None
            if at is None
            else by_place[bisect_right(ages, now - at)] or from_now(at, now, suffix)
            for at in timestamps
        ]

    return render


def from_now(at: int, now: int, suffix: bool = True) -> str:
    """Return how long ago a timestamp was, or in how long it will be, as moment.js words it.

    Both are in milliseconds since 1970. `suffix` adds ` ago` or `in `. The algorithm is that of
    docs/contract/contract.md, "fromNow": months are calendar months in UTC, as in
    `moment.utc(at).from(moment.utc(now))`.
    """
    words = _words(min(at, now), max(at, now))
    if not suffix:
        return words
    return f"in {words}" if at > now else f"{words} ago"


def _words(earlier: int, later: int) -> str:
    if words := _WORDS[bisect_right(_AGES, later - earlier) - 1]:
        return words
    months, rest = _calendar_months(earlier, later)
    if months == 0:
        return "a month"  # 26 to 31 days: shorter ages are in the table
    exact = months * _MONTH + rest
    months = (2 * exact + _MONTH) // (2 * _MONTH)
    if months < 11:
        return "a month" if months <= 1 else f"{months} months"
    years = (2 * exact + _YEAR) // (2 * _YEAR)
    return "a year" if years <= 1 else f"{years} years"


def _calendar_months(earlier: int, later: int) -> tuple[int, int]:
    """Return the whole calendar months between two timestamps, and the remaining milliseconds."""
    begin, time_of_day = divmod(earlier, _DAY)
    end = _month_of(later // _DAY)
    months, day = _in_month(begin, end)
    rest = later - time_of_day - day * _DAY
    if rest < 0:
        months, day = _in_month(begin, end - 1)
        rest = later - time_of_day - day * _DAY
    return months, rest


@lru_cache(maxsize=64)
def _month_of(day: int) -> int:
    """Return the month of a day since 1970, counted from the year 0."""
    at = date.fromordinal(_EPOCH_DAY + day)
    return at.year * 12 + at.month - 1


# A page of customers that is listed again has the same days.
@lru_cache(maxsize=16_384)
def _in_month(day: int, month: int) -> tuple[int, int]:
    """Return the months between a day (since 1970) and a month, and the same day in that month. In
    a shorter month, it is the last day."""
    start = date.fromordinal(_EPOCH_DAY + day)
    year, index = divmod(month, 12)
    last_day = date(year, index + 1, min(start.day, calendar.monthrange(year, index + 1)[1]))
    return month - start.year * 12 - start.month + 1, last_day.toordinal() - _EPOCH_DAY


def _wording() -> Iterator[tuple[int, str]]:
    """Yield the ages in milliseconds from which another wording applies, with the wording.

    A unit is rounded to the nearest whole number, halves up. From two months on, the wording is
    empty near each limit, where the calendar decides.
    """
    yield 0, "a few seconds"
    smaller, enough = _SECOND, 45
    for singular, plural, unit, limit in (
        ("a minute", "minutes", _MINUTE, 45),
        ("an hour", "hours", _HOUR, 22),
        ("a day", "days", _DAY, 26),
    ):
        yield (2 * enough - 1) * smaller // 2, singular
        for number in range(2, limit):
            yield (2 * number - 1) * unit // 2, f"{number} {plural}"
        smaller, enough = unit, limit
    yield (2 * enough - 1) * smaller // 2, "a month"
    for number in range(2, 12):
        limit = (2 * number - 1) * _MONTH // 2
        yield limit - _IN_A_YEAR, ""
        yield limit + _IN_A_YEAR, f"{number} months" if number < 11 else "a year"
    for number in range(2, 200):
        limit = (2 * number - 1) * _YEAR // 2
        yield limit - _DEVIATION, ""
        yield limit + _DEVIATION, f"{number} years"
    yield limit + _YEAR - _DEVIATION, ""


# 400 years of the Gregorian calendar have 146,097 days and 4,800 months.
_MONTH = 146_097 * _DAY // 4_800
_YEAR = 12 * _MONTH
# How much longer or shorter a number of calendar months can be than as many mean months: from -2.44
# to 2.20 days up to twelve months, from -4.15 to 3.65 days in 400 years.
_IN_A_YEAR = 3 * _DAY
_DEVIATION = 5 * _DAY
_EPOCH_DAY = _EPOCH.toordinal()
_CHANGES = tuple(_wording())
_AGES = [age for age, _ in _CHANGES]
_WORDS = [words for _, words in _CHANGES]
