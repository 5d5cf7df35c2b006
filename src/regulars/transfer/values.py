"""Parse the values of a file by the kind of their field: flags, timestamps, countries."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from regulars.core import fields as kinds
from regulars.core.countries import find_country
from regulars.core.dates import parse_timestamp
from regulars.core.fields import Field
from regulars.core.ids import MAX_ID
from regulars.customers.fields import FIELDS
from regulars.transfer import cells

# The first timestamp that a sorted list can show: 1970-01-26.
_MIN_TIMESTAMP = 2**31
# The last timestamp that ISO 8601 writes with a year of four digits.
_MAX_TIMESTAMP = 253_402_300_799_999
_MAX_TIMESTAMP_CHARACTERS = 64


class InvalidValue(Exception):
    """A value that is invalid for its field."""


Read = Callable[[Any], Any]


def as_text(value: Any) -> str:
    """Return a text, or a number as text. Raises InvalidValue."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        raise InvalidValue("This is not a text.")
    return str(value)


def _flag(value: Any) -> bool:
    flag = value if isinstance(value, bool) else cells.flag(as_text(value))
    if flag is None:
        raise InvalidValue("This is neither yes nor no: say yes, no, true, false, 1 or 0.")
    return flag


def _tags(value: Any) -> list[str]:
    if isinstance(value, list):
        return [as_text(tag) for tag in value]
    try:
        return cells.tags(as_text(value))
    except csv.Error:
        raise InvalidValue(
            "The tags cannot be read: separate them with commas, in one line."
        ) from None


def _custom(value: Any) -> dict[str, Any]:
    data = value
    if isinstance(value, str):
        try:
            data = orjson.loads(value)
        except orjson.JSONDecodeError:
            data = None
    if not isinstance(data, dict):
        raise InvalidValue('The custom fields are a JSON object, as in {"loyalty": "gold"}.')
    return data


_FORMATS = ("%d/%m/%Y %H:%M", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S")
_LAST_SECOND = 100_000_000_000


def _timestamp(value: Any) -> int:
    """Parse a timestamp: ISO 8601, the form of a shop's export, or seconds or milliseconds since
    1970. Without an offset it is in UTC."""
    if type(value) is int:
        timestamp: int | None = value if value > _LAST_SECOND else value * 1_000
    else:
        text = as_text(value).strip().removesuffix(" UTC")
        timestamp = parse_timestamp(text)
        if timestamp is not None and len(text) < len("2024-03-18"):
            timestamp = None
        timestamp = timestamp if timestamp is not None else _other_timestamp(text)
    if timestamp is None or not _MIN_TIMESTAMP <= timestamp <= _MAX_TIMESTAMP:
        raise InvalidValue(
            "This is not a moment, such as 2024-03-18T14:20:37Z, from 1970-01-26 to the year 9999."
        )
    return timestamp


def _other_timestamp(text: str) -> int | None:
    if len(text) > _MAX_TIMESTAMP_CHARACTERS:
        return None
    if text.isdecimal() and 9 <= len(text) <= 13:
        return _timestamp(int(text))
    for form in _FORMATS:
        try:
            date = datetime.strptime(f"{text} +0000", f"{form} %z")
        except ValueError:
            continue
        return int(date.timestamp() * 1_000)
    return None


def _number(value: Any) -> int:
    text = as_text(value).strip()
    # Python refuses to read a number of thousands of digits.
    short = len(text) <= len(str(MAX_ID))
    if not short or not text.isdecimal() or not text.isascii() or not 0 < int(text) <= MAX_ID:
        raise InvalidValue(f"An _id is a whole number from 1 to {MAX_ID:,}.")
    return int(text)


def _country(value: Any) -> str:
    """Return the ISO 3166 code (2 letters) of a country's name or code; empty for an empty text.
    Raises InvalidValue."""
    text = as_text(value)
    code = find_country(text)
    if code is None and text.strip():
        raise InvalidValue("This is not a country. Use its ISO 3166-1 code, as in DE, or its name.")
    return code or ""


def _whole(field: Field, read: Read) -> dict[str, Read]:
    return {field.name: read}


# The parsers of each kind of field, by field name.
_OF_KIND: Mapping[type[Field], Callable[[Any], dict[str, Read]]] = {
    kinds.Text: lambda field: _whole(field, as_text),
    kinds.LongText: lambda field: _whole(field, as_text),
    kinds.Email: lambda field: _whole(field, as_text),
    kinds.Phone: lambda field: _whole(field, as_text),
    kinds.Flag: lambda field: _whole(field, _flag),
    kinds.Tags: lambda field: _whole(field, _tags),
    kinds.Json: lambda field: _whole(field, _custom),
    kinds.Address: lambda field: {f"{field.name}.country": _country},
    kinds.Timestamp: lambda field: _whole(field, _timestamp),
}
# Other fields are texts.
READ: Mapping[str, Read] = {
    "_id": _number,
    **{
        name: read
        for field in FIELDS
        if field.is_writable or isinstance(field, kinds.Timestamp)
        for name, read in _OF_KIND[type(field)](field).items()
    },
}
