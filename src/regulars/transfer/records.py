"""Read the lines of a file, and its records: rows of CSV or JSON objects.

An unreadable row is a record with a problem, so that no row is skipped silently. One record is in
memory at a time, of at most `LONGEST` characters.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from regulars.transfer.errors import BadFile
from regulars.transfer.input_file import (
    JSON_ARRAY,
    PLAIN,
    UNREADABLE,
    VCARD,
    InputFile,
    unreadable,
)

# Characters of a line. Notes and custom fields have up to 65,535 each, and are the longest.
LONGEST = 4 * 1024 * 1024
# Characters that are read again after unclosed quotes. Such a row may include all that follows, up
# to `LONGEST`. The second limit is for each character that was read, which keeps the work linear.
_MAX_REREAD_CHARACTERS = 2 * LONGEST
_MAX_REREADS = 4
# Levels of a line of JSON, and its names.
MAX_LEVELS = 200
MAX_NAMES = 10_000
MAX_COLUMNS = 10_000


class Record(NamedTuple):
    """A record of a file: its `line` (from 1), and the `cells` of a row of CSV, the `data` of a
    JSON object, or a `problem`. `size` is its length in the file, in characters. `surplus` are the
    cells beyond the headings, if they have text. `has_stray_quotes`: the quotes of the row are not
    those of CSV, and its cells are a guess. In a workbook, a JSON document and vCards, `line`
    is the number of the row, object or card. `spreadsheet_row` is the row in which a spreadsheet
    shows a row of CSV: a value with several lines is in one row. Elsewhere it is 0."""

    line: int
    cells: list[str] | None = None
    data: Mapping[str, Any] | None = None
    problem: str | None = None
    size: int = 0
    surplus: Sequence[str] = ()
    has_stray_quotes: bool = False
    spreadsheet_row: int = 0


class UnclosedQuote(Exception):
    """The file ends within quotes."""


class LineTooLong(Exception):
    """A line is longer than `LONGEST`."""


# The member that refers to the parent of a line, in bulk operations of Shopify.
_PARENT = "__parentId"
# The members of an edge of a connection (GraphQL Cursor Connections Specification).
_EDGE = {"node", "cursor", "__typename"}
TOO_LONG = f"The line is longer than {LONGEST:,} characters, the maximum."
_NO_OBJECT = "The record is not a JSON object."
_TOO_WIDE = f"The object has more than {MAX_NAMES:,} names."
_TOO_DEEP = f"The line is nested deeper than {MAX_LEVELS} levels."
_UNDECODABLE = (
    "The row has bytes that are invalid in the encoding of the file. Set the encoding with "
    "--encoding."
)
_NOT_UTF8 = (
    "The record has bytes that are not UTF-8, the encoding of JSON. Export it again as UTF-8."
)


class Lines:
    """Iterates over the lines of a text, with their ends. Counts them and limits their length.
    `width` is the number of cells of the headings, 0 before they are known."""

    def __init__(self, file: InputFile) -> None:
        self._name = file.name
        self._stream = file.stream
        wide = file.encoding.startswith(("utf-16", "utf-32")) or file.content == JSON_ARRAY
        self._undecodable_problem = _NOT_UTF8 if file.content == JSON_ARRAY else _UNDECODABLE
        self.has_own_lines = file.content == PLAIN
        # The number of lines with the child of a record, and the first one.
        self.skipped_children = (0, 0)
        self._undecodable = re.compile("[\ud800-\udfff\ufffd]" if wide else "[\udc80-\udcff]")
        self._pending: deque[str] = deque()
        self._max_blank = file.bounds.blank_lines
        self._blank = 0
        self._read_characters = 0
        self._reread_characters = 0
        self.record_lines: list[str] = []
        self.record_characters = 0
        self.number = 0
        self.width = 0
        # The number of lines so far that continue a record.
        self.continued = 0

    def __iter__(self) -> Iterator[str]:
        """Yield the remaining lines. Raises UnclosedQuote if the file ends within a record,
        LineTooLong, and BadFile."""
        pending, readline = self._pending, self._stream.readline
        try:
            while True:
                if pending:
                    line = pending.popleft()
                else:
                    line = readline(LONGEST + 1)
                    self._read_characters += len(line)
                if not line:
                    if self.record_lines:
                        raise UnclosedQuote
                    return
                self.number += 1
                self.record_lines.append(line)
                self.record_characters += len(line)
                if self.record_characters > LONGEST:
                    if len(self.record_lines) > 1:
                        raise UnclosedQuote
                    if line[-1] not in "\r\n":
                        while (more := readline(LONGEST)) and more[-1] not in "\r\n":
                            pass
                        self.record_lines = [""]
                        raise LineTooLong
                yield line
        except UNREADABLE as error:
            raise unreadable(self._name, error) from error

    def peek(self, count: int, max_characters: int) -> list[str]:
        """Return up to `count` of the next lines, which are read again. The last one may exceed the
        characters. Raises BadFile."""
        characters = sum(map(len, self._pending))
        try:
            while len(self._pending) < count and characters <= max_characters:
                line = self._stream.readline(LONGEST + 1)
                if not line:
                    break
                characters += len(line)
                self._read_characters += len(line)
                self._pending.append(line)
        except UNREADABLE as error:
            raise unreadable(self._name, error) from error
        return list(islice(self._pending, count))

    def skip(self, count: int) -> None:
        """Leave out lines that `peek` has returned: they continue the current record."""
        for _ in range(count):
            self._pending.popleft()
        self.number += count
        self.continued += count

    def undecodable(self, text: str) -> str | None:
        """Return the problem of a text with bytes that could not be decoded, or None."""
        return self._undecodable_problem if self._undecodable.search(text) else None

    def give_back(self) -> None:
        """Read all lines of the current record but the first again. Raises BadFile if that happens
        too often."""
        self._reread_characters += self.record_characters
        limit = _MAX_REREAD_CHARACTERS + _MAX_REREADS * self._read_characters
        if self._reread_characters > limit:
            raise BadFile(
                f"{self._name} has too many unclosed quotes, the last one in line "
                f"{self.number - len(self.record_lines) + 1:,}. Close them, or choose another "
                "delimiter."
            )
        self._pending.extendleft(reversed(self.record_lines[1:]))
        self.number -= len(self.record_lines) - 1
        del self.record_lines[1:]
        self.release()

    def release(self) -> None:
        """Start the next record."""
        self.continued += max(0, len(self.record_lines) - 1)
        self.record_lines.clear()
        self.record_characters = 0

    def count_blank(self) -> None:
        """Count a blank row. Raises BadFile beyond the limit."""
        self._blank += 1
        if self._blank > self._max_blank:
            raise BadFile(
                f"{self._name} has more than {self._max_blank:,} blank lines. Remove them."
            )


def fitted_records(records: Iterator[Record], width: int) -> Iterator[Record]:
    """Yield records with as many cells as there are headings. Missing cells at the end are empty.
    Cells beyond the headings are the surplus, unless they are blank."""
    for record in records:
        cells = record.cells
        if cells is None or len(cells) == width or record.problem is not None:
            yield record
        elif len(cells) < width:
            yield record._replace(cells=cells + [""] * (width - len(cells)))
        else:
            surplus = cells[width:]
            has_text = any(map(str.strip, surplus))
            yield record._replace(cells=cells[:width], surplus=surplus if has_text else ())


def json_records(lines: Lines) -> Iterator[Record]:
    """Yield the objects of a file of JSON Lines. A `node` of GraphQL is taken out of its edge. The
    children of records (`__parentId`, in bulk operations of Shopify) are counted and skipped."""
    while True:
        try:
            for line in lines:
                lines.release()
                if line.isspace():
                    lines.count_blank()
                    continue
                record = _json_record(lines.number, line, lines.undecodable(line))
                if record.data is not None and _PARENT in record.data:
                    count, first = lines.skipped_children
                    lines.skipped_children = (count + 1, first or lines.number)
                else:
                    yield record
            return
        except LineTooLong:
            yield Record(lines.number, problem=TOO_LONG)
            lines.release()


def _json_record(number: int, line: str, problem: str | None) -> Record:
    size = len(line)
    if problem:
        return Record(number, [line.strip()], problem=problem, size=size)
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        problem = f"The line is not JSON: {error}."
        return Record(number, [line.strip()], problem=problem, size=size)
    if isinstance(data, dict) and "node" in data and data.keys() <= _EDGE:
        data = data["node"]
    if not isinstance(data, dict):
        return Record(number, [line.strip()], problem=_NO_OBJECT, size=size)
    if len(data) > MAX_NAMES:
        return Record(number, [line.strip()], problem=_TOO_WIDE, size=size)
    if line.count("{") + line.count("[") > MAX_LEVELS and is_deep(data, MAX_LEVELS):
        return Record(number, [line.strip()], problem=_TOO_DEEP, size=size)
    return Record(number, data=data, size=size)


def is_deep(value: Any, levels: int) -> bool:
    """Return whether a JSON value has more than `levels` levels of arrays and objects."""
    containers = [value]
    for _ in range(levels):
        containers = [
            inner
            for outer in containers
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not containers:
            return False
    return True


def is_json(file: InputFile) -> bool:
    """Return whether the records of a file are JSON objects."""
    if file.content == PLAIN:
        return file.sample.lstrip("\ufeff \t\r\n").startswith("{")
    return file.content in (VCARD, JSON_ARRAY)
