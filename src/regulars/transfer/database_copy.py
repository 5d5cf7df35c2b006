"""Copying a whole database to another, of whichever kind, row by row, and proving it the same.

The source is read as it was at one moment. What the target has and the source has not, or has
otherwise, goes; what it lacks is added; then every row of both is compared. So a copy that was
interrupted is gone on with by copying again, and one of a source that has been written to since is
brought up to date by it.
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
    """Of a table: rows that were added and removed, rows that were compared at the end, and how
    many of those were not the same."""

    added: int = 0
    removed: int = 0
    compared: int = 0
    different: int = 0


@dataclass(slots=True)
class CopyResult:
    """What became of each table, by its name."""

    tables: dict[str, Counts] = field(default_factory=lambda: {t.name: Counts() for t in TABLES})

    @property
    def different(self) -> int:
        """How many rows are not the same."""
        return sum(counts.different for counts in self.tables.values())


class _Part(NamedTuple):
    """The rows of a table that are one account's, or all of a table that is no account's."""

    table: sa.Table
    account_id: int | None

    def key(self, row: Sequence[Any]) -> Key:
        """By what a row is told from the others of the part."""
        return tuple(row[place] for place in key_indexes(self.table))

    async def page(self, database: QueryExecutor, after: Key | None) -> Rows:
        """The next rows of it."""
        given: dict[str, Any] = {"limit": page_size(self.table)}
        if self.account_id is not None:
            given["account_id"] = self.account_id
        if after is not None:
            names = key_columns(self.table)
            given |= {f"after_{name}": v for name, v in zip(names, after, strict=True)}
        rows = await database.fetch(rows_of(self.table, after is not None), given)
        return list(map(tuple, rows))


class Copy:
    """A copy from one database to another. `told` is called with a table's name and how many more
    of its rows have been dealt with."""

    def __init__(
        self, source: Store, target: Store, told: Callable[[str, int], None] = lambda *_: None
    ) -> None:
        self._source = source
        self._target = target
        self._told = told
        self.result = CopyResult()

    async def run(self) -> CopyResult:
        """Copies, then compares. Raises StoreError."""
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
        """Removes from the target what is not so in the source."""
        query = delete_row(table)
        names = [str(column.name) for column in table.primary_key.columns]
        places = [table.c.keys().index(name) for name in names]
        for part in await _parts(self._target, table):
            async for _, theirs, _ in _differences(source, self._target, part):
                keys = [
                    {f"key_{n}": row[p] for n, p in zip(names, places, strict=True)}
                    for row in theirs
                ]
                for start in range(0, len(keys), _REMOVED_AT_ONCE):
                    few = keys[start : start + _REMOVED_AT_ONCE]
                    await self._target.execute([(query, key) for key in few])
                self.result.tables[table.name].removed += len(keys)

    async def _fill(self, source: QueryExecutor, table: sa.Table) -> None:
        """Adds to the target what it lacks. What is read next is read while that is written."""
        there = set(await _parts(self._target, table))
        adding: asyncio.Task[None] | None = None
        try:
            for part in await _parts(source, table):
                if part in there:
                    found = _differences(source, self._target, part)
                else:
                    found = _all_of(source, part)
                async for ours, _, seen in found:
                    if adding is not None:
                        await adding
                    adding = asyncio.create_task(self._add(table, ours, seen))
            if adding is not None:
                await adding
        finally:
            if adding is not None and not adding.done():
                adding.cancel()

    async def _add(self, table: sa.Table, rows: Rows, seen: int) -> None:
        if rows:
            for place in flag_indexes(table):
                rows = [(*r[:place], bool(r[place]), *r[place + 1 :]) for r in rows]
            await self._target.insert_rows(table, rows)
            self.result.tables[table.name].added += len(rows)
        self._told(table.name, seen)

    async def _compare(self, source: QueryExecutor, target: QueryExecutor, table: sa.Table) -> None:
        counts = self.result.tables[table.name]
        parts = dict.fromkeys([*await _parts(source, table), *await _parts(target, table)])
        for part in parts:
            async for ours, theirs, seen in _differences(source, target, part):
                counts.compared += seen
                counts.different += len({part.key(row) for row in [*ours, *theirs]})
                self._told(table.name, seen)


async def _parts(database: QueryExecutor, table: sa.Table) -> list[_Part]:
    """What a table consists of there."""
    if not has_account_key(table):
        return [_Part(table, None)]
    rows = await database.fetch(accounts_with(table), {})
    return [_Part(table, row[0]) for row in rows]


async def _all_of(source: QueryExecutor, part: _Part) -> AsyncIterator[tuple[Rows, Rows, int]]:
    """All rows of a part, as the differences from one that has none."""
    after: Key | None = None
    while rows := await part.page(source, after):
        yield rows, [], len(rows)
        after = part.key(rows[-1])
        if len(rows) < page_size(part.table):
            return


async def _differences(
    source: QueryExecutor, target: QueryExecutor, part: _Part
) -> AsyncIterator[tuple[Rows, Rows, int]]:
    """Page by page: the rows that the source alone has so, those that the target alone has so, and
    how many rows of the source were looked at."""
    after: Key | None = None
    while True:
        ours, theirs = await asyncio.gather(part.page(source, after), part.page(target, after))
        full = [len(rows) == page_size(part.table) for rows in (ours, theirs)]
        # As far as both have been read.
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
