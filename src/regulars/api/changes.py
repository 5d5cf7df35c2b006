"""The history's fields: the account's feed, and the changes of a customer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.api.connections import Connection
from regulars.api.context import Context
from regulars.directory.paging import CHANGE_CURSORS, KeysetPage, page_of
from regulars.graphql import Arguments, Layout, Layouts, Load, Resolve
from regulars.store.relations import CHANGES


def _page(env: Context, arguments: Arguments) -> KeysetPage:
    return page_of(arguments, CHANGE_CURSORS, "changes", env.directory.limits.page_size)


def _connection(layout: Layout) -> Connection:
    return Connection(layout, CHANGES.keyset, CHANGE_CURSORS.encode)


def customer_changes(layouts: Layouts) -> Resolve:
    """The account's history, from a change on."""
    connection = _connection(layouts.only)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        page = await env.directory.changes(
            env.account_id, _page(env, arguments), connection.columns
        )
        return connection.row(page, await connection.edges.load_related(page.rows, env))

    return resolve


def changes_of(arguments: Arguments) -> Load:
    """The changes of customers, newest first, for each a page."""

    async def load(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
        connection = _connection(layout)
        pages = await env.directory.page_of_each(
            CHANGES, env.account_id, ids, _page(env, arguments), connection.columns
        )
        return await connection.rows_of(pages, env)

    return load
