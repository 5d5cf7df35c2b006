"""Custom fields: a JSON object whose keys the merchant chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.core.errors import InputPath, InvalidInput, Problem

MAX_BYTES = 65_535
MAX_DEPTH = 32


def check(value: Mapping[str, Any] | Sequence[Any], path: InputPath) -> list[Problem]:
    """What is wrong with custom fields that somebody sends."""
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
    """JSON Merge Patch (RFC 7396, section 2): null removes a key, objects merge key by key."""
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
    """Custom fields as they are stored, and what is wrong with their size."""
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
    """Custom fields as they were stored."""
    return orjson.loads(text) if text is not None else None
