"""Changes of an address book by a client: its input, and adding, updating and replacing entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.core.counts import count_of
from regulars.core.errors import AddressNotFound, InputPath, InvalidInput, Problem
from regulars.core.ids import number_of_address
from regulars.core.text import clean
from regulars.customers import address_book, addresses
from regulars.customers.address_book import FLAGS, MAX_ENTRIES, MAX_LABEL, Entry
from regulars.customers.addresses import Address
from regulars.store import Row


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
    count = len(address_book.load(after))
    if count <= MAX_ENTRIES or count <= len(address_book.load(before)):
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


# The entries after a change, and problems.
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
