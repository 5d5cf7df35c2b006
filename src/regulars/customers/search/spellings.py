"""The values of a customer as they were written: terms of the index are folded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from regulars.core.fields import Json, Tags, names_of
from regulars.customers.fields import FIELDS
from regulars.customers.search.search_document import (
    ADDRESS_COLUMNS,
    ADDRESS_KEYS,
    addresses_of,
    custom_key,
    make_facet,
)
from regulars.store import Row

# The columns of the values of each key; those of a custom field are in one column.
(CUSTOM,) = names_of([field for field in FIELDS if field.search], Json)
COLUMNS: dict[str, tuple[str, ...]] = {
    **{field.key: (field.name,) for field in FIELDS if isinstance(field, Tags)},
    **dict.fromkeys(ADDRESS_KEYS, ADDRESS_COLUMNS),
}


def columns_of(key: str) -> tuple[str, ...]:
    """Return the columns that have the values of a key."""
    return COLUMNS.get(key, (CUSTOM,))


def value_spellings(key: str, row: Row) -> dict[str, str]:
    """Return the values of a customer for a key, each by the term that indexes it."""
    if key in ADDRESS_KEYS:
        values = (address[key] for address in addresses_of(row) if key in address)
    elif key in COLUMNS:
        values = iter(orjson.loads(row[COLUMNS[key][0]] or "[]"))
    else:
        values = (text for path, _, text in _custom_values(row) if path == key)
    return {make_facet(key, value): value for value in values}


def key_spellings(row: Row) -> dict[str, str]:
    """Return the keys of a customer's custom fields, such as `Loyalty.tier`, by folded path."""
    return {path: name for path, name, _ in _custom_values(row)}


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
