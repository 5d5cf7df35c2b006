"""Pages of the list: cursors, and which rows stand between them."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from regulars.core import fields
from regulars.customers.fields import FIELDS
from regulars.directory.errors import InvalidCursor, InvalidPageSize, Problem, Refused
from regulars.directory.ids import MAX_ID
from regulars.directory.limits import DEFAULTS
from regulars.directory.opaque import from_base64
from regulars.directory.search import Order, Search
from regulars.store.conditions import Condition
from regulars.store.tables import MONEY_SCALE

DEFAULT_SIZE = 25

_OTHER_ORDER = (
    "This is not a cursor of a list ordered by %s. Use an edge's cursor, or pageInfo's endCursor "
    "or startCursor, of a page in the same order."
)

# A moment of 1970-01-26 or later; a count of orders is smaller. So a cursor of the one kind of
# order is seen under the other.
_FIRST_MOMENT = 2**31
_MAX_INTEGER = 2**63 - 1


class Position(NamedTuple):
    """A place in a list: a row's order value, as it is stored, and its `_id`."""

    value: Any
    customer_id: int


class Window(NamedTuple):
    """Which rows a page holds: `size` of them, counted from the start of what lies between the
    positions, or from its end when `backward`; of all customers, or of those who meet a condition
    at the moment `now`, in milliseconds since 1970."""

    order: Order
    size: int = DEFAULT_SIZE
    backward: bool = False
    after: Position | None = None
    before: Position | None = None
    condition: Condition | None = None
    now: int = 0


def window(
    search: Search,
    now: int,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    most: int = DEFAULTS.page_size,
) -> Window:
    """Reads the arguments of a connection, as Relay's specification has them (section 4), at a
    moment in milliseconds since 1970; `most` is the longest page there is.

    Raises Refused with InvalidPageSize or InvalidCursor, or both.
    """
    order = search.order
    problems: list[Problem] = []
    if first is not None and last is not None:
        message = "A page is counted from one end: give first or last, not both."
        problems.append(InvalidPageSize(message, ("last",)))
    for name, size in (("first", first), ("last", last)):
        problems += wrong_size(name, size, most, "customers")
    positions: dict[str, Position | None] = {}
    for name, cursor in (("after", after), ("before", before)):
        positions[name] = decode(cursor, order.by) if cursor else None
        if cursor and positions[name] is None:
            problems.append(InvalidCursor(name, _OTHER_ORDER % order.by))
    if problems:
        raise Refused(*problems)
    size = last if last is not None else first if first is not None else min(DEFAULT_SIZE, most)
    bounds = (positions["after"], positions["before"])
    return Window(order, size, last is not None, *bounds, search.condition, now)


def wrong_size(name: str, size: int | None, most: int, what: str) -> list[InvalidPageSize]:
    """What is wrong with the size of a page that an argument asks for, if something is."""
    if size is None or 0 <= size <= most:
        return []
    message = f"{name} is {size:,}; a page holds 0 to {most:,} {what}."
    return [InvalidPageSize(message, (name,))]


def cursors(values: Sequence[str | float], customer_ids: Sequence[int]) -> list[str]:
    """The cursors of rows: base64 of the JSON array `[order value, _id]`."""
    base64_of, dumps = binascii.b2a_base64, orjson.dumps
    pairs = zip(values, customer_ids, strict=True)
    return [base64_of(dumps(pair), newline=False).decode() for pair in pairs]


def decode(cursor: str, order_by: str) -> Position | None:
    """The position that a cursor names in an order; None for one that is no cursor, or that was
    visibly made under another order."""
    raw = from_base64(cursor)
    try:
        decoded = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(decoded, list) or len(decoded) != 2:
        return None
    value, customer_id = decoded
    if type(customer_id) is not int or not 0 < customer_id <= MAX_ID:
        return None
    if order_by == "id":
        return Position(value, customer_id) if value == customer_id and type(value) is int else None
    stored = _READ[order_by](value)
    return None if stored is None else Position(stored, customer_id)


def _moment(value: object) -> int | None:
    return value if type(value) is int and _FIRST_MOMENT <= value <= _MAX_INTEGER else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _FIRST_MOMENT else None


def _money(value: object) -> int | None:
    if type(value) is not int and type(value) is not float:
        return None
    scaled = round(value * MONEY_SCALE)
    return scaled if abs(scaled) <= _MAX_INTEGER else None


def _email(value: object) -> str | None:
    return value if isinstance(value, str) and "@" in value and "\0" not in value else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and "\0" not in value else None


# How the order value of a cursor is read, by the kind of the field; texts as they are.
_OF_KIND: dict[type[fields.Field], Callable[[object], Any]] = {
    fields.Timestamp: _moment,
    fields.Count: _count,
    fields.Money: _money,
    fields.Email: _email,
    fields.Text: _text,
    fields.FullName: _text,
}
_READ = {field.name: _OF_KIND[type(field)] for field in FIELDS if field.sort}


class Page(NamedTuple):
    """A page's rows, in the list's order, and whether there are rows beyond its last and first; and
    the number of the account's last change when they were read, where that came with them."""

    rows: Sequence[Any]
    has_next: bool
    has_previous: bool
    change: int | None = None
