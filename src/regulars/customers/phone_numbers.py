"""What the rules of a phone number's country say about it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from regulars.customers.search.phones import (
    country_code,
    digits,
    international_digits,
    without_extension,
)


class Number(NamedTuple):
    """A phone number in the form of E.164, its country (ISO 3166-1), and whether it is valid by the
    rules of the country. All are empty if the country is unknown."""

    e164: str | None = None
    country: str | None = None
    valid: bool = False


_UNKNOWN = Number()


@lru_cache(maxsize=10_000)
def read_number(phone: str, country: str = "") -> Number:
    """Return what is known of a phone number. Without a country code it is a number of `country`,
    an ISO 3166-1 code; if that is empty, nothing is known."""
    import phonenumbers  # few requests need it, and it takes 13 ms

    text = without_extension(phone).replace("＋", "+")
    if text.startswith("00"):
        text = f"+{text[2:]}"
    if not text.lstrip(" (").startswith("+"):
        completed = international_digits(text, country) if country else ""
        if not completed:
            return _UNKNOWN
        text = f"+{completed}"
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return _UNKNOWN
    return Number(
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        phonenumbers.region_code_for_number(number),
        phonenumbers.is_valid_number(number),
    )


_TYPES = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)
_INTERNATIONAL = re.compile(r"\+[0-9 .\-]+")


def is_valid(phone: str, country: str = "") -> bool:
    """Return `read_number(phone, country).valid`. A plain number with its country code takes a
    twentieth of the time: most customers have one."""
    if _INTERNATIONAL.fullmatch(phone):
        number = digits(phone)
        code, _ = country_code(number[:3])
        patterns = _patterns(code) if code else None
        if patterns is not None and not patterns.prefix.match(number, len(code)):
            return patterns.valid.fullmatch(number, len(code)) is not None
    return read_number(phone, country).valid


class _Patterns(NamedTuple):
    """Patterns of numbers behind a country code: those that may begin with a national prefix, and
    the valid ones."""

    prefix: re.Pattern[str]
    valid: re.Pattern[str]


@lru_cache(maxsize=300)
def _patterns(code: str) -> _Patterns | None:
    """Return the patterns of a country code. The first country whose numbers begin so, or of whose
    types a number is, has it."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    prefixes, excluded, valid = [], "", []
    for region in COUNTRY_CODE_TO_REGION_CODE[int(code)]:
        metadata: Any = PhoneMetadata.metadata_for_region(region, None)
        if metadata is None:
            return None
        if metadata.national_prefix_for_parsing:
            prefixes.append(f"(?:{metadata.national_prefix_for_parsing})")
        begins = f"(?={metadata.leading_digits})" if metadata.leading_digits else ""
        of_types = [getattr(metadata, name) for name in _TYPES]
        patterns = [_pattern(t) for t in of_types if t and t.national_number_pattern]
        if patterns:
            general = f"(?={_pattern(metadata.general_desc)}$)"
            valid.append(f"{excluded}{begins}{general}(?:{'|'.join(patterns)})")
        if metadata.leading_digits:
            excluded += f"(?!{metadata.leading_digits})"
    nothing = "(?!)"
    return _Patterns(
        re.compile("|".join(prefixes) or nothing), re.compile("|".join(valid) or nothing)
    )


def _pattern(description: Any) -> str:
    """Return the pattern of a description of numbers with their lengths."""
    lengths = "|".join(f".{{{n}}}" for n in description.possible_length)
    has_length = f"(?=(?:{lengths})$)" if lengths else ""
    return f"{has_length}(?:{description.national_number_pattern})"
