"""Connections: lists with pages, as the specification of Relay defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regulars.core.paging import Page
from regulars.graphql import Layout, Nested, SameRow, TypeBinding, Value

Encode = Callable[..., list[str]]

_BEYOND = {"hasNextPage": "next", "hasPreviousPage": "previous"}


class Connection:
    """A selected connection: the columns of its rows and the fields of its page. Its cursors are
    `encode` of the columns `keyset`."""

    def __init__(self, layout: Layout, keyset: tuple[str, ...], encode: Encode) -> None:
        self.edges = layout.nested("edges")
        self.columns = tuple(dict.fromkeys((*self.edges.columns, *keyset)))
        self._encode = encode
        self._keyset = [self.columns.index(name) for name in keyset]
        info = layout.nested("pageInfo", has_dict_rows=True).columns
        self._has_ends = "startCursor" in info or "endCursor" in info
        self.beyond = frozenset(_BEYOND[name] for name in info if name in _BEYOND)

    def row(self, page: Page, edges: Sequence[Any]) -> dict[str, Any]:
        """Return the row of the connection: a page, with its rows filled."""
        start, end = None, None
        if page.rows and self._has_ends:
            first, last = page.rows[0], page.rows[-1]
            start, end = self._encode(*[(first[index], last[index]) for index in self._keyset])
        info = {
            "hasNextPage": page.has_next,
            "hasPreviousPage": page.has_previous,
            "startCursor": start,
            "endCursor": end,
        }
        return {"edges": edges, "pageInfo": info}

    async def rows_of(self, pages: Sequence[Page], env: Any) -> list[dict[str, Any]]:
        """Return the rows of several connections, filled together."""
        filled = await self.edges.load_related_grouped([list(page.rows) for page in pages], env)
        return [self.row(page, edges) for page, edges in zip(pages, filled, strict=True)]


def connection_types(
    name: str, keyset: tuple[str, ...], encode: Encode, more: Mapping[str, Value] | None = None
) -> dict[str, TypeBinding]:
    """Return the bindings of `NameConnection` and `NameEdge`."""
    parts = {"edges": Nested(("edges",), is_page=True), "pageInfo": Nested(("pageInfo",))}
    return {
        f"{name}Connection": TypeBinding({**parts, **(more or {})}, has_dict_rows=True),
        f"{name}Edge": TypeBinding({"node": SameRow(), "cursor": Value(keyset, encode)}),
    }


PAGE_INFO = TypeBinding(
    {
        name: Value((name,))
        for name in ("hasNextPage", "hasPreviousPage", "startCursor", "endCursor")
    },
    has_dict_rows=True,
)
