"""Read rows of CSV whose quotes break RFC 4180.

A quote opens a cell if it is the first character of the cell, and closes it if it is the last one.
All other quotes are text. If several readings are possible, the one with as many cells as the
headings is right.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from regulars.transfer.csv_dialect import CsvDialect, unescape

# An email, or an id or a phone number with digits: what identifies a row.
_KEY = re.compile(r"[^\s@]+@[^\s@]+|(?=\D*\d)[^\s@]{6,64}")
_MAX_KEY_CHARACTERS = 320


def read_line(line: str, dialect: CsvDialect, width: int) -> list[str] | None:
    """Return the cells of a line with stray quotes. `width` is the number of cells of the headings,
    0 if it is unknown. Return None if a quote is not closed, or if there are too many cells."""
    quote = dialect.quote
    parts = line.rstrip("\r\n").split(dialect.delimiter)
    if len(parts) == width:  # no delimiter is within quotes
        cells = [_value(part, quote) if quote in part else part for part in parts]
        closed = [cell for cell in cells if cell is not None]
        return closed if len(closed) == len(cells) else None
    return next(_readings(parts, dialect, width), None)


def read_only_way(line: str, dialect: CsvDialect, width: int) -> list[str] | None:
    """Return the cells of a line with stray quotes and as many cells as the headings. Return None
    if there is no such reading, or more than one."""
    parts = line.rstrip("\r\n").split(dialect.delimiter)
    readings = [cells for cells in _readings(parts, dialect, width) if len(cells) == width]
    return readings[0] if readings and readings.count(readings[0]) == len(readings) else None


def _readings(parts: Sequence[str], dialect: CsvDialect, width: int) -> Iterator[list[str]]:
    for closers in _possible_closers(parts, dialect.quote):
        for is_longest in (False, True):
            merged = _merge(parts, closers, is_longest, dialect)
            if merged is None:
                break
            if len(merged) == width or len(parts) < width or not width:
                yield merged


def _value(text: str, quote: str) -> str | None:
    """Return the value of a whole cell, None if its quote is not closed."""
    stripped = text.strip(" ")
    if not stripped.startswith(quote):
        return text
    if len(stripped) > 1 and stripped.endswith(quote):
        return unescape(stripped[1:-1]).replace(quote * 2, quote)
    return text if text.count(quote) % 2 == 0 else None


def _possible_closers(parts: Sequence[str], quote: str) -> list[list[int]]:
    """Return the positions of the parts that close a cell: by a quote that is neither doubled nor
    after a backslash, and then by any quote."""
    ends = [
        (position, text)
        for position, part in enumerate(parts)
        if quote in part and (text := part.rstrip(" ")).endswith(quote)
    ]
    every = [position for position, _ in ends]
    some = [position for position, text in ends if _closes(text, quote)]
    return [every] if some == every else [some, every]


def _closes(text: str, quote: str) -> bool:
    body = text.rstrip(quote)
    is_single = (len(text) - len(body)) % 2 == 1 and not body.endswith("\\")
    return is_single or not body.strip(" ")


def _merge(
    parts: Sequence[str], closers: Sequence[int], is_longest: bool, dialect: CsvDialect
) -> list[str] | None:
    """Join the parts of a line, which were divided by a delimiter within quotes. The first closing
    quote ends a cell, or with `is_longest` the last one before another cell is opened. Return None
    if a quote is not closed."""
    quote = dialect.quote
    openers = [i for i, part in enumerate(parts) if part.lstrip(" ").startswith(quote)]
    cells: list[str] = []
    position = 0
    for opener in openers:
        if opener < position:
            continue
        cells += parts[position:opener]
        position = opener + 1
        index = bisect_left(closers, opener)
        if parts[opener].strip(" ") == quote:  # it does not close itself
            index = bisect_left(closers, position)
        if is_longest:
            following = bisect_right(openers, opener)
            end = openers[following] if following < len(openers) else len(parts)
            index = max(index, bisect_left(closers, end) - 1)
        if index < len(closers):
            position = closers[index] + 1
        value = _value(dialect.delimiter.join(parts[opener:position]), quote)
        if value is None:
            return None
        cells.append(value)
    return [*cells, *parts[position:]]


def find_keys(line: str, dialect: CsvDialect) -> list[int]:
    """Return the columns in which a line has an email or an id."""
    marks = f" {dialect.quote}\r\n"
    cells = line.split(dialect.delimiter)
    return [column for column, cell in enumerate(cells) if _is_key(cell.strip(marks))]


def holds_rows(lines: Sequence[str], keys: Sequence[int], dialect: CsvDialect, width: int) -> bool:
    """Return whether lines of one row, which are not its first one, look like rows: they have as
    many cells as the headings, and an email or an id in one of the columns `keys`."""
    for line in lines:
        if line.count(dialect.delimiter) >= width - 1:
            columns = find_keys(line, dialect)
            if not frozenset(columns).isdisjoint(keys):
                return True
    return False


def _is_key(cell: str) -> bool:
    return len(cell) <= _MAX_KEY_CHARACTERS and _KEY.fullmatch(cell) is not None
