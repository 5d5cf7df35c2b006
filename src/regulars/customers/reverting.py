"""Setting fields of a customer back to the values before some changes.

A field is set back if it has the value that the changes left. Fields of one list, such as `email`
and `emails`, go together. Of tags and custom fields, only what the changes added, removed or set is
taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from regulars.core.external_ids import load as load_ids
from regulars.customers import address_book, contact_points, contact_texts, custom, history
from regulars.customers.address_book import BILLING, BOOK, SHIPPING
from regulars.customers.contact_points import EMAILS, PHONES, Kind, additional_keys
from regulars.customers.emails import clean_email, key_without_email
from regulars.customers.external_ids import taken_ids
from regulars.customers.field_rules import folded_columns
from regulars.customers.fields import WRITABLE
from regulars.customers.identification import last_identifier
from regulars.customers.search import search_document
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import MAX_TAGS, with_values
from regulars.store import Row

CHANGED = "changed since"
TAKEN = "another customer has it"
UNSUBSCRIBED = "unsubscribed"
LIMIT = "too large with later changes"
LAST = "last identification"
# A value that an undo may not write: the entry is about an order.
READ_ONLY = "not editable"

_CONSENT = "accepts_marketing"
_EMAILS = (EMAILS.default, EMAILS.name)
_PHONES = (PHONES.default, PHONES.name)
_ADDRESSES = (SHIPPING, BILLING, BOOK)
_GROUPS: tuple[tuple[str, ...], ...] = (_EMAILS, _PHONES, _ADDRESSES)
_NAMES = frozenset(field.name for field in WRITABLE)
_IDENTIFIERS = frozenset([*_EMAILS, *_PHONES, "first_name", "last_name", "external_ids"])

# The values of fields before and after changes.
Pairs = Mapping[str, tuple[Any, Any]]


class Kept(NamedTuple):
    """A field that keeps its value, and the reason."""

    field: str
    reason: str


class Reverted(NamedTuple):
    """A customer's row with the values before some changes, and what it keeps."""

    row: Row
    kept: tuple[Kept, ...]


def email_keys_of(pairs: Pairs) -> frozenset[str]:
    """Return the keys of the emails from before some changes."""
    before = [pairs[EMAILS.default][0]] if EMAILS.default in pairs else []
    if EMAILS.name in pairs:
        before += [entry.value for entry in contact_texts.parse(pairs[EMAILS.name][0]).entries]
    return frozenset(clean_email(text)[1] for text in before) - {""}


def revert(
    unit: CustomerUnitOfWork,
    row: Row,
    pairs: Pairs,
    without: Collection[str] = (),
    force: bool = False,
) -> Reverted:
    """Return a customer's row with fields set back, except those of `without`. `pairs` has the
    values before and after the changes, as the history has them. With `force`, a field is set back
    if it was changed since."""
    current = history.values_of(row, (name for name in pairs if name in _NAMES))
    kept = [Kept(name, READ_ONLY) for name in pairs if name not in _NAMES]
    kept += [Kept(name, LAST) for name in without if name in pairs]
    changed = dict(row)
    for names in _groups_of(pairs):
        group = {name: pairs[name] for name in names if name not in without}
        if all(_same(current[name], before) for name, (before, _) in group.items()):
            continue
        (name, (before, after)), *others = group.items()
        if not others and name == "tags" and not force:
            kept += _revert_tags(changed, current[name], before, after)
        elif not others and name == "custom" and not force:
            kept += _revert_custom(changed, current[name], before, after)
        elif not force and not all(
            _same(current[name], after) for name, (_, after) in group.items()
        ):
            different = [n for n, (value, _) in group.items() if not _same(current[n], value)]
            kept += [Kept(name, CHANGED) for name in different]
        elif name == _CONSENT and before:
            kept.append(Kept(name, UNSUBSCRIBED))
        else:
            kept += _restore(unit, changed, group)
    if not changed["email"]:
        changed["email_key"] = key_without_email(row["customer_id"])
        changed[_CONSENT] = False
    if changed == row:
        return Reverted(row, tuple(kept))
    if not without and last_identifier(unit, row, changed, ()):
        return revert(unit, row, pairs, _IDENTIFIERS, force)
    changed |= folded_columns(changed)
    changed |= search_document.derive_columns(changed)
    return Reverted(changed, tuple(kept))


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal. For Python, `true` and `1` are."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        other, option=orjson.OPT_SORT_KEYS
    )


def _groups_of(pairs: Pairs) -> Iterator[tuple[str, ...]]:
    """Yield the names of fields that are set back together."""
    grouped = {name for names in _GROUPS for name in names}
    for names in _GROUPS:
        if present := tuple(name for name in names if name in pairs):
            yield present
    yield from ((name,) for name in pairs if name in _NAMES and name not in grouped)


def _restore(unit: CustomerUnitOfWork, changed: dict[str, Any], group: Pairs) -> list[Kept]:
    """Set the fields of a group back in a row; return those that another customer has."""
    columns = _columns(changed, {name: before for name, (before, _) in group.items()})
    result = {**changed, **columns}
    number = changed["customer_id"]
    keys = {result["email_key"], *additional_keys(result)} if EMAILS.default in columns else set()
    is_taken = any(unit.holder(key) not in (None, number) for key in keys if key)
    if "external_ids" in columns:
        is_taken |= bool(taken_ids(unit, load_ids(columns["external_ids"]), number, ()))
    if is_taken:
        return [Kept(name, TAKEN) for name in group]
    changed |= columns
    return []


def _columns(row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a customer with values of a group."""
    for kind in (EMAILS, PHONES):
        if kind.default in values or kind.name in values:
            return _contact_columns(kind, row, values)
    columns = {name: history.stored_value(name, value) for name, value in values.items()}
    if BOOK not in values and row[BOOK] is not None and not columns.keys().isdisjoint(_ADDRESSES):
        columns[BOOK] = address_book.normalized({**row, **columns})
    return columns


def _contact_columns(kind: Kind, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    if kind.name in values:
        points = contact_texts.parse(values[kind.name])
        default = points.default_entry
        value = default.value if default else ""
        columns: dict[str, Any] = {kind.default: value, kind.name: contact_points.dump(points)}
    else:
        value = values[kind.default]
        key = {kind.key_column: clean_email(value)[1]} if kind.key_column else {}
        changed, _ = with_values(row, {kind.default: value, **key}, ())
        columns = {name: changed[name] for name in (kind.default, kind.name)}
    if kind.key_column:
        columns[kind.key_column] = clean_email(columns[kind.default] or "")[1]
    return columns


def _revert_tags(
    changed: dict[str, Any], current: list[str], before: list[str], after: list[str]
) -> list[Kept]:
    """Take back the difference of tags. Other tags stay."""
    tags = before
    if current != after:
        added = set(after) - set(before)
        removed = [tag for tag in before if tag not in after]
        tags = list(dict.fromkeys([*(tag for tag in current if tag not in added), *removed]))
    if len(tags) > MAX_TAGS:
        return [Kept("tags", LIMIT)]
    changed["tags"] = orjson.dumps(tags).decode()
    return []


def _revert_custom(changed: dict[str, Any], current: Any, before: Any, after: Any) -> list[Kept]:
    """Set custom fields back, each by itself."""
    kept = []
    values = before
    if not _same(current, after):
        old, new, now = before or {}, after or {}, current or {}
        values = dict(now)
        for key in dict.fromkeys([*old, *new]):
            if _same(old.get(key), new.get(key)) or _same(now.get(key), old.get(key)):
                continue
            if not _same(now.get(key), new.get(key)):
                kept.append(Kept(f"custom.{key}", CHANGED))
            elif key in old:
                values[key] = old[key]
            else:
                values.pop(key, None)
        values = values or (None if current is None else values)
    text, problems = custom.dump(values, ())
    if problems:
        return [*kept, Kept("custom", LIMIT)]
    changed["custom"] = text
    return kept
