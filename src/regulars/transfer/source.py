"""A file of customers: its detected format, its columns and its records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from regulars.transfer.columns import Column, columns, mapping
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import InputFile
from regulars.transfer.record_reader import RecordReader, choose_dialect
from regulars.transfer.records import Record
from regulars.transfer.row_parser import RowParser


class Source:
    """An open file, read by options. Raises BadFile if it is empty, and BadOption if its columns
    are ambiguous."""

    def __init__(self, file: InputFile, options: Options) -> None:
        self._file = file
        self._reader = reader = RecordReader(file, options)
        self.json = reader.is_json
        self.delimiter = reader.delimiter
        mapped = mapping(options.mapped)
        detected: list[Column] | None = None
        if not self.json:
            detected = columns(reader.headings, mapped, options.unknown)
        self.records: Iterator[Record] = reader.records
        self.shape = RowParser(detected, mapped, options)
        self.headings = [column.heading for column in detected or ()]

    @property
    def bytes_read(self) -> int:
        """The number of bytes of the file that were read."""
        return self._file.bytes_read

    @property
    def skipped_children(self) -> int:
        """The number of lines so far that belong to another record, and are no customers."""
        return self._reader.skipped_children

    @property
    def fingerprint(self) -> str:
        """Return a hash that identifies the file by its beginning and its size, and the sheet."""
        digest = hashlib.sha256(self._file.head)
        digest.update(str(self._file.size).encode())
        if self._file.sheet is not None:
            digest.update(self._file.sheet.encode(errors="replace"))
        return digest.hexdigest()

    @property
    def summary(self) -> str:
        """Return the detected format as a text for the user."""
        return self._reader.summary

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
    return choose_dialect(file, options).delimiter
