"""The history: what happened to an account's customers, in the order of commits.

A change is written in the transaction of what it tells of. It keeps the values before and after
of the fields that an update changed, under the names that the API gives them. A deleted customer's
changes keep the facts and lose the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from regulars.directory.errors import InvalidCursor
from regulars.directory.opaque import from_base64
from regulars.store import Row

CREATED = "created"
UPDATED = "updated"
DELETED = "deleted"
KINDS = (CREATED, UPDATED, DELETED)

_LARGEST = 2**63 - 1


def _as_it_is(value: Any) -> Any:
    return value


def _json(stored: str | None) -> orjson.Fragment | None:
    return None if stored is None else orjson.Fragment(stored)


# The fields whose values are kept, and how they are told as JSON. What is derived of them (a full
# name, a location) is derived of those.
FIELDS: dict[str, Callable[[Any], Any]] = {
    "email": _as_it_is,
    "phone": _as_it_is,
    "first_name": _as_it_is,
    "last_name": _as_it_is,
    "accepts_marketing": bool,
    "notes": _as_it_is,
    "shipping_address": _json,
    "billing_address": _json,
    "custom": _json,
    "tags": _json,
}


def difference(before: Row, after: Row) -> str:
    """The fields that differ between two rows of a customer, each with its values before and
    after, as a change keeps them."""
    pairs = {
        name: (told(before[name]), told(after[name]))
        for name, told in FIELDS.items()
        if before[name] != after[name]
    }
    return orjson.dumps(pairs).decode()


def fields(stored: str | None) -> list[dict[str, Any]]:
    """What a change keeps of the fields: for each its `name`, and its values `before` and
    `after`."""
    pairs = orjson.loads(stored) if stored else {}
    return [{"name": name, "before": b, "after": a} for name, (b, a) in pairs.items()]


def cursor(sequence: int) -> bytes:
    """What stands in the cursor of a change: the JSON array `["change", sequence]`."""
    return b'["change",%d]' % sequence


def beyond(last: int) -> InvalidCursor:
    """What is wrong with a cursor of a change that has never happened: the database has been
    restored from a backup since the cursor was given, and what was read after that is void."""
    return InvalidCursor(
        "after",
        f"The history of this account ends with change {last:,}, before the one that this cursor "
        "names. The database was restored from a backup: read all of it again, from the start.",
    )


def no_cursor() -> InvalidCursor:
    """What is wrong with a cursor that is none of a change."""
    return InvalidCursor(
        "after",
        "This is not a cursor of a change. Use an edge's cursor, or pageInfo's endCursor, of "
        "customerChanges or of a customer's changes.",
    )


def position(text: str) -> int | None:
    """The number of the change that a cursor names; None for a text that is none."""
    try:
        decoded = orjson.loads(from_base64(text.strip()) or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(decoded, list) or len(decoded) != 2 or decoded[0] != "change":
        return None
    sequence = decoded[1]
    return sequence if type(sequence) is int and 0 <= sequence <= _LARGEST else None
