"""Write customers to a workbook (.xlsx) in a temporary file, a row in memory at a time.

The library xlsxwriter writes the rows to a temporary file (`constant_memory`) and packs them when
the workbook is closed. Every cell is text or a number: never a formula.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

_CHUNK_BYTES = 262_144
_DEFAULT_WIDTH = 14
_MAX_WIDTH = 40


class SheetColumn(NamedTuple):
    """A column of a sheet: its heading, whether its cells are formatted as text, so that Excel
    keeps leading zeros that are typed, and its width in characters (0 for that of the heading)."""

    heading: str
    is_text: bool
    width: int = 0


class _Sheet(Worksheet):  # type: ignore[misc]  # the library has no types
    """A sheet without rich text. The library takes `<r>…</r>` for markup of its own and writes it
    without escapes, but here it is a customer's text."""

    def _xml_rich_inline_string(self, string: str, attributes: Any = ()) -> None:
        self._xml_inline_string(string, False, list(attributes))


class WorkbookWriter:
    """A workbook of one sheet, in a temporary folder that is removed at the end of the context.

    The first row has the headings and does not scroll.
    """

    def __init__(self, columns: Sequence[SheetColumn]) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="regulars-export-", ignore_cleanup_errors=True
        )
        self._path = Path(self._folder.name) / "customers.xlsx"
        options = {"constant_memory": True, "tmpdir": self._folder.name}
        self._workbook = Workbook(str(self._path), options)
        self._workbook.use_zip64()  # 1,000,000 rows may be more than 4 GiB before compression
        self._sheet = self._workbook.add_worksheet("Customers", _Sheet)
        self._row = 0
        self._write_headings(columns)

    def __enter__(self) -> WorkbookWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._sheet._opt_close()  # the library closes it only with a complete workbook
        self._folder.cleanup()

    def _write_headings(self, columns: Sequence[SheetColumn]) -> None:
        sheet = self._sheet
        bold = self._workbook.add_format({"bold": True, "num_format": "@"})
        text = self._workbook.add_format({"num_format": "@"})
        for index, column in enumerate(columns):
            width = column.width or min(max(len(column.heading) + 2, _DEFAULT_WIDTH), _MAX_WIDTH)
            sheet.set_column(index, index, width, text if column.is_text else None)
            sheet.write_string(0, index, column.heading, bold)
        sheet.freeze_panes(1, 0)
        # Without it, a green mark at each postal code says that it could be a number.
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows of texts, numbers and empty cells (None or "")."""
        write_string, write_number = self._sheet.write_string, self._sheet.write_number
        for row in rows:
            self._row += 1
            for column, value in enumerate(row):
                if type(value) is str:
                    if value:
                        write_string(self._row, column, value)
                elif value is not None:
                    write_number(self._row, column, value)

    def close(self) -> None:
        """Complete the workbook. Raises OSError."""
        self._workbook.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the complete workbook."""
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
