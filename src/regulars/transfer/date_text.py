"""Read the day, the half of the day and the time zone in a text without its time of day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from regulars.transfer.date_words import Vocabulary, Word, vocabularies

# Day, month, year; month, day, year; and year, month, day with a year of two digits.
Order = Literal["dmy", "mdy", "ymd"]

# A calendar other than the Gregorian one has other years now: 2567 in Thailand, 1445 and 1403 in
# Islamic and Persian dates. A date of ISO 8601 is Gregorian.
_LOCAL_YEARS = range(1800, 2200)
_ISO_YEARS = range(1000, 10_000)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MONTHS = 12
_MAX_OFFSET_MINUTES = 14 * 60


class DateError(ValueError):
    """A date that cannot be read. The message is a sentence for the user."""


class UnreadableDate(DateError):
    """A text that is not a date, or a date that does not exist."""


class AmbiguousDate(DateError):
    """A date with two meanings, such as `03/04/2024`."""


UNREADABLE = "This is not a date. Write it as 2024-03-18 or 2024-03-18T14:20:37Z."
NO_SUCH_DAY = "This day does not exist in the calendar. Check the day, the month and the year."
NO_SUCH_OFFSET = "This offset from UTC does not exist. Offsets are from -14:00 to +14:00."
_WRONG_WEEKDAY = "The day of the week does not belong to this date. Correct one of them."
# The years of Thailand from 1940 to 2060, which no other calendar of files has.
_BUDDHIST_EPOCH = 543
_BUDDHIST_YEARS = range(1940 + _BUDDHIST_EPOCH, 2061 + _BUDDHIST_EPOCH)
_NO_YEAR, _NO_DAY = (
    f"This date has no {part}. Write it as 2024-03-18." for part in ("year", "day")
)


class Day(NamedTuple):
    """A day, counted from 1970-01-01, with `am`, `pm` or neither, and an offset from UTC."""

    day: int
    period: str
    offset_minutes: int


class NumericDate(NamedTuple):
    """Three numbers between separators, as written. The separator is `. ` if the first
    and the last have two digits, as in Korean `24. 3. 18.`; else it has no blank next to it."""

    first: str
    separator: str
    second: str
    third: str

    @classmethod
    def of(cls, match: re.Match[str]) -> NumericDate:
        """Return the numbers of a match of NUMERIC."""
        first, separator, second, third = match.groups()
        is_short = len(first) == 2 >= len(third)
        if separator != ". " or not is_short:
            separator = separator.strip() or " "
        return cls(first, separator, second, third)

    def days(self) -> dict[Order, int]:
        """Return the days that the numbers can mean, each by its order. A year of four digits at
        the start is in the order `ymd`."""
        first, separator, second, third = self
        if len(first) > 2:
            is_year = len(first) == 4 and len(third) <= 2
            years = _ISO_YEARS if separator == "-" else _LOCAL_YEARS
            day = _day(int(first), int(second), int(third), years) if is_year else None
            if day is None and is_year and int(second) > _MONTHS:
                # 2024-18-03 has no other meaning.
                day = _day(int(first), int(third), int(second), years)
            return {} if day is None else {"ymd": day}
        if len(third) == 1 and separator == ". ":
            day = _year_day(first, second, third)
            return {} if day is None else {"ymd": day}
        if len(third) not in (2, 4):
            return {}
        days = {"dmy": _year_day(third, second, first), "mdy": _year_day(third, first, second)}
        if len(first) == 2 == len(third):
            days["ymd"] = _year_day(first, second, third)
        possible = {order: day for order, day in days.items() if day is not None}
        if len(third) == 2 and any(day >= 0 for day in possible.values()):
            # A year of two digits before 1970 is another part of the date: 28/03/24 is no 1928.
            possible = {order: day for order, day in possible.items() if day >= 0}
        return possible  # type: ignore[return-value]  # the keys are orders

    def choose(self, days: dict[Order, int], order: Order | None) -> int | None:
        """Return the day in an order of a column, or the one that is certain without; None if
        several remain."""
        if order in days and order is not None:
            return days[order]
        remaining = dict(days)
        # No locale of CLDR has a year of two digits before slashes or dots but Basque and Korean;
        # Korean has blanks, too.
        if self.separator in ("/", ".") and len(remaining) > 1:
            remaining.pop("ymd", None)
        if len(set(remaining.values())) == 1:
            return next(iter(remaining.values()))
        # Every locale of CLDR that has dots has the day before the month.
        return remaining.get("dmy") if self.separator == "." else None


def _year_day(year: str, month: str, day: str) -> int | None:
    if len(year) == 4:
        return _day(int(year), int(month), int(day), _LOCAL_YEARS)
    if len(year) != 2:
        return None
    recent = _day(2000 + int(year), int(month), int(day), _LOCAL_YEARS)
    # A year of two digits lies at most a year ahead.
    latest = (datetime.now(UTC).date() + timedelta(days=366)).toordinal() - _EPOCH_DAY
    if recent is not None and recent <= latest:
        return recent
    return _day(1900 + int(year), int(month), int(day), _LOCAL_YEARS)


def _day(year: int, month: int, day: int, years: range) -> int | None:
    if year in _BUDDHIST_YEARS and years is _LOCAL_YEARS:
        year -= _BUDDHIST_EPOCH
    if year not in years:
        return None
    try:
        return date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


NUMERIC = re.compile(r"(?<!\d)(\d{1,4})( ?[-./] ?| )(\d{1,2})\2(\d{1,4})(?!\d)", re.ASCII)
# 2024年3月18日; the years of eras, too: 令和6年, 民國113年. 元 is the first year.
_MARKED = re.compile(
    r"(令和|平成|昭和|大正|明治|民國|民国)? ?(\d{1,4}|元) ?[年년] ?(\d{1,2}) ?[月월]"
    r" ?(\d{1,2}) ?[日일號号]?"
)
# R6.3.18 is 令和6年3月18日.
_ERA_INITIAL = re.compile(
    r"(?<![^\W_])([rhst])(\d{1,2})([./-])(\d{1,2})\3(\d{1,2})(?!\d)", re.ASCII
)
_INITIALS = {"r": "令和", "h": "平成", "s": "昭和", "t": "大正"}
# Vietnamese: 18 tháng 3, 2024.
_NUMBERED_MONTH = re.compile(
    r"(?:ngay )?(\d{1,2}) th(?:ang|g) (\d{1,2})(?:,| nam)? (\d{4})", re.ASCII
)
# Croatian: the first two are other months in Polish, which has no dot after the day, and the others
# in Czech, which has none after the year.
_CROATIAN = re.compile(r"(?<=\d\. )(listopada|lip|(?:lis|srp)(?= \d{4}\.))(?= )")
_CROATIAN_MONTHS = {"listopada": "october", "lip": "june", "lis": "october", "srp": "july"}
# The year before the first of an era.
_ERAS = {
    "令和": 2018,
    "平成": 1988,
    "昭和": 1925,
    "大正": 1911,
    "明治": 1867,
    "民國": 1911,
    "民国": 1911,
}
# Vowels of India and Thailand are marks, and no letters of a word for the module `re`.
_LETTERS = r"(?:[^\W\d_]|[\u0900-\u0963\u0970-\u0d7f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])+"
_WORD = re.compile(rf"{_LETTERS}(?:-{_LETTERS})*")
_TOKEN = re.compile(rf"\d+|{_WORD.pattern}")
_DECIMAL = re.compile(r"\d[.]\d")
# What stands between the words and numbers of a date.
_PUNCTUATION = re.compile(r"[ ,.()\[\]'/;@-]*")
_OFFSET = re.compile(
    r"(?:^|(?<=[ (]))(?:utc|gmt|z)? ?([+-])(\d\d):?(\d\d)(?::?00)?(?!\d)"
    r"|\b(?:utc|gmt) ?([+-])(\d{1,2})(?!\d)"
)
_DAY_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
# `(Central European Standard Time)` after an offset; `[Europe/Paris]`; Go's monotonic clock.
_ZONE_COMMENT = re.compile(r" ?(?:\([^()\d]*\)|\[[a-z_]+(?:/[a-z_-]+){0,2}\]| m=[+-][\d.]+)$")


# `2024-03-18T`, and the comma in `2/18/21, 11:08 AM`.
_DAY_END = re.compile(r"(?<=\d)t$|[ ,]+$")
_PERIOD = re.compile(r" *(?:([ap]m)|h|hs|hrs?)\b")


@lru_cache(maxsize=8_192)
def read_day(before: str, after: str, order: Order | None) -> Day | DateError:
    """Return the day in a folded text, of which the parts before and after its time of day are
    given; or the error. It is returned, not raised, so that it is cached."""
    try:
        return _read_day(before, after, order)
    except DateError as error:
        return error.with_traceback(None)


def find_days(text: str) -> tuple[NumericDate | None, dict[Order, int]]:
    """Return the three numbers of a folded text without a time, and the days that they can mean,
    counted from 1970-01-01. A day of the week excludes days. Raises UnreadableDate."""
    found = _find(text, "")
    return found.numbers, found.days


class _Found(NamedTuple):
    numbers: NumericDate | None
    days: dict[Order, int]
    period: str
    offset_minutes: int


def _read_day(before: str, after: str, order: Order | None) -> Day:
    numbers, days, period, offset_minutes = _find(before, after)
    day = numbers.choose(days, order) if numbers else next(iter(days.values()))
    if day is None:
        raise AmbiguousDate(_meanings(days))
    return Day(day, period, offset_minutes)


def _find(before: str, after: str) -> _Found:
    period, offset = "", None
    if match := _PERIOD.match(after):
        period, after = match[1] or "", after[match.end() :]
    if match := _OFFSET.search(after):
        offset = _offset_minutes(match[1] or match[4], match[2] or match[5], match[3] or "0")
        after = f"{after[: match.start()]} {_ZONE_COMMENT.sub('', after[match.end() :])}"
    if after == " tu":  # temps universel
        after = " utc"
    text = f"{_DAY_END.sub('', before)} {after}"
    text = _ERA_INITIAL.sub(lambda m: f"{_INITIALS[m[1]]}{m[2]}年{m[4]}月{m[5]}日", text)
    if " th" in text:
        text = _NUMBERED_MONTH.sub(r"\3-\2-\1", text)
    if ". l" in text or ". s" in text:
        text = _CROATIAN.sub(lambda m: _CROATIAN_MONTHS[m[1]], text)
    numbers: NumericDate | None = None
    days: dict[Order, int] = {}
    match = NUMERIC.search(text)
    if match:
        numbers = NumericDate.of(match)
        days = numbers.days()
        zone = _DAY_OFFSET.match(text, match.end()) if len(numbers.first) == 4 else None
        if zone:
            offset = _offset_minutes(zone[1], zone[2], zone[3])
        text = f"{text[: match.start()]} {text[(zone or match).end() :]}"
    elif match := _MARKED.search(text):
        days = _marked_days(match)
        text = f"{text[: match.start()]} {text[match.end() :]}"
    if match and not days:
        raise UnreadableDate(NO_SUCH_DAY)
    fault = UnreadableDate(UNREADABLE)
    for vocabulary in vocabularies():
        try:
            words = _Words(text, vocabulary)
            days_left = words.check(days or {"ymd": words.day()})
        except UnreadableDate as error:
            # A word can have another meaning in another language: `Sa` is Tuesday in Turkish.
            fault = error if fault.args[0] == UNREADABLE else fault
            continue
        if offset is None:
            offset = words.offset_minutes or 0
        return _Found(numbers, days_left, period or words.period, offset)
    raise fault


def _meanings(days: dict[Order, int]) -> str:
    texts = [f"{date.fromordinal(day + _EPOCH_DAY):%Y-%m-%d}" for day in days.values()]
    return (
        f"This date can be {' or '.join(dict.fromkeys(texts))}. Set the order of day and month for "
        "the file: `--dates dmy` or `--dates mdy`."
    )


def _offset_minutes(sign: str, hours: str, minutes: str) -> int:
    offset = int(hours) * 60 + int(minutes)
    if offset > _MAX_OFFSET_MINUTES or int(minutes) > 59:
        raise UnreadableDate(NO_SUCH_OFFSET)
    return -offset if sign == "-" else offset


def _marked_days(match: re.Match[str]) -> dict[Order, int]:
    era, number, month, day = match.groups()
    year = 1 if number == "元" else int(number)
    if bool(era) == (len(number) == 4) or (number == "元" and not era):
        return {}
    known = _day(year + _ERAS.get(era, 0), int(month), int(day), _LOCAL_YEARS)
    return {} if known is None else {"ymd": known}


class _Words:
    """The words and numbers that are left of a date, in the languages of a vocabulary. Raises
    UnreadableDate for a word without a meaning."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        if not _PUNCTUATION.fullmatch(_TOKEN.sub("", text)):
            raise UnreadableDate(UNREADABLE)
        self.period = ""
        self.offset_minutes: int | None = None
        # `March 14.20` is rather a time.
        self._has_decimal = bool(_DECIMAL.search(text))
        self._numbers: list[str] = []
        self._weekdays: list[frozenset[int]] = []
        # Each name of a month, after so many numbers.
        self._months: list[tuple[int, Word]] = []
        tokens = _TOKEN.findall(text)
        while tokens:
            # Levantine months have two words: كانون الثاني.
            word = vocabulary.get(" ".join(tokens[:2])) if len(tokens) > 1 else None
            token = tokens.pop(0)
            if word:
                tokens.pop(0)
            elif token.isdecimal():
                self._numbers.append(token)
                continue
            self._add(word or vocabulary.get(token))

    def _add(self, word: Word | None) -> None:
        if word is None or len(word.months) > 1:
            raise UnreadableDate(UNREADABLE)
        if word.months:
            self._months.append((len(self._numbers), word))
        elif word.weekdays:
            self._weekdays.append(word.weekdays)
        self.period = self.period or word.period
        if word.offset_minutes is not None:
            self.offset_minutes = word.offset_minutes

    def day(self) -> int:
        """Return the day whose month has a name, as in `18 March 2024`."""
        if self._has_decimal:
            raise UnreadableDate(UNREADABLE)
        place, month = self._month()
        numbers = self._numbers
        years = [number for number in numbers if len(number) == 4]
        if len(numbers) == 2 and len(years) == 1:
            year = years[0]
            day = numbers[1 - numbers.index(year)]
        elif len(numbers) == 2 and not years and place < 2:
            # `18-Mar-24` and `Mar 18, 24`: no locale of CLDR has such a year first.
            day, year = numbers
        else:
            missing = _NO_DAY if years else _NO_YEAR
            raise UnreadableDate(missing if len(numbers) == 1 else UNREADABLE)
        known = _year_day(year, str(month), day) if len(day) < 3 else None
        if known is None:
            raise UnreadableDate(NO_SUCH_DAY)
        self._numbers = []
        return known

    def _month(self) -> tuple[int, int]:
        """Return how many numbers are before the month, and the month. In `mar 19 mar 2024`, one
        word is Tuesday in Spanish."""
        certain = [month for month in self._months if not month[1].weekdays]
        months = certain or self._months[-1:]
        if len(months) != 1:
            raise UnreadableDate(UNREADABLE)
        self._weekdays += [other[1].weekdays for other in self._months if other is not months[0]]
        self._months = []
        place, word = months[0]
        return place, next(iter(word.months))

    def check(self, days: Mapping[Order, int]) -> dict[Order, int]:
        """Return those days that are on the named days of the week. Raises UnreadableDate."""
        weekdays = self._weekdays + [word.weekdays for _, word in self._months]
        if self._numbers or not all(weekdays):
            raise UnreadableDate(UNREADABLE)
        # 1970-01-01 was a Thursday.
        left = {order: d for order, d in days.items() if all((d + 3) % 7 in w for w in weekdays)}
        if not left:
            raise UnreadableDate(_WRONG_WEEKDAY)
        return left
