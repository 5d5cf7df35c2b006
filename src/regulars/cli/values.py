"""Values that commands read and print: JSON objects from options, and records for a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regulars.cli.errors import UsageError

STDIN = "-"
_MAX_BYTES = 64 * 1024 * 1024


def wants_json(as_json: bool | None) -> bool:
    """Return whether to print JSON: as the option says, or else if the output is not a terminal."""
    return not sys.stdout.isatty() if as_json is None else as_json


def read_text(name: str, option: str) -> str:
    """Return the text of a file, or of standard input for `-`. Raises UsageError if it cannot be
    read, is not UTF-8, or has more than 64 MiB."""
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"The file {name!r} of {option} cannot be read: {reason}.") from None
    source = "Standard input" if name == STDIN else f"The file {name!r}"
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{source} of {option} is larger than {_MAX_BYTES:,} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} of {option} is not UTF-8, at byte {error.start:,}.") from None


def read_json_object(value: str, option: str) -> dict[str, Any]:
    """Return a JSON object: the value itself, `@FILE` or `-` for standard input. Raises
    UsageError."""
    if value.startswith("@"):
        text = read_text(value[1:], option)
    else:
        text = read_text(STDIN, option) if value == STDIN else value
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(
            f"{option} is not valid JSON{reason}. Pass a JSON object, @FILE, or - for standard "
            "input."
        ) from None
    if not isinstance(parsed, dict):
        raise UsageError(f'{option} must be a JSON object, as in \'{{"name": "value"}}\'.')
    return parsed


def print_record(record: Mapping[str, Any]) -> None:
    """Print the values of a record, one on a line. Leaves out those that are None or empty."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in record.items():
        if value not in (None, "", [], {}):
            table.add_row(name.replace("_", " ").strip(), Text(display(value)))
    width = None if sys.stdout.isatty() else 1_000
    Console(width=width, markup=False, highlight=False).print(table)


def display(value: Any) -> str:
    """Return a value as text for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {display(item)}" for name, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(display, value))
    if isinstance(value, float):
        return f"{value:,.2f}".removesuffix(".00")
    return str(value)
