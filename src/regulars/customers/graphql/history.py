"""The history's fields: the account's feed, and the changes of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context
from regulars.api.related import customers_of
from regulars.api.values import global_id, timestamp_of
from regulars.core.paging import KeysetPage, page_of
from regulars.customers import history
from regulars.graphql import (
    Arguments,
    Layout,
    Layouts,
    Load,
    Nested,
    PerRow,
    Related,
    Resolve,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.store.relations import CHANGES


def _page(env: Context, arguments: Arguments) -> KeysetPage:
    return page_of(arguments, history.CHANGE_CURSORS, "changes", env.directory.limits.page_size)


def _connection(layout: Layout) -> Connection:
    return Connection(layout, CHANGES.keyset, history.CHANGE_CURSORS.encode)


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


async def _orders(env: Context, ids: list[int | None], layout: Layout) -> Sequence[Any]:
    order_ids = [number for number in ids if number is not None]
    loaded = (
        await env.directory.orders(env.account_id, order_ids, layout.columns) if order_ids else []
    )
    rows = dict(zip(order_ids, loaded, strict=True))
    return [rows.get(number) if number is not None else None for number in ids]


CHANGE = TypeBinding(
    {
        "sequence": Value(("sequence",)),
        "kind": Value(("kind",)),
        "at": timestamp_of("at"),
        "actor": SameRow(),
        "request_id": Value(("request_id",)),
        "customer_id": global_id("Customer", "customer_id"),
        "customer": Related("customer_id", customers_of),
        "order": Related("order_id", _orders),
        "fields": Nested(("fields",), PerRow(history.fields), can_be_large=True),
        "silent": Value(("silent",), PerRow(bool)),
        "cause": Value(("cause",)),
    }
)
ACTOR = TypeBinding({"kind": Value(("actor_kind",)), "name": Value(("actor",))})
FIELD_CHANGE = TypeBinding(
    {name: Value((name,), can_be_large=name != "name") for name in ("name", "before", "after")},
    has_dict_rows=True,
)

TYPES: Mapping[str, TypeBinding] = {
    **connection_types("CustomerChange", CHANGES.keyset, history.CHANGE_CURSORS.encode),
    "CustomerChange": CHANGE,
    "Actor": ACTOR,
    "FieldChange": FIELD_CHANGE,
}
