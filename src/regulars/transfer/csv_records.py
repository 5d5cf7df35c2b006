"""Read the rows of a CSV file (RFC 4180, and other dialects).

A valid row is read as it is written. A row with stray quotes is read by `stray_quotes`, or is a
record with a problem. It does not change how the rows after it are read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from regulars.transfer.csv_dialect import LONGEST_CELL, CsvDialect, is_rule
from regulars.transfer.records import TOO_LONG, Lines, LineTooLong, Record, UnclosedQuote
from regulars.transfer.stray_quotes import find_keys, holds_rows, read_line, read_only_way

# Characters of the longest value, with doubled quotes. A longer row whose lines look like rows has
# a quote that is not closed.
_LONGEST_VALUE = 128 * 1024
# Lines of a row with stray quotes after its first one, and attempts to find them.
_MAX_JOINED_LINES, _MAX_FAILED_JOINS = 10, 1_000
_NOT_CLOSED = "Unclosed quote. Close it. To write a quote within a value, double it."
_HOLDS_ROWS = (
    "A quote in line {0:,} is closed in line {1:,}, but the lines between them look like rows. "
    "Remove these quotes, or close each in its line."
)
_CELL_TOO_LONG = f"A cell is longer than {LONGEST_CELL:,} characters, the maximum."


class _HoldsRows(Exception):
    """A quoted cell has other rows in it."""


def csv_records(lines: Lines, dialect: CsvDialect) -> Iterator[Record]:
    """Yield the rows of a CSV file, with the lines before the headings. Blank rows are skipped."""
    has_own_lines, row = lines.has_own_lines, 0
    delimiter, quote = dialect.delimiter, dialect.quote
    spaced = f"{delimiter} "
    checks = _Checks(lines, dialect)
    reader = dialect.reader(lines, strict=True)
    while True:
        try:
            for cells in reader:
                row += 1
                text = "".join(cells)
                if not text or text.isspace() or is_rule(text):
                    lines.release()
                    lines.count_blank()
                    continue
                start = lines.number - len(lines.record_lines) + 1 if has_own_lines else row
                problem = None if text.isascii() else lines.undecodable(text)
                shown = start - lines.continued if has_own_lines else row
                size = lines.record_characters
                record = Record(start, cells, None, problem, size, spreadsheet_row=shown)
                if not has_own_lines:
                    is_usual = True
                elif len(cells) == 1 != lines.width:
                    is_usual = False
                elif start != lines.number:
                    # Each of two rows has an email, or as many delimiters as the headings.
                    is_usual = (
                        len(cells) <= lines.width
                        and text.count("@") < 2
                        and text.count(delimiter) + len(cells) < 2 * lines.width - 1
                        and "".join(lines.record_lines).count(quote) % 2 == 0
                    )
                elif quote in text:
                    line = lines.record_lines[0]
                    is_usual = len(cells) == lines.width and (
                        (line.count(quote) % 2 == 0 and spaced not in line)
                        or not checks.may_be_stray(line)
                    )
                else:
                    is_usual = True
                if is_usual:
                    lines.release()
                    yield record
                else:
                    records = checks.check(record)
                    lines.release()
                    yield from records
            return
        except (_HoldsRows, csv.Error):
            yield checks.damaged()
        except UnclosedQuote:
            yield checks.damaged()
            reader = dialect.reader(lines, strict=True)
        except LineTooLong:
            shown = lines.number - lines.continued
            yield Record(lines.number, problem=TOO_LONG, spreadsheet_row=shown)
            lines.release()
            reader = dialect.reader(lines, strict=True)


class _Checks:
    """Looks for stray quotes in rows. `_is_damaged`: the file has quotes that no program writes."""

    def __init__(self, lines: Lines, dialect: CsvDialect) -> None:
        self._lines = lines
        self._dialect = dialect
        self._is_damaged = False
        self._failed_joins = 0
        self._keys: list[int] = []
        mark, self._quote = re.escape(dialect.delimiter), dialect.quote
        self._opened, self._spaced = f"{dialect.delimiter}{dialect.quote}", f"{dialect.delimiter} "
        end = rf"(?=[^{mark}\r\n{self._quote}])"
        self._opened_after_spaces = re.compile(rf"{mark} {{1,50}}{self._quote}{end}")

    def may_be_stray(self, line: str) -> bool:
        """Return whether a quote in the only line of a row may not be meant as csv reads it: it
        follows spaces, or the line has quoted cells, and a quote in another cell."""
        may_open = self._spaced in line and not self._dialect.skips_spaces
        if may_open and self._opened_after_spaces.search(line):
            return True
        return line.count(self._quote) % 2 == 1 and (
            self._opened in line or line.startswith(self._quote)
        )

    def check(self, record: Record) -> list[Record]:
        """Return the records of a row that csv could read. Raises _HoldsRows if the first line is
        damaged, and the others are rows."""
        lines, dialect = self._lines, self._dialect
        width, cells = lines.width, record.cells or []
        if len(cells) == 1 and (width or dialect.is_wrapped):
            unwrapped = dialect.unwrap(cells)
            if len(unwrapped) == width or not width:
                return [record._replace(cells=unwrapped)]
        if len(lines.record_lines) > 1:
            return self._check_lines(record) if width > 1 and record.problem is None else [record]
        if width and self._quote in lines.record_lines[0] and record.problem is None:
            return [self._check_line(record)]
        return [record]

    def _check_lines(self, record: Record) -> list[Record]:
        lines, cells = self._lines, record.cells or []
        first, *others = lines.record_lines
        # The first line may be the rest of a damaged row.
        self._keys = find_keys(first, self._dialect) or self._keys
        # With too many cells, the row is damaged, and the others in it may have several lines.
        has_surplus = any(map(str.strip, cells[lines.width :]))
        width = 2 if has_surplus else lines.width
        if not holds_rows(others, self._keys, self._dialect, width):
            # In a valid row, the number of quotes is even.
            is_odd = "".join(lines.record_lines).count(self._quote) % 2 == 1
            is_doubtful = is_odd or holds_rows(others, self._keys, self._dialect, 2)
            return [record._replace(has_stray_quotes=is_doubtful)]
        if has_surplus or self._is_damaged or record.size > _LONGEST_VALUE:
            raise _HoldsRows
        # The row may be valid: then its lines must not become customers.
        problem = _HOLDS_ROWS.format(record.line, lines.number)
        return [
            Record(
                record.line + index,
                self._cells_of(line),
                problem=problem,
                size=len(line),
                spreadsheet_row=record.spreadsheet_row + index,
            )
            for index, line in enumerate(lines.record_lines)
        ]

    def _cells_of(self, line: str) -> list[str]:
        """Return the cells of a line if it has no quotes, else the line as one cell."""
        text = line.rstrip("\r\n")
        dialect = self._dialect
        return [text] if dialect.quote in text else text.split(dialect.delimiter)

    def _check_line(self, record: Record) -> Record:
        cells = record.cells or []
        restored = read_line(self._lines.record_lines[0], self._dialect, self._lines.width)
        if restored is not None and restored != cells:
            return record._replace(cells=restored, has_stray_quotes=True)
        is_odd = any(cell.count(self._quote) % 2 for cell in cells)
        return record._replace(has_stray_quotes=True) if is_odd else record

    def damaged(self) -> Record:
        """Return the record of the first line of a row that csv could not read, and give the other
        lines back."""
        lines = self._lines
        first = lines.record_lines[0]
        is_too_long = lines.record_characters > LONGEST_CELL
        # A valid row may be too long, but not damaged.
        self._is_damaged = self._is_damaged or not is_too_long
        if not self._keys and "@" in first:
            self._keys = find_keys(first, self._dialect)
        lines.give_back()
        text = first.rstrip("\r\n")
        start, size = lines.number, len(first)
        record = Record(start, [text], size=size, spreadsheet_row=start - lines.continued)
        if size > LONGEST_CELL:
            return record._replace(problem=_CELL_TOO_LONG)
        cells = read_line(text, self._dialect, lines.width)
        is_short = cells is None or len(cells) < lines.width
        if is_short and (joined := self._join_lines(first)):
            text, cells = joined
            size = len(text)
        if cells is None:
            return record._replace(problem=_NOT_CLOSED)
        problem = None if text.isascii() else lines.undecodable(text)
        return record._replace(cells=cells, problem=problem, size=size, has_stray_quotes=True)

    def _join_lines(self, first: str) -> tuple[str, list[str]] | None:
        """Return a row whose first line leaves a quote open, and its cells: with the lines before
        the next one that looks like a row, if there is only one way to read them."""
        lines, width = self._lines, self._lines.width
        if width < 2 or not self._keys or self._failed_joins == _MAX_FAILED_JOINS:
            return None
        following = lines.peek(_MAX_JOINED_LINES + 1, _LONGEST_VALUE)
        starts = (n for n, line in enumerate(following) if self._starts_row(line))
        count = next(starts, len(following))
        if 0 < count <= _MAX_JOINED_LINES:
            text = "".join((first, *following[:count]))
            shorter = ["".join((first, *following[:n])) for n in range(1, count)]
            cells = read_only_way(text, self._dialect, width)
            if cells and not any(read_only_way(t, self._dialect, width) for t in shorter):
                lines.skip(count)
                return text, cells
        self._failed_joins += 1
        return None

    def _starts_row(self, line: str) -> bool:
        return holds_rows([line], self._keys, self._dialect, 2)
