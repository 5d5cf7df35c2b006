"""Phone numbers, as far as the search compares them: by their digits."""

from __future__ import annotations

import re
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

# The shortest number behind a country's code that is taken for one.
_SHORTEST = 4
_CODES = frozenset(map(str, COUNTRY_CODE_TO_REGION_CODE))
_NO_DIGITS = re.compile(r"[^0-9]+")


def digits(text: str) -> str:
    """The decimal digits of a text, of whatever script, as ASCII."""
    if text.isascii():
        return _NO_DIGITS.sub("", text)
    return "".join(str(int(character)) for character in text if character.isdecimal())


def forms(phone: str) -> list[str]:
    """The digits by which a number is known, the international form first where it has one.

    A number with its country code (`+212 612 345678`, `00212…`) is known by code and number
    (`212612345678`), by the number alone (`612345678`), and as it is dialled in its country
    (`0612345678`). Codes and prefixes are those of ITU-T E.164 as phonenumbers has them. Any
    other is known by its digits. Empty for a text without digits.
    """
    number = digits(phone)
    international = _international(phone, number)
    if not international:
        return [number] if number else []
    code = _country_code(international)
    if code is None:
        return [international]
    trunk, number = _trunk_prefix(code), international[len(code) :]
    if trunk and number.startswith(trunk) and (trunk == "0" or f"({trunk})" in phone):
        number = number[len(trunk) :]
    if len(number) < _SHORTEST:
        return [international]
    return [code + number, number, trunk + number] if trunk else [code + number, number]


def _international(phone: str, number: str) -> str:
    """The digits from the country's code on; empty for a number without one."""
    if phone.lstrip(" (").startswith(("+", "＋")):
        return number
    return number[2:] if number.startswith("00") else ""


def _country_code(international: str) -> str | None:
    """The country's code that a number begins with. No code begins with another."""
    for length in (1, 2, 3):
        if international[:length] in _CODES:
            return international[:length]
    return None


@cache
def _trunk_prefix(code: str) -> str:
    """What is dialled before a number within the country: 0 in most, 8 in Russia, nothing in
    Spain."""
    region = COUNTRY_CODE_TO_REGION_CODE[int(code)][0]
    metadata = PhoneMetadata.metadata_for_region(region)
    return (metadata.national_prefix or "") if metadata else ""
