"""Rows in the format of their file, with the reason of a rejection or the warnings in a column, to
correct and import."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import orjson

from regulars.transfer.cells import neutral, original
from regulars.transfer.columns import PROBLEM
from regulars.transfer.errors import BadFile
from regulars.transfer.records import Record
from regulars.transfer.source import Source


class RejectedRows(Protocol):
    """A file for rejected rows. `size` is its length, in a unit of its own."""

    @property
    def size(self) -> int: ...

    async def truncate(self, size: int) -> None:
        """Shorten the file to an earlier size."""

    async def append(self, content: bytes) -> None:
        """Write at the end."""


class DiscardedRows:
    """Discards the rows, for a dry run."""

    size = 0

    async def truncate(self, size: int) -> None:
        pass

    async def append(self, content: bytes) -> None:
        pass


class RejectedFile:
    """A file on disk, which is created with the first rejected row. `size` is in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0

    async def truncate(self, size: int) -> None:
        try:
            if self.path.exists():
                with self.path.open("r+b") as file:
                    file.truncate(size)
            elif size:
                raise BadFile(
                    f"{self.path} is gone, with the rows that were rejected before the import "
                    "stopped. Put it back, or start without --resume."
                )
        except OSError as error:
            raise BadFile(f"{self.path} cannot be written: {error.strerror}.") from error
        self.size = size

    async def append(self, content: bytes) -> None:
        try:
            if not self.size:
                # The rows are personal data: only the owner may read the file.
                self.path.touch(mode=0o600)
            with self.path.open("ab") as file:
                file.write(content)
                file.flush()
                self.size = file.tell()
        except OSError as error:
            raise BadFile(f"{self.path} cannot be written: {error.strerror}.") from error


def as_text(
    source: Source, rows: Sequence[tuple[Record, str]], with_headings: bool, column: str = PROBLEM
) -> bytes:
    """Return rows, each with a text in the column `column`, in the format of their file."""
    if source.json:
        return b"".join(_line(record, reason, column) + b"\n" for record, reason in rows)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=source.delimiter)
    if with_headings:
        writer.writerow([column, *source.headings])
    width = len(source.headings)
    for record, reason in rows:
        # The same number of cells: a truncated row must stay invalid.
        cells = record.cells if record.cells is not None else [""] * width
        writer.writerow([neutral(reason), *(neutral(original(cell)) for cell in cells)])
    return out.getvalue().encode(errors="replace")


def _line(record: Record, reason: str, column: str) -> bytes:
    if record.data is not None:
        return orjson.dumps({column: reason, **record.data})
    text = "".join(record.cells or ()).encode(errors="replace").decode()
    return orjson.dumps({column: reason, "line": text})
