"""Rejected rows: as they came, with a column that says why, to be mended and imported again."""

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
    """Where rejected rows are kept. `place` says how far it is written."""

    @property
    def place(self) -> int: ...

    async def cut(self, place: int) -> None:
        """Forgets what was written beyond a place."""

    async def add(self, text: bytes) -> None:
        """Writes at the end."""


class DiscardedRows:
    """For a dry run: nothing is kept."""

    place = 0

    async def cut(self, place: int) -> None:
        pass

    async def add(self, text: bytes) -> None:
        pass


class RejectedFile:
    """A file, which is there once a row is rejected. Its place is its length in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = 0

    async def cut(self, place: int) -> None:
        try:
            if self.path.exists():
                with self.path.open("r+b") as file:
                    file.truncate(place)
            elif place:
                raise BadFile(
                    f"{self.path} is gone, with the rows that were rejected before the import "
                    "stopped. Put it back, or start without --resume."
                )
        except OSError as error:
            raise BadFile(f"{self.path} cannot be written: {error.strerror}.") from error
        self.place = place

    async def add(self, text: bytes) -> None:
        try:
            if not self.place:
                # The rows are about people: the file is for its owner alone.
                self.path.touch(mode=0o600)
            with self.path.open("ab") as file:
                file.write(text)
                file.flush()
                self.place = file.tell()
        except OSError as error:
            raise BadFile(f"{self.path} cannot be written: {error.strerror}.") from error


def as_text(source: Source, rows: Sequence[tuple[Record, str]], first: bool) -> bytes:
    """Rejected rows, each with why, in the shape of their file; with its headings if they are the
    first."""
    if source.json:
        return b"".join(_line(record, why) + b"\n" for record, why in rows)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=source.delimiter)
    if first:
        writer.writerow([PROBLEM, *source.headings])
    width = len(source.headings)
    for record, why in rows:
        # As many as there were: a row that is cut off is not mended by being written down.
        cells = record.cells if record.cells is not None else [""] * width
        writer.writerow([neutral(why), *(neutral(original(cell)) for cell in cells)])
    return out.getvalue().encode(errors="replace")


def _line(record: Record, why: str) -> bytes:
    if record.data is not None:
        return orjson.dumps({PROBLEM: why, **record.data})
    text = "".join(record.cells or ()).encode(errors="replace").decode()
    return orjson.dumps({PROBLEM: why, "line": text})
