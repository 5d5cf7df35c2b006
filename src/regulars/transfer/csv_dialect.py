"""Detect the dialect of a CSV file: its delimiter, its quotes, and the line of its headings."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from regulars.transfer.columns import recognised

# Characters of a cell. A longer one has a quote that is never closed.
LONGEST_CELL = 1024 * 1024
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# Delimiters of a file whose headings have none of the others, with the fewest headings: colons are
# in times and addresses of the web, too.
_RARE_DELIMITERS = {**dict.fromkeys("^~¦§\x1f\x01", 2), ":": 3}
# A row of lines or of the end of a table of a database or of Markdown: `+----+----+`, `|---|:-:|`,
# `(2 rows)`; and the end of a file of DOS.
_RULE = re.compile(r"[+|:\s]*[-=]{2}[-+=|:\s]*|\s*[\x1a\0]+\s*|\(\d+ rows?\)")
_RULE_STARTS = frozenset("-+=|:(\x1a\0 ")
_CHARACTERS = {**{name: char for char, name in DELIMITERS.items()}, "\\t": "\t"}
_SEPARATOR = "sep="  # a first line that sets the delimiter in some spreadsheets
_MAX_SAMPLE_WIDTHS = 100
# Rows with or without text, of a sample.
_MAX_SAMPLE_ROWS = 2_000
# The heading line is one of the first lines.
MAX_PREAMBLE_LINES = 50
_ESCAPED = re.compile(r'\\(["\\])')
_VALUE = re.compile(r"@|^[\s'+$€£-]*\d[\d\s.,:/()+-]*(?:[ap]m|[tz])?\s*$", re.IGNORECASE)
# Spaces are limited: with a space as the delimiter, a long run would take quadratic time.
_SINGLE_QUOTED = r"(?:^|{0})[ ]{{0,50}}'[^'\r\n]*'(?=[ ]{{0,50}}(?:{0}|\r|\n|$))"
_MAX_VALUE_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV file is written. `has_escapes`: a backslash, and not a second quote, precedes a
    quote within quotes. `skips_spaces`: quotes may follow spaces. `has_spaces_after`: spaces may
    follow a closing quote. `heading_line`: the number of the
    line of the headings, from 1; the lines before it are no rows. `is_wrapped`: each row, also that
    of the headings, is the text of one quoted cell. `has_row_names`: each row has its number in a
    first cell, which has no heading (`write.table` of R)."""

    delimiter: str
    quote: str = '"'
    has_escapes: bool = False
    skips_spaces: bool = False
    has_spaces_after: bool = False
    heading_line: int = 1
    is_wrapped: bool = False
    has_row_names: bool = False

    def reader(self, lines: Iterable[str], strict: bool = False) -> Iterator[list[str]]:
        """Return the rows of lines. They raise csv.Error, if `strict` also for a closing quote
        before other text. The reader of an iterator continues with its next line."""
        csv.field_size_limit(LONGEST_CELL)
        if self.has_escapes:
            lines = map(unescape, lines)
        if self.has_spaces_after:
            mark = re.escape(self.delimiter)
            spaces = re.compile(rf"(?<!{self.quote}){self.quote} {{1,50}}(?=[{mark}\r\n]|$)")
            lines = map(partial(spaces.sub, self.quote), lines)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            skipinitialspace=self.skips_spaces,
            strict=strict,
        )

    def unwrap(self, cells: list[str]) -> list[str]:
        """Return the cells of a row that is the text of its only cell, else the same cells."""
        if len(cells) == 1 and self.delimiter in cells[0]:
            with suppress(csv.Error, ValueError):
                (cells,) = self.reader(cells, strict=True)
        return cells


def is_rule(text: str) -> bool:
    """Return whether the text of a row is a line of a table, and no row."""
    return text[:1] in _RULE_STARTS and _RULE.fullmatch(text) is not None


def unescape(line: str) -> str:
    """Return a line with doubled quotes instead of backslash escapes. Other backslashes stay."""
    return _ESCAPED.sub(_unescaped, line) if "\\" in line else line


def _unescaped(match: re.Match[str]) -> str:
    return '""' if match.group(1) == '"' else "\\"


def parse_delimiter(text: str) -> str | None:
    """Parse the delimiter of an option: a character or its name. None if it is invalid."""
    usable = len(text) == 1 and text.isprintable() and not text.isalnum() and text not in "\"'@"
    return _CHARACTERS.get(text, text if usable else None)


def detect_dialect(
    sample: str, delimiter: str | None = None, has_header: bool = True
) -> CsvDialect:
    """Detect the dialect of a sample; `delimiter` is that of the option. Without `has_header`, the
    file has no headings, so no line precedes them."""
    text = sample.removeprefix("\ufeff")
    first, _, rest = text.partition("\n")
    skipped = 0
    stripped = first.strip().strip('"')
    if stripped.lower().startswith(_SEPARATOR) and len(stripped) <= len(_SEPARATOR) + 2:
        text, skipped = rest, 1
        named = stripped[len(_SEPARATOR) :] or ("\t" if "\t" in first else "")
        delimiter = delimiter or parse_delimiter(named)
    if delimiter is not None:
        dialect, rows = _with_delimiter(text, delimiter)
    else:
        dialect, rows = _best(text)
    heading_line = find_heading_line(rows) if has_header else 1
    has_row_names = has_header and _has_row_names([c for n, c in rows if n >= heading_line])
    return replace(dialect, heading_line=heading_line + skipped, has_row_names=has_row_names)


def _has_row_names(rows: Sequence[list[str]]) -> bool:
    """Return whether the rows after the headings are numbered, from 1, in a cell of their own."""
    return len(rows) > 1 and all(
        len(cells) == len(rows[0]) + 1 and cells[0] == str(number)
        for number, cells in enumerate(rows[1:], 1)
    )


_Rows = Sequence[tuple[int, list[str]]]


def _best(text: str) -> tuple[CsvDialect, _Rows]:
    """Return the dialect whose delimiter gives the most rows as many cells as the headings, then
    the most cells."""
    best: tuple[float, int] = (0.0, 0)
    chosen = _with_delimiter(text, ",")
    for delimiter in DELIMITERS:
        dialect, rows = chosen if delimiter == "," else _with_delimiter(text, delimiter)
        heading_line = find_heading_line(rows)
        widths = [len(cells) for line, cells in rows if line >= heading_line]
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(rows), widths[0])
        if score > best:
            best, chosen = score, (dialect, rows)
    return chosen if best[1] else _rare(text) or chosen


def _rare(text: str) -> tuple[CsvDialect, _Rows] | None:
    """Return the dialect with a rare delimiter that gives each row as many cells as the first line,
    which has the heading of the email."""
    for delimiter, min_width in _RARE_DELIMITERS.items():
        dialect, rows = _with_delimiter(text, delimiter)
        headings = rows[0][1] if rows else []
        if (
            len(headings) >= min_width
            and all(len(cells) == len(headings) for _, cells in rows)
            and any(recognised(cell) == "email" for cell in headings if len(cell) < 100)
        ):
            return dialect, rows
    return None


def _with_delimiter(text: str, delimiter: str) -> tuple[CsvDialect, _Rows]:
    """Return the quotes that a sample has with a delimiter, and its rows with their lines."""
    mark = re.escape(delimiter)
    quote, has_escapes = '"', False
    # RFC 4180 has no single quote character within quotes but before a delimiter or a line end.
    odd = re.search(rf'\\"(?![{mark}\r\n"]|$)', text)
    if odd and not re.search(rf'[^{mark}\r\n"\\]""|(?<!\\)""[^{mark}\r\n"]', text):
        has_escapes = True
    if not re.search(rf'(?:^|{mark})[ ]{{0,50}}"', text, re.MULTILINE):
        quoted = len(re.findall(_SINGLE_QUOTED.format(mark), text, re.MULTILINE))
        lines = sum(1 for line in text.splitlines() if line.strip())
        if quoted and quoted >= lines - 1 and re.match(r"\s*'[^'\r\n]*'", text):
            quote = "'"
    # After a space, a quote is within quotes only if it is doubled, or closes them.
    skips_spaces = bool(re.search(rf"{mark} {{1,50}}{quote}(?=[^{mark}\r\n{quote}])", text))
    closed = rf"(?:^|{mark}) {{0,50}}{quote}[^{quote}\r\n]{{1,{_MAX_VALUE_CHARACTERS}}}{quote}"
    spaces_after = re.compile(rf"{closed} {{1,50}}(?:{mark}|[\r\n])", re.MULTILINE)
    has_spaces_after = _is_outside_quotes(spaces_after, text, quote)
    dialect = CsvDialect(delimiter, quote, has_escapes, skips_spaces, has_spaces_after)
    rows = _rows(text, dialect)
    unwrapped = _unwrapped(rows, dialect)
    if unwrapped is not None:
        return replace(dialect, is_wrapped=True), unwrapped
    return dialect, rows


def _is_outside_quotes(pattern: re.Pattern[str], text: str, quote: str) -> bool:
    """Return whether a match of a pattern begins outside of quoted cells."""
    start = quotes = 0
    for match in pattern.finditer(text):
        quotes += text.count(quote, start, match.start())
        start = match.start()
        if quotes % 2 == 0:
            return True
    return False


def _unwrapped(rows: _Rows, dialect: CsvDialect) -> _Rows | None:
    """Return the rows that are the texts of quoted cells, None if most rows are not. The heading
    line has to be one, because a file may have a single column."""
    if 2 * sum(1 for _, cells in rows if dialect.unwrap(cells) is not cells) <= len(rows):
        return None
    unwrapped = [(line, dialect.unwrap(cells)) for line, cells in rows]
    heading_line = find_heading_line(unwrapped)
    widths = [len(cells) for line, cells in unwrapped if line >= heading_line]
    is_even = widths[0] > 1 and 2 * widths.count(widths[0]) > len(widths)
    return unwrapped if is_even else None


def _rows(text: str, dialect: CsvDialect) -> _Rows:
    """Return the first rows with text of a sample, each with its first line."""
    lines = 0

    def count() -> Iterator[str]:
        nonlocal lines
        for line in io.StringIO(text, newline=""):
            lines += 1
            yield line

    rows: list[tuple[int, list[str]]] = []
    start = 1
    try:
        for cells in islice(dialect.reader(count()), _MAX_SAMPLE_ROWS):
            if any(map(str.strip, cells)) and not is_rule("".join(cells)):
                rows.append((start, cells))
            start = lines + 1
            if len(rows) > _MAX_SAMPLE_WIDTHS:
                break
    except csv.Error:
        pass
    # The last row of a sample may be truncated.
    return rows[:-1] if len(rows) > 1 else rows


def find_heading_line(rows: _Rows) -> int:
    """Return the number of the line of the headings: the first line with a heading of the email,
    else the first line, unless it is a title. A title has few cells, and a later line has text in
    most of the usual number of cells, and no email and no number."""
    if not rows:
        return 1
    candidates = [(line, cells) for line, cells in rows if line <= MAX_PREAMBLE_LINES]
    if not candidates:
        return 1
    for line, cells in candidates:
        if any(recognised(cell) == "email" for cell in cells if len(cell) < 100) and not any(
            map(_is_value, cells)
        ):
            return 1 if (line, cells) == rows[0] else line
    ((width, _),) = Counter(len(cells) for _, cells in rows).most_common(1)
    first_filled = _filled(candidates[0][1])
    if width < 2 or first_filled * 2 >= width:
        return 1
    for line, cells in candidates[1:]:
        filled = _filled(cells)
        if filled >= 2 and filled * 2 >= width and not any(map(_is_value, cells)):
            return line
    return 1


def _is_value(cell: str) -> bool:
    """Return whether a cell is an email, a number or a date, and no heading."""
    return len(cell) <= _MAX_VALUE_CHARACTERS and _VALUE.search(cell) is not None


def _filled(cells: Sequence[str]) -> int:
    return sum(1 for cell in cells if cell and not cell.isspace())
