"""Export the customers of an account from one snapshot, a page at a time: as CSV, CSV for Excel, a
workbook (.xlsx) or JSON Lines.

An export with the default columns can be imported into an empty account. A second export then has
the same bytes.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from typing import Any

import orjson

from regulars.core.paging import KeysetPage
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order, Search
from regulars.store import Store
from regulars.store.base import QueryExecutor
from regulars.store.queries import ORDER_VALUE, customers_by_id
from regulars.transfer.cells import neutral
from regulars.transfer.errors import BadOption
from regulars.transfer.excel_cells import (
    MAX_CELL_CHARACTERS,
    MAX_ROWS,
    excel_csv_cell,
    excel_length,
    workbook_text,
)
from regulars.transfer.export_columns import (
    DEFAULT_COLUMNS,
    LONG_COLUMNS,
    OWN_ID,
    ExportColumn,
    Values,
    export_column,
    is_custom,
    json_cache,
    without_formulas,
)
from regulars.transfer.export_comments import COMMENTS, parse_included, with_comments
from regulars.transfer.import_options import MEDIA_TYPES

CSV, EXCEL_CSV, WORKBOOK, JSON_LINES = "csv", "csv-excel", "xlsx", "jsonl"
_SUFFIXES = {CSV: "csv", EXCEL_CSV: "csv", WORKBOOK: "xlsx", JSON_LINES: "jsonl"}
EXPORT_FORMATS = tuple(_SUFFIXES)
_MEDIA_TYPES = {
    **MEDIA_TYPES,
    EXCEL_CSV: MEDIA_TYPES["csv"],
    WORKBOOK: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
PAGE = 1_000
MAX_COLUMNS = 200
# Characters in long columns of the rows that are rendered at once. The event loop waits meanwhile.
_SLICE_CHARACTERS = 262_144


class Export:
    """An export of all customers of an account, of the matches of a search, or of `ids`.

    The order is that of the search or of `ids`; else that of the customers' ids. `form` is one of
    EXPORT_FORMATS. `page` is the number of customers that are read at once. `delimiter` is a name
    in DELIMITERS, for csv-excel only; None is a comma. `include` has at most one name of
    `export_comments.INCLUDED`, for JSON Lines only.

    Raises BadOption.
    """

    def __init__(
        self,
        account_id: int,
        form: str,
        search: Search,
        chosen: Sequence[str],
        now: int,
        page: int = PAGE,
        ids: Sequence[int] | None = None,
        delimiter: str | None = None,
        include: Sequence[str] = (),
    ) -> None:
        if form not in EXPORT_FORMATS:
            listed = ", ".join(EXPORT_FORMATS)
            raise BadOption(f"The format of an export is one of {listed}, not {form!r}.")
        self._account_id = account_id
        self._form = form
        self._delimiter = _parse_delimiter(form, delimiter)
        self._included = parse_included(include, form == JSON_LINES)
        order = search.order if search.ordered else Order("id", ascending=True)
        self._selected = CustomerPage(order, KeysetPage(page), search.condition, now)
        self._ids = ids
        layout = JSON_LINES if form == JSON_LINES else CSV
        self._names = tuple(dict.fromkeys(chosen)) or DEFAULT_COLUMNS[layout]
        if len(self._names) > MAX_COLUMNS:
            raise BadOption(
                f"The export has {len(self._names):,} columns; the maximum is {MAX_COLUMNS}. "
                "`custom` has all custom fields in one column."
            )
        self._fields = [export_column(name, layout) for name in self._names]
        reads = dict.fromkeys(name for field in self._fields for name in field.reads)
        self._columns = tuple(dict.fromkeys([ORDER_VALUE, "customer_id", *reads]))
        self._long_indexes = [
            index for index, name in enumerate(self._columns) if name in LONG_COLUMNS
        ]

    @property
    def media_type(self) -> str:
        """The media type of the export."""
        return _MEDIA_TYPES[self._form]

    @property
    def file_name(self) -> str:
        """The name of the file, for a browser that saves it."""
        return f"customers.{_SUFFIXES[self._form]}"

    @property
    def is_compressed(self) -> bool:
        """Whether the format is compressed, so that gzip would save nothing."""
        return self._form == WORKBOOK

    async def count(self, store: Store) -> int:
        """Return the number of customers that the export has."""
        return await Listing(store).count(self._account_id, self._selected)

    async def pages(self, store: Store) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield the export in chunks, each with its number of customers. A CSV export starts with
        the headings. A workbook is written to a temporary file first: its chunks are empty while
        customers are read. Raises BadOption if Excel cannot hold the customers."""
        if self._form in (CSV, EXCEL_CSV):
            yield 0, self._headings()
        async with store.snapshot() as snapshot:
            if self._form == WORKBOOK:
                async with aclosing(self._workbook(snapshot)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            async for page in self._pages(snapshot):
                for rows in self._slices(page):
                    if self._included:
                        async for count, text in self._texts_with_comments(snapshot, rows):
                            yield count, text
                            await asyncio.sleep(0)
                        continue
                    yield len(rows), self._text(rows)
                    await asyncio.sleep(0)

    async def _texts_with_comments(
        self, snapshot: QueryExecutor, rows: Sequence[Any]
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield the lines of rows with the comments of the customers, and their number."""
        key, start = self._columns.index("customer_id"), 0
        ids = [row[key] for row in rows]
        groups = with_comments(snapshot, self._account_id, ids, str(self._included))
        async with aclosing(groups):
            async for count, comments in groups:
                nested = [comments.get(number, []) for number in ids[start : start + count]]
                yield count, self._text(rows[start : start + count], nested)
                start += count

    async def _pages(self, snapshot: QueryExecutor) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows of the export, a page at a time."""
        pages: AsyncIterator[Sequence[Any]] = (
            self._pages_of_ids(snapshot, self._ids)
            if self._ids is not None
            else Listing(snapshot).pages(self._account_id, self._selected, self._columns)
        )
        async for page in pages:
            yield page

    async def _workbook(self, snapshot: QueryExecutor) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield the number of customers of each slice, and then the chunks of the workbook."""
        # Imported here: only this format needs the library.
        from regulars.transfer.workbook_writer import SheetColumn, WorkbookWriter

        async for _ in self._check_limits(snapshot):
            yield 0, b""
        columns = [
            SheetColumn(name, field.is_user_text and not is_custom(name), _WIDTHS.get(name, 0))
            for name, field in zip(self._names, self._fields, strict=True)
        ]
        with WorkbookWriter(columns) as workbook:
            async for page in self._pages(snapshot):
                for rows in self._slices(page):
                    cells = self._cells(rows)
                    # In a thread, so that other requests can run meanwhile.
                    await asyncio.to_thread(workbook.write, zip(*cells, strict=True))
                    yield len(rows), b""
            await asyncio.to_thread(workbook.close)
            for chunk in workbook.chunks():
                yield 0, chunk

    async def _check_limits(self, snapshot: QueryExecutor) -> AsyncGenerator[None, None]:
        """Check the limits of a sheet before the work. Yields after each page. Raises BadOption."""
        count = len(self._ids or ())
        if self._ids is None:
            count = await Listing(snapshot).count(self._account_id, self._selected)
        if count >= MAX_ROWS:
            raise BadOption(
                f"A sheet of Excel has at most {MAX_ROWS:,} rows, and the export has {count:,} "
                "customers and a row of headings. Export fewer customers with a query, or choose "
                "the format csv."
            )
        if not self._long_indexes:
            return
        async for page in self._pages(snapshot):
            for row in page:
                # Half of the limit: a character can be two UTF-16 units.
                if any(
                    row[n] and len(row[n]) > MAX_CELL_CHARACTERS // 2 for n in self._long_indexes
                ):
                    self._check_cells(row)
            yield

    def _check_cells(self, row: Sequence[Any]) -> None:
        cells = self._cells([row])
        for name, (cell,) in zip(self._names, cells, strict=True):
            if isinstance(cell, str) and (length := excel_length(cell)) > MAX_CELL_CHARACTERS:
                number = row[self._columns.index("customer_id")]
                raise BadOption(
                    f"A cell of Excel has at most {MAX_CELL_CHARACTERS:,} characters, and `{name}` "
                    f"of the customer {number} has {length:,}. Leave this column out, or choose "
                    "the format csv."
                )

    def _slices(self, rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Divide rows into slices that take some milliseconds to render."""
        start = characters = 0
        for index, row in enumerate(rows):
            characters += sum([len(row[n]) for n in self._long_indexes if row[n]])
            if characters > _SLICE_CHARACTERS:
                yield rows[start : index + 1]
                start, characters = index + 1, 0
        if start < len(rows):
            yield rows[start:]

    async def _pages_of_ids(
        self, snapshot: QueryExecutor, ids: Sequence[int]
    ) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows of ids, a page at a time. Unknown ids are skipped."""
        # The order value of a list by id is the id.
        stored = ["customer_id" if name == ORDER_VALUE else name for name in self._columns]
        query = customers_by_id(tuple(stored))
        for start in range(0, len(ids), self._selected.page.size):
            batch = ids[start : start + self._selected.page.size]
            rows = await snapshot.fetch(query, {"account_id": self._account_id, "ids": batch})
            rows_by_id = {row[0]: row[1:] for row in rows}
            if rows_by_id:
                yield [rows_by_id[number] for number in batch if number in rows_by_id]

    def _text(self, rows: Sequence[Any], comments: Sequence[Any] | None = None) -> bytes:
        if self._form == JSON_LINES:
            json_cache.clear()
            columns = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
            values = [
                field.values(*(columns[name] for name in field.reads)) for field in self._fields
            ]
            lines = [dict(zip(self._names, row, strict=True)) for row in zip(*values, strict=True)]
            for line, of_line in zip(lines, comments or (), strict=False):
                line[COMMENTS] = of_line
            return b"".join([orjson.dumps(line) + b"\n" for line in lines])
        return _csv_text(zip(*self._cells(rows), strict=True), self._delimiter)

    def _headings(self) -> bytes:
        # No `sep=` line: with it, Excel ignores the byte order mark and garbles accents.
        mark = codecs.BOM_UTF8 if self._form == EXCEL_CSV else b""
        return mark + _csv_text([[neutral(name) for name in self._names]], self._delimiter)

    def _cells(self, rows: Sequence[Any]) -> list[Values]:
        """Return the cells of rows, column by column."""
        json_cache.clear()
        columns = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
        return [
            self._cells_of(name, field, [columns[column] for column in field.reads])
            for name, field in zip(self._names, self._fields, strict=True)
        ]

    def _cells_of(self, name: str, field: ExportColumn, stored: Sequence[Values]) -> Values:
        cells = field.cells(*stored)
        if not field.is_user_text:
            return cells
        if self._form == CSV:
            return without_formulas(cells)
        if self._form == EXCEL_CSV:
            return [excel_csv_cell(cell) if cell else cell for cell in cells]
        cells = [workbook_text(cell) if cell else cell for cell in cells]
        if not is_custom(name):
            return cells
        values = field.values(*stored)
        return [
            value if _is_exact_in_excel(value) else cell
            for value, cell in zip(values, cells, strict=True)
        ]


# Widths of columns of a workbook, in characters.
_WIDTHS = {
    OWN_ID: 12,
    "_id": 12,
    "id": 24,
    "email": 30,
    "notes": 40,
    "custom": 40,
    "location": 30,
    "avatar": 40,
    "created_at": 25,
    "updated_at": 25,
}


def _is_exact_in_excel(value: Any) -> bool:
    """Return whether a value is a number of at most 15 digits, which Excel keeps exactly."""
    if type(value) is int:
        return abs(value) < 10**15
    return type(value) is float and float(f"{value:.15g}") == value


def _parse_delimiter(form: str, name: str | None) -> str:
    if name is not None and form != EXCEL_CSV:
        raise BadOption(
            f"A delimiter can be chosen for the format {EXCEL_CSV} only, not for {form}."
        )
    if name is not None and name not in DELIMITERS:
        raise BadOption(f"The delimiter is one of {', '.join(DELIMITERS)}, not {name!r}.")
    return DELIMITERS[name or "comma"]


def _csv_text(rows: Iterable[Iterable[Any]], delimiter: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode()
