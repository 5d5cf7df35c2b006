"""Copy a database to another of any kind, row by row, and compare the two.

The source is read from a snapshot. Rows that only the target has are deleted from it, and missing
rows are added. Then all rows of both are compared. So a repeated copy continues one that was
interrupted, and updates an older one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.core.packages import all_tables
from regulars.store import QueryExecutor, Store
from regulars.store.rows import (
    Key,
    accounts_with,
    copied_tables,
    delete_row,
    flag_indexes,
    has_account_key,
    key_columns,
    key_indexes,
    page_size,
    rows_of,
)

TABLES = copied_tables(all_tables())

_REMOVED_AT_ONCE = 500

Rows = list[tuple[Any, ...]]


@dataclass(slots=True)
class Counts:
    """The numbers of rows of a table that were added, removed, compared, and found different."""

    added: int = 0
    removed: int = 0
    compared: int = 0
    different: int = 0


@dataclass(slots=True)
class CopyResult:
    """The counts of each table, by its name."""

    tables: dict[str, Counts] = field(default_factory=lambda: {t.name: Counts() for t in TABLES})

    @property
    def different(self) -> int:
        """Return the number of different rows."""
        return sum(counts.different for counts in self.tables.values())


class _Part(NamedTuple):
    """The rows of an account in a table, or all rows of a table without accounts."""

    table: sa.Table
    account_id: int | None

    def key(self, row: Sequence[Any]) -> Key:
        """Return the key of a row within the part."""
        return tuple(row[index] for index in key_indexes(self.table))

    async def page(self, database: QueryExecutor, after: Key | None) -> Rows:
        """Return the rows that follow a key."""
        params: dict[str, Any] = {"limit": page_size(self.table)}
        if self.account_id is not None:
            params["account_id"] = self.account_id
        if after is not None:
            names = key_columns(self.table)
            params |= {f"after_{name}": v for name, v in zip(names, after, strict=True)}
        rows = await database.fetch(rows_of(self.table, after is not None), params)
        return list(map(tuple, rows))


class Copy:
    """A copy from one database to another. `on_progress` is called with the name of a table and
    the number of rows since the last call."""

    def __init__(
        self,
        source: Store,
        target: Store,
        on_progress: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        self._source = source
        self._target = target
        self._on_progress = on_progress
        self.result = CopyResult()

    async def run(self) -> CopyResult:
        """Copy, then compare. Raises StoreError."""
        async with self._source.snapshot() as source:
            if await self._is_begun():
                for table in reversed(TABLES):
                    await self._clear(source, table)
            for table in TABLES:
                await self._fill(source, table)
            async with self._target.snapshot() as target:
                for table in TABLES:
                    await self._compare(source, target, table)
        return self.result

    async def _is_begun(self) -> bool:
        return bool(await _Part(TABLES[0], None).page(self._target, None))

    async def _clear(self, source: QueryExecutor, table: sa.Table) -> None:
        """Delete the rows of the target that the source does not have."""
        query = delete_row(table)
        names = [str(column.name) for column in table.primary_key.columns]
        indexes = [table.c.keys().index(name) for name in names]
        for part in await _parts(self._target, table):
            async for _, theirs, _ in _differences(source, self._target, part):
                keys = [
                    {f"key_{n}": row[p] for n, p in zip(names, indexes, strict=True)}
                    for row in theirs
                ]
                for start in range(0, len(keys), _REMOVED_AT_ONCE):
                    batch = keys[start : start + _REMOVED_AT_ONCE]
                    await self._target.execute([(query, key) for key in batch])
                self.result.tables[table.name].removed += len(keys)

    async def _fill(self, source: QueryExecutor, table: sa.Table) -> None:
        """Add missing rows to the target. The next page is read while a page is written."""
        existing = set(await _parts(self._target, table))
        adding: asyncio.Task[None] | None = None
        try:
            for part in await _parts(source, table):
                if part in existing:
                    pages = _differences(source, self._target, part)
                else:
                    pages = _all_of(source, part)
                async for ours, _, row_count in pages:
                    if adding is not None:
                        await adding
                    adding = asyncio.create_task(self._add(table, ours, row_count))
            if adding is not None:
                await adding
        finally:
            if adding is not None and not adding.done():
                adding.cancel()

    async def _add(self, table: sa.Table, rows: Rows, row_count: int) -> None:
        if rows:
            for index in flag_indexes(table):
                rows = [(*r[:index], bool(r[index]), *r[index + 1 :]) for r in rows]
            await self._target.insert_rows(table, rows)
            self.result.tables[table.name].added += len(rows)
        self._on_progress(table.name, row_count)

    async def _compare(self, source: QueryExecutor, target: QueryExecutor, table: sa.Table) -> None:
        counts = self.result.tables[table.name]
        parts = dict.fromkeys([*await _parts(source, table), *await _parts(target, table)])
        for part in parts:
            async for ours, theirs, row_count in _differences(source, target, part):
                counts.compared += row_count
                counts.different += len({part.key(row) for row in [*ours, *theirs]})
                self._on_progress(table.name, row_count)


async def _parts(database: QueryExecutor, table: sa.Table) -> list[_Part]:
    """Return the parts of a table in a database."""
    if not has_account_key(table):
        return [_Part(table, None)]
    rows = await database.fetch(accounts_with(table), {})
    return [_Part(table, row[0]) for row in rows]


async def _all_of(source: QueryExecutor, part: _Part) -> AsyncIterator[tuple[Rows, Rows, int]]:
    """Yield all rows of a part, as differences from an empty one."""
    after: Key | None = None
    while rows := await part.page(source, after):
        yield rows, [], len(rows)
        after = part.key(rows[-1])
        if len(rows) < page_size(part.table):
            return


async def _differences(
    source: QueryExecutor, target: QueryExecutor, part: _Part
) -> AsyncIterator[tuple[Rows, Rows, int]]:
    """Yield for each page the rows that only the source has, the rows that only the target has, and
    the number of rows of the source."""
    after: Key | None = None
    while True:
        ours, theirs = await asyncio.gather(part.page(source, after), part.page(target, after))
        full = [len(rows) == page_size(part.table) for rows in (ours, theirs)]
        # Compare as far as both were read.
        ends = [part.key(rows[-1]) for rows, more in zip((ours, theirs), full, strict=True) if more]
        after = min(ends, default=None)
        if ours == theirs:
            yield [], [], len(ours)
        else:
            if after is not None:
                ours, theirs = (
                    [row for row in rows if part.key(row) <= after] for rows in (ours, theirs)
                )
            mine, other = set(ours), set(theirs)
            only_ours = [row for row in ours if row not in other]
            yield only_ours, [row for row in theirs if row not in mine], len(ours)
        if after is None:
            return
