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
from typing import Any, NamedTuple

import orjson

from regulars.transfer.errors import BadFile
from regulars.transfer.opening import UNREADABLE, Opened, unreadable

# Characters of a line. Notes and custom fields have up to 65,535 each, and are the longest.
LONGEST = 4 * 1024 * 1024
# Characters of a cell: beyond this, a quote was opened that nobody closed.
LONGEST_CELL = 1024 * 1024
MOST_COLUMNS = 10_000

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_CHARACTERS = {**{name: char for char, name in DELIMITERS.items()}, "\\t": "\t"}
_LOOKED_AT = 50


class Record(NamedTuple):
    """A record: its `line`, from 1; the cells of a row of CSV, or the object of a line of JSON; or
    what is wrong with it."""

    line: int
    cells: list[str] | None = None
    data: Mapping[str, Any] | None = None
    problem: str | None = None


class _Unclosed(Exception):
    """The file ends within quotes."""


class _TooLong(Exception):
    """A line that is longer than one may be."""


_NOT_CLOSED = "A quote is opened here and never closed. Close it, or write it twice."
_TOO_LONG = f"The line is longer than {LONGEST:,} characters; no customer is."
_UNDECODABLE = (
    "The row has bytes that are no text in this file's encoding. Say which it is with --encoding."
)


class Lines:
    """The lines of a text, each with its end; counted, and bounded in length."""

    def __init__(self, opened: Opened) -> None:
        self._name = opened.name
        self._stream = opened.stream
        wide = opened.encoding.startswith(("utf-16", "utf-32"))
        self._undecodable = re.compile("[\ud800-\udfff\ufffd]" if wide else "[\udc80-\udcff]")
        self._again: deque[str] = deque()
        self.held: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        """The lines that are left. Raises _Unclosed at the end of the file where a record has
        begun, _TooLong, and BadFile."""
        while True:
            line = self._again.popleft() if self._again else self._read(LONGEST + 1)
            if not line:
                if self.held:
                    raise _Unclosed
                return
            self.number += 1
            self.held.append(line)
            if len(line) > LONGEST and line[-1] not in "\r\n":
                self._skip()
                raise _TooLong
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
        """Takes all but the first of the lines of the present record to be read again."""
        self._again.extendleft(reversed(self.held[1:]))
        self.number -= len(self.held) - 1
        self.held.clear()


def csv_records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The rows of a CSV file (RFC 4180, and what is common beside it: other delimiters, line ends
    of any kind, quotes within cells). Rows without any text are passed over."""
    csv.field_size_limit(LONGEST_CELL)
    while True:
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for cells in reader:
                start = lines.number - len(lines.held) + 1
                lines.held.clear()
                text = "".join(cells)
                if text:
                    wrong = None if text.isascii() else lines.undecodable(text)
                    yield Record(start, cells, problem=wrong)
            return
        except (_Unclosed, csv.Error):
            start = lines.number - len(lines.held) + 1
            first = lines.held[0].rstrip("\r\n")
            lines.give_back()
            yield Record(start, [first], problem=_NOT_CLOSED)
        except _TooLong:
            yield Record(lines.number, problem=_TOO_LONG)
            lines.held.clear()


def json_records(lines: Lines) -> Iterator[Record]:
    """The objects of a file of JSON Lines."""
    while True:
        try:
            for line in lines:
                lines.held.clear()
                if line.strip():
                    yield _json_record(lines.number, line, lines.undecodable(line))
            return
        except _TooLong:
            yield Record(lines.number, problem=_TOO_LONG)
            lines.held.clear()


def _json_record(number: int, line: str, wrong: str | None) -> Record:
    if wrong:
        return Record(number, [line.strip()], problem=wrong)
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Record(number, [line.strip()], problem=f"The line is not JSON: {error}.")
    if not isinstance(data, dict):
        return Record(number, [line.strip()], problem="The line is not a JSON object.")
    return Record(number, data=data)


def is_json(opened: Opened) -> bool:
    """Whether a file seems to be JSON Lines. Raises BadFile for other JSON."""
    text = opened.sample.lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        first = text.split("\n", 1)[0].rstrip()
        if first == "[" or text[1:].lstrip().startswith("{"):
            raise BadFile(
                f"{opened.name} is a JSON array. JSON Lines has one object on each line: "
                f"jq -c '.[]' {opened.name} makes them."
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
        for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
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
    return _CHARACTERS.get(text, text if len(text) == 1 and text.isprintable() else None)
