"""Read workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods): a sheet becomes a temporary file of CSV.

The library loads a sheet as a whole, so a process of its own converts it, within limits of memory
and time: a hostile or a huge workbook ends that process alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, NamedTuple

import orjson

from regulars.transfer.errors import BadFile, BadOption, IncompleteFile
from regulars.transfer.gzip_reader import BEGINNING, Bounds

# Compound files: .xls, and .xlsx with a password (MS-CFB, 2.2).
COMPOUND_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PROGRAM = "regulars.transfer.workbook_process"
# The bytes of a workbook. 100,000 rows of 12 columns have 5 MB and take 140 MiB of memory.
MAX_WORKBOOK_BYTES = 256 * 1024 * 1024
_MAX_OUTPUT_BYTES = 2**31
_MEMORY_BYTES = 2**31
_PREVIEW_MEMORY_BYTES = 512 * 1024 * 1024
_SECONDS, _PREVIEW_SECONDS = 300, 10
_MAX_LISTED = 20
_WORD = "WordDocument".encode("utf-16-le")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_SAVE_AS_CSV = "Save the sheet as CSV, and import that file."


class Sheet(NamedTuple):
    """A sheet of a workbook: its name, its rows as CSV in a temporary file, and the names of this
    and the first 250 sheets."""

    name: str
    content: IO[bytes]
    names: Sequence[str]


def convert_sheet(name: str, file: IO[bytes], sheet: str | None, bounds: Bounds) -> Sheet:
    """Convert a sheet to CSV: the one with the name `sheet`, or the first one with rows. `file` has
    a file descriptor. Raises BadFile, and BadOption for an unknown sheet."""
    is_preview = bounds is BEGINNING
    memory_bytes = _PREVIEW_MEMORY_BYTES if is_preview else _MEMORY_BYTES
    output_bytes = _MAX_OUTPUT_BYTES
    if bounds.unpacked_bytes is not None and not is_preview:
        output_bytes = min(output_bytes, bounds.unpacked_bytes)
    seconds = _PREVIEW_SECONDS if is_preview else _SECONDS
    file.seek(0)
    content = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    try:
        process = subprocess.run(  # noqa: S603  # our own program
            [
                *(sys.executable, "-m", _PROGRAM, sheet or ""),
                *map(str, (memory_bytes, output_bytes, seconds)),
            ],
            stdin=file,
            stdout=content,
            stderr=subprocess.PIPE,
            check=False,
        )
        outcome = _outcome(process)
        if "sheet" in outcome:
            content.seek(0)
            return Sheet(str(outcome["sheet"]), content, _sheets(outcome))
        raise _failure(name, file, sheet, outcome, memory_bytes, output_bytes, is_preview)
    except BaseException:
        content.close()
        raise


def _outcome(process: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    if process.returncode == 0:
        lines = process.stderr.splitlines()
        outcome = orjson.loads(lines[-1]) if lines else {}
        if isinstance(outcome, dict):
            return outcome
    return {"error": "limit"}


def _sheets(outcome: dict[str, object]) -> list[str]:
    sheets = outcome["sheets"]
    return [str(each) for each in sheets] if isinstance(sheets, list) else []


def _failure(
    name: str,
    file: IO[bytes],
    sheet: str | None,
    outcome: dict[str, object],
    memory_bytes: int,
    output_bytes: int,
    is_preview: bool,
) -> BadFile | BadOption:
    error = outcome["error"]
    if error == "sheet":
        listed = ", ".join(map(repr, _sheets(outcome)[:_MAX_LISTED]))
        return BadOption(f"{name} has no sheet {sheet!r}. Its sheets are: {listed}.")
    if error == "empty":
        return BadFile(
            f"{name} is a workbook without rows. The first row must contain the headings."
        )
    if error == "limit":
        if is_preview:
            return IncompleteFile(
                f"{name} is a workbook that is too large for a preview. Start the import."
            )
        return BadFile(
            f"{name} is too large: it needs more than {memory_bytes:,} bytes of memory, or more "
            f"than {output_bytes:,} bytes as CSV (REGULARS_MAX_IMPORT_UNPACKED_BYTES). "
            f"{_SAVE_AS_CSV}"
        )
    if error == "password" or _contains(file, _ENCRYPTED):
        return BadFile(
            f"{name} is a workbook that is protected with a password. Remove the password, and "
            "save it again."
        )
    if _contains(file, _WORD):
        return BadFile(f"{name} is a Word document. Export the customers as CSV.")
    if is_preview:
        return IncompleteFile(f"{name} is a workbook that is damaged or incomplete.")
    return BadFile(
        f"{name} is a workbook that cannot be read ({outcome.get('message', '')}). {_SAVE_AS_CSV}"
    )


def _contains(file: IO[bytes], text: bytes) -> bool:
    """Return whether the directory of a compound file has an entry of this name."""
    file.seek(0)
    head = file.read(len(COMPOUND_SIGNATURE))
    if head != COMPOUND_SIGNATURE:
        return False
    tail = b""
    while chunk := file.read(1024 * 1024):
        if text in tail + chunk:
            return True
        tail = chunk[-len(text) :]
    return False
