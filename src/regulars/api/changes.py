"""The history's fields: the account's feed, and the changes of a customer."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any

from regulars.api.context import Context
from regulars.directory import history
from regulars.directory.errors import Problem, Refused
from regulars.directory.paging import DEFAULT_SIZE, wrong_size
from regulars.graphql import Arguments, Layout, Layouts, Load, Resolve

_SEQUENCE = "sequence"
# Beyond any change: the newest come first.
_NEWEST = 2**63 - 1


def cursors(sequences: Sequence[int]) -> list[str]:
    """The cursors of changes: base64 of the JSON array `["change", sequence]`."""
    base64_of, cursor = binascii.b2a_base64, history.cursor
    return [base64_of(cursor(number), newline=False).decode() for number in sequences]


def size_of(arguments: Arguments) -> int:
    """How many changes a page is asked to hold."""
    first = arguments.get("first")
    return DEFAULT_SIZE if first is None else max(0, first)


def _window(arguments: Arguments, most: int) -> tuple[int, int | None]:
    """How many changes a page holds, and the number of the one that its cursor names. Raises
    Refused with InvalidPageSize or InvalidCursor, or both."""
    first, after = arguments.get("first"), arguments.get("after")
    problems: list[Problem] = [*wrong_size("first", first, most, "changes")]
    number = history.position(after) if after else None
    if after and number is None:
        problems.append(history.no_cursor())
    if problems:
        raise Refused(*problems)
    return min(size_of(arguments), most), number


def _columns(layout: Layout) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*layout.part("edges").columns, _SEQUENCE)))


def _page(columns: tuple[str, ...], rows: Sequence[Any], more: bool, less: bool) -> Any:
    at = columns.index(_SEQUENCE)
    ends = cursors([rows[0][at], rows[-1][at]]) if rows else [None, None]
    return connection(rows, more, less, *ends)


def connection(
    rows: Sequence[Any], more: bool, less: bool, start: str | None, end: str | None
) -> Any:
    """A connection's row: its edges, and whether there are more of them beyond it, and before."""
    info = {
        "hasNextPage": more,
        "hasPreviousPage": less,
        "startCursor": start,
        "endCursor": end,
    }
    return {"edges": rows, "pageInfo": info}


def customer_changes(layouts: Layouts) -> Resolve:
    """The account's history, from a change on."""
    layout = layouts.only
    columns = _columns(layout)

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        size, after = _window(arguments, env.directory.limits.page_size)
        rows, more = await env.directory.changes(env.account_id, after or 0, size, columns)
        rows = await layout.part("edges").fill(rows, env)
        return _page(columns, rows, more, bool(after))

    return resolve


def changes_of(arguments: Arguments) -> Load:
    """The changes of customers, newest first, for each a page."""

    async def load(env: Context, ids: list[int], layout: Layout) -> Sequence[Any]:
        size, before = _window(arguments, env.directory.limits.page_size)
        columns = _columns(layout)
        older = _NEWEST if before is None else before
        pages = await env.directory.changes_of(env.account_id, ids, older, size, columns)
        filled = await layout.part("edges").fill_nested([list(rows) for rows, _ in pages], env)
        return [
            _page(columns, rows, more, before is not None)
            for rows, (_, more) in zip(filled, pages, strict=True)
        ]

    return load
