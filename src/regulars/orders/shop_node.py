"""Read typed values from the `node` of a shop event.

A missing field and null are both None. A value of another type raises UnparseableEvent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regulars.core.dates import from_now, iso, parse_timestamp
from regulars.core.errors import RegularsError
from regulars.core.ids import MAX_ID
from regulars.orders.commands import SHOP_ID_LENGTH

Node = Mapping[str, Any]


class UnparseableEvent(RegularsError):
    """An event that cannot be read. The message states the reason and contains no values."""


def read_shop_id(node: Node) -> str | None:
    """Return the id that the shop uses, as `order_…` or `cus_…`; None if it is no such text."""
    value = node.get("id")
    if not isinstance(value, str) or not 0 < len(value) <= SHOP_ID_LENGTH or "\0" in value:
        return None
    return value


def read_regulars_id(node: Node) -> int | None:
    """Return the `_id` that another Regulars sent; None if it is not a valid id."""
    value = node.get("_id")
    return value if type(value) is int and 0 < value <= MAX_ID else None


def read_text(node: Node, name: str) -> str | None:
    """Return a text."""
    text: str | None = _read(node, name, "a text", lambda value: isinstance(value, str))
    return text


def read_flag(node: Node, name: str) -> bool | None:
    """Return a boolean."""
    flag: bool | None = _read(node, name, "true or false", lambda v: isinstance(v, bool))
    return flag


def read_number(node: Node, name: str) -> float | None:
    """Return a number."""
    number: float | None = _read(node, name, "a number", _is_number)
    return number


def read_object(node: Node, name: str) -> dict[str, Any] | None:
    """Return an object. PHP writes an empty one as `[]`."""
    value = _read(node, name, "an object", lambda value: isinstance(value, dict) or value == [])
    return {} if value == [] else value


def read_tags(node: Node) -> list[str] | None:
    """Return the tags."""
    tags: list[str] | None = _read(node, "tags", "a list of strings", _is_text_list)
    return tags


def read_timestamp(node: Node, name: str, at: int) -> str | None:
    """Return a timestamp as `2024-03-18T14:20:37.000Z`. The shop writes it as `2024-03-18
    14:20:37` in UTC, or as an age in words at `at`, in milliseconds since 1970."""
    text = read_text(node, name)
    if not text:
        return None
    timestamp = parse_timestamp(text)
    if timestamp is None:
        timestamp = from_now(text, at)
    if timestamp is None:
        raise UnparseableEvent(
            f"`{name}` is neither a timestamp nor a relative time such as `2 days ago`."
        )
    return iso(timestamp)


def read_names(node: Node) -> dict[str, str]:
    """Return the names of a person that are not empty, from `full_name` if there are no others."""
    first_name, last_name = read_text(node, "first_name"), read_text(node, "last_name")
    if not first_name and not last_name:
        full_name = (read_text(node, "full_name") or "").strip()
        first_name, _, last_name = full_name.partition(" ")
    names = {"first_name": first_name, "last_name": last_name}
    return {name: value for name, value in names.items() if value}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _read(node: Node, name: str, type_label: str, is_valid: Callable[[Any], bool]) -> Any:
    value = node.get(name)
    if value is not None and not is_valid(value):
        raise UnparseableEvent(f"{name} is not {type_label}.")
    return value
