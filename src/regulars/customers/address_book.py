"""The address book of a customer: the default addresses, and further ones.

The default addresses are in columns of their own, so that an older program reads and writes them.
The column `addresses` has a JSON array with the rest: `{"id": -17, "label": "Old", "address": {…}}`
for each further address, and `{"default_shipping": true, "label": "Home"}` for a default one that
has a label or an id. It is null if there is nothing more than default addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from regulars.core.counts import count_of
from regulars.core.errors import AddressNotFound, InputPath, InvalidInput, Problem
from regulars.core.ids import number_of_address
from regulars.core.text import clean
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


# Input


def whole(node: Mapping[str, Any]) -> Address | None:
    """Return the address of a clean input without one that it is merged with."""
    return addresses.merge(None, node["address"])


def merged(entry: Entry, node: Mapping[str, Any]) -> Address | None:
    """Return the address of an entry with a clean input merged into it."""
    return addresses.merge(entry.address, node["address"])


def clean_entry(node: Mapping[str, Any], path: InputPath) -> tuple[dict[str, Any], list[Problem]]:
    """Return the clean input of an entry, without what is omitted, and its problems. `address` is a
    patch."""
    entry: dict[str, Any] = {}
    problems: list[Problem] = []
    if node.get("id") is not None:
        entry["id_text"] = node["id"]
    if node.get("label") is not None:
        entry["label"], problem = clean(node["label"], MAX_LABEL)
        if problem:
            problems.append(InvalidInput(f"The label {problem}", (*path, "label")))
    entry |= {flag: node[flag] for flag in FLAGS.values() if node.get(flag) is not None}
    entry["address"], address_problems = addresses.clean_patch(node["address"], (*path, "address"))
    return entry, [*problems, *address_problems]


def clean_list(
    nodes: Sequence[Mapping[str, Any]], path: InputPath
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the clean entries of a list, and problems. The length is checked first."""
    if len(nodes) > MAX_ENTRIES:
        return [], [too_many(len(nodes), path)]
    entries: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for index, node in enumerate(nodes):
        entry, wrong = clean_entry(node, (*path, index))
        entries.append(entry)
        problems += wrong
    for flag in FLAGS.values():
        defaults = [index for index, entry in enumerate(entries) if entry.get(flag)]
        first = entries[defaults[0]]["address"] if defaults else None
        for index in defaults[1:]:
            if entries[index]["address"] != first:  # equal entries are joined
                message = (
                    f"Entries {defaults[0]} and {index} have `{flag}`. Set it for one of them."
                )
                problems.append(InvalidInput(message, (*path, index, flag)))
    return entries, problems


def surplus(before: Row, after: Row, path: InputPath) -> list[Problem]:
    """Return the problem of a row whose default addresses have changed: an additional one is too
    many."""
    count = len(load(after))
    if count <= MAX_ENTRIES or count <= len(load(before)):
        return []
    name = next(column for column in FLAGS if after[column] != before[column])
    return [too_many(count, (*path, name))]


def too_many(count: int, path: InputPath) -> Problem:
    """Return the problem of a book with too many entries."""
    message = (
        f"A customer can have {MAX_ENTRIES} addresses; this one would have "
        f"{count_of(count, 'address', 'addresses')}. Remove some of them."
    )
    return InvalidInput(message, path)


def _no_parts(path: InputPath) -> Problem:
    message = "The address has no parts. Set one of them, or delete it with `deleteAddresses`."
    return InvalidInput(message, (*path, "address"))


# Changes. Each returns the entries after it, and problems.

Changed = tuple[list[Entry], list[Problem]]


def replaced(
    stored: Sequence[Entry], inputs: Sequence[Mapping[str, Any]], customer_id: int, path: InputPath
) -> Changed:
    """Replace the list. An entry keeps its id and what is omitted if the list names its id, or has
    an equal address. Of equal entries, the first one stays, with the defaults of all."""
    problems: list[Problem] = []
    result: list[Entry] = []
    used: set[int] = set()
    defaults: dict[str, int] = {}
    for index, node in enumerate(inputs):
        place = (*path, index)
        address = whole(node)
        if address is None:
            problems.append(_no_parts(place))
            continue
        position = _position(stored, node, address, customer_id)
        if position is None and "id_text" in node:
            problems.append(AddressNotFound([node["id_text"]], (*place, "id")))
            continue
        twin = next((n for n, entry in enumerate(result) if entry.address == address), None)
        if twin is None:
            if position in used:
                message = "Another entry of the list has this id. Use an id once."
                problems.append(InvalidInput(message, (*place, "id")))
                continue
            entry = Entry(address)
            if position is not None:
                used.add(position)
                entry = stored[position]._replace(address=address)
            twin = len(result)
            result.append(_with_properties(entry, node))
        defaults |= {flag: twin for flag in FLAGS.values() if node.get(flag)}
    for flag, default in defaults.items():  # in place of the present one
        result = [_with_properties(entry, {flag: n == default}) for n, entry in enumerate(result)]
    return _in_order(result), problems


def _position(
    stored: Sequence[Entry], node: Mapping[str, Any], address: Address, customer_id: int
) -> int | None:
    """Return the position of the entry that a node of a list is, or None for a new one."""
    if "id_text" in node:
        number = number_of_address(node["id_text"])
        found = (n for n, e in enumerate(stored) if number and e.is_named(number, customer_id))
    else:
        found = (n for n, entry in enumerate(stored) if entry.address == address)
    return next(found, None)


def created(stored: Sequence[Entry], node: Mapping[str, Any], path: InputPath) -> Changed:
    """Add an entry at the end. One with the same address gets its label and its defaults."""
    address = whole(node)
    if address is None:
        return list(stored), [_no_parts(path)]
    entries = list(stored)
    position = next((n for n, entry in enumerate(entries) if entry.address == address), None)
    if position is None:
        position = len(entries)
        entries.append(Entry(address))
    if not node.get("label"):
        node = {name: value for name, value in node.items() if name != "label"}
    return _changed(entries, position, node, path)


def updated(
    stored: Sequence[Entry], position: int, node: Mapping[str, Any], path: InputPath
) -> Changed:
    """Merge an input into an entry, part by part."""
    entries = list(stored)
    address = merged(entries[position], node)
    if address is None:
        return entries, [_no_parts(path)]
    entries[position] = entries[position]._replace(address=address)
    return _changed(entries, position, node, path)


def _changed(
    entries: list[Entry], position: int, node: Mapping[str, Any], path: InputPath
) -> Changed:
    """Set the properties of an entry. Its defaults replace those of others, which stay."""
    entries[position] = _with_properties(entries[position], node)
    taken = {flag: False for flag in FLAGS.values() if node.get(flag)}
    for n, entry in enumerate(entries):
        if n != position:
            entries[n] = _with_properties(entry, taken)
    problems = [too_many(len(entries), path)] if len(entries) > MAX_ENTRIES else []
    return _in_order(entries), problems


def _with_properties(entry: Entry, node: Mapping[str, Any]) -> Entry:
    names = ("label", *FLAGS.values())
    return entry._replace(**{name: node[name] for name in names if name in node})


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries in the order in which they are shown. One that is no default any more comes
    before the others."""
    shipping = [entry for entry in entries if entry.default_shipping]
    billing = [entry for entry in entries if entry.default_billing and not entry.default_shipping]
    others = [entry for entry in entries if not entry.is_default]
    return [*shipping, *billing, *others]
