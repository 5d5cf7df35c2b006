"""Recognise the headings of columns: the fields that they are known for in other systems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from regulars.transfer.heading_dictionary import (
    MAX_CHARACTERS,
    Group,
    comparable,
    dictionary,
    words,
)

SHIPPING, BILLING, NEUTRAL = "shipping", "billing", "neutral"
# A whole address in one cell, and a part that is a city or an area.
WHOLE, SUBURB = "whole", "suburb"
COMPANY = "company"
# The fields of a customer that an address has, too.
_OF_ADDRESS = {
    "email": "email",
    "phone": "phone",
    "first_name": "first_name",
    "last_name": "last_name",
    "name": "name",
    "full_name": "name",
}
_MAX_DEPTH = 2
# Parts of an address that may share a column.
_PLACES = {"city": "place", "area": "place", "suburb": "place", "state": "place"}
_OF_PLACE = ("zip", "state", "country")
# Characters of a comparable heading that may be composed of others, and of a word in it.
_MAX_COMPOSED = 60
_MAX_WORD = 24

# Words of a question that are not of its small ones.
_MAX_QUESTION_WORDS = 3

_PARENTHESES = re.compile(r"[(\[（]([^()\[\]（）]*)[)\]）]")
# `国 (自宅)/地域` is `国/地域 (自宅)`.
_INNER_PARENTHESES = re.compile(r"^([^()/]+?) ?(\([^()/]+\))(/[^()/]+)$")
_NUMBERED = re.compile(r"\s[-–]\s(\d{1,2})\s*$")
_FIRST_OF_LIST = re.compile(r"[.\[]0\b")
# Between two names of one column: `Cidade/Município`, `Postcode (or ZIP)`.
_ALTERNATIVES = re.compile(
    r"\s*[/|／・,;+&]\s*|\s+(?:or|o|ou|oder|lub|veya|или|або|and|et|y|e|und|en|i|a|og|och|ja|és|ve|și|si|in"
    r"|и|та|і|και)\s+",
    re.IGNORECASE,
)
_MAX_ALTERNATIVES = 4
_QUESTION_MARKS = ("?", "？", "؟")
_PARTS_OF_NAMES = ("first_name", "last_name")
_NAMES = ("name", "full_name")
_STREETS = frozenset(("line1", "house_number", "line2"))


@dataclass(frozen=True, slots=True)
class Match:
    """What a heading is known for.

    `field` is a field of a customer, or with a `group` a part of an address. `kind` is that of the
    address: shipping, billing or neutral. `rank` orders the headings of a field: lower is better,
    and a first number above 0 is of a heading that is used only if the others have no values.
    """

    field: str
    rank: tuple[int, int, int]
    group: str | None = None
    kind: str = NEUTRAL


def group_order(group: str) -> int:
    """Return the preference of a group of address parts: lower is better."""
    name = group.partition(" ")[0]
    return dictionary().group_order.get(name, len(dictionary().group_order))


def has_part(group: str, part: str) -> bool:
    """Return whether a group of address parts can have a part: an address of a home has no
    company."""
    name = group.partition(" ")[0]
    return not any(g.name == name and part in g.skip for g in dictionary().groups.values())


@lru_cache(maxsize=4_096)
def match_heading(heading: str) -> Match | None:
    """Return what a heading is known for, or None.

    A heading may be composed of words that name an address (or its owner) and a part, in any
    order: `Billing City`, `addresses.0.postcode`, `Ciudad de facturación`, `City - 1`.
    """
    text = heading.strip()
    if len(text) > MAX_CHARACTERS or "metafield" in text.lower():
        return None
    text = _INNER_PARENTHESES.sub(r"\1\3 \2", text)
    number = ""
    if numbered := _NUMBERED.search(text):
        number, text = numbered[1], text[: numbered.start()]
    for penalty, variant in enumerate(_variants(text)):
        match = _find(variant, 0)
        if match is None:
            continue
        if number and match.group is None and number != "1":
            return None
        group = f"{match.group} {number}" if number and match.group is not None else match.group
        tier, index, steps = match.rank
        return replace(match, group=group, rank=(tier, index, steps + penalty))
    return None if number else _match_alternatives(text) or _match_question(text)


def _match_alternatives(text: str) -> Match | None:
    """Return what a heading of several names is known for: the first of those that are known, if
    all of these are of one field, or of places (`Tỉnh/Thành phố`). Two names of a person are a
    whole name, and a street and its number are a street."""
    names = names_in(text)
    if not 1 < len(names) <= _MAX_ALTERNATIVES or comparable(text) in dictionary().never:
        return None
    variants = [_variants(name) for name in names]
    found = [next(filter(None, (_find(v, 0) for v in listed)), None) for listed in variants]
    known = [match for match in found if match is not None]
    if len(known) == len(found) == 2 and {m.field for m in known} == {"first_name", "last_name"}:
        return replace(known[0], field="full_name")
    places = {m.field for m in known} - {"state"}
    if len(known) == len(found) and places == {"zip", "city"}:
        return replace(known[0], field="zip_city")
    if len(known) == len(found) and "line1" in {m.field for m in known} <= _STREETS:
        return replace(known[0], field="line1")
    known = [match for match in known if match.field != COMPANY] or known  # `Name / Company`
    fields = {_PLACES.get(match.field, match.field) for match in known}
    # `Estado o provincia de correspondencia`: the words of the group are those of both names.
    all_groups = {(match.kind, match.group) for match in known}
    groups = {(kind, group) for kind, group in all_groups if group} or all_groups
    if len(fields) != 1 or len(groups) != 1 or "external_id" in fields:
        return None
    (kind, group), (tier, index, steps) = groups.pop(), known[0].rank
    return replace(known[0], kind=kind, group=group, rank=(tier, index, steps + _MAX_DEPTH))


def _match_question(text: str) -> Match | None:
    """Return what a question of a form asks for: `Which city do you live in?`."""
    listed = words(text)
    asked = [word for word in listed if word not in dictionary().questions]
    if text[-1:] not in _QUESTION_MARKS or not 0 < len(asked) <= _MAX_QUESTION_WORDS:
        return None
    return _find("".join(asked), 1) if len(asked) < len(listed) else None


def names_in(heading: str) -> list[str]:
    """Return the names in a heading of several, such as `Ime i prezime`."""
    return [name for name in _ALTERNATIVES.split(heading) if name]


def _variants(text: str) -> list[str]:
    """Return the comparable forms of a heading: as it is, without `0` of a list, without what is in
    parentheses, and with the words of its abbreviations."""
    # `Street & number` is no street number.
    variants = [comparable(text.replace("&", " and "))] if "&" in text else []
    variants.append(comparable(text))
    if _FIRST_OF_LIST.search(text):
        variants.append("".join(word for word in words(text) if word != "0"))
    parentheses = [comparable(inner) for inner in _PARENTHESES.findall(text)]
    if parentheses and not any(inner in dictionary().in_parentheses for inner in parentheses):
        without = comparable(_PARENTHESES.sub(" ", text))
        variants += [inner for inner in parentheses if _is_part_of_name(inner, without)]
        if without[-1:].isdigit():  # `Rue (bureau) 2`
            variants.append(without + "".join(parentheses))
        variants.append(without)
    short = dictionary().abbreviations
    if any(word in short for word in words(text)):  # `CUST_FST_NM`, `ADDR_LN_1`
        variants.append("".join([short.get(word, word) for word in words(text)]))
    return [variant for variant in dict.fromkeys(variants) if variant]


def _is_part_of_name(inner: str, outer: str) -> bool:
    """Return whether a heading has a part of a name in parentheses: `氏名（姓）`, `Name (Last)`."""
    field, found = dictionary().fields.get(inner, ("",))[0], _find(outer, 0) if outer else None
    return field in _PARTS_OF_NAMES and found is not None and found.field in _NAMES


@lru_cache(maxsize=4_096)
def _find(key: str, depth: int) -> Match | None:
    """Find a comparable heading; `depth` counts the words that were taken off."""
    known = dictionary()
    if key in known.never:
        return None
    if field := known.fields.get(key):
        return Match(field[0], (field[1], field[2], depth))
    if part := known.parts.get(key):
        return Match(part[0], (0, part[1], depth), "")
    if len(key) > _MAX_COMPOSED:
        return None
    if depth < _MAX_DEPTH:
        rests = _without(key, known.owners)
        rests.sort(key=lambda rest: rest not in known.fields and rest not in known.parts)
        for owned in rests:
            if match := _find(owned, depth + 1):
                return match
    if address := _part(key):
        field_name, rank, number = address
        if field_name == "email":
            return Match(field_name, (1, rank, depth + 1))
        if field_name != WHOLE:
            return Match(field_name, (0, rank, depth + 1), f" {number}" if number else "")
    if match := _find_in_groups(key, depth):
        return match
    is_numbered = len(key) > 1 and key[-1] in "123456789" and not key[-2].isdigit()
    if is_numbered and depth < _MAX_DEPTH:
        match = _find(key[:-1], depth + 1)
        if key[-1] == "1" or match is None:
            return match
        if match.group is not None and match.field in ("city", *_OF_PLACE):  # `City 2`
            return replace(match, group=f"{match.group} {key[-1]}")
        if match.group is not None and match.field in (WHOLE, "line1"):
            if key[-1] != "2":  # `Street 3`, which has a city of its own or is a third line
                return replace(match, field="line1", group=f"{match.group} {key[-1]}")
            if match.group:
                return replace(match, field="line2")  # `Dirección de facturación 2`
    return None


def _find_in_groups(key: str, depth: int) -> Match | None:
    """Find a heading with the words of a group of address parts at its beginning or end."""
    for group, rests in _divide_by_groups(key):
        address = next(filter(None, map(_part, rests)), None)
        if address is None and (part := dictionary().parts_of_groups.get(rests[0])):
            address = (part, 0, "")
        if address and (match := _in_group(group, address, depth)):
            return match
    # "Dirección de envío" is an address word, glue, and a group.
    for candidate in _without_address(key)[1:]:
        if candidate in dictionary().groups:
            return _in_group(dictionary().groups[candidate], (WHOLE, 0, ""), depth)
    return None


def _without_address(key: str) -> list[str]:
    """Return a key, and what it is without the word of an address at its beginning."""
    keys = [key]
    for rest in _beginnings_removed(key, dictionary().address):
        keys += [rest, *_without_glue(rest)]
    return keys


def _divide_by_groups(key: str) -> Iterator[tuple[Group, list[str]]]:
    """Yield the groups of address parts whose words are at an end of a key, each with the rest of
    the key, and what the rest is without glue, a number or the word of an address."""
    groups = dictionary().groups
    for candidate in _without_address(key):
        for length in _word_lengths(candidate):
            for word, rest in (
                (candidate[:length], candidate[length:]),
                (candidate[-length:], candidate[:-length]),
            ):
                group = groups.get(word)
                if group is None:
                    continue
                rests = [rest, *_without_glue(rest)]
                if rest[:1] == "1":  # `shipping_1_city`
                    rests.append(rest[1:])
                for longer in rests[:]:  # `Ciudad de la dirección de envío`
                    for shorter in _ends_removed(longer, dictionary().address):
                        rests += _without_glue(shorter)
                yield group, rests


def _in_group(group: Group, address: tuple[str, int, str], depth: int) -> Match | None:
    part, rank, number = address
    if part in group.skip:
        return None
    if part in group.own:
        order = 100 * dictionary().group_order[group.name]
        return Match(part, (0, 1_000 + order + rank, depth + 1))
    if part == WHOLE and group.kind == NEUTRAL:
        part, rank = "line1", 1_000
    name = f"{group.name} {number}" if number else group.name
    return Match(part, (0, rank, depth + 1), name, group.kind)


def _part(key: str) -> tuple[str, int, str] | None:
    """Return a part of an address, its rank and the number of the address."""
    known = dictionary()
    if key in known.address:
        return WHOLE, 0, ""
    if part := _plain_part(key):
        return (*part, "")
    for rest in _beginnings_removed(key, known.address):
        bare = rest.lstrip("0123456789")
        number = rest[: len(rest) - len(bare)]
        if part := _plain_part(rest) or _plain_part(bare):
            return (*part, "" if part == _plain_part(rest) else number)
    return None


def _plain_part(key: str) -> tuple[str, int] | None:
    known = dictionary()
    if part := known.parts.get(key):
        return part
    field = known.fields.get(key)
    return (_OF_ADDRESS[field[0]], field[2]) if field and field[0] in _OF_ADDRESS else None


def _without(key: str, parts: frozenset[str]) -> list[str]:
    """Return a key without a word at its beginning or end, the longest word first."""
    rests = []
    for length in _word_lengths(key):
        if key[:length] in parts:
            rests += [key[length:], *_without_glue(key[length:])]
        if key[-length:] in parts:
            rests += [key[:-length], *_without_glue(key[:-length])]
    return [rest for rest in rests if rest]


def _word_lengths(key: str) -> range:
    """Return the lengths of words at an end of a key, the longest first."""
    return range(min(len(key) - 1, _MAX_WORD), 0, -1)


def _beginnings_removed(key: str, parts: frozenset[str]) -> list[str]:
    return [key[length:] for length in _word_lengths(key) if key[:length] in parts]


def _ends_removed(key: str, parts: frozenset[str]) -> list[str]:
    return [key[:-length] for length in _word_lengths(key) if key[-length:] in parts]


def _without_glue(key: str) -> list[str]:
    """Return a key without a word such as `de` at its end or beginning; empty if it has none."""
    rests = []
    for word in dictionary().glue:
        if key.endswith(word):
            rests.append(key[: -len(word)])
        if key.startswith(word):
            rests.append(key[len(word) :])
    return [rest for rest in rests if rest]


def is_status(heading: str) -> bool:
    """Return whether a heading is one of a status, which may be a consent."""
    statuses = dictionary().statuses
    return any(
        key in statuses or any(rest in statuses for rest in _without(key, dictionary().owners))
        for key in _variants(heading.strip())
    )


def is_name_too(heading: str) -> bool:
    """Return whether a heading of a first name means a whole name, too, as `Tên` and `Ime`."""
    known = dictionary()
    key = comparable(heading)
    return any(rest in known.names_too for rest in (key, *_without(key, known.owners)))


def is_number_heading(heading: str) -> bool:
    """Return whether a heading next to that of a street is one of the number of the house: `Nr.`,
    `Billing Number`."""
    key, numbers = comparable(heading), dictionary().numbers
    return key in numbers or any(
        not numbers.isdisjoint(rests) for _, rests in _divide_by_groups(key[:_MAX_COMPOSED])
    )
