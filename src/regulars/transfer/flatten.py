"""Flatten the nested objects of a JSON record to dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.transfer.tag_cells import tags_of_json

MAX_DEPTH = 5
MAX_NAMES = 1_000
_MAX_LIST_OBJECTS = 20
# Lists of names, and the keys between an object and its list: `{"tags": {"data": [{"name": …}]}}`.
_LISTS = frozenset(
    ("tags", "labels", "tag_list", "taglist", "segments", "groups", "lists", "categories")
)
# Types of MongoDB in JSON (Extended JSON, version 2).
_MONGO = frozenset(
    ("$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid")
)
_WRAPPERS = ("data", "nodes", "items", "edges")


def flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a record by dotted names: `default_address.address1`, and
    `addresses.0.city` in a list of objects. Scalars, lists of scalars, and empty objects and lists
    stay as they are. Of tags that are objects, the names are returned. Beyond `MAX_DEPTH` levels,
    20 objects of a list, or `MAX_NAMES` names, a value stays as it is, under the name that leads to
    it.

    A name of the record takes precedence over an equal dotted name.
    """
    if not any(type(value) in (dict, list) for value in data.values()):
        return dict(data)
    flat: dict[str, Any] = {}
    for name, value in data.items():
        _put(flat, name, value, MAX_DEPTH)
    for name, value in data.items():
        if "." in name and name in flat and not isinstance(value, dict | list):
            flat[name] = value
    return flat


def _put(flat: dict[str, Any], name: str, value: Any, depth: int) -> None:
    while isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _MONGO:
        (value,) = value.values()
    if name.rpartition(".")[2].lower() in _LISTS:
        value = _names(value)
    is_divided = depth and _is_nested(value) and len(flat) + len(value) <= MAX_NAMES
    if not is_divided:
        flat[name] = value
    elif isinstance(value, dict):
        for key, inner in value.items():
            _put(flat, f"{name}.{key}", inner, depth - 1)
    else:
        for index, inner in enumerate(value[:_MAX_LIST_OBJECTS]):
            _put(flat, f"{name}.{index}", inner, depth)
        if len(value) > _MAX_LIST_OBJECTS:
            flat[f"{name}.{_MAX_LIST_OBJECTS}"] = value[_MAX_LIST_OBJECTS:]


def _names(value: Any) -> Any:
    """Return a list of objects with names as a list of texts, and other values as they are."""
    items = value
    if isinstance(value, dict):
        items = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), list)), None)
    if not isinstance(items, list) or not any(isinstance(item, dict) for item in items):
        return value
    names = tags_of_json([item.get("node", item) for item in items if isinstance(item, dict)])
    return value if names is None else names


def _is_nested(value: Any) -> bool:
    """Return whether a value is an object or a list of objects alone, and not empty."""
    if not value or not isinstance(value, dict | list):
        return False
    return isinstance(value, dict) or all(isinstance(item, dict) for item in value)
