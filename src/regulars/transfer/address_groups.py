"""The columns of a file that are parts of one address."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace

from regulars.transfer.column_profile import (
    ColumnProfile,
    has_letters,
    is_mostly_district,
    is_mostly_place,
)
from regulars.transfer.composed_fields import PARTS_OF_STREETS, ZIP_CITY
from regulars.transfer.heading_dictionary import comparable
from regulars.transfer.heading_stems import country_share
from regulars.transfer.headings import NEUTRAL, SHIPPING, SUBURB, WHOLE, Match

_LINES = frozenset((WHOLE, "line1", "line2"))
WORK = "work"
PERSON = ("first_name", "last_name", "name", "phone", "email")
# The most parts of an address without a street that are parts of another one.
_MAX_STRAY_PARTS = 2


@dataclass(slots=True)
class Candidate:
    """A column that may be that of a field, or of a part of an address."""

    position: int
    heading: str
    match: Match
    profile: ColumnProfile

    @property
    def has_values(self) -> bool:
        """Whether the column has values, as far as is known."""
        return self.profile.rows == 0 or self.profile.filled > 0

    @property
    def rank(self) -> tuple[int, int, int, int, int]:
        """The order in which columns of one field are preferred: lower is better."""
        tier, index, steps = self.match.rank
        is_weak = tier if self.has_values else tier + 2
        return is_weak, -self.profile.filled, index, steps, self.position


# Columns by the kind of their address (shipping, billing or neutral) and its name in the headings.
Groups = MutableMapping[tuple[str, str], list[Candidate]]


def divide_name(group: str) -> tuple[str, int | None]:
    """Return the name of an address without its number, and the number: `home 2`. Without one, the
    whole name and None."""
    name, _, number = group.rpartition(" ")
    return (name, int(number)) if number.isdecimal() else (group, None)


def is_later(group: str) -> bool:
    """Return whether headings name an address as one after the first: `Address 2 - City`."""
    return (divide_name(group)[1] or 0) > 1


def part_of(candidate: Candidate, columns: Sequence[Candidate]) -> str:
    """Return the part of an address that a column is among the columns of this address."""
    part = candidate.match.field
    has_city = any(c.match.field == "city" for c in columns)
    others = {c.match.field for c in columns if c.has_values}
    if part == "country" and _is_place(candidate, columns) and not has_city:
        return "city"  # `Kraj` is a country in Polish, and a place in Slovenian
    if part == "city" and "zip" not in others and is_mostly_place(candidate.profile):
        return ZIP_CITY
    if part == "area" and "state" not in others and is_mostly_district(candidate.profile):
        return "state"
    if part == SUBURB:
        return "area" if has_city else "city"
    if part == "name" and len(others & {"first_name", "last_name"}) == 1:
        return "first_name" if "last_name" in others else "last_name"
    return "line1" if part == WHOLE else part


def prefer_letters(candidates: Sequence[Candidate]) -> None:
    """Let a column of places with numbers only, such as `Region (ID)`, be used only if there is
    none with letters."""
    numbers = [c for c in candidates if c.profile.sample and not has_letters(c.profile)]
    if len(numbers) < len(candidates):
        for candidate in numbers:
            candidate.match = replace(candidate.match, rank=(2, *candidate.match.rank[1:]))


def _is_place(candidate: Candidate, columns: Sequence[Candidate]) -> bool:
    """Return whether a column headed as a country has no countries, next to one that has."""
    shares = [country_share(c.profile) for c in columns if c.match.field == "country"]
    is_none = bool(candidate.profile.sample) and country_share(candidate.profile) == 0
    return is_none and max(shares) > 0


def move_streets(groups: Groups) -> None:
    """Let a further line of an address be the street of the address with its number, if that has a
    city but no street: `Address 2` with `City 2`, `Address3` with `City3`."""
    for key in [key for key in groups if is_later(key[1])]:
        parts = {c.match.field for c in groups[key]}
        name, number = divide_name(key[1])
        if parts & _LINES or not parts & {"city", "zip"}:
            continue
        for candidate in list(groups.get((key[0], name), ())):
            if candidate.match.field == "line2" and _number_of(candidate.heading) == number:
                groups[key[0], name].remove(candidate)
                candidate.match = replace(candidate.match, field="line1", group=key[1])
                groups[key].append(candidate)


def _number_of(heading: str) -> int | None:
    """Return the number at the end of a heading, or None."""
    text = comparable(heading)
    digits = text[len(text.rstrip("0123456789")) :]
    return int(digits) if digits else None


def merge_strays(groups: Groups) -> None:
    """Move parts that are headed as those of no address to the address that lacks them:
    `Billing Address` with `City` and `Zip`, or `Country` with `Billing Street`."""
    plain = groups.get((NEUTRAL, ""), [])
    parts = {c.match.field for c in plain}
    others = [key for key in groups if key != (NEUTRAL, "")]
    if not plain:
        return
    _merge_parts(groups, plain)
    if parts & _LINES:
        without = [k for k in others if not {c.match.field for c in groups[k]} & _LINES]
        if parts <= {*_LINES, *PARTS_OF_STREETS, *PERSON} and len(without) == 1:
            groups[without[0]] += groups.pop((NEUTRAL, ""))
        return
    streets = [
        key
        for key in others
        if {c.match.field for c in groups[key]} <= {*_LINES, *PARTS_OF_STREETS, *PERSON}
        and any(c.match.field in _LINES for c in groups[key])
    ]
    streets = [key for key in streets if key[0] == SHIPPING] or streets
    if len(streets) != 1 and len(others) == 1 and len(parts) <= _MAX_STRAY_PARTS:
        other = {c.match.field for c in groups[others[0]]}
        streets = others if other & _LINES and not other & parts else []
    if len(streets) == 1:
        groups[streets[0]] += groups.pop((NEUTRAL, ""))


def _merge_parts(groups: Groups, plain: list[Candidate]) -> None:
    """Move a part of a neutral address without a street, such as `Pays de résidence`, to the
    address of no name that has a street and lacks the part."""
    for key in [key for key in groups if key[0] == NEUTRAL and key[1]]:
        parts, fields = groups[key], {c.match.field for c in plain}
        own = {c.match.field for c in parts}
        if fields & _LINES and len(own) <= _MAX_STRAY_PARTS and not own & (fields | _LINES):
            plain += groups.pop(key)
