"""The list of an account's customers, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.customers.fields import FIELDS
from regulars.directory.finding import Finder, Slice
from regulars.directory.orders import amounts
from regulars.directory.paging import Page, Position, Window
from regulars.directory.search import Order
from regulars.store import QueryExecutor, queries
from regulars.store.conditions import And
from regulars.store.queries import ORDER_VALUE
from regulars.store.tables import MONEY_SCALE

_AMOUNTS = names_of(FIELDS, fields.Money)


class Listing:
    """Reads the list from a database, or from a snapshot of one."""

    def __init__(self, store: QueryExecutor) -> None:
        self._store = store

    async def pages(
        self, account_id: int, window: Window, columns: tuple[str, ...]
    ) -> AsyncIterator[Sequence[Any]]:
        """The rows of the page and of all that follow it, page by page. The columns begin with
        `order_value` and `customer_id`."""
        while True:
            page = await self.page(account_id, window, columns)
            if page.rows:
                yield page.rows
            if not page.has_next:
                return
            value, number = page.rows[-1][:2]
            if window.order.by in _AMOUNTS:
                value = round(value * MONEY_SCALE)
            window = window._replace(after=Position(value, number))

    async def page(
        self,
        account_id: int,
        window: Window,
        columns: tuple[str, ...],
        beyond: frozenset[str] = frozenset(),
        told: bool = False,
    ) -> Page:
        """The rows of a page, each with `columns` of the customers' table; `order_value` among
        them is the value of the order as a cursor shows it.

        `beyond` says what else is wanted: `next` and `previous`, for what lies outside the
        positions that bound the page. The account's last change is `told` with them where it costs
        next to nothing.
        """
        if window.condition is not None:
            return await self._found_page(account_id, window, columns, beyond)
        order = window.order
        ascending = order.ascending != window.backward
        start, end = (
            (window.before, window.after) if window.backward else (window.after, window.before)
        )
        ahead, behind = ("previous", "next") if window.backward else ("next", "previous")
        look_back = behind in beyond and start is not None
        look_ahead = ahead in beyond and end is not None
        query = queries.page(
            *(order.by, columns, ascending, start is not None, end is not None),
            *(look_back, look_ahead, told),
        )
        # One row more than the page holds tells whether there is another page.
        parameters = {
            "account_id": account_id,
            "limit": window.size + 1,
            **_position("after", start),
            **_position("before", end),
        }
        found = await self._store.fetch(query, parameters)
        rows = found[: window.size]
        lies = {ahead: len(found) > window.size, behind: False}
        change: int | None = None
        if found:
            # What was looked for stands after the columns, in every row.
            looked = list(found[0][-look_back - look_ahead - told :])
            if told:
                change = looked.pop()
            if look_ahead:
                lies[ahead] |= bool(looked.pop())
            if look_back:
                lies[behind] = bool(looked.pop())
        else:
            if look_ahead:
                lies[ahead] = await self._any_beyond(account_id, window, end, ascending)
            if look_back:
                lies[behind] = await self._any_beyond(account_id, window, start, not ascending)
        if window.backward:
            rows = rows[::-1]
        rows = _with_shown_value(rows, columns, order.by)
        return Page(rows, lies["next"], lies["previous"], change)

    async def _found_page(
        self, account_id: int, window: Window, columns: tuple[str, ...], beyond: frozenset[str]
    ) -> Page:
        """The page of those who meet the window's condition."""
        assert window.condition is not None
        finder = Finder(self._store, account_id, window.condition, window.now)
        reading = Order(window.order.by, window.order.ascending != window.backward)
        back = Order(reading.by, not reading.ascending)
        start, end = (
            (window.before, window.after) if window.backward else (window.after, window.before)
        )
        positions = {**_position("after", start), **_position("before", end)}
        found = await finder.rows(Slice(reading, window.size + 1, positions), columns)
        rows = found[: window.size]
        ahead, behind = ("previous", "next") if window.backward else ("next", "previous")
        lies = {ahead: len(found) > window.size, behind: False}
        for side, edge, order in ((ahead, end, reading), (behind, start, back)):
            if side in beyond and edge is not None and not lies[side]:
                slice_ = Slice(order, 1, _position("after", edge), including=True)
                lies[side] = bool(await finder.rows(slice_, ("customer_id",)))
        if window.backward:
            rows = rows[::-1]
        rows = _with_shown_value(rows, columns, window.order.by)
        return Page(rows, lies["next"], lies["previous"])

    async def count(self, account_id: int, window: Window) -> int:
        """How many customers meet the window's condition, wherever they stand."""
        condition = window.condition or And(())
        return await Finder(self._store, account_id, condition, window.now).count()

    async def _any_beyond(
        self, account_id: int, window: Window, edge: Position | None, forward: bool
    ) -> bool:
        """Whether a customer stands at the position that bounds a page, or beyond it."""
        query = queries.any_at_or_beyond(window.order.by, forward)
        parameters = {"account_id": account_id, **_position("edge", edge)}
        (row,) = await self._store.fetch(query, parameters)
        return bool(row[0])


def _position(name: str, position: Position | None) -> dict[str, Any]:
    if position is None:
        return {}
    return {f"{name}_value": position.value, f"{name}_id": position.customer_id}


def _with_shown_value(
    rows: Sequence[Any], columns: tuple[str, ...], order_by: str
) -> Sequence[Any]:
    """The rows with the order's value as a cursor shows it: only an amount is stored otherwise."""
    if order_by not in _AMOUNTS or ORDER_VALUE not in columns:
        return rows
    at = columns.index(ORDER_VALUE)
    shown = amounts([row[at] for row in rows])
    return [(*row[:at], value, *row[at + 1 :]) for row, value in zip(rows, shown, strict=True)]
