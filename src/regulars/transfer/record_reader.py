"""The records of an open file, with its format and its headings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from regulars.core.counts import count_of
from regulars.transfer.column_profile import is_email
from regulars.transfer.csv_dialect import DELIMITERS, CsvDialect, detect_dialect, parse_delimiter
from regulars.transfer.csv_records import csv_records
from regulars.transfer.email_cells import is_only_email
from regulars.transfer.errors import BadFile, BadOption
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import JSON_ARRAY, VCARD, WORKBOOK, InputFile
from regulars.transfer.records import (
    MAX_COLUMNS,
    Lines,
    Record,
    fitted_records,
    is_json,
    json_records,
)
from regulars.transfer.text_layouts import is_mailbox_list

# No text has these characters: a cell is a line.
MAILBOXES = CsvDialect("\x1f", quote="\x1e")
_FORMATS = {VCARD: "vCard", JSON_ARRAY: "JSON", WORKBOOK: "workbook"}


class RecordReader:
    """Reads the records of an open file. `is_json` says whether they are JSON objects. Else they
    are rows with a cell for each of `headings`; without a header, the headings are the numbers of
    the columns, from 1. `skipped_lines` is the number of lines before the headings.

    Raises BadFile if the file is empty, and BadOption for an invalid delimiter.
    """

    def __init__(self, file: InputFile, options: Options) -> None:
        self._file = file
        self.is_json = options.format == "jsonl" or (options.format is None and is_json(file))
        self._lines = Lines(file)
        self.headings: list[str] = []
        self.skipped_lines = 0
        self.delimiter = ""
        if self.is_json:
            self.records: Iterator[Record] = json_records(self._lines)
            return
        dialect = choose_dialect(file, options)
        is_list = dialect is MAILBOXES
        self.delimiter = "," if is_list else dialect.delimiter
        records = csv_records(self._lines, dialect)
        first = self._first(records, dialect.heading_line)
        cells = first.cells or []
        if dialect.has_row_names:
            cells = ["", *cells]
        self._lines.width = width = len(cells)
        if (
            options.header
            and width == 1
            and (is_email(cells[0]) if is_list else is_only_email(cells[0]))
        ):
            self.headings = ["email"]
            self.records = fitted_records(chain([first], records), width)
        elif options.header:
            # A heading line may end with delimiters. Text below those is surplus.
            while width > 1 and not cells[width - 1].strip():
                width -= 1
            self.headings = cells[:width]
            self.records = fitted_records(_without_headings(records, cells), width)
        else:
            self.headings = [str(index + 1) for index in range(width)]
            self.records = fitted_records(chain([first], records), width)

    def _first(self, records: Iterator[Record], heading_line: int) -> Record:
        """Return the record of the headings."""
        name = self._file.name
        first = next(records, None)
        while first is not None and first.line < heading_line:
            first = next(records, None)
        if first is None:
            raise BadFile(
                f"{name} is empty. The first line must contain the headings of the columns."
            )
        if first.problem or first.cells is None:
            raise BadFile(f"The first line of {name} is not a row of CSV. {first.problem}")
        if len(first.cells) > MAX_COLUMNS:
            raise BadFile(
                f"{name} has {len(first.cells):,} columns; the maximum is {MAX_COLUMNS:,}."
            )
        self.skipped_lines = first.line - 1
        return first

    @property
    def skipped_children(self) -> tuple[int, int]:
        """The number of lines so far that belong to another record, and are no customers, and the
        first of these lines."""
        return self._lines.skipped_children

    @property
    def format_name(self) -> str:
        """Return the detected format as a text for the user."""
        if self._file.content in _FORMATS:
            return _FORMATS[self._file.content]
        return "JSON Lines" if self.is_json else "CSV"

    @property
    def summary(self) -> str:
        """Return the detected format, encoding, delimiter and columns as a text for the user."""
        summary = f"{self.format_name}, {self._file.summary}"
        if self.is_json:
            return summary
        if self._file.content != WORKBOOK:
            summary += f", delimiter {DELIMITERS.get(self.delimiter, repr(self.delimiter))}"
        summary += f", {count_of(len(self.headings), 'column')}"
        if self.skipped_lines:
            summary += f", {count_of(self.skipped_lines, 'line')} before the headings skipped"
        return summary


def _without_headings(records: Iterator[Record], headings: list[str]) -> Iterator[Record]:
    """Yield records without the heading lines of files that were appended to the first one."""
    first = headings[0]
    for record in records:
        cells = record.cells
        if cells and cells[0].removeprefix("\ufeff") == first and cells[1:] == headings[1:]:
            continue
        yield record


def choose_dialect(file: InputFile, options: Options) -> CsvDialect:
    """Return the dialect of a CSV file, with the delimiter of the options. Raises BadOption."""
    if file.content == WORKBOOK:
        return detect_dialect(file.sample, ",", options.header)
    delimiter = None
    if options.header and options.delimiter is None and is_mailbox_list(file.sample):
        return MAILBOXES
    if options.delimiter is not None:
        delimiter = parse_delimiter(options.delimiter)
        if delimiter is None:
            names = ", ".join(DELIMITERS.values())
            raise BadOption(
                f"The delimiter must be one of {names}, or one character that is not a letter, a "
                "digit or a quote."
            )
    return detect_dialect(file.sample, delimiter, options.header)
