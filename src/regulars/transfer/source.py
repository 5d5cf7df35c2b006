"""A file of customers as it is read: what was recognised, its columns and its records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from regulars.transfer.columns import Column, columns, mapping
from regulars.transfer.errors import BadFile, BadOption
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import InputFile
from regulars.transfer.records import (
    DELIMITERS,
    MOST_COLUMNS,
    Lines,
    Record,
    csv_records,
    delimiter_named,
    delimiter_of,
    is_json,
    json_records,
)
from regulars.transfer.row_parser import RowParser

_SEPARATOR = "sep="  # a first line by which some spreadsheets are told the delimiter


class Source:
    """A file that is open, read by options. Raises BadFile for one in which there is nothing to
    read, and BadOption where its columns are not clear."""

    def __init__(self, file: InputFile, options: Options) -> None:
        self._file = file
        self.json = options.format == "jsonl" or (options.format is None and is_json(file))
        self.delimiter = "" if self.json else delimiter_as_chosen(file, options)
        lines = Lines(file)
        mapped = mapping(options.mapped)
        found: list[Column] | None = None
        if self.json:
            self.records: Iterator[Record] = json_records(lines)
        else:
            found, self.records = _headed(file, csv_records(lines, self.delimiter), options)
        self.shape = RowParser(found, mapped, options)
        self.headings = [column.heading for column in found or ()]

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read."""
        return self._file.bytes_read

    @property
    def fingerprint(self) -> str:
        """By what the file is known again: its beginning and its size."""
        digest = hashlib.sha256(self._file.head)
        digest.update(str(self._file.size).encode())
        return digest.hexdigest()

    @property
    def shown(self) -> str:
        """What was recognised, for a person."""
        if self.json:
            return f"JSON Lines, {self._file.shown}"
        name = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        columns_shown = f"{len(self.headings):,} columns"
        return f"CSV, {self._file.shown}, delimiter {name}, {columns_shown}"

    def to_json(self) -> dict[str, Any]:
        """What was recognised, as JSON has it."""
        found = self.shape.columns
        return {
            "format": "jsonl" if self.json else "csv",
            "encoding": self._file.encoding,
            "gzip": self._file.gzipped,
            "delimiter": self.delimiter or None,
            "columns": None if found is None else {c.heading: c.field for c in found},
        }


def delimiter_as_chosen(file: InputFile, options: Options) -> str:
    """The delimiter that the options say, or else the one that is recognised. Raises BadOption."""
    if options.delimiter is not None:
        named = delimiter_named(options.delimiter)
        if named is None:
            known = ", ".join(DELIMITERS.values())
            raise BadOption(
                f"A delimiter is one character, no letter, digit or quote, or one of {known}."
            )
        return named
    first = file.sample.lstrip("\ufeff").split("\n", 1)[0].strip()
    if first.lower().startswith(_SEPARATOR) and len(first) == len(_SEPARATOR) + 1:
        return delimiter_named(first[-1]) or delimiter_of(file.sample)
    return delimiter_of(file.sample)


def _headed(
    file: InputFile, records: Iterator[Record], options: Options
) -> tuple[list[Column], Iterator[Record]]:
    """The columns of a CSV file, and the records that follow its headings."""
    first = next(records, None)
    if first and first.cells and "".join(first.cells).strip().lower().startswith(_SEPARATOR):
        first = next(records, None)
    if first is None:
        raise BadFile(f"{file.name} is empty. Its first line are the headings of the columns.")
    if first.problem or first.cells is None:
        raise BadFile(f"{file.name} begins with what is no row of CSV: {first.problem}")
    if len(first.cells) > MOST_COLUMNS:
        raise BadFile(
            f"{file.name} has {len(first.cells):,} columns; at most {MOST_COLUMNS:,} are read."
        )
    mapped = mapping(options.mapped)
    if options.header:
        return columns(first.cells, mapped, options.unknown), records
    numbers = [str(place + 1) for place in range(len(first.cells))]
    return columns(numbers, mapped, options.unknown), chain([first], records)
