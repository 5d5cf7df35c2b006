"""JSON as JavaScript's JSON.stringify writes it.

Some receivers verify a signature over `JSON.stringify(JSON.parse(body))`. The signed bytes must
therefore be the bytes that JavaScript would write: ECMA-262, sections 25.5.2
(JSON.stringify), 6.1.6.1.20 (Number::toString) and 10.1.11.1 (the order of an object's keys).
"""

from __future__ import annotations

import math
from typing import Any

import orjson

# The greatest array index. Keys that are array indexes come first, in numeric order.
_LAST_INDEX = 2**32 - 2
# Doubles represent every integer up to this one, and JavaScript prints all their digits.
_EXACT = 2**53
_WORDS = {None: "null", True: "true", False: "false"}
_DIGITS = frozenset("0123456789")


def stringify(value: Any) -> bytes:
    """Serialize a JSON value (None, bool, int, float, str, list, dict) as JavaScript does after it
    has parsed the value: a number becomes the nearest double."""
    return _text(value).encode()


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _string(value)
    if kind is int and -_EXACT <= value <= _EXACT:
        return str(value)
    if kind is float:
        text = repr(value)
        # Without an exponent, both languages print the same digits.
        if "e" not in text and "n" not in text and value:
            return text.removesuffix(".0")
    if kind is dict:
        names = sorted(value, key=_rank) if any(name[:1] in _DIGITS for name in value) else value
        return "{" + ",".join([f"{_string(name)}:{_text(value[name])}" for name in names]) + "}"
    if kind is list:
        return "[" + ",".join([_text(item) for item in value]) + "]"
    if value is None or kind is bool:
        return _WORDS[value]
    return number(value)


def _string(value: str) -> str:
    # orjson escapes like JSON.stringify: quotes, backslashes and control characters below U+0020.
    return orjson.dumps(value).decode()


def _rank(key: str) -> int:
    """Return the sort key of an object's key. Keys that are no array index keep their order."""
    if key.isdecimal() and key.isascii() and (key == "0" or key[0] != "0"):
        index = int(key) if len(key) <= 10 else _LAST_INDEX + 1
        if index <= _LAST_INDEX:
            return index
    return _LAST_INDEX + 1


def number(value: float) -> str:
    """Format a number as JavaScript does; `null` if it is beyond the range of a double."""
    try:
        double = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(double):
        return "null"
    if double == 0:
        return "0"
    sign = "-" if double < 0 else ""
    # repr gives the shortest digits that parse to the same double, as JavaScript does.
    mantissa, _, exponent = repr(abs(double)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and not exponent else fraction
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to the power of `point`.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = point - 1
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
