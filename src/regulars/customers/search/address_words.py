"""The words of addresses: what a word finds in a street, a city, a postal code, a state or a
company.

They are lines of words, as `words.lines` makes them, streets first. In streets, a mark is before
each common word: numbers, short words, and words such as `rue`. Common words have no term, because
half of the words of a street are common, and each term of a customer costs a create 1 %. So they
are compared, but find nothing alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regulars.customers.search.words import (
    alone,
    as_folded,
    begins_one,
    facet_values,
    lines,
    terms,
)

COLUMN = "address_words"
# The beginning of the terms of words in addresses.
TERM_PREFIX = "a:"
# The parts whose values are facets: the beginning of a value finds it without a term.
FACET_PARTS = ("city", "state", "zip", "company")
_STREET = ("line1", "line2")
_OTHER_PARTS = (*FACET_PARTS, "area")
_STARTS = tuple(f"\n{part}:" for part in FACET_PARTS)
MARK = "~"
# Shorter words of streets are common, unless they are characters of a script without spaces.
_SHORT = 2
COMMON = frozenset(
    """
    street road avenue ave lane drive court place square boulevard blvd way close crescent terrace
    highway hwy parkway pkwy north south east west apt apartment suite ste unit floor room building
    bldg house box the rue des chemin route allee quai impasse cours batiment bat appartement etage
    residence strasse str weg platz gasse ring der den dem die das haus und calle avenida plaza
    paseo carrer carretera piso puerta del las los via viale piazza corso largo vicolo della dei
    rua travessa praca estrada andar bloco straat laan plein gata gatan vagen vej gade ulica ulice
    улица проспект дом квартира корпус cad sok mah شارع
    """.split()
)
# Longer facets are searched by bisection of their lines.
_LONG_LENGTH = 4_096


def is_common(word: str) -> bool:
    """Return whether a word of a street has no term."""
    return word in COMMON or word[0].isdecimal() or (len(word) <= _SHORT and not alone(word[0]))


def may_begin_common(text: str) -> bool:
    """Return whether a common word may begin with a text."""
    return is_common(text) or any(word.startswith(text) for word in COMMON)


def marked(words: Iterable[str]) -> str:
    """Return words of a street as they are stored, with single spaces."""
    return " ".join(
        [
            # `is_common`, faster for ASCII: digits come before letters.
            MARK + word
            if word in COMMON
            or (word < ":" or len(word) <= _SHORT if word.isascii() else is_common(word))
            else word
            for word in words
        ]
    )


def lines_of(addresses: Sequence[Mapping[str, Any]]) -> str:
    """Return the words of addresses. They are not empty if there is an address."""
    if len(addresses) == 1:  # nearly all customers
        (address,) = addresses
        streets = [address[part] for part in _STREET if part in address]
        others = [address[part] for part in _OTHER_PARTS if part in address]
    else:
        streets = _texts(addresses, _STREET)
        others = _texts(addresses, _OTHER_PARTS)
    texts = streets + others
    if not texts:
        return " "
    text = lines([text.replace("\n", " ") for text in texts])
    if not streets:
        return text
    rows = text.split("\n")
    for index in range(len(streets)):
        rows[index] = f" {marked(rows[index].split())} "
    return "\n".join(rows)


def _texts(addresses: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> list[str]:
    """Return parts of addresses, each text once."""
    texts = (address[part] for address in addresses for part in parts if part in address)
    return list(dict.fromkeys(texts))


def terms_of(stored_lines: str, facets: str) -> list[str]:
    """Return the terms of stored lines: those that begin no facet of an address. An address has at
    least a term or a facet."""
    result: list[str] = []
    if len(facets) > _LONG_LENGTH:
        values = sorted(facet_values(facets, FACET_PARTS))
        result += [
            TERM_PREFIX + term
            for term in terms(stored_lines)
            if term[0] != MARK and not (as_folded(term) and begins_one(values, term))
        ]
    else:
        for term in terms(stored_lines):
            if term[0] == MARK:
                continue
            if term.isascii() or as_folded(term):
                for start in _STARTS:
                    if start + term in facets:
                        break
                else:
                    result.append(TERM_PREFIX + term)
            else:
                result.append(TERM_PREFIX + term)
    if not result and not any(start in facets for start in (*_STARTS, "\ncountry:")):
        result.append(TERM_PREFIX)
    return result
