"""The contact points of a customer: its emails and its phones, each a list with a default.

The value of the default is a column of its own (`email`, `phone`). The list is a nullable column of
JSON: `{"next": 3, "entries": [[1, null, ""], [2, "b@example.com", "work", 1700000000000]]}`. An
entry has its number, its value, its label, and the time of its verification if it is verified. The
value of the default is null there, so a change of its column changes the list. Null instead of a
list means that there is only the default, with the number 1 and without a label.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import orjson

from regulars.core import fields
from regulars.core.dates import iso
from regulars.core.lenient_base64 import from_base64
from regulars.core.text import fold
from regulars.customers.emails import clean_email
from regulars.customers.fields import FIELDS
from regulars.customers.search import phones

Row = Mapping[str, Any]


class Entry(NamedTuple):
    """A contact point: its number within the customer, its value, its label, and when its owner
    proved that it is theirs, in milliseconds since 1970."""

    n: int
    value: str
    label: str = ""
    verified_at: int | None = None


class ContactPoints(NamedTuple):
    """The entries of a list in their order, the number of the default (0 without entries), and the
    number of the next new entry."""

    entries: tuple[Entry, ...] = ()
    default: int = 0
    next: int = 1

    def default_first(self) -> list[Entry]:
        """Return the entries: the default, then the others in their order."""
        return sorted(self.entries, key=lambda entry: entry.n != self.default)

    @property
    def default_entry(self) -> Entry | None:
        """The default; None without entries."""
        return next((entry for entry in self.entries if entry.n == self.default), None)

    @property
    def has_more_than_default(self) -> bool:
        """Whether the list says more than the value of its default."""
        return any(e.n != self.default or e.label or e.verified_at for e in self.entries)

    def additional(self) -> list[Entry]:
        """Return the entries that are not the default."""
        return [entry for entry in self.entries if entry.n != self.default]

    def without_default(self) -> ContactPoints:
        """Return the list without its default. The next entry becomes the default."""
        rest = tuple(self.additional())
        return self._replace(entries=rest, default=rest[0].n if rest else 0)


def email_key(email: str) -> str:
    """Return the form in which emails are compared."""
    return clean_email(email)[1]


@lru_cache(maxsize=4_096)
def phone_key(phone: str, country: str = "") -> str:
    """Return the form in which the phones of a customer are compared: with a country code, or with
    a `country` that completes it, the number in its international form, else the digits; the
    extension; a text without digits as a whole."""
    forms = phones.forms(phones.completed(phone, country))
    if not forms:
        return "".join(fold(phone).split())
    number = phones.without_extension(phone)
    extension = phones.digits(phone)[len(phones.digits(number)) :]
    return " ".join([*forms, *(["x", extension] if extension else [])])


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of contact points: its field, the field of its default, and the form in which its
    values are compared. `key_column` has this form of the default."""

    name: str
    default: str
    noun: str
    max_count: int
    max_label: int
    key: Callable[[str], str]
    key_column: str = ""
    is_verified: bool = False

    def in_country(self, country: str) -> Kind:
        """Return the kind with numbers of `country`, if it is not empty."""
        if not country or self.key is not phone_key:
            return self
        return replace(self, key=partial(phone_key, country=country))

    def points(self, row: Row) -> ContactPoints:
        """Return the contact points of a customer's row."""
        return load(row[self.name], row[self.default])


def _kind(field: fields.ContactPoints) -> Kind:
    (default,) = (f for f in FIELDS if f.name == field.default)
    is_email = isinstance(default, fields.Email)
    return Kind(
        field.name,
        field.default,
        default.name,
        field.max_count,
        field.max_label,
        email_key if is_email else phone_key,
        default.key_column if isinstance(default, fields.Email) else "",
        is_email,
    )


KINDS: Mapping[str, Kind] = {
    f.name: _kind(f) for f in FIELDS if isinstance(f, fields.ContactPoints)
}
EMAILS, PHONES = (next(k for k in KINDS.values() if k.is_verified is v) for v in (True, False))


@lru_cache(maxsize=4_096)
def load(stored: str | None, value: str) -> ContactPoints:
    """Return the contact points in a stored text. `value` is that of the default."""
    if stored is None:
        return ContactPoints((Entry(1, value),), 1, 2) if value else ContactPoints()
    data = orjson.loads(stored)
    following, default = data["next"], 0
    entries = []
    for n, other, label, *verified_at in data["entries"]:
        if other is None:
            if not value:  # a program of an earlier version has removed it
                continue
            default = n
        entries.append(Entry(n, value if other is None else other, label, *verified_at))
    if value and not default:
        default, following = following, following + 1
        entries.insert(0, Entry(default, value))
    return ContactPoints(tuple(entries), default, following)


def dump(points: ContactPoints) -> str | None:
    """Return contact points as they are stored."""
    if points in (ContactPoints(), _plain(points)):
        return None
    entries = [
        [
            entry.n,
            None if entry.n == points.default else entry.value,
            entry.label,
            *([] if entry.verified_at is None else [entry.verified_at]),
        ]
        for entry in points.entries
    ]
    return orjson.dumps({"next": points.next, "entries": entries}).decode()


def _plain(points: ContactPoints) -> ContactPoints:
    """Return the list of a customer who has only the default of another list."""
    default = points.default_entry
    return load(None, default.value) if default else ContactPoints()


def additional_keys(row: Row) -> dict[str, str]:
    """Return the emails of a customer's row that are not its default, by the form in which they are
    compared."""
    stored = row[EMAILS.name]
    if stored is None:
        return {}
    return {email_key(e.value): e.value for e in load(stored, row[EMAILS.default]).additional()}


def shown(kind: Kind, points: ContactPoints) -> list[dict[str, Any]]:
    """Return the entries as JSON, the default first. It is also an input of the API."""
    return [
        {
            kind.noun: entry.value,
            "label": entry.label,
            "default": entry.n == points.default,
            **({"verified_at": _iso(entry.verified_at)} if kind.is_verified else {}),
        }
        for entry in points.default_first()
    ]


def _iso(time: int | None) -> str | None:
    return None if time is None else iso(time)


def problem(kind: Kind, row: Row) -> str | None:
    """Return what is wrong with a stored list, or None."""
    try:
        points = kind.points(row)
        numbers = [entry.n for entry in points.entries]
        keys = [kind.key(entry.value) for entry in points.entries]
        is_stored_form = dump(points) == row[kind.name]
    except (ValueError, KeyError, TypeError):
        return f"{kind.name} is not in its stored form"
    if not is_stored_form or any(len(e.label) > kind.max_label for e in points.entries):
        return f"{kind.name} is not in its stored form"
    if (
        len(numbers) > kind.max_count
        or len({*keys, ""}) <= len(keys)
        or bool(numbers) != bool(row[kind.default])
    ):
        return f"{kind.name} has duplicates, too many entries, or no default"
    if len(set(numbers)) < len(numbers) or not all(0 < n < points.next for n in numbers):
        return f"{kind.name} has a number that was never assigned, or twice"
    return None


_ID = re.compile(rb"(Email|Phone):([1-9][0-9]{0,9})-([1-9][0-9]{0,9})")


class ContactPointId(NamedTuple):
    """The id of a contact point: its kind, its customer, and its number within the customer."""

    kind: Kind
    customer_id: int
    n: int

    def encode(self) -> str:
        """Return the id as the API shows it, in base64."""
        name = "Email" if self.kind is EMAILS else "Phone"
        return base64.b64encode(f"{name}:{self.customer_id}-{self.n}".encode()).decode()

    @classmethod
    def decode(cls, text: str) -> ContactPointId | None:
        """Parse an id of the API; None if it is not the id of a contact point."""
        match = _ID.fullmatch(from_base64(text.strip()) or b"")
        if match is None:
            return None
        kind = EMAILS if match[1] == b"Email" else PHONES
        return cls(kind, int(match[2]), int(match[3]))
