"""Records of a file: the rows of CSV in any common dialect, and JSON Lines.

What cannot be read is a record, too, with what is wrong with it; so nothing of a file is passed
over in silence. No more than a record is held in memory, and none longer than `LONGEST`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import orjson

from regulars.transfer.errors import BadFile
from regulars.transfer.input_file import UNREADABLE, InputFile, unreadable

# Characters of a line. Notes and custom fields have up to 65,535 each, and are the longest.
LONGEST = 4 * 1024 * 1024
# Characters of a cell: beyond this, a quote was opened that nobody closed.
LONGEST_CELL = 1024 * 1024
# Characters that are read again after quotes that are never closed: each such row may take all that
# follows it.
_MOST_READ_AGAIN = 64 * 1024 * 1024
# Levels of a line of JSON, and its names.
MOST_LEVELS = 200
MOST_NAMES = 10_000
MOST_COLUMNS = 10_000

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_CHARACTERS = {**{name: char for char, name in DELIMITERS.items()}, "\\t": "\t"}
_LOOKED_AT = 50
# Rows with or without text, of a sample.
_MOST_SAMPLED = 2_000


class Record(NamedTuple):
    """A record: its `line`, from 1; the cells of a row of CSV, or the object of a line of JSON; or
    what is wrong with it. `size` is how many characters it takes in the file."""

    line: int
    cells: list[str] | None = None
    data: Mapping[str, Any] | None = None
    problem: str | None = None
    size: int = 0


class _UnclosedQuote(Exception):
    """The file ends within quotes."""


class _LineTooLong(Exception):
    """A line that is longer than one may be."""


_NOT_CLOSED = "A quote is opened here and never closed. Close it, or write it twice."
_TOO_LONG = f"The line is longer than {LONGEST:,} characters; no customer is."
_NO_OBJECT = "The line is not a JSON object."
_TOO_WIDE = f"The object has more than {MOST_NAMES:,} names."
_TOO_DEEP = f"The line is nested deeper than {MOST_LEVELS} levels."
_UNDECODABLE = (
    "The row has bytes that are no text in this file's encoding. Say which it is with --encoding."
)


class Lines:
    """The lines of a text, each with its end; counted, and bounded in length."""

    def __init__(self, file: InputFile) -> None:
        self._name = file.name
        self._stream = file.stream
        wide = file.encoding.startswith(("utf-16", "utf-32"))
        self._undecodable = re.compile("[\ud800-\udfff\ufffd]" if wide else "[\udc80-\udcff]")
        self._again: deque[str] = deque()
        self._most_blank = file.bounds.blank_lines
        self._blank = 0
        self._read_again = 0
        self.held: list[str] = []
        self.held_characters = 0
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        """The lines that are left. Raises _UnclosedQuote at the end of the file where a record has
        begun, _LineTooLong, and BadFile."""
        while True:
            line = self._again.popleft() if self._again else self._read(LONGEST + 1)
            if not line:
                if self.held:
                    raise _UnclosedQuote
                return
            self.number += 1
            self.held.append(line)
            self.held_characters += len(line)
            if self.held_characters > LONGEST and len(self.held) > 1:
                raise _UnclosedQuote
            if len(line) > LONGEST and line[-1] not in "\r\n":
                self._skip()
                raise _LineTooLong
            yield line

    def _read(self, most: int) -> str:
        try:
            return self._stream.readline(most)
        except UNREADABLE as error:
            raise unreadable(self._name, error) from error

    def _skip(self) -> None:
        while (more := self._read(LONGEST)) and more[-1] not in "\r\n":
            pass
        self.held = [""]

    def undecodable(self, text: str) -> str | None:
        """What is wrong with a text that holds bytes that could not be decoded."""
        return _UNDECODABLE if self._undecodable.search(text) else None

    def give_back(self) -> None:
        """Takes all but the first of the lines of the present record to be read again. Raises
        BadFile where that happened too often."""
        self._read_again += self.held_characters
        if self._read_again > _MOST_READ_AGAIN:
            raise BadFile(
                f"{self._name} has too many quotes that are never closed, the last one in line "
                f"{self.number - len(self.held) + 1:,}. Close them, or choose another delimiter."
            )
        self._again.extendleft(reversed(self.held[1:]))
        self.number -= len(self.held) - 1
        self.release()

    def release(self) -> None:
        """Begins another record."""
        self.held.clear()
        self.held_characters = 0

    def count_blank(self) -> None:
        """Counts a row without any text. Raises BadFile beyond the limit."""
        self._blank += 1
        if self._blank > self._most_blank:
            raise BadFile(f"{self._name} has more than {self._most_blank:,} blank lines.")


def csv_records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The rows of a CSV file (RFC 4180, and what is common beside it: other delimiters, line ends
    of any kind, quotes within cells). Rows without any text are passed over."""
    csv.field_size_limit(LONGEST_CELL)
    while True:
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for cells in reader:
                start = lines.number - len(lines.held) + 1
                size = lines.held_characters
                lines.release()
                text = "".join(cells)
                if text:
                    wrong = None if text.isascii() else lines.undecodable(text)
                    yield Record(start, cells, problem=wrong, size=size)
                else:
                    lines.count_blank()
            return
        except (_UnclosedQuote, csv.Error):
            start = lines.number - len(lines.held) + 1
            first = lines.held[0].rstrip("\r\n")
            lines.give_back()
            yield Record(start, [first], problem=_NOT_CLOSED)
        except _LineTooLong:
            yield Record(lines.number, problem=_TOO_LONG)
            lines.release()


def json_records(lines: Lines) -> Iterator[Record]:
    """The objects of a file of JSON Lines."""
    while True:
        try:
            for line in lines:
                lines.release()
                if line.isspace():
                    lines.count_blank()
                else:
                    yield _json_record(lines.number, line, lines.undecodable(line))
            return
        except _LineTooLong:
            yield Record(lines.number, problem=_TOO_LONG)
            lines.release()


def _json_record(number: int, line: str, wrong: str | None) -> Record:
    size = len(line)
    if wrong:
        return Record(number, [line.strip()], problem=wrong, size=size)
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        problem = f"The line is not JSON: {error}."
        return Record(number, [line.strip()], problem=problem, size=size)
    if not isinstance(data, dict):
        return Record(number, [line.strip()], problem=_NO_OBJECT, size=size)
    if len(data) > MOST_NAMES:
        return Record(number, [line.strip()], problem=_TOO_WIDE, size=size)
    if line.count("{") + line.count("[") > MOST_LEVELS and is_deep(data, MOST_LEVELS):
        return Record(number, [line.strip()], problem=_TOO_DEEP, size=size)
    return Record(number, data=data, size=size)


def is_deep(value: Any, levels: int) -> bool:
    """Whether a JSON value has more levels of arrays and objects."""
    here = [value]
    for _ in range(levels):
        here = [
            inner
            for outer in here
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not here:
            return False
    return True


def is_json(file: InputFile) -> bool:
    """Whether a file seems to be JSON Lines. Raises BadFile for other JSON."""
    text = file.sample.lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        first = text.split("\n", 1)[0].rstrip()
        if first == "[" or text[1:].lstrip().startswith("{"):
            raise BadFile(
                f"{file.name} is a JSON array. JSON Lines has one object on each line: "
                f"jq -c '.[]' {file.name} makes them."
            )
    return text.startswith("{")


def delimiter_of(sample: str) -> str:
    """The delimiter of a CSV file that begins so: the one with which its first rows have the most
    columns, and all as many."""
    best, chosen = (0.0, 0), ","
    for delimiter in DELIMITERS:
        widths = _widths(sample, delimiter)
        if not widths or widths[0] < 2:
            continue
        same = sum(width == widths[0] for width in widths) / len(widths)
        if (same, widths[0]) > best:
            best, chosen = (same, widths[0]), delimiter
    return chosen


def _widths(sample: str, delimiter: str) -> list[int]:
    csv.field_size_limit(LONGEST_CELL)
    widths: list[int] = []
    try:
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        for cells in islice(rows, _MOST_SAMPLED):
            if any(cells):
                widths.append(len(cells))
            if len(widths) > _LOOKED_AT:
                break
    except csv.Error:
        pass
    # The last of a sample may be cut off.
    return widths[:-1] if len(widths) > 1 else widths


def delimiter_named(text: str) -> str | None:
    """The delimiter that an option means: a character, or its name."""
    usable = len(text) == 1 and text.isprintable() and not text.isalnum() and text not in "\"'@"
    return _CHARACTERS.get(text, text if usable else None)
