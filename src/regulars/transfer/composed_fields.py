"""Compose fields of a customer whose parts have columns of their own: names and streets."""

from __future__ import annotations

import re
from typing import Any

from regulars.transfer.person_names import split_name

NAME = "name"
LAST_NAME_PREFIX, SECOND_LAST_NAME = "last_name_prefix", "second_last_name"
HOUSE_NUMBER, HOUSE_NUMBER_ADDITION = "house_number", "house_number_addition"
# The parts of names, which an address has, too, and those of the street of an address.
PARTS_OF_NAMES = (NAME, LAST_NAME_PREFIX, SECOND_LAST_NAME)
PARTS_OF_STREETS = (HOUSE_NUMBER, HOUSE_NUMBER_ADDITION)
# A postal code and a city in one cell: `80331 München`.
ZIP_CITY = "zip_city"
# The further lines of a street that was one cell with line breaks.
MORE_LINES = "more_lines"
# Countries that write the number before the street, and the words for a street in their languages.
_NUMBER_FIRST = frozenset(
    "AU BS CA FR GB HK IE IN JM LK LU MC MT MY NZ PH SG TH TN TT US ZA".split()
)
_NUMBER_FIRST_HEADING = re.compile(r"street|house|building|rue|voie", re.IGNORECASE)
_ZIP_FIRST = re.compile(r"((?:[A-Z]{1,3}-)?\d[\d -]{1,7}\d(?: ?[A-Z]{2})?)[,\s]+(\D.*)")
_ZIP_LAST = re.compile(
    r"(.*[^\W\d][^\d,]*?)[,\s]+"
    r"([A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d[\d-]{2,8}\d|\d{3} \d{2})"
)
# A state after the city, before a postal code of the United States: `Springfield, IL 62704`.
_CITY_STATE = re.compile(r"(.*[^\W\d]),? ([A-Z]{2})")
_ZIP_OF_US = re.compile(r"\d{5}(?:-\d{4})?")
_SPACES_AND_COMMAS = re.compile(r"[\s,]+")
_MAX_ADDITION = 10
# Characters of a postal code and a city.
_MAX_PLACE = 300


def compose_names(names: dict[str, Any]) -> None:
    """Divide a whole name into a first and a last name, unless both are set, and put the last name
    together: `van` and `Dijk`, `Pérez` and `Soto`. If one of them is set, the other one is the rest
    of the whole name. `names` is a customer or an address."""
    whole = names.pop(NAME, None)
    first, last = names.get("first_name"), names.get("last_name")
    if whole and not first and not last:
        first_name, last_name = split_name(whole)
        # A single word leaves the last name of an existing customer as it is.
        names |= {"first_name": first_name} | ({"last_name": last_name} if last_name else {})
    elif whole and not (first and last):
        missing = "last_name" if first else "first_name"
        if rest := _without_part(whole, str(first or last)):
            names[missing] = rest
    prefix, second = names.pop(LAST_NAME_PREFIX, None), names.pop(SECOND_LAST_NAME, None)
    last_name = names.get("last_name") or ""
    if prefix and not last_name.lower().startswith(f"{prefix} ".lower()):
        last_name = f"{prefix} {last_name}".strip()
    if second and not last_name.lower().endswith(f" {second}".lower()):
        last_name = f"{last_name} {second}".strip()
    if prefix or second:
        names["last_name"] = last_name


def _without_part(whole: str, part: str) -> str:
    """Return a whole name without a part at its beginning or end, else as it is."""
    words, part_words = whole.split(), part.lower().split()
    lower, count = [word.strip(",").lower() for word in words], len(part_words)
    if lower[:count] == part_words:
        words = words[count:]
    elif lower[-count:] == part_words:
        words = words[:-count]
    return " ".join(words).strip(", ")


def compose_street(address: dict[str, Any], heading: str) -> None:
    """Put the street of an address together: its number, which has a column with a heading of its
    own, goes before or after the street, by the country, else by the language of the heading."""
    number, addition = (address.pop(part, None) for part in PARTS_OF_STREETS)
    street = address.get("line1") or ""
    if addition and (not number or len(addition) > _MAX_ADDITION):
        more = address.get("line2")
        address["line2"] = ", ".join(filter(None, (addition, more)))
    elif addition:
        number = f"{number} {addition}"
    if number and number not in _SPACES_AND_COMMAS.split(street):
        country = address.get("country")
        is_first = (
            country in _NUMBER_FIRST if country else bool(_NUMBER_FIRST_HEADING.search(heading))
        )
        address["line1"] = " ".join(
            filter(None, (number, street) if is_first else (street, number))
        )
    if more := address.pop(MORE_LINES, None):
        address["line2"] = ", ".join(filter(None, (more, address.get("line2"))))


def is_place(text: str) -> bool:
    """Return whether a text is a postal code and a city."""
    return bool(_ZIP_FIRST.fullmatch(text.strip()) or _ZIP_LAST.fullmatch(text.strip()))


def compose_place(address: dict[str, Any]) -> None:
    """Divide a postal code and a city in one cell, and a state between them. A text that is not
    both is the city."""
    text = (address.pop(ZIP_CITY, None) or "").strip()
    if not text:
        return
    if len(text) > _MAX_PLACE:  # the expressions take quadratic time
        code, city = "", text
    elif match := _ZIP_FIRST.fullmatch(text):
        code, city = match.groups()
    elif match := _ZIP_LAST.fullmatch(text):
        city, code = match.groups()
    else:
        code, city = ("", text) if any(map(str.isalpha, text)) else (text, "")
    state = ""
    if _ZIP_OF_US.fullmatch(code) and (with_state := _CITY_STATE.fullmatch(city)):
        city, state = with_state.groups()
    for part, value in (("zip", code), ("city", city), ("state", state)):
        if value and not address.get(part):
            address[part] = value
