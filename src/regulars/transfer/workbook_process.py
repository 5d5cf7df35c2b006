"""Convert a sheet of a workbook to CSV, in a process of its own: `python -m …workbook_process`.

The library reads a sheet as a whole, so the process limits its own memory and time. Standard input
is the workbook, standard output the CSV (UTF-8). The arguments are the sheet (empty for the first
one with rows), and the limits of memory, of output (both in bytes) and of processor time (seconds).
The last line on standard error is a JSON object: `sheet` or `error`, and the first `sheets` of
the workbook.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

import python_calamine

from regulars.transfer.number_formats import Format, read_formats, show

# Excel keeps 15 digits of a number ("Excel specifications and limits").
_DIGITS = 15
_EXACT_BELOW = 1e15
# Rows in which emails are searched: titles, the headings and the first customers.
_MAX_SEARCHED_ROWS = 200
_HALF_SECOND = timedelta(milliseconds=500)
# Excel permits 31 characters. A name of 30 million has 34 KB in a compressed file.
_MAX_NAME_CHARACTERS = 255
# Sheets that are listed.
_MAX_SHEETS = 250


def cell_text(value: object) -> str:
    """Return the text of a cell: whole numbers without decimals, dates as ISO 8601, and booleans
    as true and false. A number of more than 15 digits has an exponent, as its digits are lost."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _EXACT_BELOW:
            return str(int(value))
        return f"{value:.{_DIGITS}G}"
    if isinstance(value, datetime):
        # A serial number of a time is not exact: 14:20 may be 14:19:59.9999.
        with contextlib.suppress(OverflowError):
            value += _HALF_SECOND
        return value.replace(microsecond=0).isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def select_sheet(workbook: Any, name: str) -> tuple[str, Any] | None:
    """Return the name and the content of a sheet: the one with this name, compared without case;
    else the first one with a table of emails, or with rows. Visible ones go first. None if there is
    none."""
    sheets = _worksheets(workbook)
    if name:
        wanted = name.strip().casefold()
        match = next((s.name for s in sheets if s.name.strip().casefold() == wanted), None)
        return None if match is None else (match, workbook.get_sheet_by_name(match))
    first = None
    for sheet in sorted(sheets, key=lambda s: not str(s.visible).endswith(".Visible")):
        content = workbook.get_sheet_by_name(sheet.name)
        if content.end is not None:
            if _has_emails(content):
                return sheet.name, content
            first = first or (sheet.name, content)
    return first


def _worksheets(workbook: Any) -> list[Any]:
    return [each for each in workbook.sheets_metadata if str(each.typ).endswith(".WorkSheet")]


def _has_emails(content: Any) -> bool:
    """Return whether the first rows of a sheet have emails, and not only one in a note."""
    count = 0
    for row in islice(content.iter_rows(), _MAX_SEARCHED_ROWS):
        if any(isinstance(value, str) and "@" in value for value in row):
            count += 2 if sum(value != "" for value in row) > 1 else 1
    return count > 1


def convert(source: io.BufferedIOBase, name: str, target: io.TextIOBase) -> dict[str, Any]:
    """Write a sheet as CSV, and return its name or an error, and the first sheets."""
    try:
        workbook = python_calamine.load_workbook(source)
    except python_calamine.PasswordError:
        return {"error": "password"}
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        return {"error": "damaged", "message": str(error)[:200]}
    try:
        names = [sheet.name for sheet in _worksheets(workbook)]
        if any(len(each) > _MAX_NAME_CHARACTERS for each in names):
            problem = f"the name of a sheet has more than {_MAX_NAME_CHARACTERS} characters"
            return {"error": "damaged", "message": problem}
        sheets = names[:_MAX_SHEETS]
        selected = select_sheet(workbook, name)
        if selected is None:
            return {"error": "sheet" if name else "empty", "sheets": sheets}
        sheet, content = selected
        writer = csv.writer(target)
        formats = read_formats(source, sheet)
        formatted = next(formats, None)
        for index, row in enumerate(content.iter_rows()):
            cells = [cell_text(value) for value in row]
            while formatted and formatted[0] < index:
                formatted = next(formats, None)
            if formatted and formatted[0] == index:
                _format_numbers(cells, row, formatted[1], content.start[1])
            writer.writerow(cells)
    except (python_calamine.CalamineError, ValueError) as error:
        return {"error": "damaged", "message": str(error)[:200]}
    return {"sheet": sheet, "sheets": sheets if sheet in sheets else [sheet, *sheets]}


def _format_numbers(
    cells: list[str], values: Sequence[Any], formats: Mapping[int, Format], first_column: int
) -> None:
    """Replace numbers with what their formats show: 1067 with 01067."""
    for column, parts in formats.items():
        index = column - first_column
        if 0 <= index < len(values) and isinstance(values[index], float):
            cells[index] = show(values[index], parts) or cells[index]


def _limit(memory_bytes: int, output_bytes: int, seconds: int) -> None:
    if sys.platform != "win32":  # which has no such limits
        import resource

        for kind, value in (
            (resource.RLIMIT_AS, memory_bytes),
            (resource.RLIMIT_FSIZE, output_bytes),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(kind)[1]
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (soft, hard))


def main() -> None:
    """Convert standard input to standard output."""
    name, *limits = sys.argv[1:]
    _limit(*map(int, limits))
    source = io.BytesIO(sys.stdin.buffer.read())
    target = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "surrogatepass", newline="")
    outcome = convert(source, name, target)
    target.flush()
    print(json.dumps(outcome), file=sys.stderr)


if __name__ == "__main__":
    main()
