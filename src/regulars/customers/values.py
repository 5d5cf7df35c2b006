"""The values of a customer: cleaning input into values, and applying values to rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

import orjson

from regulars.core import fields
from regulars.core.errors import InputPath, InvalidInput, MissingEmail, Problem
from regulars.core.fields import names_of
from regulars.customers import (
    address_book,
    address_book_edits,
    contact_changes,
    contact_points,
    field_rules,
)
from regulars.customers.address_book import BILLING, BOOK, SHIPPING
from regulars.customers.contact_points import EMAILS
from regulars.customers.emails import key_without_email
from regulars.customers.field_rules import (
    APPLY,
    CLEAN,
    EMPTY,
    NULLABLE,
    TIMESTAMPS,
    Values,
    folded_columns,
)
from regulars.customers.fields import FIELDS
from regulars.customers.search import search_document
from regulars.store import Row

_KINDS = tuple(contact_points.KINDS.values())
_LISTS = tuple((kind.name, kind.default, kind) for kind in _KINDS)
(_TAGS,) = (field for field in FIELDS if isinstance(field, fields.Tags))
MAX_TAGS = _TAGS.max_count


def clean_values(node: Mapping[str, Any], path: InputPath) -> tuple[Values, list[Problem]]:
    """Returns the fields of the input as they are stored, and all of their problems.

    Only the fields in `node` are returned. An address and `custom` stay patches, which are merged
    with the stored values later. `email` comes with its `email_key`.
    """
    values: Values = {}
    problems: list[Problem] = []
    for name, value in node.items():
        if value is None:
            if name in NULLABLE:
                values[name] = None
            else:
                message = f"`{name}` cannot be null. Omit it to keep the stored value."
                problems.append(InvalidInput(message, (*path, name)))
        elif name in CLEAN:
            problems += CLEAN[name](values, value, (*path, name))
        else:  # a value that no rule has checked is never stored
            raise LookupError(f"No rule for the field {name!r}.")
    for kind in _KINDS:
        if kind.name in values and kind.default in values and not values[kind.default]:
            problems = _take_default_from_list(kind, values, problems)
    if BOOK in node and (others := [name for name in (SHIPPING, BILLING) if name in node]):
        message = (
            f"`{BOOK}` and `{others[0]}` cannot be combined. Set `default_shipping` and "
            f"`default_billing` in `{BOOK}`."
        )
        problems.append(InvalidInput(message, (*path, BOOK)))
    return values, problems


def _take_default_from_list(
    kind: contact_points.Kind, values: Values, problems: list[Problem]
) -> list[Problem]:
    """Remove an empty default that comes with a list, which has the default. Return the problems
    that remain: an email is not missing if the list has one."""
    if any(type(p) is InvalidInput and p.input_path[-1:] == (kind.default,) for p in problems):
        return problems  # it is not empty, but invalid
    del values[kind.default]
    values.pop(kind.key_column, None)
    has_email = kind is EMAILS and values[kind.name].entries
    return without_missing_email(problems) if has_email else problems


def without_missing_email(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems without that of a missing email."""
    return [problem for problem in problems if not isinstance(problem, MissingEmail)]


def clean_tags(tags: Sequence[str], path: InputPath) -> tuple[list[str], list[Problem]]:
    """Returns trimmed tags in the same order, without empty ones and duplicates, and problems."""
    return field_rules.clean_tags(tags, path, _TAGS)


@lru_cache(maxsize=16)
def new_row(at: int) -> Row:
    """Returns an empty customer without its keys, created at `at` (milliseconds since 1970)."""
    return {**EMPTY, **dict.fromkeys(TIMESTAMPS, at)}


def replacing_values(row: Row, values: Values) -> Values:
    """Returns values that replace custom fields as a whole, where `values` would be merged with
    them. The patch of a mirrored address has each part that the other server has."""
    patches = {
        name: replacement_patch(orjson.loads(row[name]), values[name])
        for name in names_of(FIELDS, fields.Json)
        if values.get(name) is not None and row[name]
    }
    return {**values, **patches}


def replacement_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the merge patch (RFC 7396) that turns the object `before` into `after`."""
    patch = {**dict.fromkeys(before), **after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            patch[name] = replacement_patch(old, value)
    return patch


def with_values(
    row: Row, values: Values, path: InputPath, country: str = ""
) -> tuple[Row, list[Problem]]:
    """Returns the row with clean values applied, and the problems of the result. A customer without
    an email accepts no marketing. Phones of a list without a country code are numbers of `country`,
    if it is not empty."""
    changed = {**row, **values}
    problems: list[Problem] = []
    names: Set[str] = values.keys()
    for name, default, kind in _LISTS:
        # Without a call: nearly every customer has no list, and gets none.
        if name in values or (
            default in values and (row[name] is not None or (row[default] and not values[default]))
        ):
            columns, messages = contact_changes.change(kind, row, values, country)
            changed |= columns
            names = names | columns.keys()
            problems += [InvalidInput(message, (*path, kind.name)) for message in messages]
    if not changed["email"]:
        changed["email_key"] = key_without_email(row["customer_id"])
        changed["accepts_marketing"] = False
    for name, value in values.items():
        if name in APPLY:
            changed[name], wrong = APPLY[name](row, value, path)
            problems += wrong
    if BOOK in values:
        entries: Sequence[address_book.Entry]
        if isinstance(values[BOOK], address_book.Book):
            entries = values[BOOK].entries
        else:
            stored = address_book.load(row)
            customer_id = row["customer_id"]
            entries, wrong = address_book_edits.replaced(
                stored, values[BOOK], customer_id, (*path, BOOK)
            )
            problems += wrong
        changed |= address_book.dump(entries)
        names = names | {SHIPPING, BILLING}
    elif changed[BOOK] is not None and (SHIPPING in values or BILLING in values):
        changed[BOOK] = address_book.normalized(changed)
        problems += address_book_edits.surplus(row, changed, path)
        names = names | {BOOK}
    if changed == row:
        return row, problems
    changed |= folded_columns(changed, names)
    if not problems and not names.isdisjoint(search_document.SOURCES):
        changed |= search_document.derive_columns(changed, names)
    return changed, problems


def with_entries(row: Row, entries: Sequence[address_book.Entry]) -> Row:
    """Returns the row with other entries in its address book."""
    changed = {**row, **address_book.dump(entries)}
    if changed == row:
        return row
    return {**changed, **search_document.derive_columns(changed, (SHIPPING, BILLING, BOOK))}
