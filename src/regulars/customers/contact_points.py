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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from regulars.core import fields
from regulars.core.dates import iso, parse_timestamp
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
def phone_key(phone: str) -> str:
    """Return the form in which the phones of a customer are compared: with a country code the
    number in its international form, else the digits; the extension; a text without digits as a
    whole."""
    forms = phones.forms(phone)
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


class Given(NamedTuple):
    """An entry of an input. What is None was omitted; a verification can be removed (0)."""

    value: str
    key: str
    label: str | None = None
    default: bool | None = None
    verified_at: int | None = None


class Change(NamedTuple):
    """A change of a list. `mode` says what happens to the entries: they replace the list, or are
    added to it, or those with their keys are removed."""

    mode: str
    entries: tuple[Given, ...]

    @property
    def keys(self) -> list[str]:
        """The forms in which the values are compared that the customer then has."""
        return [] if self.mode == REMOVE else [entry.key for entry in self.entries if entry.key]

    @property
    def removes(self) -> bool:
        """Whether the customer may have no contact point of the kind afterwards."""
        return self.mode == REMOVE or (self.mode == REPLACE and not self.entries)


REPLACE, ADD, REMOVE = "replace", "add", "remove"


def is_affected(kind: Kind, row: Row, values: Mapping[str, Any]) -> bool:
    """Return whether new values change more than the column of the default."""
    if kind.name in values:
        return True
    if kind.default not in values:
        return False
    return row[kind.name] is not None or bool(row[kind.default] and not values[kind.default])


def change(kind: Kind, row: Row, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of a kind after new values of the default and of the list, and what is
    wrong with the values."""
    points, problems = kind.points(row), list[str]()
    list_change: Change | None = values.get(kind.name)
    value: str | None = values.get(kind.default)
    if list_change is None:
        points = _with_default(kind, points, value or "")
    elif list_change.mode == REMOVE:
        keys = {entry.key for entry in list_change.entries}
        points = _kept(points, [e for e in points.entries if kind.key(e.value) not in keys])
    else:
        change_list = _replaced if list_change.mode == REPLACE else _added
        points, problems = change_list(kind, points, _joined(list_change.entries), value or "")
    if len(points.entries) > kind.max_count and not problems:
        problems = [too_many(kind, len(points.entries))]
    return columns(kind, points), problems


def columns(kind: Kind, points: ContactPoints) -> dict[str, Any]:
    """Return the columns of contact points."""
    default = points.default_entry
    value = default.value if default else ""
    keys = {kind.key_column: kind.key(value) if value else ""} if kind.key_column else {}
    return {kind.default: value, **keys, kind.name: dump(points)}


def too_many(kind: Kind, count: int) -> str:
    """Return the message for too many entries."""
    return f"A customer can have {kind.max_count} {kind.name}; this one would have {count:,}."


def _joined(entries: Iterable[Given]) -> list[Given]:
    """Return entries without duplicates. The first of them wins."""
    unique: dict[str, Given] = {}
    for entry in entries:
        unique.setdefault(entry.key or entry.value, entry)
    return list(unique.values())


def _kept(points: ContactPoints, entries: Sequence[Entry], default: int = 0) -> ContactPoints:
    """Return a list with other entries. Without a `default` among them, the old one stays the
    default if it is there, and otherwise the first entry is."""
    numbers = [entry.n for entry in entries]
    if default not in numbers:
        default = points.default
    if default not in numbers:
        default = numbers[0] if numbers else 0
    return points._replace(entries=tuple(entries), default=default)


def _with_default(kind: Kind, points: ContactPoints, value: str) -> ContactPoints:
    """Return a list with another default: an entry that it has, or the old default with a new
    value. An empty value removes the default."""
    if not value:
        return points.without_default()
    key, entries = kind.key(value), list(points.entries)
    for index, entry in enumerate(entries):
        if kind.key(entry.value) == key:
            entries[index] = entry._replace(value=value)
            return points._replace(entries=tuple(entries), default=entry.n)
    for index, entry in enumerate(entries):
        if entry.n == points.default:
            entries[index] = Entry(entry.n, value, entry.label)
            return points._replace(entries=tuple(entries))
    return ContactPoints((Entry(points.next, value),), points.next, points.next + 1)


def _replaced(
    kind: Kind, points: ContactPoints, given: list[Given], value: str
) -> tuple[ContactPoints, list[str]]:
    """Return a list with the entries of an input. `value` is the default, if it is not empty."""
    key = kind.key(value) if value else ""
    if value and all(entry.key != key for entry in given):
        given = [Given(value, key), *given]
    elif value:
        given = [e._replace(value=value) if e.key == key else e for e in given]
    stored = {kind.key(entry.value): entry for entry in points.entries}
    entries, following = [], points.next
    for each in given:
        before = stored.get(each.key)
        entries.append(_merged(before or Entry(following, each.value), each))
        following += before is None
    defaults = [entry.n for entry, each in zip(entries, given, strict=True) if each.default]
    if value:
        chosen = next(e.n for e, each in zip(entries, given, strict=True) if each.key == key)
        if defaults not in ([], [chosen]):
            return points, [
                f"`{kind.default}` and `{kind.name}` have different defaults. Send one default."
            ]
    elif len(defaults) > 1:
        return points, [_two_defaults(kind)]
    else:
        chosen = defaults[0] if defaults else _default_of(points, entries, given)
    return _kept(points, entries, chosen)._replace(next=following), []


def _default_of(points: ContactPoints, entries: Sequence[Entry], given: Sequence[Given]) -> int:
    """Return the number of the default where no entry is marked: the present default, or else the
    first entry. Entries that are marked as no default come last."""
    pairs = zip(entries, given, strict=True)
    candidates = [entry.n for entry, each in pairs if each.default is not False]
    candidates = candidates or [entry.n for entry in entries]
    return points.default if points.default in candidates else next(iter(candidates), 0)


def _added(
    kind: Kind, points: ContactPoints, given: list[Given], _value: str
) -> tuple[ContactPoints, list[str]]:
    """Return a list with the entries of an input added at its end."""
    if sum(bool(each.default) for each in given) > 1:
        return points, [_two_defaults(kind)]
    numbers = {kind.key(entry.value): index for index, entry in enumerate(points.entries)}
    entries, following, default = list(points.entries), points.next, points.default
    for each in given:
        index = numbers.get(each.key)
        if index is None:
            index, new = len(entries), Entry(following, each.value)
            following += 1
            entries.append(_merged(new, each))
        else:
            changed = _merged(entries[index], each._replace(label=each.label or None))
            entries[index] = changed._replace(value=entries[index].value)
        if each.default:
            default = entries[index].n
    return _kept(points, entries, default)._replace(next=following), []


def _merged(entry: Entry, given: Given) -> Entry:
    """Return an entry with the properties of an input that are not omitted."""
    return Entry(
        entry.n,
        given.value,
        entry.label if given.label is None else given.label,
        entry.verified_at if given.verified_at is None else given.verified_at or None,
    )


def _two_defaults(kind: Kind) -> str:
    return f"Two {kind.name} have `default: true`. Set it for one of them."


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


# The form of an entry in the history, for people and to be read again.
_WRITTEN = re.compile(r"(?:([^<>]*) )?<(.*)>(?: \(verified (\S+)\))?")


def written(points: ContactPoints) -> list[str]:
    """Return the entries as texts, the default first: `work <b@example.com>`."""
    return [_written(entry) for entry in points.default_first()]


def _written(entry: Entry) -> str:
    is_bare = not entry.label and entry.verified_at is None
    if is_bare and not _WRITTEN.fullmatch(entry.value):
        return entry.value
    time = f" (verified {iso(entry.verified_at)})" if entry.verified_at is not None else ""
    return f"{entry.label} <{entry.value}>{time}".lstrip(" ")


def parse(texts: Iterable[str]) -> ContactPoints:
    """Return the entries of texts, of which the first is the default. The numbers are new."""
    entries = []
    for n, text in enumerate(texts, 1):
        match = _WRITTEN.fullmatch(text)
        if match is None:
            entries.append(Entry(n, text))
        else:
            verified_at = parse_timestamp(match[3]) if match[3] else None
            entries.append(Entry(n, match[2], match[1] or "", verified_at))
    return ContactPoints(tuple(entries), 1 if entries else 0, len(entries) + 1)


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
