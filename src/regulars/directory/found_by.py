"""What a customer is found by: columns made of the others, and the terms that index them.

`words` holds a line for each text that a word is looked for in, `notes_words` the same of the
notes, and `facets` a line `key:value` for each value that is looked for whole. The terms of the
index are the facets, `notes:WORD`, and `w:WORD` for each word that no other index begins with: most
names and emails are found by the indexes of their orders, and each term is a row to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from regulars.directory import addresses, custom, phones
from regulars.directory.text import folded, full_name
from regulars.directory.words import line, terms, words
from regulars.store import Row

COLUMNS = ("words", "notes_words", "facets")

WORD = "w:"
NOTES = "notes:"

# Where a word that is looked for may begin a text that has an index already.
BEGINNINGS = ("first_name_folded", "last_name_folded", "email_folded")

# A facet is cut here, in what is kept as in what is looked for: PostgreSQL indexes up to 2,704
# bytes, and a code point takes up to 4.
FACET_LENGTH = 512

# The columns that the derived ones are made of.
SOURCES = frozenset(
    {
        "email",
        "phone",
        "first_name",
        "last_name",
        "tags",
        "notes",
        "custom",
        "shipping_address",
        "billing_address",
    }
)

ADDRESS_KEYS = ("country", "state", "city", "zip")


def facet(key: str, value: str) -> str:
    """A value under a key as it is compared: folded, each run of spaces one space."""
    return f"{key}:{' '.join(folded(value).split())}"[:FACET_LENGTH]


def derived(row: Row) -> dict[str, str]:
    """The derived columns of a customer's row."""
    tags: list[str] = orjson.loads(row["tags"])
    known_by = phones.forms(row["phone"])
    texts = (full_name(row["first_name"], row["last_name"]), row["email"], *tags)
    lines = [line(words(text)) for text in texts] + [line([form]) for form in known_by]
    facets = dict.fromkeys([f"phone:{form}" for form in known_by])
    facets |= dict.fromkeys(facet("tag", tag) for tag in tags)
    for stored in (row["shipping_address"], row["billing_address"]):
        parts = addresses.load(stored) or {}
        facets |= dict.fromkeys(facet(key, parts[key]) for key in ADDRESS_KEYS if key in parts)
    if row["phone"] and not known_by:
        facets["phone:"] = None
    if row["notes"]:
        facets[NOTES] = None
    facets |= dict.fromkeys(_custom_facets(custom.load(row["custom"])))
    return {
        "words": "\n".join(filter(None, lines)),
        "notes_words": line(words(row["notes"])) if row["notes"] else "",
        "facets": "\n".join(["", *facets, ""]) if facets else "",
    }


def _custom_facets(fields: Any) -> Iterator[str]:
    """A facet for each value that custom fields hold, under its path: `custom.size.eu:42`. The
    values of a list stand under the list's."""
    waiting = [("custom", fields)] if fields else []
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, dict):
            waiting += [(custom_key(path, key), inner) for key, inner in here.items()]
        elif isinstance(here, list):
            waiting += [(path, inner) for inner in here]
        elif here is not None and here != "":
            yield facet(path, here if isinstance(here, str) else orjson.dumps(here).decode())


def custom_key(path: str, key: str) -> str:
    """The path of a key within another, folded. A colon in it is written as what no folded text
    has, so that it is not taken for the end of the key."""
    return f"{path}.{' '.join(folded(key).split())}".replace(":", "\x1f")


def terms_of(row: Row) -> set[str]:
    """The terms of a row with its derived columns."""
    in_notes = terms(row["notes_words"])
    first, last, email = [row[name] for name in BEGINNINGS]
    facets = row["facets"]
    found = {
        WORD + term
        for term in terms(row["words"]) | in_notes
        if not (
            first.startswith(term)
            or last.startswith(term)
            or email.startswith(term)
            or f"\ntag:{term}" in facets
            or f"\nphone:{term}" in facets
        )
    }
    found |= {NOTES + term for term in in_notes}
    found.update(filter(None, facets.split("\n")))
    return found
