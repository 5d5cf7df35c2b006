"""Dates of the search language: days, months, timestamps and relative times. All are in UTC, in
milliseconds since 1970."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from regulars.store.conditions import RelativeValue

_TIMESTAMP = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>[Zz]|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)
_AGO = re.compile(r"-(?P<count>\d{1,6})(?P<unit>[a-z]+)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_YEAR = 9_999

# Units of a length of time: milliseconds for those that are always as long, months for the others.
_LENGTHS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_MONTHS = {"mo": 1, "y": 12}
UNITS = (*_LENGTHS, *_MONTHS)


@dataclass(frozen=True, slots=True)
class RelativeTime(RelativeValue):
    """A time before now, in `m`inutes, `h`ours, `d`ays, `w`eeks, `mo`nths or `y`ears."""

    count: int
    unit: str

    def at(self, now: int) -> int:
        """Return the time before `now`, in milliseconds since 1970. A month before 31 March is the
        last day of February."""
        if self.unit in _LENGTHS:
            return now - self.count * _LENGTHS[self.unit]
        at = _EPOCH + now * _MILLISECOND
        months = at.year * 12 + at.month - 1 - self.count * _MONTHS[self.unit]
        if months < 12:  # there is no year 0
            return _of(datetime(1, 1, 1, tzinfo=UTC))
        year, month = months // 12, months % 12 + 1
        return _of(at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1])))


def ago(text: str) -> RelativeTime | None:
    """Return the relative time of a text such as `-7d`; None for any other text."""
    match = _AGO.fullmatch(text)
    if not match or match["unit"] not in UNITS:
        return None
    return RelativeTime(int(match["count"]), match["unit"])


def span(text: str) -> tuple[int, int] | None:
    """Return the start of a date's period, and the start of the next period. The period is a year,
    a month, a day, a minute, a second or a millisecond. Return None for an invalid date."""
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return None
    parts = match.groupdict()
    try:
        start = datetime(
            int(parts["year"]),
            int(parts["month"] or 1),
            int(parts["day"] or 1),
            int(parts["hour"] or 0),
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            tzinfo=UTC,
        )
        begins = _of(start) - _offset(parts["zone"])
    except ValueError:
        return None
    if parts["fraction"]:
        begins += int(parts["fraction"][:3].ljust(3, "0"))
        return begins, begins + 1
    if parts["hour"]:
        return begins, begins + (1_000 if parts["second"] else 60_000)
    if parts["day"]:
        return begins, begins + _LENGTHS["d"]
    year, month = start.year, start.month
    if parts["month"]:
        return begins, begins + monthrange(year, month)[1] * _LENGTHS["d"]
    days = 366 if monthrange(year, 2)[1] == 29 else 365
    return begins, begins + days * _LENGTHS["d"]


def parse_timestamp(text: str) -> int | None:
    """Return the timestamp of a text in milliseconds since 1970, the start of the day for a date,
    or None if the text is not a timestamp."""
    bounds = span(text.strip())
    return bounds[0] if bounds else None


_FROM_NOW = re.compile(
    r"(?P<to_come>in )?(?P<count>a few|an?|\d{1,6}) "
    r"(?P<unit>second|minute|hour|day|week|month|year)s?(?P<ago> ago)?",
    re.ASCII,
)
_UNITS = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    # A month of a relative time has 146,097 / 4,800 days, as in moment.js.
    "month": 2_629_746_000,
    "year": 31_556_952_000,
}


def from_now(text: str, now: int) -> int | None:
    """Return the approximate time of a text such as `3 days ago` or `in a month`, in milliseconds
    since 1970; None for any other text."""
    match = _FROM_NOW.fullmatch(text.strip().lower())
    if not match or bool(match["to_come"]) == bool(match["ago"]):
        return None
    count = int(match["count"]) if match["count"].isdecimal() else 1
    distance_ms = 0 if match["count"] == "a few" else count * _UNITS[match["unit"]]
    return now + distance_ms if match["to_come"] else now - distance_ms


# Numbers as text: to look them up takes half of the time of formatting them. An export formats two
# times for each customer.
_MINUTES = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1_440)]
_SECONDS = [f"{second:02}" for second in range(60)]
_MILLISECONDS = [f"{millisecond:03}" for millisecond in range(1_000)]


def iso(at: int) -> str:
    """Return a time as `2024-03-18T14:20:37.000Z`."""
    days, rest = divmod(at, 86_400_000)
    minute, rest = divmod(rest, 60_000)
    second, millisecond = divmod(rest, 1_000)
    return f"{_day(days)}T{_MINUTES[minute]}:{_SECONDS[second]}.{_MILLISECONDS[millisecond]}Z"


@lru_cache(maxsize=1_000)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def _of(timestamp: datetime) -> int:
    return (timestamp - _EPOCH) // _MILLISECOND


def _offset(zone: str | None) -> int:
    """Return the offset of a zone from UTC. Raises ValueError for an impossible offset."""
    if not zone or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:
        raise ValueError(zone)
    length = hours * _LENGTHS["h"] + minutes * _LENGTHS["m"]
    return -length if zone[0] == "-" else length
