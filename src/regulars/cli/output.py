"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_GAP = 2
# Columns with longer texts are wrapped, to this number of characters at least.
_MIN_WRAPPED = 20
_PIPE_COLUMNS = 1_000


def print_json(value: Any) -> None:
    """Prints JSON, for scripts."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def format_timestamp(at: int | None) -> str | None:
    """Returns a time (milliseconds since 1970) in UTC, to the second."""
    if at is None:
        return None
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    as_json: bool | None,
    if_empty: str = "Nothing to list.",
) -> None:
    """Prints rows as JSON or as a table. If `as_json` is None: a table on a terminal, otherwise
    JSON. On a terminal that is too narrow for the table, texts are wrapped, empty columns are left
    out, or each row is printed as a block of lines, so that every value is shown in full."""
    if as_json or (as_json is None and not sys.stdout.isatty()):
        print_json(list(rows))
    elif not rows:
        print(if_empty)
    else:
        cells = [{column: _cell(row[column]) for column in columns} for row in rows]
        console = _console()
        used = [column for column in columns if any(row[column] for row in cells)]
        for shown in (columns, used):
            table = _table(cells, shown, console.width)
            if table:
                console.print(table)
                return
        _print_blocks(console, cells, used)


def _cell(value: Any) -> str:
    """Returns a value as one line without control characters, which a terminal would obey."""
    text = "" if value is None else " ".join(value) if isinstance(value, list) else str(value)
    return "".join(c if c.isprintable() else " " for c in text)


def _is_number(text: str) -> bool:
    return text.replace(",", "").isdecimal()


def _table(
    cells: Sequence[Mapping[str, str]], columns: Sequence[str], console_width: int
) -> Table | None:
    """Returns a table, or None if it is too wide."""
    from rich.cells import cell_len
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    least = 0
    for column in columns:
        texts = [column, *(row[column] for row in cells)]
        width = max(map(cell_len, texts))
        word = max(cell_len(word) for text in texts for word in text.split() or [""])
        least_width = min(width, max(_MIN_WRAPPED, word))
        least += least_width + _GAP
        table.add_column(
            column.replace("_", " "),
            justify="right" if all(_is_number(row[column]) for row in cells) else "left",
            no_wrap=least_width == width,
            min_width=least_width,
            overflow="fold",
        )
    if least - _GAP > console_width:
        return None
    for row in cells:
        table.add_row(*(row[column] for column in columns))
    return table


def _print_blocks(
    console: Console, cells: Sequence[Mapping[str, str]], columns: Sequence[str]
) -> None:
    """Prints each row as a block: a line for each column that has a value."""
    from rich.table import Table

    width = max(map(len, columns))
    for index, row in enumerate(cells):
        block = Table.grid(padding=(0, _GAP, 0, 0))
        block.add_column(style="bold", no_wrap=True, min_width=width)
        block.add_column(overflow="fold")
        for column in columns:
            if row[column]:
                block.add_row(column.replace("_", " "), row[column])
        if index:
            console.print()
        console.print(block)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(width=width, markup=False, highlight=False)


def print_counts(result: Mapping[str, Any], *more: str) -> None:
    """Prints the number of rows, and of each outcome."""
    from regulars.transfer.import_repository import COUNTS

    columns = ("rows", *COUNTS, *more)
    print_rows([{column: f"{result[column]:,}" for column in columns}], columns, as_json=False)


def print_problems(problems: Sequence[Mapping[str, Any]], unit: str) -> None:
    """Prints each kind of problem with its examples; `unit` is what their numbers count."""
    for problem in problems:
        print(f"{problem['count']:,} × {problem['kind']}")
        for example in problem["examples"]:
            print(f"  {unit} {example['line']:,}: {example['message']}")


def print_warnings(result: Mapping[str, Any], unit: str) -> None:
    """Prints how many rows were imported with warnings, and each kind of warning."""
    if result["warnings"]:
        print(f"Imported with warnings: {result['rows_with_warnings']:,}")
        print_problems(result["warnings"], unit)
