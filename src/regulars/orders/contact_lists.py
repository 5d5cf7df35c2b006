"""The lists of emails, phones and addresses in an event of another Regulars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regulars.core.commands import Values
from regulars.core.errors import EarlyEvent, Problem, Rejected
from regulars.core.fields import Addresses, ContactPoints, names_of
from regulars.customers.address_book import FLAGS
from regulars.customers.addresses import PARTS
from regulars.customers.commands import keys_of_lists
from regulars.customers.contact_rules import contact_problems
from regulars.customers.fields import FIELDS
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import clean_values
from regulars.orders.commands import RecordContact
from regulars.orders.shop_node import Node, UnparseableEvent
from regulars.store import Row

_POINTS, _BOOKS = names_of(FIELDS, ContactPoints), names_of(FIELDS, Addresses)
_ENTRY = {"email": str, "phone": str, "label": str, "default": bool, "verified_at": str | None}
_BOOK_ENTRY = {"label": str, **dict.fromkeys(FLAGS.values(), bool)}


def read_lists(node: Node) -> tuple[Values, list[Problem]]:
    """Return the lists of an event as values of a customer, and problems. The ids of entries are
    those of the sender. Raises UnparseableEvent."""
    raw: dict[str, Any] = {}
    for name in (*_POINTS, *_BOOKS):
        if node.get(name) is None:
            continue
        types: Mapping[str, Any] = _ENTRY if name in _POINTS else _BOOK_ENTRY
        entries = node[name]
        is_list = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
        if not is_list or not all(_has_types(entry, types) for entry in entries):
            raise UnparseableEvent(f"{name} is not a list of entries.")
        raw[name] = [{key: entry[key] for key in types if key in entry} for entry in entries]
        if name in _BOOKS:
            for item, entry in zip(raw[name], entries, strict=True):
                item["address"] = _parts(name, entry.get("address"))
    return clean_values(raw, ("node",))


def _has_types(entry: Mapping[str, Any], types: Mapping[str, Any]) -> bool:
    return all(isinstance(entry[name], type_) for name, type_ in types.items() if name in entry)


def _parts(name: str, address: Any) -> dict[str, str]:
    parts = {p: address.get(p) for p in PARTS} if isinstance(address, dict) else None
    if parts is None or not all(text is None or isinstance(text, str) for text in parts.values()):
        raise UnparseableEvent(f"{name} is not a list of entries.")
    return {part: text for part, text in parts.items() if text}


def with_lists(
    unit: CustomerUnitOfWork, command: RecordContact, stored: Row | None, values: Values
) -> tuple[Values, Iterable[Problem]]:
    """Return values with the lists of an event, which replace those of the customer, and problems.
    An event that fills empty fields changes no list, and neither does one before the contract part
    of an upgrade. Raises Rejected if an earlier event may give an email of the list away."""
    lists = command.lists
    if not lists or not unit.accepts_lists or (stored and command.should_fill_empty):
        return values, ()
    number = stored["customer_id"] if stored else None
    held = [key for key in keys_of_lists(lists) if unit.holder(key) not in (None, number)]
    if held and command.is_early:
        raise Rejected(EarlyEvent(("node", "emails")))
    values = {**values, **lists}
    return values, contact_problems(unit, lists, number, ("node",)) if held else ()
