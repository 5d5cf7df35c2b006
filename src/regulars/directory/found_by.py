"""What a customer is found by: columns made of the others, and the terms that index them.

`words` holds a line for each text that a word is looked for in, `notes_words` the same of the
notes, and `facets` a line `key:value` for each value that is looked for whole. The terms of the
index are the facets, `notes:WORD`, and `w:WORD` for each word that no other index begins with: most
names and emails are found by the indexes of their orders, and each term is a row to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from regulars.directory import phones
from regulars.directory.text import folded, full_name
from regulars.directory.words import as_folded, lines, terms
from regulars.store import Row

WORD = "w:"
NOTES = "notes:"

# Where a word that is looked for may begin a text that has an index already.
BEGINNINGS = ("first_name_folded", "last_name_folded", "email_folded")

# The columns that a customer's terms are made of: where a word begins another text now, it has a
# term no longer, though the words are the same.
TERMS_OF = ("words", "notes_words", "facets", *BEGINNINGS)

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

# Runs of spaces, and spaces other than the plain one: a plain one alone is what they become.
_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")

ADDRESS_KEYS = ("country", "state", "city", "zip")


def facet(key: str, value: str) -> str:
    """A value under a key as it is compared: folded, each run of spaces one space."""
    return _compared(f"{key}:{value.strip()}")


def _compared(block: str) -> str:
    """Facets in lines, as they are compared."""
    found = folded(block)
    if "  " in found or not (found.isascii() and found.replace("\n", "").isprintable()):
        found = _SPACES.sub(" ", found)
    if len(found) <= FACET_LENGTH:
        return found
    return "\n".join([each[:FACET_LENGTH] for each in found.split("\n")])


def derived(row: Row) -> dict[str, str]:
    """The derived columns of a customer's row."""
    tags: list[str] = orjson.loads(row["tags"])
    known_by = phones.forms(row["phone"])
    name = full_name(row["first_name"], row["last_name"])
    found = {f"tag:{tag}": None for tag in tags}
    for stored in (row["shipping_address"], row["billing_address"]):
        if stored:
            parts = orjson.loads(stored)
            for key in ADDRESS_KEYS:
                if key in parts:
                    found[f"{key}:{parts[key]}"] = None
    if row["custom"]:
        found |= dict.fromkeys(_custom_facets(orjson.loads(row["custom"])))
    facets = [f"phone:{form}" for form in known_by]
    if found:
        facets += dict.fromkeys(_compared("\n".join(found)).split("\n"))
    if row["phone"] and not known_by:
        facets.append("phone:")
    if row["notes"]:
        facets.append(NOTES)
    texts = [text for text in (name, row["email"], *tags) if text]
    return {
        # A number's forms are words as they are.
        "words": "\n".join([lines(texts), *[f" {form} " for form in known_by]]),
        "notes_words": lines([row["notes"].replace("\n", " ")]) if row["notes"] else "",
        "facets": "\n".join(["", *facets, ""]) if facets else "",
    }


def _custom_facets(fields: Any) -> Iterator[str]:
    """What custom fields hold, each value under its path: `custom.size.eu:42`. The values of a
    list stand under the list's."""
    waiting = [("custom", fields)]
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, dict):
            waiting += [(custom_key(path, key), inner) for key, inner in here.items()]
        elif isinstance(here, list):
            waiting += [(path, inner) for inner in here]
        elif here is not None and here != "":
            text = here if isinstance(here, str) else orjson.dumps(here).decode()
            shown = text.replace("\n", " ").strip()
            yield f"{path}:{shown}"


@lru_cache(maxsize=10_000)
def custom_key(path: str, key: str) -> str:
    """The path of a key within another, folded. A colon in it is written as what no text has,
    so that it is not taken for the end of the key."""
    return f"{path}.{' '.join(folded(key).split())}".replace(":", "\x01")


def terms_of(row: Row) -> set[str]:
    """The terms of a row with its derived columns."""
    in_notes = terms(row["notes_words"])
    beginnings = "\n".join(["", *[row[name] for name in BEGINNINGS]])
    facets = row["facets"]
    found = {
        WORD + term
        for term in terms(row["words"]) | in_notes
        if not as_folded(term)
        or not (
            f"\n{term}" in beginnings or f"\ntag:{term}" in facets or f"\nphone:{term}" in facets
        )
    }
    found |= {NOTES + term for term in in_notes}
    found.update(filter(None, facets.split("\n")))
    return found
