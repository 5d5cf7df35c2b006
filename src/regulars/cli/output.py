"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from regulars.transfer.import_repository import COUNTS


def print_json(value: Any) -> None:
    """JSON, for scripts."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def format_timestamp(at: int | None) -> str | None:
    """Returns a time (milliseconds since 1970) in UTC, to the second."""
    if at is None:
        return None
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*("" if row[c] is None else str(row[c]) for c in columns))
    width = None if sys.stdout.isatty() else 1_000
    Console(width=width, markup=False, highlight=False).print(table)


def print_counts(result: Mapping[str, Any], *more: str) -> None:
    """Prints the number of rows, and of each outcome."""
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    columns = ("rows", *COUNTS, *more)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    table.add_row(*(f"{result[column]:,}" for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 1_000, markup=False, highlight=False)
    console.print(table)


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
