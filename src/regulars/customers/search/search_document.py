"""The search document of a customer: the derived columns, which `index_terms` indexes.

`words` has a line for each text whose words are searched, `notes_words` and `address_words` the
same for the notes and the addresses, and `facets` a line `key:value` for each value that is matched
as a whole. A name or email has a facet only if the search and the order of lists fold it
differently.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson

from regulars.core import external_ids, fields
from regulars.core.fields import names_of
from regulars.core.text import FOLDED_LENGTH, fold, folded_letters, full_name, without_invisible
from regulars.customers import address_book
from regulars.customers.contact_points import KINDS, PHONES, Kind
from regulars.customers.fields import FIELDS
from regulars.customers.search import address_words, phones
from regulars.customers.search.phone_facets import contact_terms, ending_facets
from regulars.customers.search.words import (
    FACET_LENGTH,
    has_lone_characters,
    lines,
)
from regulars.store import Row


def _searched(*kinds: type[fields.Field]) -> tuple[Any, ...]:
    return tuple(f for f in FIELDS if f.search and isinstance(f, kinds))


# What is searched, by kind.
_FULL_NAMES = tuple(field.sources for field in _searched(fields.FullName))
_PHONES = names_of(_searched(fields.Phone))
_TAGS = tuple((field.key, field.name) for field in _searched(fields.Tags))
_ADDRESSES = names_of(_searched(fields.Address))
_LISTS = names_of(_searched(fields.ContactPoints))
_BOOKS = names_of(_searched(fields.Addresses))
ADDRESS_COLUMNS = (*_ADDRESSES, *_BOOKS)
_JSON = names_of(_searched(fields.Json))
(_EMAIL,) = names_of(_searched(fields.Email))
_EXTERNAL_IDS = tuple((field.key, field.name) for field in _searched(fields.ExternalIds))
(LONG_TEXT,) = names_of(_searched(fields.LongText))
# Texts that are matched as a whole and have no index of their own.
_FACET_TEXTS = names_of([field for field in _searched(fields.Text) if not field.sort])
# Texts whose words are searched, without the parts of a full name.
_WORD_TEXTS = tuple(
    name
    for name in names_of(_searched(fields.Email, fields.Text))
    if not any(name in sources for sources in _FULL_NAMES)
)
NOTES = f"{LONG_TEXT}:"

# Texts that lists are sorted by, which have an index of their own.
SORTED_TEXTS = tuple(
    field for field in (*_searched(fields.Text), *_searched(fields.Email)) if field.sort
)
TAG_KEYS = tuple(key for key, _ in _TAGS)
PHONE_KEYS = _PHONES
_TAG_COLUMNS = tuple(name for _, name in _TAGS)
_SORTED_NAMES = names_of(SORTED_TEXTS)
_sorted_names = itemgetter(*_SORTED_NAMES)
_SORTED_FULL_NAMES = tuple(
    (field.name, *field.sources) for field in _searched(fields.FullName) if field.sort
)
# The source columns of each derived column.
SOURCES_BY_COLUMN = {
    "words": (
        *_WORD_TEXTS,
        *(name for sources in _FULL_NAMES for name in sources),
        *_TAG_COLUMNS,
        *_LISTS,
    ),
    "notes_words": (LONG_TEXT,),
    address_words.COLUMN: ADDRESS_COLUMNS,
    "facets": (
        *_PHONES,
        *_TAG_COLUMNS,
        LONG_TEXT,
        *_JSON,
        *(name for _, name in _EXTERNAL_IDS),
        *ADDRESS_COLUMNS,
        *_FACET_TEXTS,
        *_SORTED_NAMES,
        *_LISTS,
    ),
}
_other_facet_sources = itemgetter(
    *ADDRESS_COLUMNS, *_JSON, *_FACET_TEXTS, *(name for _, name in _EXTERNAL_IDS)
)
_SOURCE_SETS = {name: frozenset(sources) for name, sources in SOURCES_BY_COLUMN.items()}
SOURCES = frozenset(source for sources in SOURCES_BY_COLUMN.values() for source in sources)

# Characters of stored tags that are parsed once: most customers have a few of the same tags.
_MAX_CACHED_TAGS = 256

# Runs of spaces and spaces other than U+0020, which become a single U+0020.
_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")

# The characters that the search and the order of lists may fold differently.
_UNUSUAL = re.compile(r"[^\x00-\x7f]|`")

ADDRESS_KEYS = ("country", "state", "city", "zip", "company")


def make_facet(key: str, value: str) -> str:
    """Return the facet of a value: folded, with single spaces."""
    return _normalize(f"{key}:{value.strip()}")


def sorted_text(value: str) -> str:
    """Return the form by which the search compares a text that lists are sorted by. Spaces
    count."""
    return folded_letters(without_invisible(value).strip())[:FOLDED_LENGTH]


def sorted_text_facet(key: str, text: str) -> str:
    """Return the facet of a text in the form of `sorted_text`."""
    return f"{key}:{text}"[:FACET_LENGTH]


def _sorted_text_facets(row: Row) -> Iterator[str]:
    """Yield the facets of names and emails whose column, which is folded as the contract says, is
    not what the search compares: `Łukasz`, `O’Brien`, and texts with invisible characters."""
    if not any(map(_is_folded_differently, _UNUSUAL.findall("".join(_sorted_names(row))))):
        return
    texts = [(name, row[name]) for name in _SORTED_NAMES]
    texts += [(name, full_name(row[a], row[b])) for name, a, b in _SORTED_FULL_NAMES]
    for name, value in texts:
        text = sorted_text(value)
        if text and text != fold(value):
            yield sorted_text_facet(name, text)


@lru_cache(maxsize=16_384)
def _is_folded_differently(character: str) -> bool:
    """Whether the search and the order of lists fold a character, and so each text with it,
    differently."""
    return folded_letters(character) != fold(character)


def with_country(row: Row, country: str) -> Row:
    """Return a row whose derived columns have its phones without a country code as numbers of
    `country`, an ISO 3166-1 code."""
    if not any(phones.is_local(entry.value) for entry in PHONES.points(row).entries):
        return row
    return {**row, **derive_columns(row, (*_PHONES, *_LISTS), country)}


def _normalize(block: str) -> str:
    """Fold lines of facets, collapse spaces, and cut each to `FACET_LENGTH`."""
    text = folded_letters(block)
    if "  " in text or not (text.isascii() and text.replace("\n", "").isprintable()):
        text = _SPACES.sub(" ", text)
    if len(text) <= FACET_LENGTH:
        return text
    return "\n".join([line[:FACET_LENGTH] for line in text.split("\n")])


def derive_columns(
    row: Row, changed: Collection[str] = SOURCES, country: str = ""
) -> dict[str, str]:
    """Return the derived columns of a customer's row that depend on the columns `changed`. Phones
    without a country code are numbers of `country`, if it is not empty."""
    # Loops: a comprehension takes as long as three rounds of one.
    dependent = _dependent_columns(tuple(changed))
    columns = {}
    tags: list[tuple[str, Sequence[str]]] = []
    for key, name in _TAGS:
        text = row[name]
        is_short = len(text) <= _MAX_CACHED_TAGS
        tags.append((key, _short_tags(text) if is_short else orjson.loads(text)))
    phone_forms: list[tuple[str, Sequence[str]]] = [
        (name, phones.forms(row[name], country) if row[name] else ()) for name in _PHONES
    ]
    other_emails: Sequence[str] = ()
    for list_name in _LISTS:
        if row[list_name] is not None:
            kind = KINDS[list_name]
            others = [entry.value for entry in kind.points(row).additional()]
            if kind.key_column:
                other_emails = others
            else:
                phone_forms = [
                    (name, _joined_forms(forms, others, country) if name == kind.default else forms)
                    for name, forms in phone_forms
                ]
    if "words" in dependent:
        texts = []
        for first, last in _FULL_NAMES:
            first_name, last_name = row[first], row[last]
            texts.append(full_name(first_name, last_name))
            # Chinese, Japanese and Korean names are written with the last name first.
            if first_name and has_lone_characters(last_name):
                texts.append(f"{last_name} {first_name}")
        texts += [row[name] for name in _WORD_TEXTS]
        texts += other_emails
        for _, values in tags:
            texts += values
        texts = list(filter(None, texts))
        columns["words"] = lines(texts) if texts else ""
    if "notes_words" in dependent:
        notes = row[LONG_TEXT]
        columns["notes_words"] = lines([notes.replace("\n", " ")]) if notes else ""
    if "facets" in dependent:
        addresses = addresses_of(row)
        columns["facets"] = _facets(row, tags, phone_forms, addresses, country)
        if address_words.COLUMN in dependent:
            columns[address_words.COLUMN] = address_words.lines_of(addresses) if addresses else ""
    return columns


def addresses_of(row: Row) -> list[Mapping[str, Any]]:
    """Return the addresses of a row, by `ADDRESS_COLUMNS`."""
    addresses = [orjson.loads(row[name]) for name in _ADDRESSES if row[name]]
    for name in _BOOKS:
        if row[name]:
            addresses += address_book.further(row[name])
    return addresses


def _joined_forms(forms: Sequence[str], others: Sequence[str], country: str) -> Sequence[str]:
    """Return forms of a phone with those of others."""
    further = (form for phone in others for form in phones.forms(phone, country))
    return list(dict.fromkeys([*forms, *further]))


@lru_cache(maxsize=1_000)
def _dependent_columns(changed: tuple[str, ...]) -> Collection[str]:
    """Return the derived columns that depend on columns."""
    return [name for name, sources in _SOURCE_SETS.items() if not sources.isdisjoint(changed)]


@lru_cache(maxsize=4_096)
def _short_tags(text: str) -> Sequence[str]:
    """Return stored tags."""
    return tuple(orjson.loads(text))


def _facets(
    row: Row,
    tags: Sequence[tuple[str, Sequence[str]]],
    phone_forms: Sequence[tuple[str, Sequence[str]]],
    addresses: Sequence[Mapping[str, Any]],
    country: str,
) -> str:
    facets = []
    for name, forms in phone_forms:
        for form in forms:
            if f"0{form}" not in forms:  # a search looks for that, too
                facets.append(f"{name}:{form}")  # noqa: PERF401  # see `derive_columns`
    raw_facets: dict[str, None] = {}
    for key, values in tags:
        for tag in values:
            raw_facets[f"{key}:{tag}"] = None
    if any(_other_facet_sources(row)):
        for name in _BOOKS:
            if row[name]:
                raw_facets |= dict.fromkeys(map(address_term, address_book.own_ids(row[name])))
        for parts in addresses:
            for key in ADDRESS_KEYS:
                if key in parts:
                    raw_facets[f"{key}:{parts[key]}"] = None
        for name in _JSON:
            if row[name]:
                raw_facets |= dict.fromkeys(_custom_facets(name, orjson.loads(row[name])))
        for name in _FACET_TEXTS:
            if row[name]:
                raw_facets[f"{name}:{row[name]}"] = None
        for key, name in _EXTERNAL_IDS:
            if row[name]:
                for external in external_ids.load(row[name]):
                    raw_facets[f"{key}:{external}".replace("\n", " ")] = None
    if raw_facets:
        facets += dict.fromkeys(_normalize("\n".join(raw_facets)).split("\n"))
    for name, forms in phone_forms:
        if forms:
            facets += ending_facets(row, forms, country)
        elif row[name]:
            facets.append(f"{name}:")
    texts = "".join(_sorted_names(row))
    if not texts.isascii() or "`" in texts:
        facets += _sorted_text_facets(row)
    if row[LONG_TEXT]:
        facets.append(NOTES)
    if not row[_EMAIL]:
        facets += contact_terms(row, country)
    for list_name in _LISTS:
        if row[list_name] is not None:
            facets += _list_facets(KINDS[list_name], row)
    return "\n" + "\n".join(facets) + "\n" if facets else ""


def _list_facets(kind: Kind, row: Row) -> Iterator[str]:
    """Yield the facets of a list of emails or phones, without the forms of the phones."""
    points = kind.points(row)
    for entry in points.additional() if kind.key_column else ():
        yield sorted_text_facet(kind.default, sorted_text(entry.value))
        yield email_facet(kind.key(entry.value))
    if len(points.entries) > 1:
        yield f"{kind.name}_count:{len(points.entries)}"


def email_facet(key: str) -> str:
    """Return the facet of an email that is not the default. No filter has this key."""
    return f"email_key:{key}"[:FACET_LENGTH]


def address_term(number: int) -> str:
    """Return the facet by which the customer with an address is found: the `_id` of one that is no
    default address. No filter of the search has this key."""
    return f"address:{-number}"


def _custom_facets(name: str, value: Any) -> Iterator[str]:
    """Yield the values of custom fields with their paths, as `custom.size.eu:42`. The items of a
    list have the path of the list."""
    pending = [(name, value)]
    while pending:
        path, item = pending.pop()
        if isinstance(item, dict):
            pending += [(custom_key(path, key), inner) for key, inner in item.items()]
        elif isinstance(item, list):
            pending += [(path, inner) for inner in item]
        elif item is not None and item != "":
            text = item if isinstance(item, str) else orjson.dumps(item).decode()
            line = text.replace("\n", " ").strip()
            yield f"{path}:{line}"


@lru_cache(maxsize=10_000)
def custom_key(path: str, key: str) -> str:
    """Return the folded path of a key within `path`. A colon becomes U+0001, which no text has,
    because a colon ends a path."""
    return f"{path}.{' '.join(folded_letters(key).split())}".replace(":", "\x01")
