"""The rules of each kind of field in a customer's row: cleaning, empty values, patches, folded
forms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from regulars.core import external_ids, fields
from regulars.core.errors import InputPath, InvalidInput, MissingEmail, Problem
from regulars.core.fields import Field, names_of
from regulars.core.text import clean, fold, full_name
from regulars.customers import address_book_edits, addresses, contact_input, contact_points, custom
from regulars.customers.emails import EMPTY as EMPTY_EMAIL
from regulars.customers.emails import clean_email
from regulars.customers.fields import FIELDS, WRITABLE
from regulars.store import Row

Values = dict[str, Any]
# Puts the clean form of an input into values, and returns what is wrong with it.
Clean = Callable[[Values, Any, InputPath], Sequence[Problem]]
# Applies a clean value to a row: returns the stored form, and what is wrong with it.
Apply = Callable[[Row, Any, InputPath], tuple[Any, Sequence[Problem]]]


def _text(field: fields.Text | fields.Phone) -> Clean:
    name, max_length = field.name, field.max_length

    def clean_text(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[name], problem = clean(value, max_length)
        return [InvalidInput(f"The {name} {problem}", path)] if problem else ()

    return clean_text


def _long_text(field: fields.LongText) -> Clean:
    name, max_length = field.name, field.max_length

    def clean_long_text(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[name], problem = clean(value, max_length, lines=True)
        return [InvalidInput(f"The {name} text {problem}", path)] if problem else ()

    return clean_long_text


def _email(field: fields.Email) -> Clean:
    name, key = field.name, field.key_column

    def clean_address(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[name], values[key], problem = clean_email(value)
        if not problem:
            return ()
        return [(MissingEmail if problem == EMPTY_EMAIL else InvalidInput)(problem, path)]

    return clean_address


def _flag(field: fields.Flag) -> Clean:
    name = field.name

    def take(values: Values, value: Any, _path: InputPath) -> Sequence[Problem]:
        values[name] = value
        return ()

    return take


def _tags(field: fields.Tags) -> Clean:
    def clean_list(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[field.name], problems = clean_tags(value, path, field)
        return problems

    return clean_list


def clean_tags(
    tags: Sequence[str], path: InputPath, field: fields.Tags
) -> tuple[list[str], list[Problem]]:
    """Return tags trimmed, in their order, without empty ones and exact duplicates."""
    unique_tags: dict[str, None] = {}
    problems: list[Problem] = []
    for index, tag in enumerate(tags):
        text, problem = clean(tag, field.max_length)
        if problem:
            problems.append(InvalidInput(f"The {field.key} {problem}", (*path, index)))
        if text:
            unique_tags[text] = None
    if len(unique_tags) > field.max_count:
        message = (
            f"`{field.name}` has {len(unique_tags):,} values; the maximum is {field.max_count}."
        )
        problems.append(InvalidInput(message, path))
    return list(unique_tags), problems


def _external_ids(field: fields.ExternalIds) -> Clean:
    def clean_list(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[field.name], problems = external_ids.clean_ids(value, path)
        return problems

    return clean_list


def _contact_points(field: fields.ContactPoints) -> Clean:
    kind = contact_points.KINDS[field.name]

    def clean_list(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        change, problems = contact_input.clean_change(kind, value, path)
        if change.entries or not value:  # a list that is much too long was not read
            values[field.name] = change
        return problems

    return clean_list


def _json(field: fields.Json) -> Clean:
    def check(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        problems = custom.check(value, path)
        if not problems:
            values[field.name] = value
        return problems

    return check


def _address(field: fields.Address) -> Clean:
    def clean_patch(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[field.name], problems = addresses.clean_patch(value, path)
        return problems

    return clean_patch


def _addresses(field: fields.Addresses) -> Clean:
    def clean_list(values: Values, value: Any, path: InputPath) -> Sequence[Problem]:
        values[field.name], problems = address_book_edits.clean_list(value, path)
        return problems

    return clean_list


_CLEAN: Mapping[type[Field], Callable[[Any], Clean]] = {
    fields.Text: _text,
    fields.Phone: _text,
    fields.LongText: _long_text,
    fields.Email: _email,
    fields.Flag: _flag,
    fields.Tags: _tags,
    fields.ExternalIds: _external_ids,
    fields.Emails: _contact_points,
    fields.Phones: _contact_points,
    fields.Json: _json,
    fields.Address: _address,
    fields.Addresses: _addresses,
}
CLEAN: Mapping[str, Clean] = {f.name: _CLEAN[type(f)](f) for f in WRITABLE}

# What an input may be null for: it is null then.
NULLABLE = frozenset(names_of(FIELDS, fields.LongText, fields.Json, fields.Address))
# What an update merges with what is stored, key by key.
MERGED = names_of(FIELDS, fields.Json, fields.Address)
# What can be missing: an event fills it in. An email is never missing, a flag neither. To the
# external ids, an event adds the id in the shop. A list is filled with its default.
_NOT_FILLED = (
    fields.Email,
    fields.Flag,
    fields.ExternalIds,
    fields.Addresses,
    fields.ContactPoints,
)
FILLABLE = tuple(f.name for f in WRITABLE if not isinstance(f, _NOT_FILLED))


def _merge_json(field: fields.Json) -> Apply:
    name = field.name

    def merge(row: Row, patch: Any, path: InputPath) -> tuple[Any, Sequence[Problem]]:
        if patch is None:
            return None, ()
        return custom.dump(custom.merge(custom.load(row[name]), patch), (*path, name))

    return merge


def _merge_address(field: fields.Address) -> Apply:
    name = field.name

    def merge(row: Row, patch: Any, _path: InputPath) -> tuple[Any, Sequence[Problem]]:
        return addresses.dump(addresses.merge(addresses.load(row[name]), patch)), ()

    return merge


def _dump_tags(_field: fields.Tags) -> Apply:
    def dump(_row: Row, tags: Any, _path: InputPath) -> tuple[Any, Sequence[Problem]]:
        return orjson.dumps(tags).decode(), ()

    return dump


def _dump_external_ids(_field: fields.ExternalIds) -> Apply:
    def dump(_row: Row, ids: Any, _path: InputPath) -> tuple[Any, Sequence[Problem]]:
        return external_ids.dump(ids), ()

    return dump


# The kinds that are not stored as they were cleaned.
_APPLY: Mapping[type[Field], Callable[[Any], Apply]] = {
    fields.Json: _merge_json,
    fields.Address: _merge_address,
    fields.Tags: _dump_tags,
    fields.ExternalIds: _dump_external_ids,
}
# Those of contact points are stored in several columns (`contact_points.change`).
APPLY: Mapping[str, Apply] = {f.name: _APPLY[type(f)](f) for f in WRITABLE if type(f) in _APPLY}

# The columns of a customer who has nothing; a timestamp is set when one is created.
_EMPTY: Mapping[type[Field], Callable[[Any], Row]] = {
    fields.Text: lambda field: {field.name: "", **_no_folded(field)},
    fields.Phone: lambda field: {field.name: ""},
    fields.LongText: lambda field: {field.name: None},
    fields.Email: lambda field: {field.name: "", field.key_column: "", **_no_folded(field)},
    fields.Flag: lambda field: {field.name: False},
    fields.Tags: lambda field: {field.name: "[]"},
    fields.ExternalIds: lambda field: {field.name: None},
    fields.Emails: lambda field: {field.name: None},
    fields.Phones: lambda field: {field.name: None},
    fields.Json: lambda field: {field.name: None},
    fields.Address: lambda field: {field.name: None},
    fields.Addresses: lambda field: {field.name: None},
    fields.Timestamp: lambda field: {field.name: 0},
    fields.OptionalTimestamp: lambda field: {field.name: fields.NEVER},
    fields.Money: lambda field: {field.name: 0},
    fields.Count: lambda field: {field.name: field.start},
    fields.FullName: lambda field: _no_folded(field),
    fields.Location: lambda _: {},
    fields.Avatar: lambda _: {},
}


def _no_folded(field: Field) -> Row:
    return {field.folded_column: ""} if field.sort else {}


EMPTY: Row = {
    "account_id": 0,
    "customer_id": 0,
    **{column: value for f in FIELDS for column, value in _EMPTY[type(f)](f).items()},
    "words": "",
    "notes_words": "",
    "address_words": "",
    "facets": "",
}
TIMESTAMPS = names_of(FIELDS, fields.Timestamp)

# The folded forms: of a column, and of two names together.
_FOLDED = tuple(
    (f.folded_column, f.name)
    for f in FIELDS
    if f.sort and f.is_folded and not isinstance(f, fields.FullName)
)
_FULL_NAMES = tuple(
    (f.folded_column, *f.sources) for f in FIELDS if f.sort and isinstance(f, fields.FullName)
)


def folded_columns(row: Row, changed: Collection[str] = EMPTY.keys()) -> dict[str, str]:
    """Return the columns by which a customer is ordered that are made of the columns `changed`."""
    columns = {column: fold(row[source]) for column, source in _FOLDED if source in changed}
    for column, first, last in _FULL_NAMES:
        if first in changed or last in changed:
            columns[column] = fold(full_name(row[first], row[last]))
    return columns
