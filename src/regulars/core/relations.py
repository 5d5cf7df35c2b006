"""Rows that belong to others (the orders of customers, …), loaded with one statement for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.core.paging import Cursor, KeysetPage, Page
from regulars.store import QueryExecutor
from regulars.store.query import Query
from regulars.store.relations import Relation, all_of_each, cursor_parameter, first_of_each


async def page_of_each(
    store: QueryExecutor,
    relation: Relation,
    account_id: int,
    ids: Sequence[int],
    page: KeysetPage,
    columns: tuple[str, ...],
) -> list[Page]:
    """Return for each id a page of the rows that belong to it, newest first."""
    query = first_of_each(relation, columns, page.after is not None)
    rows = await _rows_of_each(store, query, relation, account_id, ids, page.after, page.limit)
    return [page.cut(each, is_behind=page.after is not None) for each in rows]


async def rows_of_each(
    store: QueryExecutor,
    relation: Relation,
    account_id: int,
    ids: Sequence[int],
    columns: tuple[str, ...],
    size: int | None,
    after: Cursor | None,
    max_rows: int,
) -> list[list[Any]]:
    """Return for each id the rows that belong to it, newest first: at most `size` past a cursor.
    Without a size all of them, but no more than `max_rows` are read."""
    if size is None:
        query = all_of_each(relation, columns, after is not None, limited=True)
    else:
        query = first_of_each(relation, columns, after is not None)
    limit = max_rows if size is None else size
    return await _rows_of_each(store, query, relation, account_id, ids, after, limit)


async def _rows_of_each(
    store: QueryExecutor,
    query: Query,
    relation: Relation,
    account_id: int,
    ids: Sequence[int],
    after: Cursor | None,
    limit: int,
) -> list[list[Any]]:
    parameters: dict[str, Any] = {"account_id": account_id, "limit": limit}
    if after is not None:
        parameters |= zip(map(cursor_parameter, relation.keyset), after, strict=True)
    grouped: dict[int, list[Any]] = {key: [] for key in ids}
    parameters["ids"] = list(grouped)
    for row in await store.fetch(query, parameters):
        grouped[row[0]].append(row[1:])
    return [grouped[key] for key in ids]
