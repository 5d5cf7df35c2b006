"""Rules for the stored values of columns, for `verify`: enumerations, ranges, JSON, lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from regulars.core.ids import MAX_ID

# 9999-12-31T23:59:59.999Z, in milliseconds since 1970.
_LAST_TIME = 253_402_300_799_999
_FIRST_TIME = -62_135_596_800_000  # 0001-01-01
_SHA256_BYTES = 32


class Rule(NamedTuple):
    """A condition for the values of a column that are not null, and the description of a value that
    does not meet it."""

    holds: Callable[[Any], bool]
    description: str


def one_of(*words: str) -> Rule:
    """Returns the rule of an enumeration."""
    return Rule(frozenset(words).__contains__, f"not one of {', '.join(words)}")


def _is_json(kind: type, value: str) -> bool:
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return isinstance(parsed, kind)


ID = Rule(lambda value: 0 < value <= MAX_ID, f"not between 1 and {MAX_ID:,}")
COUNT = Rule(lambda value: value >= 0, "negative")
POSITIVE = Rule(lambda value: value > 0, "not positive")
TIME = Rule(lambda value: _FIRST_TIME <= value <= _LAST_TIME, "not a time")
FLAG = Rule(lambda value: value in (0, 1), "neither 0 nor 1")
NOT_EMPTY = Rule(bool, "empty")
HASH = Rule(lambda value: len(bytes(value)) == _SHA256_BYTES, "not a SHA-256 hash")
OBJECT = Rule(lambda value: _is_json(dict, value), "not a JSON object")
ARRAY = Rule(lambda value: _is_json(list, value), "not a JSON array")
