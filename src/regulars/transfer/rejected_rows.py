"""Rejected rows in the format of their file, with the reason in a column, to correct and import.
The reason of a row of CSV or of a workbook begins with the number of the row in the file.

The rows are UTF-8. A byte of the file that could not be decoded is written as it is, so that an
editor, or an import with another `encoding`, can still read it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import orjson

from regulars.transfer.artefacts import unwrap
from regulars.transfer.cells import neutral
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
                    f"{self.path} with the rows that were rejected before the import stopped does "
                    "not exist. Put it back, or start again without --resume."
                )
        except OSError as error:
            raise self._unwritable(error) from error
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
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> BadFile:
        return BadFile(
            f"{self.path} cannot be written: {error.strerror}. Make it writable, or free space for "
            "it. Then continue with the same command and --resume."
        )


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
        texts = map(unwrap, [*cells, *record.surplus])
        number = record.spreadsheet_row or record.line
        writer.writerow([f"Row {number}: {reason}", *map(neutral, texts)])
    return encode_with_raw_bytes(out.getvalue())


def encode_with_raw_bytes(text: str) -> bytes:
    """Return a text as UTF-8, with the undecodable bytes of its file (U+DC80 to U+DCFF, PEP 383) as
    they are. Other lone surrogates become U+FFFD."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return _OTHER_SURROGATES.sub("\ufffd", text).encode(errors="surrogateescape")


_OTHER_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def _line(record: Record, reason: str, column: str) -> bytes:
    """Return a line of JSON with the reason first. A line that is an object but for its undecodable
    bytes stays one; any other line that could not be read is the text of `line`."""
    if record.data is not None:
        return orjson.dumps({column: reason, **record.data})
    text = "".join(record.cells or ())
    reason_json = json.dumps(reason, ensure_ascii=False)
    if _SURROGATES.search(text) and _is_object(_SURROGATES.sub("?", text)):
        line = f'{{"{column}":{reason_json},{text.lstrip()[1:]}'
    else:
        line = f'{{"{column}":{reason_json},"line":{json.dumps(text, ensure_ascii=False)}}}'
    return encode_with_raw_bytes(line)


def _is_object(text: str) -> bool:
    """Return whether a text is a JSON object with names."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(data, dict) and bool(data)
