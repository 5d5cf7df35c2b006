"""The list of an account's customers, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.core.ids import MAX_ID
from regulars.core.limits import DEFAULTS
from regulars.core.money import amounts
from regulars.core.paging import MAX_INTEGER, Cursor, KeysetPage, Page, load, page_of
from regulars.customers.fields import FIELDS
from regulars.customers.search.finding import Finder, Slice
from regulars.customers.search.parser import Order, Search
from regulars.store import QueryExecutor, queries
from regulars.store.conditions import And, Condition
from regulars.store.queries import ORDER_VALUE
from regulars.store.tables import MONEY_SCALE

_AMOUNTS = names_of(FIELDS, fields.Money)

# A timestamp of 1970-01-26 or later is greater than any count of orders, and one before 1970 is
# less. So a cursor of one of these orders is recognised under the other.
_FIRST_TIMESTAMP = 2**31


class CustomerPage(NamedTuple):
    """A page of the list in an order: of all customers, or of those who meet a condition at the
    timestamp `now`, in milliseconds since 1970."""

    order: Order
    page: KeysetPage = KeysetPage()
    condition: Condition | None = None
    now: int = 0


def customer_page(
    arguments: Mapping[str, Any], search: Search, now: int, max_size: int = DEFAULTS.page_size
) -> CustomerPage:
    """Return the page of a search that the arguments of the connection select. Raises Rejected."""
    page = page_of(arguments, OrderCursors(search.order.by), "customers", max_size)
    return CustomerPage(search.order, page, search.condition, now)


@dataclass(frozen=True, slots=True)
class OrderCursors:
    """The cursors of the list in an order: base64 of the JSON array `[order value, _id]`."""

    order_by: str

    @property
    def mismatch(self) -> str:
        return (
            f"This is not a cursor of a list ordered by `{self.order_by}`. Use `cursor` of an "
            "edge, `endCursor` or `startCursor`, from a page in the same order."
        )

    def decode(self, text: str) -> Cursor | None:
        decoded = load(text)
        if not isinstance(decoded, list) or len(decoded) != 2:
            return None
        value, customer_id = decoded
        if type(customer_id) is not int or not 0 < customer_id <= MAX_ID:
            return None
        if self.order_by == "id":
            return (value, customer_id) if value == customer_id and type(value) is int else None
        stored = _STORED[self.order_by](value)
        return None if stored is None else (stored, customer_id)


class Listing:
    """Reads the list from a database, or from a snapshot of one."""

    def __init__(self, store: QueryExecutor) -> None:
        self._store = store

    async def pages(
        self, account_id: int, selected: CustomerPage, columns: tuple[str, ...]
    ) -> AsyncIterator[Sequence[Any]]:
        """Iterate over the rows of a page and of all that follow it, page by page. The columns
        begin with `order_value` and `customer_id`."""
        while True:
            page = await self.page(account_id, selected, columns)
            if page.rows:
                yield page.rows
            if not page.has_next:
                return
            value, customer_id = page.rows[-1][:2]
            if selected.order.by in _AMOUNTS:
                value = round(value * MONEY_SCALE)
            selected = selected._replace(page=selected.page._replace(after=(value, customer_id)))

    async def page(
        self,
        account_id: int,
        selected: CustomerPage,
        columns: tuple[str, ...],
        beyond: frozenset[str] = frozenset(),
        with_change: bool = False,
    ) -> Page:
        """Return a page of rows, each with `columns` of the customers' table. Among them,
        `order_value` is the value of the order as a cursor has it.

        `beyond` says what to look for outside the cursors of the page: `next` and `previous`.
        `with_change` reads the number of the account's last change where that costs next to
        nothing.
        """
        page, order = selected.page, selected.order
        start, end = page.bounds
        ahead, behind = ("previous", "next") if page.backward else ("next", "previous")
        look_ahead = ahead in beyond and end is not None
        look_behind = behind in beyond and start is not None
        reading = Order(order.by, order.ascending != page.backward)
        if selected.condition is None:
            read = await self._rows(
                account_id, reading, page, columns, look_ahead, look_behind, with_change
            )
        else:
            read = await self._matches(
                account_id, selected, reading, columns, look_ahead, look_behind
            )
        rows = _with_shown_value(read.rows, columns, order.by)
        return page.cut(rows, read.is_behind, read.is_ahead, read.change)

    async def _rows(
        self,
        account_id: int,
        reading: Order,
        page: KeysetPage,
        columns: tuple[str, ...],
        look_ahead: bool,
        look_behind: bool,
        with_change: bool,
    ) -> _Read:
        """Read a page of all customers."""
        start, end = page.bounds
        query = queries.page(
            *(reading.by, columns, reading.ascending, start is not None, end is not None),
            *(look_behind, look_ahead, with_change),
        )
        parameters = {
            "account_id": account_id,
            "limit": page.limit,
            **_parameters("after", start),
            **_parameters("before", end),
        }
        rows = await self._store.fetch(query, parameters)
        is_ahead = is_behind = False
        change: int | None = None
        if rows:
            # These values stand after the columns, in every row.
            values = list(rows[0][-look_behind - look_ahead - with_change :])
            change = values.pop() if with_change else None
            is_ahead = look_ahead and bool(values.pop())
            is_behind = look_behind and bool(values.pop())
        else:
            if look_ahead:
                is_ahead = await self._any_beyond(account_id, reading, end)
            if look_behind:
                is_behind = await self._any_beyond(account_id, _reverse(reading), start)
        return _Read(rows, is_behind, is_ahead, change)

    async def _matches(
        self,
        account_id: int,
        selected: CustomerPage,
        reading: Order,
        columns: tuple[str, ...],
        look_ahead: bool,
        look_behind: bool,
    ) -> _Read:
        """Read a page of the customers who meet the condition."""
        assert selected.condition is not None
        page = selected.page
        finder = Finder(self._store, account_id, selected.condition, selected.now)
        start, end = page.bounds
        positions = {**_parameters("after", start), **_parameters("before", end)}
        rows = await finder.rows(Slice(reading, page.limit, positions), columns)

        async def any_beyond(cursor: Cursor | None, order: Order) -> bool:
            slice_ = Slice(order, 1, _parameters("after", cursor), including=True)
            return bool(await finder.rows(slice_, ("customer_id",)))

        is_ahead = look_ahead and len(rows) <= page.size and await any_beyond(end, reading)
        is_behind = look_behind and await any_beyond(start, _reverse(reading))
        return _Read(rows, is_behind, is_ahead)

    async def count(self, account_id: int, selected: CustomerPage, limit: int | None = None) -> int:
        """Return how many customers meet the condition, on all pages together, at most one more
        than a limit."""
        condition = selected.condition or And(())
        return await Finder(self._store, account_id, condition, selected.now).count(limit)

    async def _any_beyond(self, account_id: int, order: Order, cursor: Cursor | None) -> bool:
        """Return whether a customer stands at a cursor, or after it in an order."""
        query = queries.any_at_or_beyond(order.by, order.ascending)
        parameters = {"account_id": account_id, **_parameters("edge", cursor)}
        (row,) = await self._store.fetch(query, parameters)
        return bool(row[0])


class _Read(NamedTuple):
    """Rows in the direction of reading, and what was found outside the cursors of the page."""

    rows: Sequence[Any]
    is_behind: bool
    is_ahead: bool
    change: int | None = None


def _reverse(order: Order) -> Order:
    return Order(order.by, not order.ascending)


def _parameters(name: str, cursor: Cursor | None) -> dict[str, Any]:
    if cursor is None:
        return {}
    value, customer_id = cursor
    return {f"{name}_value": value, f"{name}_id": customer_id}


def _with_shown_value(
    rows: Sequence[Any], columns: tuple[str, ...], order_by: str
) -> Sequence[Any]:
    """Return the rows with the order's value as a cursor has it: amounts are stored differently."""
    if order_by not in _AMOUNTS or ORDER_VALUE not in columns:
        return rows
    index = columns.index(ORDER_VALUE)
    shown = amounts([row[index] for row in rows])
    return [
        (*row[:index], value, *row[index + 1 :]) for row, value in zip(rows, shown, strict=True)
    ]


def _timestamp(value: object) -> int | None:
    if type(value) is not int or abs(value) > MAX_INTEGER or 0 <= value < _FIRST_TIMESTAMP:
        return None
    return value


def _optional_timestamp(value: object) -> int | None:
    return value if value == fields.NEVER else _timestamp(value)


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _FIRST_TIMESTAMP else None


def _money(value: object) -> int | None:
    if type(value) is not int and type(value) is not float:
        return None
    scaled = round(value * MONEY_SCALE)
    return scaled if abs(scaled) <= MAX_INTEGER else None


def _email(value: object) -> str | None:
    """Return the email of a cursor: empty for a customer without one."""
    if not isinstance(value, str) or "\0" in value:
        return None
    return value if "@" in value or not value else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and "\0" not in value else None


# The stored order value of the value in a cursor, or None if that has the wrong type.
_OF_KIND: dict[type[fields.Field], Callable[[object], Any]] = {
    fields.Timestamp: _timestamp,
    fields.OptionalTimestamp: _optional_timestamp,
    fields.Count: _count,
    fields.Money: _money,
    fields.Email: _email,
    fields.Text: _text,
    fields.FullName: _text,
}
_STORED = {field.name: _OF_KIND[type(field)] for field in FIELDS if field.sort}
