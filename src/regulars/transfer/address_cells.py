"""Read cells with whole addresses: labelled (`City: Porto, Zip: 4050`), JSON, or on one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from regulars.core.countries import find_country
from regulars.customers.address_rules import rules_of
from regulars.customers.addresses import PARTS
from regulars.transfer.column_profile import ColumnProfile
from regulars.transfer.column_selection import Choice
from regulars.transfer.composed_fields import NAME, PARTS_OF_STREETS
from regulars.transfer.entry_fields import LABEL, entry_field
from regulars.transfer.heading_dictionary import comparable, dictionary, words
from regulars.transfer.headings import SUBURB, WHOLE, match_heading

# The reader of a column of whole addresses; see `columns.Column`.
ADDRESS_CELL = "address_cell"
_PARTS = frozenset((*PARTS, NAME, *PARTS_OF_STREETS))
_MAX_CHARACTERS = 20_000
_MAX_PARTS = 2_000
_LABEL = re.compile(r"(?:^|[,;|\r\n])\s{0,20}([^\W\d_][^,;|:\r\n]{0,39}):(?=\s|$)")
_ENDS = " \t\r\n,;|"
_STATE_ZIP = re.compile(r"([A-Z]{2})\s+(\d{5}(?:-\d{4})?)")
_STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ "
    "NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY PR".split()
)
_LINES = re.compile(r"[,\r\n]+|<[bB][rR]\s{0,3}/?>")
_NUMBERS = re.compile(r"\d")
_MIN_LINES = 3
_MAX_PLACE = 200
_HOUSE_NUMBER = re.compile(r"\d{1,5}(?: ?\w{1,4})?")
# The line of a format of addresses in which the postal code stands before the city.
_ZIP_CITY = re.compile(r"(?:[A-Z]{2}-?)?\{zip\} \{city\}(?: (\{state\}))?")
# A postal code and a city in a country of the continent of Europe, after a street with a number.
_ANY_ZIP_CITY = re.compile(
    r"(?:[A-Z]{1,2}-)?(?P<zip>\d{4} [A-Z]{2}|\d{4,5}|\d{2}-\d{3}|\d{4}-\d{3}|\d{3} \d{2})"
    r" (?P<city>[^\W\d][^\d()]*)"
)
_NUMBER_LAST = re.compile(r"\d ?[A-Za-z]?$")
_BRITISH = re.compile(r"(?:(?P<city>[^\d]+?) )?(?P<zip>[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})")
_PLACE = ("city", "zip", "zip_city", "state", "country", "line2")


def add_address_cells(
    headings: Sequence[str | None], profiles: Sequence[ColumnProfile], choices: Sequence[Choice]
) -> None:
    """Let columns with whole addresses be read part by part: a street without columns of other
    parts, and a column of no field whose heading has the word for an address."""
    used = {choice.field for choice in choices if choice.field}
    for position, (heading, choice) in enumerate(zip(headings, choices, strict=True)):
        sample = profiles[position].sample if position < len(profiles) else ()
        if choice.field and choice.field.endswith(".line1") and choice.reader is None:
            group = choice.field.removesuffix("line1")
            if used.isdisjoint(f"{group}{part}" for part in _PLACE) and any(map(_is_read, sample)):
                choice.reader = ADDRESS_CELL
        elif choice.field is None and heading and not choice.note:
            is_address = not dictionary().address.isdisjoint(words(heading))
            is_first = not any(field.startswith("shipping_address.") for field in used)
            # With columns of an address, a text such as `Address 1 - Formatted` repeats them.
            is_meant = _is_read if is_first else _is_labelled
            if is_address and sample and 2 * sum(map(is_meant, sample)) > len(sample):
                field = "shipping_address.line1" if is_first else entry_field("cell", "line1")
                if field not in used:
                    choice.field, choice.reader = field, ADDRESS_CELL
                    used.add(field)


def _is_labelled(value: str) -> bool:
    """Return whether a value, which may be cut off, is one or more addresses that name their
    parts."""
    return value.lstrip()[:2] in ('{"', "[{") or _labelled_addresses(value.strip()) is not None


def _is_read(value: str) -> bool:
    return is_whole_address(value) or _is_labelled(value) or read_addresses(value) is not None


class AddressCell(NamedTuple):
    """The addresses of a cell, each with its parts by name, and the text that is no part."""

    addresses: list[dict[str, str]]
    rest: str = ""


def read_addresses(cell: str) -> AddressCell | None:
    """Return the addresses of a cell whose parts are certain; None for another text."""
    if len(cell) > _MAX_CHARACTERS:
        return None
    text = cell.strip()
    if text[:1] in ("{", "["):
        return _of_json(text)
    labelled = _labelled_addresses(text)
    lines = _lines_of(text)
    if labelled or len(lines) < _MIN_LINES - 1:
        return labelled
    found = None
    if len(lines) >= _MIN_LINES:
        found = _of_united_states(lines) or _of_country(lines)
    return found or _of_united_kingdom(lines) or _without_country(lines)


def _labelled_addresses(text: str) -> AddressCell | None:
    """Return the addresses of a text such as `City: Porto, Zip: 4050`."""
    labels = list(_LABEL.finditer(text))[:_MAX_PARTS]
    if len(labels) > 1 and not text[: labels[0].start()].strip(_ENDS):
        ends = [label.start() for label in labels[1:]] + [len(text)]
        return _of_pairs(
            (label[1].strip(), text[label.end() : end].strip(_ENDS))
            for label, end in zip(labels, ends, strict=True)
        )
    return None


def is_whole_address(cell: str) -> bool:
    """Return whether a text seems to be a street with further parts of an address."""
    lines = _lines_of(cell[:_MAX_CHARACTERS])
    return len(lines) >= _MIN_LINES and _NUMBERS.search(cell) is not None


def _lines_of(text: str) -> list[str]:
    return [line for each in _LINES.split(text) if (line := each.strip())]


def _of_pairs(pairs: Iterable[tuple[str, str]]) -> AddressCell | None:
    """Return the addresses of labelled parts. A label that repeats begins the next address."""
    addresses: list[dict[str, str]] = []
    used: set[str] = set()
    rest: list[str] = []
    parts: dict[str, str] = {}
    for label, value in pairs:
        key = comparable(label)
        if key in used:
            addresses.append(parts)
            parts, used = {}, set()
        used.add(key)
        part = _part_of(label)
        if part and value and part not in parts:
            parts[part] = value
        elif value:
            rest.append(f"{label}: {value}")
    addresses.append(parts)
    addresses = [parts for parts in addresses if parts]
    if not all(_is_address(parts) for parts in addresses) or not addresses:
        return None
    return AddressCell(addresses, "; ".join(rest))


def _is_address(parts: Mapping[str, str]) -> bool:
    return len(parts) > 1 and not parts.keys().isdisjoint(("line1", "city", "zip"))


@lru_cache(maxsize=2_000)
def _part_of(label: str) -> str | None:
    """Return the part of an address that a label names."""
    match = match_heading(label)
    if match and match.field in (WHOLE, SUBURB):
        return "line1" if match.field == WHOLE else "city"
    if match and match.field in _PARTS and not (match.group or "").strip().isdecimal():
        is_name = match.field == NAME and words(label)[:1] == ("address",)
        return LABEL if is_name else match.field
    *start, last = words(label) or ("",)
    is_label = start in ([], ["address"]) and last in (NAME, *dictionary().contact_words.label)
    return LABEL if is_label else None


def _of_json(text: str) -> AddressCell | None:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    found: list[dict[str, str]] = []
    rest: list[str] = []
    for item in data if isinstance(data, list) else [data]:
        one = _of_pairs(_pairs(item)) if isinstance(item, dict) else None
        if one is None or len(one.addresses) != 1:
            return None
        found += one.addresses
        rest += [one.rest] if one.rest else []
    return AddressCell(found, "; ".join(rest)) if found else None


def _pairs(item: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in list(item.items())[:_MAX_PARTS]:
        text = value if isinstance(value, str) else "" if value is None else orjson.dumps(value)
        yield key, (text.decode() if isinstance(text, bytes) else text).strip()


def _of_united_states(lines: Sequence[str]) -> AddressCell | None:
    """Return `12 Main St, Springfield, IL 62704, US`: a state and a postal code say what the other
    parts are."""
    has_country = len(lines) > _MIN_LINES and find_country(lines[-1]) == "US"
    country = lines[-1] if has_country else ""
    *streets, city, state_zip = lines[:-1] if has_country else lines
    place = _STATE_ZIP.fullmatch(state_zip)
    if place is None or place[1] not in _STATES or _NUMBERS.search(city):
        return None
    return _with_streets(streets, city=city, state=place[1], zip=place[2], country=country)


def _of_country(lines: Sequence[str]) -> AddressCell | None:
    """Return `12 Rue de la Paix, 75002 Paris, France`: a country in which the postal code stands
    before the city."""
    *streets, code_city, country = lines
    place = _place_of(find_country(country) or "", code_city[:_MAX_PLACE])
    if place is None:
        return None
    return _with_streets(streets, **place, country=country)


def _of_united_kingdom(lines: Sequence[str]) -> AddressCell | None:
    """Return `10 Downing Street, London, SW1A 2AA, UK`, with or without the country, and with the
    city before the postal code, too."""
    country = lines[-1] if find_country(lines[-1]) == "GB" else ""
    *streets, last = lines[:-1] if country else lines
    place = _BRITISH.fullmatch(last)
    if place is None or not streets:
        return None
    city = place["city"] or (streets.pop() if len(streets) > 1 else "")
    if not city or _NUMBERS.search(city):
        return None
    return _with_streets(streets, city=city, zip=place["zip"], country=country)


def _without_country(lines: Sequence[str]) -> AddressCell | None:
    """Return `Hauptstr. 1, 10115 Berlin`."""
    *streets, code_city = lines
    place = _ANY_ZIP_CITY.fullmatch(code_city[:_MAX_PLACE])
    # Four digits can also be the number of a house: `5 Elm St, 1200 Oak Blvd`.
    if place is None or (len(place["zip"]) == 4 and not _NUMBER_LAST.search(streets[0])):
        return None
    return _with_streets(streets, **place.groupdict())


def _place_of(country: str, text: str) -> dict[str, str] | None:
    """Return the postal code, the city and the state of a country in a text, or None."""
    rules = rules_of(country, ()) if country else None
    if rules is None or rules.zip_pattern is None:
        return None
    form = next(filter(None, map(_ZIP_CITY.fullmatch, rules.format.split("\n"))), None)
    state = r"(?: \(?(?P<state>[A-Z]{2})\)?)?" if form and form[1] else ""
    zip_ = rf"(?:[A-Z]{{1,3}}-)?(?P<zip>{rules.zip_pattern})"
    place = re.fullmatch(rf"{zip_} (?P<city>[^\d()]+?(?: \d\d?)?){state}", text)
    return {k: v or "" for k, v in place.groupdict().items()} if form and place else None


def _with_streets(streets: Sequence[str], **parts: str) -> AddressCell | None:
    """Return an address with the lines of its street; None if the first may be a name."""
    if not _NUMBERS.search(streets[0]):
        return None
    if len(streets) > 1 and _HOUSE_NUMBER.fullmatch(streets[0]):  # `3 bis, rue Haute`
        streets = [", ".join(streets[:2]), *streets[2:]]
    parts = {"line1": streets[0], "line2": ", ".join(streets[1:]), **parts}
    return AddressCell([{part: value for part, value in parts.items() if value}])
