"""Read the dates of a file in any form that has one meaning. Nothing is guessed.

Two general parsers were measured and left out. python-dateutil (50 µs a date) reads `03/04/2024` as
month first and `18/03/2024` as day first in the same column, fills in missing parts from today, and
knows English alone. dateparser takes longer still, and guesses in the same way.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from regulars.transfer.date_text import (
    NO_SUCH_DAY,
    NO_SUCH_OFFSET,
    UNREADABLE,
    AmbiguousDate,
    DateError,
    Day,
    Order,
    UnreadableDate,
    read_day,
)
from regulars.transfer.date_words import NO_DATE, fold

__all__ = [
    "MAX_CHARACTERS",
    "AmbiguousDate",
    "DateError",
    "Order",
    "UnreadableDate",
    "is_storable",
    "read_timestamp",
]

# `Mon Mar 18 2024 14:20:00 GMT+1100 (Australian Eastern Daylight Time)` of JavaScript has 69.
MAX_CHARACTERS = 80
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_OFFSET_SECONDS = 14 * 3_600
# From the year 1000 to 9999.
_MIN_TIMESTAMP = -30_610_224_000_000
_MAX_TIMESTAMP = 253_402_300_799_999
# 0001-01-01, 1899-12-30, 1899-12-31 and 1900-01-01, in days since 1970.
_UNSET_DAYS = {-719_162, -25_569, -25_568, -25_567}
_UNSET_SECONDS = -719_162 * 86_400
_FIRST_STORED = 2**31

_NO_SUCH_TIME = "This time of day does not exist. Write it as 14:20 or 2:20 PM."
_TOO_LONG = f"This is not a date: it has more than {MAX_CHARACTERS} characters."
_BAD_NUMBER = (
    "This number is not a date. Write it as 2024-03-18, or in seconds or milliseconds since 1970."
)


def is_storable(timestamp: int) -> bool:
    """Return whether a sorted list can show a timestamp (milliseconds since 1970): it is outside
    the first 25 days of 1970, in which a cursor could be that of a count."""
    return timestamp < 0 or timestamp >= _FIRST_STORED


def read_timestamp(
    value: Any, order: Order | None = None, *, allow_serial: bool = False
) -> int | None:
    """Return the timestamp that a value of a file names, in milliseconds since 1970 in UTC; None if
    the value says that there is none (`""`, `-`, `n/a`, `0000-00-00`, `Never`).

    `value` is a text, a number (Unix time), or a date or datetime of Python. `order` is that of the
    column, from `decide_order`: it decides dates with several meanings alone. `allow_serial` takes
    numbers such as 45369.5 as days of Excel. A value without an offset is in UTC.

    Raises UnreadableDate or AmbiguousDate.
    """
    if type(value) is str:
        # The usual form, in 0.6 µs: fromisoformat also reads forms that need a second look.
        if value[4:8:3] == "--" and value[10:11] in _AFTER_ISO_DAY and len(value) <= MAX_CHARACTERS:
            # `14:20:37 UTC` of Stripe and `14:20:37 +0000` of Shopify.
            iso = value
            if value[19:20] == " ":
                zone = value[20:]
                iso = value[:19] + (zone if zone[:1] in "+-" else _ZONES.get(zone, value[19:]))
            try:
                moment = datetime.fromisoformat(iso)
            except ValueError:
                pass
            else:
                return _of_moment(moment)
        elif not value:
            return None
        elif value.isdecimal() and len(value) in _UNIX_DIGITS and value[0] != "0":
            return int(value) * _UNIX_DIGITS[len(value)]
        return _read_text(value, order, allow_serial)
    if type(value) is int and 10**9 <= value < 10**10:
        return value * 1_000
    if value is None:
        return None
    if isinstance(value, datetime):
        return _of_moment(value)
    if isinstance(value, date):
        return _of_moment(datetime(value.year, value.month, value.day))
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnreadableDate(UNREADABLE)
    if not math.isfinite(value) or not -(10**19) < value < 10**19:
        raise UnreadableDate(_BAD_NUMBER)
    if value == math.trunc(value):
        return _of_digits(str(math.trunc(value)), allow_serial)
    return _of_number(Decimal(str(value)), allow_serial)


_ZONES = {"UTC": "Z", "GMT": "Z"}
# Seconds and milliseconds of the years 2001 to 2286.
_UNIX_DIGITS = {10: 1_000, 13: 1}
_AFTER_ISO_DAY = frozenset({"", "T", " "})


def _of_moment(moment: datetime) -> int | None:
    zone = moment.tzinfo
    if zone is None:
        since = moment - _EPOCH
    else:
        offset = moment.utcoffset()
        if zone is not UTC and offset and abs(offset.total_seconds()) > _MAX_OFFSET_SECONDS:
            raise UnreadableDate(NO_SUCH_OFFSET)
        since = moment - _EPOCH_UTC
    milliseconds = since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000
    return milliseconds if 0 < milliseconds <= _MAX_TIMESTAMP else _of_unusual(milliseconds)


def _of_unusual(milliseconds: int) -> int | None:
    """Return a timestamp; None if it is one that systems write where no date is set: 0, the first
    day of .NET and Go, and the first days of Excel and SQL Server. Raises UnreadableDate outside
    the years."""
    if milliseconds == 0 or milliseconds // _DAY_MS in _UNSET_DAYS:
        return None
    if not _MIN_TIMESTAMP <= milliseconds <= _MAX_TIMESTAMP:
        raise UnreadableDate(NO_SUCH_DAY)
    return milliseconds


def _of_number(number: Decimal, allow_serial: bool) -> int | None:
    """Return the timestamp of Unix seconds, milliseconds, microseconds or nanoseconds, told apart
    by their number of digits (in the years 1973 to 2286), or of a day of Excel."""
    if number == 0 or number == _UNSET_SECONDS:
        return None
    if allow_serial and _SERIALS[0] <= number < _SERIALS[1]:
        # Excel shows seconds, and a serial number of 15 digits has no more.
        return _of_unusual((round(number * 86_400) - _SERIAL_1970 * 86_400) * 1_000)
    unit = _UNITS.get(len(str(abs(math.trunc(number)))))
    if unit is None:
        raise UnreadableDate(_BAD_NUMBER)
    return _of_unusual(math.floor(number * unit))


# Milliseconds of a unit, by the digits of a Unix time. A number of 18 digits can also be one of
# Windows, one of 11 is in the year 2286 or later, and one of 14 is a date without separators.
_UNITS = {
    **dict.fromkeys((9, 10), Decimal(1_000)),
    **dict.fromkeys((12, 13), Decimal(1)),
    **dict.fromkeys((15, 16), Decimal("0.001")),
    19: Decimal("0.000001"),
}
# From 1927-05-18 to 2100-12-31: a number of four digits is rather a year.
_SERIALS = (10_000, 73_416)
_SERIAL_1970 = 25_569
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,18})(?:[.,]\d{1,15})?", re.ASCII)
_DIGITS = re.compile(
    r"((?:1[89]|2[01])\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(\d{3})?)?)?", re.ASCII
)


def _of_digits(text: str, allow_serial: bool) -> int | None:
    """Return the timestamp of `20240318`, `20240318142037` or a number."""
    match = _DIGITS.fullmatch(text)
    if match:
        try:
            moment = datetime(*[int(part or 0) for part in match.groups()[:6]])  # type: ignore[arg-type]  # six numbers
        except ValueError:
            if len(text) in (8, 14, 17):
                raise UnreadableDate(NO_SUCH_DAY) from None
        else:
            if len(text) == 12:  # also milliseconds, of 1976
                raise UnreadableDate(_BAD_NUMBER)
            timestamp = _of_moment(moment)
            return timestamp and timestamp + int(match[7] or 0)
    return _of_number(Decimal(text.replace(",", ".")), allow_serial)


_JSON_DATE = re.compile(r"\\?/date\((-?\d{1,17})(?:[+-]\d{4})?\)\\?/", re.ASCII)
# Zeros and separators alone, perhaps with a zone: `0000-00-00T00:00:00Z`, `0/0/00 12:00 am`.
# The first day of .NET and the days 0 of Excel are no dates either.
_ZERO_DATE = re.compile(
    r"(?:0?1[/.-]0?1[/.-]0001|12/30/1899|30[/.-]12[/.-]1899|0?[01][/.-]0?0[/.-]1900"
    r"|0?0[/.-]0?1[/.-]1900|1900-01-00)?"
    r"[0/.: t+-]*(?:12:00:00 am|z|utc)?"
)
_PERIODS = re.compile(r"\b([ap])\. ?m\b\.?|(?<=\d)([ap])m?\b")
_DAY_OF_YEAR = re.compile(r"\d{4}-\d{3}", re.ASCII)
_ISO_BASIC = re.compile(
    r"\d{8}[t ]\d\d:?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?(?: ?z|[+-]\d\d:?(?:\d\d)?)?"
    r"|\d{4}-w\d\d-\d(?:t.*)?",
    re.ASCII,
)
# `18/Mar/2024:14:20:37` of web servers, `18MAR2024:14:20:37` of SAS, `2024:03:18 14:20:37` of Exif.
_YEAR_COLON = re.compile(r"(?<=[a-z/]\d{4}):(?=\d\d:\d\d)")
_COLON_DATE = re.compile(r"^(\d{4}):(\d\d):(\d\d) ", re.ASCII)
# `2024م`: the letter is also that of p.m.
_ARABIC_ERA = re.compile(r"(?<=\d{4})م\b|(?<=\d{4}) م(?= |$)")
_TIMES = (
    # 14:20:37.123
    re.compile(r"(?<![\d:.,/+-])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?![\d:])"),
    # 14h20, 14時20分37秒
    re.compile(
        r"(?<![\d:.,/+-])(\d{1,2}) ?[h時时點点시](?: ?(\d{1,2})"
        r"(?: ?(?:min|[分분m])(?: ?(\d{1,2}) ?[s秒초]())?)?)?(?![^\W\d_]|\d)"
    ),
    # 2 pm
    re.compile(r"(?<![\d:.,/+-])(\d{1,2})()()()(?= *[ap]m\b)"),
    # 14.20, after a date; 02.20.37.000000 PM of Oracle
    re.compile(r"(?<= )(\d{1,2})\.(\d\d)(?:\.(\d\d)(?:\.(\d{1,9}))?)?(?= |$)"),
)

# Words before a date with its time.
_NAME_BEFORE = re.compile(r"(?:[^\W\d_][^\W\d_.'’-]*[.'’-]? ){1,4}(?=.*\d{4}.* \d{1,2}:\d\d)")


# The usual local forms, which need no other look: `18/03/2024`, `3/4/2024 2:20 PM`.
_USUAL = re.compile(
    r"(\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|\d{4}/\d{1,2}/\d{1,2})"
    r"(?:,? (\d{1,2}):(\d\d)(?::(\d\d))?(?: ?([AaPp][Mm]))?)?",
    re.ASCII,
)


def _read_text(value: str, order: Order | None, allow_serial: bool) -> int | None:
    if len(value) > MAX_CHARACTERS:
        raise UnreadableDate(_TOO_LONG)
    usual = _USUAL.fullmatch(value)
    if usual:
        text, hour, minute, second, period = usual.groups()
        day = read_day(text, period.lower() if period else "", order)
        if isinstance(day, Day):
            return _combine(day, hour or "0", minute, second)
    stripped = value.strip(" \t\r\n'\"=")
    if len(stripped) < len(value):
        return read_timestamp(stripped, order, allow_serial=allow_serial)
    text = fold(value)
    if _NUMBER.fullmatch(text):
        return _of_digits(text, allow_serial)
    if text in NO_DATE or _ZERO_DATE.fullmatch(text):
        return None
    if match := _JSON_DATE.fullmatch(text):
        return _of_unusual(int(match[1]))
    if _ISO_BASIC.fullmatch(text):
        return _of_iso(text)
    if _DAY_OF_YEAR.fullmatch(text):
        return _of_day_of_year(text)
    if text.count(":") > 2:
        text = _COLON_DATE.sub(r"\1-\2-\3 ", _YEAR_COLON.sub(" ", text))
    if "م" in text:
        text = _ARABIC_ERA.sub("", text)
    if "μ" in text:
        text = text.replace("π.μ.", "am").replace("μ.μ.", "pm")
    text = _PERIODS.sub(r" \1\2m", text)
    try:
        return _read_local(text, order)
    except UnreadableDate:
        # The name of the person who did it and the date with its time, as in the logs of monday.
        name = _NAME_BEFORE.match(text)
        for count in range(1, name[0].count(" ") + 1 if name else 1):
            try:
                return _read_local(text.split(" ", count)[count], order)
            except UnreadableDate:
                continue
        raise


def _of_iso(text: str) -> int | None:
    try:
        return _of_moment(datetime.fromisoformat(text.upper().replace(" Z", "Z")))
    except DateError:
        raise
    except ValueError:
        raise UnreadableDate(NO_SUCH_DAY) from None


def _of_day_of_year(text: str) -> int | None:
    try:
        return _of_moment(datetime.strptime(text, "%Y-%j"))
    except ValueError:
        raise UnreadableDate(NO_SUCH_DAY) from None


def _read_local(text: str, order: Order | None) -> int | None:
    fault: DateError | None = None
    for pattern in _TIMES:
        match = pattern.search(text)
        if match:
            day = read_day(text[: match.start()], text[match.end() :], order)
            if isinstance(day, Day):
                return _combine(day, *match.groups())
            fault = _clearer(fault, day)
    day = read_day(text, "", order)
    if isinstance(day, Day):
        if day.period:
            raise UnreadableDate(_NO_SUCH_TIME)
        return _combine(day)
    fault = _clearer(fault, day)
    raise type(fault)(*fault.args)


def _clearer(first: DateError | None, second: DateError) -> DateError:
    """Return the error that says more: the first, unless it is the general one."""
    return second if first is None or first.args[0] == UNREADABLE else first


def _combine(
    day: Day,
    hour_text: str = "0",
    minute_text: str | None = None,
    second_text: str | None = None,
    fraction: str | None = None,
) -> int | None:
    hour, minute, second = int(hour_text), int(minute_text or 0), int(second_text or 0)
    if day.period == "pm":
        # Some systems write 14:20 PM. In Japanese, noon is 0:00 PM.
        hour += 12 if hour < 12 else 0
    elif day.period == "noon":
        hour += 12 if hour < 3 else 0
    elif day.period == "evening":
        if hour == 12:
            raise UnreadableDate(_NO_SUCH_TIME)
        hour += 12 if hour < 12 else 0
    elif day.period == "am":
        if hour > 12:
            raise UnreadableDate(_NO_SUCH_TIME)
        hour %= 12
    # ISO 8601 has 24:00 for the end of a day, and second 60 for a leap second.
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and (minute or second)):
        raise UnreadableDate(_NO_SUCH_TIME)
    milliseconds = int(fraction[:3].ljust(3, "0")) if fraction else 0
    minutes = hour * 60 + minute - day.offset_minutes
    return _of_unusual(day.day * _DAY_MS + minutes * 60_000 + second * 1_000 + milliseconds)
