"""Custom fields: a JSON object whose keys the merchant chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.core.errors import InputPath, InvalidInput, Problem

MAX_BYTES = 65_535
MAX_DEPTH = 32


def check(value: Mapping[str, Any] | Sequence[Any], path: InputPath) -> list[Problem]:
    """Return the problems of custom fields in the input."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if item and depth >= MAX_DEPTH:
            return [
                InvalidInput(
                    f"The custom fields are nested more than {MAX_DEPTH} levels deep.", path
                )
            ]
        for inner in (*item, *item.values()) if isinstance(item, dict) else item:
            if isinstance(inner, str):
                if "\0" in inner:
                    message = "The custom fields contain a NUL character. Remove it."
                    return [InvalidInput(message, path)]
            elif isinstance(inner, dict | list):
                pending.append((inner, depth + 1))
    return []


def merge(current: Any, patch: Any) -> Any:
    """Return custom fields with a JSON Merge Patch applied (RFC 7396, section 2): null removes a
    key, and objects are merged key by key."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def dump(value: Mapping[str, Any] | None, path: InputPath) -> tuple[str | None, list[Problem]]:
    """Return custom fields as the JSON text that is stored, and the problem of its size, if there
    is one."""
    if value is None:
        return None, []
    data = orjson.dumps(value)
    if len(data) > MAX_BYTES:
        message = (
            f"The custom fields take {len(data):,} bytes as JSON; the maximum is {MAX_BYTES:,}."
        )
        return None, [InvalidInput(message, path)]
    return data.decode(), []


def load(text: str | None) -> Any:
    """Return custom fields from their stored JSON text."""
    return orjson.loads(text) if text is not None else None
