"""Export the customers of an account as CSV or JSON Lines, from one snapshot, a page at a time.

An export with the default columns can be imported into an empty account. A second export then has
the same bytes.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any

import orjson

from regulars.core.paging import KeysetPage
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order, parse
from regulars.store import Store
from regulars.store.base import QueryExecutor
from regulars.store.queries import ORDER_VALUE, customers_by_id
from regulars.transfer.cells import neutral
from regulars.transfer.errors import BadOption
from regulars.transfer.export_columns import (
    DEFAULT_COLUMNS,
    LONG_COLUMNS,
    export_column,
    json_cache,
    without_formulas,
)
from regulars.transfer.import_options import FORMATS, MEDIA_TYPES

PAGE = 1_000
MAX_COLUMNS = 200
# Characters in long columns of the rows that are rendered at once. The event loop waits meanwhile.
_SLICE_CHARACTERS = 262_144


class Export:
    """An export of all customers of an account, of the matches of a query, or of `ids`.

    The order is that of the query or of `ids`; else that of the customers' ids. `form` is csv or
    jsonl. `page` is the number of customers that are read at once.

    Raises BadOption, and Rejected with InvalidQuery.
    """

    def __init__(
        self,
        account_id: int,
        form: str,
        query: str,
        chosen: Sequence[str],
        now: int,
        page: int = PAGE,
        ids: Sequence[int] | None = None,
    ) -> None:
        if form not in FORMATS:
            raise BadOption(f"The format is csv or jsonl, not {form!r}.")
        self._account_id = account_id
        self._form = form
        search = parse(query)
        order = search.order if search.ordered else Order("id", ascending=True)
        self._selected = CustomerPage(order, KeysetPage(page), search.condition, now)
        self._ids = ids
        self._names = tuple(dict.fromkeys(chosen)) or DEFAULT_COLUMNS[form]
        if len(self._names) > MAX_COLUMNS:
            raise BadOption(
                f"The export has {len(self._names):,} columns; at most {MAX_COLUMNS} are allowed. "
                "`custom` has all custom fields in one column."
            )
        self._fields = [export_column(name, form) for name in self._names]
        self._columns = tuple(
            dict.fromkeys(
                [ORDER_VALUE, "customer_id", *(name for f in self._fields for name in f.reads)]
            )
        )

        self._long_indexes = [
            index for index, name in enumerate(self._columns) if name in LONG_COLUMNS
        ]

    @property
    def media_type(self) -> str:
        """The media type of the export."""
        return MEDIA_TYPES[self._form]

    @property
    def _is_csv(self) -> bool:
        return self._form == "csv"

    async def count(self, store: Store) -> int:
        """Return the number of customers that the export has."""
        return await Listing(store).count(self._account_id, self._selected)

    async def pages(self, store: Store) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield the export in chunks, each with its number of customers. A CSV export starts with
        the headings."""
        if self._is_csv:
            yield 0, _csv_text([[neutral(name) for name in self._names]])
        async with store.snapshot() as snapshot:
            if self._ids is not None:
                pages: AsyncIterator[Sequence[Any]] = self._pages_of_ids(snapshot, self._ids)
            else:
                pages = Listing(snapshot).pages(self._account_id, self._selected, self._columns)
            async for page in pages:
                for rows in self._slices(page):
                    yield len(rows), self._text(rows)
                    await asyncio.sleep(0)

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

    def _text(self, rows: Sequence[Any]) -> bytes:
        json_cache.clear()
        columns = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
        if not self._is_csv:
            values = [
                field.values(*(columns[name] for name in field.reads)) for field in self._fields
            ]
            lines = [dict(zip(self._names, row, strict=True)) for row in zip(*values, strict=True)]
            return b"".join([orjson.dumps(line) + b"\n" for line in lines])
        cells = [
            without_formulas(field.cells(*(columns[name] for name in field.reads)))
            if field.is_user_text
            else field.cells(*(columns[name] for name in field.reads))
            for field in self._fields
        ]
        return _csv_text(zip(*cells, strict=True))


def _csv_text(rows: Iterable[Iterable[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
