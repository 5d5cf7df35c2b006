"""The values of a customer as they were written: terms of the index are folded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from regulars.core.fields import Addresses, Json, Tags, names_of
from regulars.customers import address_book
from regulars.customers.address_book import BILLING, SHIPPING
from regulars.customers.fields import FIELDS
from regulars.customers.search.search_document import ADDRESS_KEYS, custom_key, make_facet
from regulars.store import Row

# The columns of the values of each key; those of a custom field are in one column.
(CUSTOM,) = names_of([field for field in FIELDS if field.search], Json)
COLUMNS: dict[str, tuple[str, ...]] = {
    **{field.key: (field.name,) for field in FIELDS if isinstance(field, Tags)},
    **dict.fromkeys(ADDRESS_KEYS, (SHIPPING, BILLING, *names_of(FIELDS, Addresses))),
}


def columns_of(key: str) -> tuple[str, ...]:
    """Return the columns that have the values of a key."""
    return COLUMNS.get(key, (CUSTOM,))


def value_spelling(key: str, term: str, row: Row) -> str | None:
    """Return the value of a customer that a term indexes, or None if it has lost the value."""
    if key in ADDRESS_KEYS:
        values: Iterator[str] = _address_values(key, row)
    elif key in COLUMNS:
        values = iter(orjson.loads(row[COLUMNS[key][0]] or "[]"))
    else:
        values = (text for path, _, text in _custom_values(row) if path == key)
    return next((value for value in values if make_facet(key, value) == term), None)


def key_spelling(path: str, row: Row) -> str | None:
    """Return the key of a custom field with a folded path, such as `Loyalty.tier`, or None."""
    return next((name for known, name, _ in _custom_values(row) if known == path), None)


def _address_values(key: str, row: Row) -> Iterator[str]:
    addresses = [orjson.loads(row[name]) for name in (SHIPPING, BILLING) if row[name]]
    for name in COLUMNS[key][2:]:
        if row[name]:
            addresses += address_book.further(row[name])
    return (parts[key] for parts in addresses if key in parts)


def _custom_values(row: Row) -> Iterator[tuple[str, str, str]]:
    """Yield the folded path, the key and the text of each value of the custom fields."""
    pending: list[tuple[str, str, Any]] = [(CUSTOM, "", orjson.loads(row[CUSTOM] or "{}"))]
    while pending:
        path, name, item = pending.pop()
        if isinstance(item, dict):
            pending += [
                (custom_key(path, key), f"{name}.{key}" if name else key, inner)
                for key, inner in item.items()
            ]
        elif isinstance(item, list):
            pending += [(path, name, inner) for inner in item]
        elif item is not None and item != "":
            text = item if isinstance(item, str) else orjson.dumps(item).decode()
            yield path, name, text.replace("\n", " ").strip()
