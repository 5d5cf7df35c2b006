"""The interface to an account as it would be after a command: stored rows, under those of a
draft."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from regulars.core.dry_run import Draft
from regulars.core.paging import Cursor
from regulars.directory.directory import Directory
from regulars.store import Row, tables
from regulars.store.relations import Relation


class DraftDirectory(Directory):
    """Reads the rows that the response to a dry run shows: the customers and orders that rows refer
    to, and the lists of customers. Other reads see the stored rows."""

    def __init__(self, directory: Directory, draft: Draft) -> None:
        super().__init__(directory.store, directory.limits)
        self._draft = draft

    async def customers(
        self, account_id: int, ids: Sequence[int], columns: tuple[str, ...]
    ) -> list[Any]:
        return await self._with_drafts(
            tables.customers, super().customers, account_id, ids, columns
        )

    async def orders(
        self, account_id: int, ids: Sequence[int], columns: tuple[str, ...]
    ) -> list[Any]:
        return await self._with_drafts(tables.orders, super().orders, account_id, ids, columns)

    async def rows_of_each(
        self,
        relation: Relation,
        account_id: int,
        ids: Sequence[int],
        columns: tuple[str, ...],
        size: int | None = None,
        after: Cursor | None = None,
    ) -> list[list[Any]]:
        drafts = self._rows(relation.table)
        read_columns = tuple(dict.fromkeys((*relation.keyset, *columns)))
        # Drafts replace as many stored rows at most.
        read_size = None if size is None else size + len(drafts)
        stored = await super().rows_of_each(
            relation, account_id, ids, read_columns, read_size, after
        )
        result = []
        for number, rows in zip(ids, stored, strict=True):
            merged: list[Row] = [dict(zip(read_columns, row, strict=True)) for row in rows]
            merged = [row for row in merged if row[relation.keyset[-1]] not in drafts]
            merged += [
                row
                for row in drafts.values()
                if row is not None
                and row[relation.parent_key] == number
                and (after is None or _values(row, relation.keyset) < after)
            ]
            merged.sort(key=lambda row: _values(row, relation.keyset), reverse=True)
            result.append([_values(row, columns) for row in merged[:size]])
        return result

    async def cursor_of(
        self, relation: Relation, account_id: int, number: int | None
    ) -> Cursor | None:
        row = self._rows(relation.table).get(number)
        if row is not None:
            return _values(row, relation.keyset)
        return await super().cursor_of(relation, account_id, number)

    async def _with_drafts(
        self,
        table: sa.Table,
        read: Callable[[int, Sequence[int], tuple[str, ...]], Awaitable[list[Any]]],
        account_id: int,
        ids: Sequence[int],
        columns: tuple[str, ...],
    ) -> list[Any]:
        drafts = self._rows(table)
        stored_ids = [number for number in ids if number not in drafts]
        stored = await read(account_id, stored_ids, columns) if stored_ids else []
        rows = dict(zip(stored_ids, stored, strict=True))
        for number, row in drafts.items():
            rows[number] = None if row is None else _values(row, columns)
        return [rows[number] for number in ids]

    def _rows(self, table: sa.Table) -> Mapping[Any, Row | None]:
        return self._draft.rows.get(table, {})


def _values(row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple([row[name] for name in columns])
