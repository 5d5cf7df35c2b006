"""Parse the values of a file by the kind of their field: flags, timestamps, countries."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from regulars.core import fields as kinds
from regulars.core.countries import find_country
from regulars.core.fields import Field
from regulars.core.ids import MAX_ID, number_of
from regulars.customers.addresses import PARTS
from regulars.customers.fields import FIELDS
from regulars.transfer import cells
from regulars.transfer.artefacts import (
    SPREADSHEET_ERROR,
    is_empty_marker,
    is_empty_name,
    unwrap_number,
)
from regulars.transfer.columns import EXTERNAL_ID
from regulars.transfer.composed_fields import PARTS_OF_NAMES, PARTS_OF_STREETS, ZIP_CITY
from regulars.transfer.consent import read_consent
from regulars.transfer.date_text import AmbiguousDate, DateError, Order
from regulars.transfer.dates import is_storable, read_timestamp
from regulars.transfer.email_cells import PLAIN_EMAIL, unwrap_email
from regulars.transfer.sanitizing import UNREADABLE
from regulars.transfer.tag_cells import split_tags

# The kind of the warning about a date whose order of day and month is open.
AMBIGUOUS_DATE = "ambiguous_date"
# The last timestamp that ISO 8601 writes with a year of four digits.
_MAX_TIMESTAMP = 253_402_300_799_999


class InvalidValue(Exception):
    """A value that is invalid for its field. `kind` is that of the warning about it."""

    def __init__(self, message: str, kind: str = UNREADABLE) -> None:
        super().__init__(message)
        self.kind = kind


class Changed(NamedTuple):
    """A value that is used with a warning of a kind. `is_lossy` means that the original says more
    than the value, which is None if nothing of it is used."""

    value: Any
    kind: str
    message: str
    is_lossy: bool = False


Read = Callable[[Any], Any]


def as_text(value: Any) -> str:
    """Return a text, or a number as text. Raises InvalidValue."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        raise InvalidValue("This is not a text.")
    return str(value)


def consent_of(value: Any, is_opt_out: bool) -> bool:
    """Return whether a value says that the customer accepts marketing. Raises InvalidValue for an
    unknown word, which is no consent."""
    if isinstance(value, bool):
        return value is not is_opt_out
    answer = read_consent(as_text(value), is_opt_out)
    if answer is None:
        message = "This is not a known word for yes or no. It counts as no consent."
        raise InvalidValue(message, "unknown_consent")
    return answer


def _flag(value: Any) -> bool:
    return consent_of(value, False)


def _email(value: Any) -> Any:
    text = as_text(value)
    if PLAIN_EMAIL.fullmatch(text):
        return text
    first, separator, others = text.partition(" ::: ")  # Google Contacts
    email = unwrap_email(first)
    if separator and not email.rest:
        email = email._replace(rest=others)
    if not email.rest:
        return None if is_empty_marker(email.address) else email.address
    message = "The cell has more than one email or word. The first email was imported."
    return Changed(email.address, "second_email", message, is_lossy=True)


def _number_text(value: Any) -> Any:
    text, damage = unwrap_number(as_text(value))
    if damage is None:
        return None if is_empty_marker(text) or not text.strip("0") else text
    if damage == SPREADSHEET_ERROR:
        raise InvalidValue("This is an error of a spreadsheet.", damage)
    message = "A spreadsheet has replaced the last digits of this number. Export it as text."
    return Changed(text, damage, message)


_SHEET_ERRORS = frozenset("#N/A #REF! #VALUE! #NAME? #DIV/0! #NULL! #NUM! #SPILL! #CALC!".split())


def _line(value: Any) -> str | None:
    text = as_text(value)
    if is_empty_name(text):
        return None
    if text[:1] == "#" and text in _SHEET_ERRORS:
        raise InvalidValue("This is an error of a spreadsheet.", SPREADSHEET_ERROR)
    return text


def _external_id(value: Any) -> Any:
    if isinstance(value, bool | dict | list | float):
        raise InvalidValue("This is not an id.")
    text, damage = unwrap_number(str(value))
    if damage is None:
        return text
    return Changed(None, damage, "A spreadsheet has damaged this id. Export it as text.", True)


def ids_of_source(value: Any) -> list[str]:
    """Return the external ids of one source: one or a list, or joined with `; `."""
    if isinstance(value, list):
        return [id_ for each in value for id_ in ids_of_source(each)]
    if isinstance(value, bool | dict | float):
        raise InvalidValue("This is not an id.")
    text, damage = unwrap_number(str(value))
    if damage is not None:
        raise InvalidValue("A spreadsheet has damaged this id. Export it as text.", damage)
    return [id_ for id_ in text.split("; ") if id_.strip()]


def _exact_ids(value: Any) -> list[str]:
    """Return the ids in the column `external_ids` of our own exports."""
    return _exact_tags(value)


def _exact_tags(value: Any) -> list[str]:
    if isinstance(value, list):
        return [as_text(tag) for tag in value]
    try:
        return cells.tags(as_text(value))
    except csv.Error:
        raise InvalidValue("The tags cannot be read. Separate them with commas.") from None


def _tags(value: Any) -> list[str]:
    if isinstance(value, list):
        return _exact_tags(value)
    text = as_text(value)
    return [] if is_empty_name(text) else split_tags(text)


def _custom(value: Any) -> dict[str, Any]:
    data = value
    if isinstance(value, str):
        try:
            data = orjson.loads(value)
        except orjson.JSONDecodeError:
            data = None
    if not isinstance(data, dict):
        raise InvalidValue('The custom fields must be a JSON object, such as {"loyalty": "gold"}.')
    return data


def _contact_points(value: Any) -> list[dict[str, Any]]:
    """Return the list of emails or phones in our own exports: objects with the keys of the API."""
    data = value
    if isinstance(value, str):
        try:
            data = orjson.loads(value)
        except orjson.JSONDecodeError:
            data = None
    if not isinstance(data, list) or not all(map(_is_contact_point, data)):
        raise InvalidValue(
            'The list must be JSON, such as [{"email": "ana@example.com", "label": "work"}].'
        )
    return data


def _is_contact_point(item: Any) -> bool:
    types = {"email": str, "phone": str, "label": str, "default": bool, "verified_at": str | None}
    return (
        isinstance(item, dict)
        and ("email" in item) != ("phone" in item)
        and all(isinstance(value, types.get(name, ())) for name, value in item.items())
    )


def _address_entries(value: Any) -> list[dict[str, Any]]:
    """Return the entries of an address book as they are in an export. Raises InvalidValue."""
    data = value
    if isinstance(value, str):
        try:
            data = orjson.loads(value)
        except orjson.JSONDecodeError:
            data = None
    names = {"label": str, "default_shipping": bool, "default_billing": bool, "address": dict}
    is_valid = isinstance(data, list) and all(
        isinstance(entry, dict)
        and "address" in entry
        and all(isinstance(each, names.get(name, ())) for name, each in entry.items())
        and all(name in PARTS and isinstance(text, str) for name, text in entry["address"].items())
        for entry in data
    )
    if not is_valid:
        raise InvalidValue(
            "The address book must be a JSON list, such as "
            '[{"label": "Work", "address": {"city": "Rabat", "country": "MA"}}].'
        )
    entries: list[dict[str, Any]] = data
    return entries


def time_of(value: Any, order: Order | None) -> int | None:
    """Return the time of a value, in milliseconds since 1970; None if it says that there is none.
    `order` is that of the day and the month. Raises InvalidValue."""
    try:
        timestamp = read_timestamp(value, order, allow_serial=True)
    except AmbiguousDate as error:
        raise InvalidValue(str(error), AMBIGUOUS_DATE) from None
    except DateError as error:
        raise InvalidValue(str(error)) from None
    if timestamp is None or (is_storable(timestamp) and timestamp <= _MAX_TIMESTAMP):
        return timestamp
    raise InvalidValue(
        "This is not a supported time. Use a time before 1970 or from 1970-01-26 on, such as "
        "2024-03-18T14:20:37Z."
    )


def _number(value: Any) -> int:
    number = number_of(as_text(value), "Customer")
    if number is None or number > MAX_ID:
        message = (
            f"An _id must be a whole number from 1 to {MAX_ID:,}, or the global id of a customer."
        )
        raise InvalidValue(message)
    return number


# Letters for cars, which lists in German have as countries: D, A and CH.
_SIGNS = {
    sign: f"{sign}{letter}" for sign, letter in zip("ABDEFHILNPS", "TEESRUTUOTE", strict=True)
}


def _country(value: Any) -> str:
    """Return the ISO 3166 code (2 letters) of a country's name or code; empty for an empty text.
    Raises InvalidValue."""
    text = as_text(value)
    code = find_country(text) or _SIGNS.get(text.strip())
    if code is None and text.strip():
        raise InvalidValue("This is not a country. Use its ISO 3166-1 code, as in DE, or its name.")
    return code or ""


def _whole(field: Field, read: Read) -> dict[str, Read]:
    return {field.name: read}


_PARTS: Mapping[str, Read] = {
    **dict.fromkeys(
        ("line1", "line2", "city", "area", "state", "first_name", "last_name", "company"), _line
    ),
    ZIP_CITY: _line,
    "country": _country,
    **dict.fromkeys(("zip", "phone", *PARTS_OF_STREETS), _number_text),
    "email": _email,
}

# The parsers of each kind of field, by field name.
_OF_KIND: Mapping[type[Field], Callable[[Any], dict[str, Read]]] = {
    kinds.Text: lambda field: _whole(field, _line),
    kinds.LongText: lambda field: _whole(field, _line),
    kinds.Email: lambda field: _whole(field, _email),
    kinds.Phone: lambda field: _whole(field, _number_text),
    kinds.Flag: lambda field: _whole(field, _flag),
    kinds.Tags: lambda field: _whole(field, _tags),
    kinds.ExternalIds: lambda _: {},  # read by source; see `row_identity`
    kinds.Emails: lambda field: _whole(field, _contact_points),
    kinds.Phones: lambda field: _whole(field, _contact_points),
    kinds.Json: lambda field: _whole(field, _custom),
    kinds.Addresses: lambda field: _whole(field, _address_entries),
    kinds.Address: lambda field: {f"{field.name}.{part}": _PARTS[part] for part in _PARTS},
}
# The readers of the values of our own exports, instead of those that undo what others do.
EXACT: Mapping[Read, Read] = {
    **dict.fromkeys((_email, _line, _number_text), as_text),
    _tags: _exact_tags,
    _external_id: _exact_ids,
}
# Other fields are texts.
READ: Mapping[str, Read] = {
    "_id": _number,
    EXTERNAL_ID: _external_id,
    **dict.fromkeys(PARTS_OF_NAMES, _line),
    **{
        name: read
        for field in FIELDS
        if field.is_writable
        for name, read in _OF_KIND[type(field)](field).items()
    },
}
