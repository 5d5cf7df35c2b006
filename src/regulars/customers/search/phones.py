"""Phone numbers in the forms that the search compares: their digits."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from regulars.core.text import without_invisible

# The shortest number behind a country's code that is taken for one.
_SHORTEST = 4
_CODES_WITH_EXTRA_DIGIT = ("52", "54", "55")
# Bytes take a third of the time of an expression.
_NO_DIGITS = bytes([n for n in range(256) if not chr(n).isascii() or not chr(n).isdecimal()])
_PLAIN = re.compile(r"[+0-9 ().\-]*")
# A number of fewer digits is taken for a part of one, as in `030/1234567`.
_WHOLE_NUMBER = 7
_MAX_NUMBERS = 3
_SEPARATOR = re.compile(r"[/;,|\n]|\b(?:or|ou|oder|und|and|y|o|e|и|или)\b", re.IGNORECASE)
_EXTENSION = re.compile(
    r"(?:\bext(?:ension|n)?\b|;ext|(?<![a-z])x|#|\bdurchwahl\b|\bposte\b|\bint(?:erno)?\b|доб)"
    r"[.:=]? ?[0-9]{1,7}$",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[A-Za-z#]")


def digits(text: str) -> str:
    """Return the decimal digits of a text in any script, as ASCII."""
    if text.isascii():
        return text.encode().translate(None, _NO_DIGITS).decode()
    return "".join(str(int(character)) for character in text if character.isdecimal())


def forms(phone: str, country: str = "") -> list[str]:
    """The digits by which a number is known, the international form first where it has one.

    A number with its country code (`+212 612 345678`, `00212…`) is known by code and number
    (`212612345678`), by the number alone (`612345678`), and as it is dialled in its country
    (`0612345678`). Codes and prefixes are those of ITU-T E.164 as phonenumbers has them. Any
    other is known by its digits. Empty for a text without digits.

    An extension, `tel:` and invisible characters are left out. A text of two or three numbers is
    known by those of each. Mobile numbers of Mexico, Argentina and Brazil are known with and
    without the digit that is dialled in some cases only. With a `country`, a possible number of it
    without a code is known as with its code, too.
    """
    if _PLAIN.fullmatch(phone):
        return _forms_of_one(phone, country)
    parts = _parts(phone)
    if len(parts) == 1:
        return _forms_of_one(parts[0], country)
    return list(dict.fromkeys(form for part in parts for form in _forms_of_one(part, country)))


def is_plain(phone: str) -> bool:
    """Return whether a text is a single number without letters."""
    return _PLAIN.fullmatch(phone) is not None


def lookup_terms(facets: Collection[str]) -> frozenset[str]:
    """Return the terms one of which a customer has for each of the facets of phones, and other
    facets: a form without 0 has none if there is one with 0."""
    with_zero = (f"phone:0{facet[6:]}" for facet in facets if facet.startswith("phone:"))
    return frozenset([*facets, *with_zero]) - {""}


def numbers(phone: str, country: str = "") -> list[str]:
    """Return the digits of each number of a phone, from the country's code on if it is known."""
    return [known_by[0] for part in _parts(phone) if (known_by := _forms_of_one(part, country))]


def _parts(phone: str) -> list[str]:
    """Return the numbers in a text, without extensions."""
    text = without_extension(phone)
    if text.isascii() and not _SEPARATOR.search(text):
        return [text]
    parts = [without_extension(part) for part in _SEPARATOR.split(text)]
    if not 2 <= len(parts) <= _MAX_NUMBERS or min(map(_digit_count, parts)) < _WHOLE_NUMBER:
        return [text]
    return parts


def is_local(phone: str) -> bool:
    """Return whether a phone number has digits and no country code, so that a country could
    complete it."""
    text = phone.lstrip(" (")
    return bool(text) and not text.startswith(("+", "00")) and bool(digits(text))


@lru_cache(maxsize=10_000)
def international_digits(phone: str, country: str) -> str:
    """Return the digits of a number of a country, which is an ISO 3166-1 code, from its country
    code on. Empty for a text that cannot be a number of the country, or has a country code."""
    import phonenumbers  # it takes 13 ms

    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return str(e164).removeprefix("+")


def without_extension(phone: str) -> str:
    """Return a phone number without invisible characters, `tel:` and an extension (`x89`, `ext.
    89`, `#89`) after at least seven digits."""
    text = without_invisible(phone).strip()
    if text.isascii() and not _LETTER.search(text):
        return text
    if text[:4].lower() == "tel:":
        text = text[4:].strip()
    match = _EXTENSION.search(text)
    if match and _digit_count(text[: match.start()]) >= _WHOLE_NUMBER:
        return text[: match.start()].rstrip(" ,;")
    return text


def _digit_count(text: str) -> int:
    return len(digits(text))


def completed(phone: str, country: str) -> str:
    """Return a number without a country code with that of a country; any other text, and all with
    an empty country, unchanged."""
    if not country or not is_local(phone):
        return phone
    number = international_digits(without_extension(phone), country)
    return f"+{number}" if number else phone


def _forms_of_one(phone: str, country: str = "") -> list[str]:
    number = digits(phone)
    if not number:
        return []
    international = _international(phone, number)
    if not international:
        completed = international_digits(phone, country) if country else ""
        if completed:
            return list(dict.fromkeys([*_forms_of_one(f"+{completed}"), number]))
        return [number]
    # No code is longer than three digits.
    code, trunk = country_code(international[:3])
    if not code:
        return [international]
    number = international[len(code) :]
    if trunk and number.startswith(trunk) and (trunk == "0" or f"({trunk})" in phone):
        number = number[len(trunk) :]
    if len(number) < _SHORTEST:
        return [international]
    result = [code + number, number]
    if trunk:
        result.append(trunk + number)
    if code in _CODES_WITH_EXTRA_DIGIT:
        for each in _with_or_without_digit(code, number):
            result += [code + each, each, trunk + each] if trunk else [code + each, each]
    return result


def _with_or_without_digit(code: str, number: str) -> Sequence[str]:
    """The other form of a number in a country whose mobile numbers have a digit that is dialled
    from some places or since some year only (`_CODES_WITH_EXTRA_DIGIT`).

    Mexico: `1` after the code until 2019; Argentina: `9` from abroad; Brazil: `9` before the eight
    digits of a mobile number since 2016 (plans of IFT, ENACOM and Anatel).
    """
    match code, len(number):
        case ("52", 10):
            return [f"1{number}"]
        case ("52", 11) if number[0] == "1":
            return [number[1:]]
        case ("54", 10) if number[0] != "9":
            return [f"9{number}"]
        case ("54", 11) if number[0] == "9":
            return [number[1:]]
        case ("55", 10) if number[2] in "6789":
            return [f"{number[:2]}9{number[2:]}"]
        case ("55", 11) if number[2] == "9" and number[3] in "6789":
            return [number[:2] + number[3:]]
    return []


def _international(phone: str, number: str) -> str:
    """The digits from the country's code on; empty for a number without one."""
    if phone[0] == "+" or phone.lstrip(" (").startswith(("+", "＋")):
        return number
    return number[2:] if number.startswith("00") else ""


@lru_cache(maxsize=2_000)
def country_code(digits: str) -> tuple[str, str]:
    """The country's code that a number begins with, and what is dialled before a number within the
    country: 0 in most, 8 in Russia, nothing in Spain. Empty for no code, which none begins with."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata  # it takes 13 ms

    if digits[:1] == "0":
        return "", ""
    for length in (1, 2, 3):
        code = digits[:length]
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code))
        if regions:
            metadata = PhoneMetadata.metadata_for_region(regions[0])
            return code, (metadata.national_prefix or "") if metadata else ""
    return "", ""
