"""The dictionary of the headings of columns, and the form in which headings are compared.

The data is `headings.toml`. It is loaded when the first heading is looked up.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from regulars.core.fields import Address, Addresses, ContactPoints, ExternalIds
from regulars.customers.fields import WRITABLE

# Characters of a heading that are compared. Longer ones are questions of a survey.
MAX_CHARACTERS = 120
# The preference of headings that are declared with a field, after those of the dictionary.
_DECLARED = 500
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
# Letters that have no decomposition, Arabic letters that are written in two ways, and the postal
# mark of Japan.
_FOLDED = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ı": "i",
        "æ": "ae",
        "œ": "oe",
        "ى": "ي",
        "ة": "ه",
        "ـ": None,
        "〒": "郵便番号",
    }
)
_ARTICLE = "ال"
_MIN_WITH_ARTICLE = 5


@dataclass(frozen=True, slots=True)
class Group:
    """Words that say which address a part is of.

    `own` parts are the customer's, and `skip` parts are not recognised.
    """

    name: str
    kind: str
    own: frozenset[str]
    skip: frozenset[str]


@dataclass(frozen=True, slots=True)
class Secrets:
    """Words of the headings of secrets."""

    words: frozenset[str]
    last: frozenset[str]
    exact: frozenset[str]
    inside: tuple[str, ...]
    harmless: frozenset[str]


@dataclass(frozen=True, slots=True)
class ValueWords:
    """Comparable values of the states of an account, and of the districts of Portugal."""

    account_states: frozenset[str]
    districts: frozenset[str]


@dataclass(frozen=True, slots=True)
class ContactWords:
    """Words of the headings of further emails and phones. `labels` are labels by word, and `nouns`
    are comparable headings of a field of emails or phones, by field."""

    labels: Mapping[str, str]
    additional: frozenset[str]
    nouns: Mapping[str, frozenset[str]]
    label: frozenset[str]
    value: frozenset[str]
    excluded: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What is known of headings. All of them are comparable.

    `fields` have the field, the tier and the preference, `parts` the part and the preference.
    `spellings` are headings that are not ASCII as they are written, in lower case. `stems` are
    beginnings of the words of unknown headings, by field. `abbreviations` have their words.
    """

    fields: Mapping[str, tuple[str, int, int]]
    parts: Mapping[str, tuple[str, int]]
    parts_of_groups: Mapping[str, str]
    statuses: frozenset[str]
    numbers: frozenset[str]
    names_too: frozenset[str]
    activities: frozenset[str]
    subscriptions: tuple[tuple[str, str], ...]
    ids_of_subscribers: frozenset[str]
    order_columns: frozenset[str]
    plain_ids: frozenset[str]
    calling_codes: frozenset[str]
    form_columns: frozenset[str]
    form_times: frozenset[str]
    questions: frozenset[str]
    particles: frozenset[str]
    abbreviations: Mapping[str, str]
    groups: Mapping[str, Group]
    group_order: Mapping[str, int]
    address: frozenset[str]
    owners: frozenset[str]
    glue: tuple[str, ...]
    never: frozenset[str]
    in_parentheses: frozenset[str]
    secrets: Secrets
    values: ValueWords
    contact_words: ContactWords
    spellings: frozenset[str]
    stems: Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=4_096)
def words(text: str) -> tuple[str, ...]:
    """Return the words of a heading without case, accents and punctuation, split at camelCase."""
    text = _CAMEL.sub(" ", unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]))
    text = unicodedata.normalize("NFKD", text).casefold().translate(_FOLDED)
    if not text.isascii():
        text = "".join([c for c in text if not unicodedata.combining(c)])
    found = _WORD.findall(unicodedata.normalize("NFC", text))
    return tuple(
        word.removeprefix(_ARTICLE) if len(word) >= _MIN_WITH_ARTICLE else word for word in found
    )


def comparable(text: str) -> str:
    """Return the form in which headings are compared: the letters and digits of `words`."""
    return "".join(words(text))


def _keys(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, map(comparable, texts)))


@lru_cache(maxsize=1)
def dictionary() -> Dictionary:
    """Return the dictionary. Loading it takes about 50 ms."""
    content = resources.files("regulars.transfer").joinpath("headings.toml").read_text("utf-8")
    data: dict[str, Any] = tomllib.loads(content)
    fields: dict[str, tuple[str, int, int]] = {}
    for tier, table in enumerate((data["fields"], data["weak"])):
        for field, headings in table.items():
            if field != "status":
                for index, heading in enumerate(headings):
                    fields.setdefault(comparable(heading), (field, tier, index))
    # A field that is added to the declarations is known by its name and its own headings. Ids of
    # other systems have a column for each system, and only our exports have lists of JSON.
    for declared in WRITABLE:
        if not isinstance(declared, (Address, Addresses, ContactPoints, ExternalIds)):
            for index, heading in enumerate((declared.name, *declared.headings.split())):
                fields.setdefault(comparable(heading), (declared.name, 0, _DECLARED + index))
    parts: dict[str, tuple[str, int]] = {}
    for part, headings in data["parts"].items():
        for index, heading in enumerate(headings):
            parts.setdefault(comparable(heading), (part, index))
    groups: dict[str, Group] = {}
    for name, table in data["groups"].items():
        group = Group(
            name, table["kind"], frozenset(table.get("own", ())), frozenset(table.get("skip", ()))
        )
        for word in table["words"]:
            groups.setdefault(comparable(word), group)
    listed, secrets = data["words"], data["secrets"]
    return Dictionary(
        fields=fields,
        parts=parts,
        parts_of_groups={
            comparable(heading): part
            for part, headings in data["parts_of_groups"].items()
            for heading in headings
        },
        statuses=_keys(data["fields"]["status"]),
        numbers=_keys(listed["numbers"]),
        names_too=_keys(listed["names_too"]),
        activities=_keys(listed["activities"]),
        subscriptions=tuple(
            (comparable(began), comparable(ended)) for began, ended in listed["subscriptions"]
        ),
        ids_of_subscribers=_keys(listed["ids_of_subscribers"]),
        order_columns=_keys(listed["order_columns"]),
        plain_ids=_keys(listed["plain_ids"]),
        calling_codes=_keys(listed["calling_codes"]),
        form_columns=_keys(listed["form_columns"]),
        form_times=_keys(listed["form_times"]),
        questions=_keys(listed["questions"]),
        particles=_keys(listed["particles"]),
        abbreviations=data["abbreviations"],
        groups=groups,
        group_order={name: index for index, name in enumerate(("", *data["groups"]))},
        address=_keys(listed["address"]),
        owners=_keys(listed["owners"]),
        glue=tuple(sorted(_keys(listed["glue"]), key=len, reverse=True)),
        never=_keys(listed["never"]) - fields.keys(),
        in_parentheses=_keys(listed["in_parentheses"]),
        secrets=Secrets(
            words=_keys(secrets["words"]),
            last=_keys(secrets["last"]),
            exact=_keys(secrets["exact"]),
            inside=tuple(_keys(secrets["inside"])),
            harmless=_keys(secrets["harmless"]),
        ),
        spellings=frozenset(
            heading.lower()
            for table in (data["fields"], data["weak"], data["parts"])
            for headings in table.values()
            for heading in headings
            if not heading.isascii()
        ),
        stems={name: tuple(_keys(stems)) for name, stems in data["stems"].items()},
        values=ValueWords(**{name: _keys(texts) for name, texts in data["values"].items()}),
        contact_words=_contact_words(data["contact_points"]),
    )


def _contact_words(data: Mapping[str, Any]) -> ContactWords:
    labels = {
        comparable(word): label for label, listed in data["labels"].items() for word in listed
    }
    return ContactWords(
        labels=labels,
        additional=_keys(data["additional"]),
        nouns={field: _keys(headings) for field, headings in data["nouns"].items()},
        label=_keys(data["label"]),
        value=_keys(data["value"]),
        excluded=_keys(data["not"]),
    )


def value_words() -> ValueWords:
    """Return the words by which columns of states are distinguished."""
    return dictionary().values
