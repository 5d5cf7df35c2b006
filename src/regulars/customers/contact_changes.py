"""Changes of the lists of emails and phones, and of their defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from regulars.customers.contact_points import ContactPoints, Entry, Kind, dump
from regulars.store import Row


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

    def keyed_by(self, kind: Kind) -> Change:
        """Return the change with the keys of a kind. An invalid entry has none."""
        entries = [e._replace(key=kind.key(e.value)) if e.key else e for e in self.entries]
        return Change(self.mode, tuple(entries))

    @property
    def removes(self) -> bool:
        """Whether the customer may have no contact point of the kind afterwards."""
        return self.mode == REMOVE or (self.mode == REPLACE and not self.entries)


# Entries of an import are merged: those that the customer has stay as they are.
REPLACE, ADD, REMOVE, MERGE = "replace", "add", "remove", "merge"


class ContactRow(NamedTuple):
    """The further emails or phones of a row of an import: the name of the list, the entries, and
    the custom field for each that the customer cannot get. With `has_default`, the first entry is
    also the default of a customer without one."""

    kind: str
    entries: tuple[Given, ...]
    keys: tuple[str, ...]
    has_default: bool = False


class GivenAddress(NamedTuple):
    """An address of a row of an import, the name that it has in the file, and the custom field for
    one that the customer cannot get."""

    name: str
    address: Mapping[str, str]
    label: str
    key: str


class BookRow(NamedTuple):
    """The further addresses of a row of an import, and the labels of the default addresses, by
    their columns."""

    kind: str
    entries: tuple[GivenAddress, ...]
    labels: tuple[tuple[str, str], ...]


def change(
    kind: Kind, row: Row, values: Mapping[str, Any], country: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of a kind after new values of the default and of the list, and what is
    wrong with the values. Without a list before and after, only the column of the default changes,
    unless it gets empty. Phones without a country code are numbers of `country`."""
    points, problems = kind.points(row), list[str]()
    list_change: Change | None = values.get(kind.name)
    local_kind = kind.in_country(country)
    if local_kind is not kind:
        kind = local_kind
        list_change = list_change and list_change.keyed_by(kind)
    value: str | None = values.get(kind.default)
    if list_change is None:
        points = _with_default(kind, points, value or "")
    elif list_change.mode == MERGE:
        points = _merged_with(kind, points, _joined(list_change.entries), value)
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
    """Return a list with the entries of an input. `value` is the default, if it is not empty; one
    that is invalid, which has no key, is a problem of its own."""
    key = kind.key(value) if value else ""
    value = value if key else ""
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


def _merged_with(
    kind: Kind, points: ContactPoints, given: list[Given], value: str | None
) -> ContactPoints:
    """Return a list with the entries of an import added at its end. `value` is the default, if it
    is not empty."""
    stored = {kind.key(entry.value): entry for entry in points.entries}
    key = kind.key(value) if value else ""
    if value and key and key in stored:
        points = _with_default(kind, points, value)
    elif value and key:
        label = next((each.label for each in given if each.key == key), "")
        entry = Entry(points.next, value, label or "")
        points = ContactPoints((*points.entries, entry), entry.n, points.next + 1)
    new = [each for each in given if each.key != key and each.key not in stored]
    numbered = enumerate(new, points.next)
    entries = [Entry(n, each.value, each.label or "") for n, each in numbered]
    merged = points._replace(entries=(*points.entries, *entries), next=points.next + len(entries))
    return _kept(merged, merged.entries)


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
