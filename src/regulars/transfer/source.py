"""A file of customers: its detected format, its columns and its records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from regulars.transfer.columns import Column, assign_columns, mapping
from regulars.transfer.errors import BadFile, BadOption
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import InputFile
from regulars.transfer.records import (
    DELIMITERS,
    MAX_COLUMNS,
    Lines,
    Record,
    csv_records,
    delimiter_of,
    is_json,
    json_records,
    parse_delimiter,
)
from regulars.transfer.row_parser import RowParser

_SEPARATOR = "sep="  # a first line that sets the delimiter in some spreadsheets


class Source:
    """An open file, read by options. Raises BadFile if it is empty, and BadOption if its columns
    are ambiguous."""

    def __init__(self, file: InputFile, options: Options) -> None:
        self._file = file
        self.options = options
        self.json = options.format == "jsonl" or (options.format is None and is_json(file))
        self.delimiter = "" if self.json else choose_delimiter(file, options)
        lines = Lines(file)
        mapped = mapping(options.mapped)
        detected: list[Column] | None = None
        if self.json:
            self.records: Iterator[Record] = json_records(lines)
        else:
            detected, self.records = _headed(file, csv_records(lines, self.delimiter), options)
        self.shape = RowParser(detected, mapped, options)
        self.headings = [column.heading for column in detected or ()]

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read."""
        return self._file.bytes_read

    @property
    def fingerprint(self) -> str:
        """Return a hash that identifies the file by its beginning and its size."""
        digest = hashlib.sha256(self._file.head)
        digest.update(str(self._file.size).encode())
        return digest.hexdigest()

    @property
    def summary(self) -> str:
        """Return the detected format as a text for the user."""
        if self.json:
            return f"JSON Lines, {self._file.summary}"
        name = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        columns_shown = f"{len(self.headings):,} columns"
        return f"CSV, {self._file.summary}, delimiter {name}, {columns_shown}"

    def to_json(self) -> dict[str, Any]:
        """Return the detected format as JSON."""
        detected = self.shape.columns
        return {
            "format": "jsonl" if self.json else "csv",
            "encoding": self._file.encoding,
            "gzip": self._file.gzipped,
            "delimiter": self.delimiter or None,
            "columns": None if detected is None else {c.heading: c.field for c in detected},
        }


def choose_delimiter(file: InputFile, options: Options) -> str:
    """Return the delimiter of the options, else the detected one. Raises BadOption."""
    if options.delimiter is not None:
        delimiter = parse_delimiter(options.delimiter)
        if delimiter is None:
            names = ", ".join(DELIMITERS.values())
            raise BadOption(
                f"A delimiter is one character, no letter, digit or quote, or one of {names}."
            )
        return delimiter
    first = file.sample.lstrip("\ufeff").split("\n", 1)[0].strip()
    if first.lower().startswith(_SEPARATOR) and len(first) == len(_SEPARATOR) + 1:
        return parse_delimiter(first[-1]) or delimiter_of(file.sample)
    return delimiter_of(file.sample)


def _headed(
    file: InputFile, records: Iterator[Record], options: Options
) -> tuple[list[Column], Iterator[Record]]:
    """Return the columns of a CSV file, and the records after its headings."""
    first = next(records, None)
    if first and first.cells and "".join(first.cells).strip().lower().startswith(_SEPARATOR):
        first = next(records, None)
    if first is None:
        raise BadFile(f"{file.name} is empty. Its first line are the headings of the columns.")
    if first.problem or first.cells is None:
        raise BadFile(f"{file.name} begins with what is no row of CSV: {first.problem}")
    if len(first.cells) > MAX_COLUMNS:
        raise BadFile(
            f"{file.name} has {len(first.cells):,} columns; at most {MAX_COLUMNS:,} are read."
        )
    mapped = mapping(options.mapped)
    if options.header:
        return assign_columns(
            first.cells, (), mapped, options.unknown, match=options.match
        ), records
    numbers = [str(index + 1) for index in range(len(first.cells))]
    columns = assign_columns(numbers, (), mapped, options.unknown, match=options.match)
    return columns, chain([first], records)
