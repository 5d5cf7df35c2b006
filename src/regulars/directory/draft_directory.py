"""The interface to an account as it would be after a command: stored rows, under those of a
draft."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from regulars.core.dry_run import Draft
from regulars.core.paging import Cursor
from regulars.directory.directory import Directory
from regulars.store import Row, tables
from regulars.store.large_work import run_large
from regulars.store.relations import Relation

# Sorting more rows takes some milliseconds.
_MANY_ROWS = 2_000


class DraftDirectory(Directory):
    """Reads the rows that the response to a dry run shows: the customers and orders that rows refer
    to, and the lists of customers. Other reads see the stored rows."""

    def __init__(self, directory: Directory, draft: Draft) -> None:
        super().__init__(directory.store, directory.limits, directory.primary)
        self._draft = draft
        self._grouped: dict[Relation, Mapping[int, Sequence[tuple[Cursor, Row]]]] = {}

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
        if not drafts:
            return await super().rows_of_each(relation, account_id, ids, columns, size, after)
        by_parent = await self._by_parent(relation)
        read_columns = tuple(dict.fromkeys((*columns, *relation.keyset)))
        # The drafts of a parent replace as many stored rows at most.
        most = max([len(by_parent.get(number, ())) for number in ids], default=0)
        deleted = sum(row is None for row in drafts.values())
        read_size = None if size is None else size + most + deleted
        stored = await super().rows_of_each(
            relation, account_id, ids, read_columns, read_size, after
        )
        keys = [read_columns.index(name) for name in relation.keyset]

        def cursor(row: Sequence[Any]) -> Cursor:
            return tuple([row[index] for index in keys])

        def merge(number: int, rows: Sequence[Sequence[Any]]) -> list[Any]:
            merged = [row for row in rows if row[keys[-1]] not in drafts]
            drafted = by_parent.get(number, ())
            if drafted:
                past = [row for row in drafted if after is None or row[0] < after][:size]
                merged += [_values(row, read_columns) for _, row in past]
                merged.sort(key=cursor, reverse=True)
            return [row[: len(columns)] for row in merged[:size]]

        return [merge(number, rows) for number, rows in zip(ids, stored, strict=True)]

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
        for number in drafts.keys() & ids:
            row = drafts[number]
            rows[number] = None if row is None else _values(row, columns)
        return [rows[number] for number in ids]

    async def _by_parent(self, relation: Relation) -> Mapping[int, Sequence[tuple[Cursor, Row]]]:
        """Return the drafts that belong to each row of the parent, newest first, with their
        cursors."""
        known = self._grouped.get(relation)
        if known is None:
            rows = [row for row in self._rows(relation.table).values() if row is not None]

            def group() -> dict[int, list[tuple[Cursor, Row]]]:
                grouped: dict[int, list[tuple[Cursor, Row]]] = {}
                for row in rows:
                    cursor = _values(row, relation.keyset)
                    grouped.setdefault(row[relation.parent_key], []).append((cursor, row))
                for each in grouped.values():
                    each.sort(key=itemgetter(0), reverse=True)
                return grouped

            known = await run_large(group) if len(rows) > _MANY_ROWS else group()
            self._grouped[relation] = known
        return known

    def _rows(self, table: sa.Table) -> Mapping[Any, Row | None]:
        return self._draft.rows.get(table, {})


def _values(row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple([row[name] for name in columns])
