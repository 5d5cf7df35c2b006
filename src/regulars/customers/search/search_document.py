"""What a customer is found by: columns made of the others, and the terms that index them.

`words` holds a line for each text that a word is looked for in, `notes_words` the same of the
notes, and `facets` a line `key:value` for each value that is looked for whole. The terms of the
index are the facets, `notes:WORD`, and `w:WORD` for each word that no other index begins with: most
names and emails are found by the indexes of their orders, and each term is a row to write.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.core.text import folded, full_name
from regulars.customers.fields import FIELDS
from regulars.customers.search import phones
from regulars.customers.search.words import WORD_LENGTH, as_folded, has_term, lines, terms
from regulars.store import Row

WORD = "w:"


def _searched(*kinds: type[fields.Field]) -> tuple[Any, ...]:
    return tuple(f for f in FIELDS if f.search and isinstance(f, kinds))


# What is searched, by kind.
_FULL_NAMES = tuple(field.sources for field in _searched(fields.FullName))
_PHONES = names_of(_searched(fields.Phone))
_TAGS = tuple((field.key, field.name) for field in _searched(fields.Tags))
_ADDRESSES = names_of(_searched(fields.Address))
_JSON = names_of(_searched(fields.Json))
(_LONG_TEXT,) = names_of(_searched(fields.LongText))
# Texts that are compared whole without an index of their own.
_FACET_TEXTS = names_of([field for field in _searched(fields.Text) if not field.sort])
# Texts whose words are searched, but for those of a full name, which has them.
_WORD_TEXTS = tuple(
    name
    for name in names_of(_searched(fields.Email, fields.Text))
    if not any(name in sources for sources in _FULL_NAMES)
)
NOTES = f"{_LONG_TEXT}:"

# Where a word that is looked for may begin a text that has an index already: by a column, or by a
# facet of these keys.
BEGINNINGS = tuple(
    field.folded_column
    for field in (*_searched(fields.Text), *_searched(fields.Email))
    if field.sort
)
TAG_KEYS = tuple(key for key, _ in _TAGS)
PHONE_KEYS = _PHONES
_BEGINNING_FACETS = tuple(f"\n{key}:" for key in (*TAG_KEYS, *PHONE_KEYS))

# The columns that a customer's terms are made of: where a word begins another text now, it has a
# term no longer, though the words are the same.
TERMS_OF = ("words", "notes_words", "facets", *BEGINNINGS)

# A facet is cut here, in what is kept as in what is looked for: PostgreSQL indexes up to 2,704
# bytes, and a code point takes up to 4.
FACET_LENGTH = 512

_TAG_COLUMNS = tuple(name for _, name in _TAGS)
# The columns that each derived one is made of.
_SOURCES = {
    "words": (
        *_WORD_TEXTS,
        *_PHONES,
        *(name for sources in _FULL_NAMES for name in sources),
        *_TAG_COLUMNS,
    ),
    "notes_words": (_LONG_TEXT,),
    "facets": (*_PHONES, *_TAG_COLUMNS, _LONG_TEXT, *_JSON, *_ADDRESSES, *_FACET_TEXTS),
}
# Of the notes, a facet says only whether there are any.
_NOT_READ = {"words": (), "notes_words": (), "facets": (_LONG_TEXT,)}
_SETS = {name: frozenset(sources) for name, sources in _SOURCES.items()}
SOURCES = frozenset(source for sources in _SOURCES.values() for source in sources)

# What one command may change of the index of several customers, and what a batch of commands may,
# as `work_of` counts it. So much takes a second or two; who writes to the same SQLite file waits.
MOST_WORK = 1_000_000
MOST_BATCH_WORK = 300_000
# Facets, or notes, that are longer are searched by other means than short ones.
_LONG = 4_096

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


def work_of(before: Row | None, after: Row | None) -> int:
    """How much must be indexed for a change of a row: characters of the derived columns that change
    with it, before and after, and of what they are made of. Text that is not ASCII has an entry for
    up to each character, and counts twice; the removal of an entry takes longer than another."""
    work = 0
    for name, sources in _SOURCES.items():
        if before is None:
            changed = True
        elif after is None:
            work += 2 * _size(before[name])
            continue
        else:
            changed = any(before[source] != after[source] for source in sources)
            if changed:
                work += _size(before[name])
        if changed and after is not None:
            raw = [len(after[source] or "") for source in sources if source not in _NOT_READ[name]]
            work += _size(after[name]) + sum(raw)
    return work


def _size(text: str) -> int:
    return len(text) if text.isascii() else 2 * len(text)


def derived(row: Row, changed: Collection[str] = SOURCES) -> dict[str, str]:
    """The derived columns of a customer's row that are made of the columns `changed`."""
    columns = {}
    tags: dict[str, list[str]] = {key: orjson.loads(row[name]) for key, name in _TAGS}
    known_by = {name: phones.forms(row[name]) for name in _PHONES}
    if _any_of("words", changed):
        texts = [full_name(row[first], row[last]) for first, last in _FULL_NAMES]
        texts += [row[name] for name in _WORD_TEXTS]
        for each in tags.values():
            texts += each
        # A number's forms are words as they are.
        forms = [f" {form} " for each in known_by.values() for form in each]
        columns["words"] = "\n".join([lines([text for text in texts if text]), *forms])
    if _any_of("notes_words", changed):
        notes = row[_LONG_TEXT]
        columns["notes_words"] = lines([notes.replace("\n", " ")]) if notes else ""
    if _any_of("facets", changed):
        columns["facets"] = _facets(row, tags, known_by)
    return columns


def _any_of(name: str, changed: Collection[str]) -> bool:
    return not _SETS[name].isdisjoint(changed)


def _facets(
    row: Row, tags: Mapping[str, list[str]], known_by: Mapping[str, Collection[str]]
) -> str:
    found = {f"{key}:{tag}": None for key, each in tags.items() for tag in each}
    for name in _ADDRESSES:
        if row[name]:
            parts = orjson.loads(row[name])
            for key in ADDRESS_KEYS:
                if key in parts:
                    found[f"{key}:{parts[key]}"] = None
    for name in _JSON:
        if row[name]:
            found |= dict.fromkeys(_custom_facets(name, orjson.loads(row[name])))
    for name in _FACET_TEXTS:
        if row[name]:
            found[f"{name}:{row[name]}"] = None
    facets = [f"{name}:{form}" for name, forms in known_by.items() for form in forms]
    if found:
        facets += dict.fromkeys(_compared("\n".join(found)).split("\n"))
    facets += [f"{name}:" for name, forms in known_by.items() if row[name] and not forms]
    if row[_LONG_TEXT]:
        facets.append(NOTES)
    return "\n".join(["", *facets, ""]) if facets else ""


def _custom_facets(name: str, value: Any) -> Iterator[str]:
    """What custom fields hold, each value under its path: `custom.size.eu:42`. The values of a
    list stand under the list's."""
    waiting = [(name, value)]
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
    begins = _begins(row)
    found = {
        WORD + term
        for term in terms(row["words"]) | in_notes
        if not as_folded(term) or not begins(term)
    }
    found |= {NOTES + term for term in in_notes}
    found.update(filter(None, row["facets"].split("\n")))
    return found


def _begins(row: Row) -> Callable[[str], bool]:
    """Whether a term begins a text that has an index of its own: a name, the email, a tag, a
    phone."""
    facets = row["facets"]
    if len(facets) > _LONG:
        texts = sorted(_beginnings(row))

        def begins_one(term: str) -> bool:
            place = bisect_left(texts, term)
            return place < len(texts) and texts[place].startswith(term)

        return begins_one
    beginnings = "\n".join(["", *[row[name] for name in BEGINNINGS]])

    def begins(term: str) -> bool:
        if f"\n{term}" in beginnings:
            return True
        for prefix in _BEGINNING_FACETS:  # noqa: SIM110  # any() takes three times as long
            if prefix + term in facets:
                return True
        return False

    return begins


def _beginnings(row: Row) -> set[str]:
    """The texts that have an index of their own."""
    found = {row[name] for name in BEGINNINGS}
    for line in row["facets"].split("\n"):
        key, colon, value = line.partition(":")
        if colon and (key in TAG_KEYS or key in PHONE_KEYS):
            found.add(value)
    return found


def changed_terms(before: Row | None, after: Row | None) -> tuple[set[str], set[str]]:
    """The terms that a row gets, and those that it loses; None is a row that is not there. Long
    notes that stay are not indexed again."""
    if before is None or after is None:
        now, then = (terms_of(row) if row else set() for row in (after, before))
        return now, then
    notes = after["notes_words"]
    if before["notes_words"] != notes or len(notes) <= _LONG:
        now, then = terms_of(after), terms_of(before)
        return now - then, then - now
    now, then = (terms_of({**row, "notes_words": ""}) for row in (after, before))
    begins, began = _begins(after), _begins(before)
    # Of the words of the notes, those change that begin a text which is new or gone; and those that
    # another text has now, or had, keep their terms.
    candidates = {
        text[:length]
        for text in _beginnings(before) ^ _beginnings(after)
        for length in range(1, WORD_LENGTH + 1)
    }
    words = {term.removeprefix(WORD) for term in now ^ then if term.startswith(WORD)}
    for term in candidates | words:
        if has_term(notes, term):
            for found, is_begun in ((now, begins), (then, began)):
                if as_folded(term) and is_begun(term):
                    found.discard(WORD + term)
                else:
                    found.add(WORD + term)
    return now - then, then - now
