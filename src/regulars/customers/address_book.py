"""The address book of a customer: the default addresses, and further ones.

The default addresses are in columns of their own, so that an older program reads and writes them.
The column `addresses` has a JSON array with the rest: `{"id": -17, "label": "Old", "address": {…}}`
for each further address, and `{"default_shipping": true, "label": "Home"}` for a default one that
has a label or an id. It is null if there is nothing more than default addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from regulars.customers import addresses
from regulars.customers.addresses import Address
from regulars.store import Row

SHIPPING, BILLING, BOOK = "shipping_address", "billing_address", "addresses"
# The flag of an entry that is the default address of a column.
FLAGS = {SHIPPING: "default_shipping", BILLING: "default_billing"}
MAX_ENTRIES = 100
MAX_LABEL = 64
# The id of an entry that gets one when it is saved.
NEW = 0
_NEW_ITEM = '"id":0'

Columns = dict[str, Any]


class Entry(NamedTuple):
    """An entry of the book. `id` is below 0, or `NEW` for one that has none: a default address, or
    one that gets it when it is saved."""

    address: Address
    label: str = ""
    id: int = NEW
    default_shipping: bool = False
    default_billing: bool = False

    @property
    def is_default(self) -> bool:
        """Whether it is a default address."""
        return self.default_shipping or self.default_billing

    def number(self, customer_id: int) -> int:
        """Return the `_id` of the address: that of its role, or its own."""
        if self.is_default:
            return 2 * customer_id + (not self.default_shipping)
        return self.id

    def is_named(self, number: int, customer_id: int) -> bool:
        """Return whether it has an `_id`, its own or that of a role."""
        if number < 0:
            return self.id == number
        is_billing = number % 2
        return number // 2 == customer_id and (
            self.default_billing if is_billing else self.default_shipping
        )


class Book(NamedTuple):
    """All entries of a book, as the value of a command that has merged them."""

    entries: tuple[Entry, ...]


def load(row: Row) -> list[Entry]:
    """Return the entries of a customer: the default shipping address, the default billing address,
    and the others in the order of the list. Equal addresses are one entry: a change of a default
    address, also by an older program, can make it equal to another one."""
    items: list[dict[str, Any]] = orjson.loads(row[BOOK]) if row[BOOK] else []
    of_role = {
        column: next((item for item in items if item.get(flag)), {})
        for column, flag in FLAGS.items()
    }
    shipping, billing = (addresses.load(row[column]) for column in FLAGS)
    own, other = of_role[SHIPPING], of_role[BILLING]
    entries: list[Entry] = []
    if shipping:
        entries.append(Entry(shipping, own.get("label", ""), own.get("id", NEW), True, False))
    if billing:
        # Only one of the two addresses was changed, which were equal.
        id_ = NEW if shipping and other is own else other.get("id", NEW)
        entries.append(Entry(billing, other.get("label", ""), id_, False, True))
    defaults = _joined(entries)
    others: list[Entry] = []
    equal: list[Entry] = []
    for item in items:
        address = item.get("address")
        if address is not None:
            entry = Entry(address, item["label"], item["id"])
            (equal if address in (shipping, billing) else others).append(entry)
    return (_joined([*defaults, *equal]) if equal else defaults) + others


def _joined(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, of which equal addresses are one: the first, with the defaults of all.
    Without a label or an id, it has that of the next one."""
    found: dict[frozenset[tuple[str, str]], Entry] = {}
    for entry in entries:
        key = frozenset(entry.address.items())
        first = found.get(key)
        found[key] = (
            entry
            if first is None
            else Entry(
                entry.address,
                first.label or entry.label,
                first.id or entry.id,
                first.default_shipping or entry.default_shipping,
                first.default_billing or entry.default_billing,
            )
        )
    return list(found.values())


def dump(entries: Sequence[Entry]) -> Columns:
    """Return the columns of a customer with these entries. Equal addresses are joined."""
    columns: Columns = {SHIPPING: None, BILLING: None, BOOK: None}
    items: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for entry in _joined(entries):
        roles = [column for column, flag in FLAGS.items() if getattr(entry, flag)]
        columns |= dict.fromkeys(roles, addresses.dump(entry.address))
        if not roles:
            others.append({"id": entry.id, "label": entry.label, "address": entry.address})
        elif entry.label or entry.id:
            own = {"id": entry.id} if entry.id else {}
            items.append({**{FLAGS[column]: True for column in roles}, **own, "label": entry.label})
    if items or others:
        columns[BOOK] = orjson.dumps([*items, *others]).decode()
    return columns


def further(text: str | None) -> list[Address]:
    """Return the addresses of a stored book that are no default addresses."""
    items = orjson.loads(text) if text else ()
    return [item["address"] for item in items if "address" in item]


def own_ids(text: str | None) -> list[int]:
    """Return the ids in a stored book."""
    return [item["id"] for item in orjson.loads(text) if "id" in item] if text else []


def normalized(row: Row) -> str | None:
    """Return the stored book of a row whose default addresses have changed: a removed one has
    neither a label nor an id, and one that is equal to another entry is joined with it."""
    text: str | None = dump(load(row))[BOOK]
    return text


def numbered(text: str, next_id: Callable[[], int]) -> str:
    """Return a stored book whose new entries have ids."""
    if _NEW_ITEM not in text:
        return text
    items = orjson.loads(text)
    for item in items:
        if item.get("id") == NEW:
            item["id"] = -next_id()
    return orjson.dumps(items).decode()


def api_row(customer_id: int, entry: Entry) -> dict[str, Any]:
    """Return an entry as a row of the API."""
    number = entry.number(customer_id)
    return {
        "address_id": number,
        "label": entry.label,
        **{flag: getattr(entry, flag) for flag in FLAGS.values()},
        "address": {"address_id": number, "parts": entry.address},
    }


def api_rows(customer_id: int, *columns: str | None) -> list[dict[str, Any]]:
    """Return the entries of a customer as rows of the API. The columns are those of FLAGS, and the
    book."""
    return [api_row(customer_id, entry) for entry in load(_row_of(columns))]


def count_entries(*columns: str | None) -> int:
    """Return the number of entries of a customer, by the columns of `api_rows`."""
    shipping, billing, book = columns
    if not book:  # most customers: nothing is parsed
        return bool(shipping) + bool(billing and billing != shipping)
    return len(load(_row_of(columns)))


def _row_of(columns: Sequence[str | None]) -> Row:
    return dict(zip((*FLAGS, BOOK), columns, strict=True))
