"""Columns of calling codes, as `+49`, whose codes belong before the phone numbers of another
column."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regulars.customers.phone_numbers import read_number
from regulars.transfer.artefacts import unwrap
from regulars.transfer.column_profile import ColumnProfile, share
from regulars.transfer.heading_dictionary import comparable, dictionary
from regulars.transfer.headings import match_heading

_NEARLY_ALL = 0.9
# Values that are tried before the others.
_FIRST = 3
_CODE = re.compile(r"\s*\(?(?:\+|00)([1-9]\d{0,2})\)?\s*")


def is_calling_code(heading: str, profile: ColumnProfile) -> bool:
    """Return whether a column has calling codes, by its heading and nearly all values."""
    if not any(_region_of(unwrap(value)) for value in profile.sample[:_FIRST]):
        return False  # before the heading, which takes longer
    match = match_heading(heading)
    if comparable(heading) not in dictionary().calling_codes and (
        match is None or match.field != "country"
    ):
        return False
    return share(profile, lambda value: _region_of(unwrap(value))) >= _NEARLY_ALL


def is_phone(field: str | None) -> bool:
    """Return whether a field is the phone of a customer or of an address."""
    return field is not None and field.rpartition(".")[2] == "phone"


def put_code_before(cells: Sequence[str], phone: int, code: int) -> list[str]:
    """Return the cells of a row, with a calling code before the phone number. `phone` and `code`
    are the positions of both. A number that has a code stays as it is."""
    joined = list(cells)
    number, prefix = joined[phone].strip(), unwrap(joined[code]).strip()
    if number and prefix and not number.startswith(("+", "＋", "00")):
        read = read_number(number, _region_of(prefix))
        digits = _digits_of(prefix)
        typed = f"+{digits} {number}" if digits else f"{prefix} {number}"
        joined[phone] = read.e164 if read.valid and read.e164 else typed
    return joined


def _digits_of(value: str) -> str:
    match = _CODE.fullmatch(value)
    return match[1] if match else ""


def _region_of(value: str) -> str:
    """Return the country of a calling code, or the largest of several; empty for other texts."""
    if not (code := _digits_of(value)):
        return ""
    import phonenumbers  # few files need it, and it takes 13 ms

    return str(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ("",))[0])
