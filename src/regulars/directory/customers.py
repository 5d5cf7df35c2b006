"""What a customer is: input cleaned into values, values turned into rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.directory import addresses, custom, found_by
from regulars.directory.emails import clean_email
from regulars.directory.errors import InputPath, InvalidInput, Problem
from regulars.directory.text import clean, fold, full_name
from regulars.store import Row

NAME_LENGTH = 255
PHONE_LENGTH = 64
TAG_LENGTH = 255
MAX_TAGS = 250
NOTES_LENGTH = 65_535

_TEXTS = {"phone": PHONE_LENGTH, "first_name": NAME_LENGTH, "last_name": NAME_LENGTH}
# What an update merges with what is there, key by key.
MERGED = ("custom", "shipping_address", "billing_address")
_CLEARABLE = ("notes", *MERGED)

Values = dict[str, Any]


def clean_values(node: Mapping[str, Any], path: InputPath) -> tuple[Values, list[Problem]]:
    """The fields that somebody sends, as they are kept, and everything that is wrong with them.

    Answers only the fields that `node` names. An address and `custom` stay patches: what they
    are merged with is known later. `email` comes with its `email_key`.
    """
    values: Values = {}
    problems: list[Problem] = []
    for name, given in node.items():
        here = (*path, name)
        if given is None:
            if name in _CLEARABLE:
                values[name] = None
            else:
                message = f"{name} cannot be null. Leave it out to keep what it is."
                problems.append(InvalidInput(message, here))
        elif name == "email":
            values["email"], values["email_key"], wrong = clean_email(given)
            if wrong:
                problems.append(InvalidInput(wrong, here))
        elif name in _TEXTS:
            values[name], wrong = clean(given, _TEXTS[name])
            if wrong:
                problems.append(InvalidInput(f"The {name} {wrong}", here))
        elif name == "notes":
            values[name], wrong = clean(given, NOTES_LENGTH, lines=True)
            if wrong:
                problems.append(InvalidInput(f"The notes text {wrong}", here))
        elif name == "tags":
            values[name], found = clean_tags(given, here)
            problems += found
        elif name == "custom":
            found = custom.check(given, here)
            problems += found
            if not found:
                values[name] = given
        elif name in ("shipping_address", "billing_address"):
            values[name], found = addresses.clean_patch(given, here)
            problems += found
        elif name == "accepts_marketing":
            values[name] = given
        else:  # a value that no rule has checked is never stored
            raise LookupError(f"No rule for the field {name!r}.")
    return values, problems


def clean_tags(given: Sequence[str], path: InputPath) -> tuple[list[str], list[Problem]]:
    """Tags trimmed; empty ones and exact duplicates dropped, the order kept."""
    kept: dict[str, None] = {}
    problems: list[Problem] = []
    for index, tag in enumerate(given):
        text, wrong = clean(tag, TAG_LENGTH)
        if wrong:
            problems.append(InvalidInput(f"The tag {wrong}", (*path, index)))
        if text:
            kept[text] = None
    if len(kept) > MAX_TAGS:
        message = f"There are {len(kept):,} tags; at most {MAX_TAGS} are allowed."
        problems.append(InvalidInput(message, path))
    return list(kept), problems


def new_row(at: int) -> Row:
    """An empty customer, created at a moment (milliseconds since 1970), without its keys."""
    return {
        "account_id": 0,
        "customer_id": 0,
        "created_at": at,
        "updated_at": at,
        "email": "",
        "email_key": "",
        "email_folded": "",
        "phone": "",
        "first_name": "",
        "last_name": "",
        "first_name_folded": "",
        "last_name_folded": "",
        "full_name_folded": "",
        "accepts_marketing": False,
        "expenses": 0,
        "orders_count": 0,
        "visits": 0,
        "tags": "[]",
        "notes": None,
        "custom": None,
        "shipping_address": None,
        "billing_address": None,
        "words": "",
        "notes_words": "",
        "facets": "",
        "version": 1,
    }


def folded_columns(row: Row) -> dict[str, str]:
    """The columns by which a customer is ordered, of those that they are made of."""
    first, last = row["first_name"], row["last_name"]
    return {
        "email_folded": fold(row["email"]),
        "first_name_folded": fold(first),
        "last_name_folded": fold(last),
        "full_name_folded": fold(full_name(first, last)),
    }


def instead(row: Row, values: Values) -> Values:
    """Clean values that take the place of what a row has, where else they are merged with it: parts
    of addresses and custom fields that they do not name are removed."""
    whole = {
        name: replacing(orjson.loads(row[name]), values[name])
        for name in MERGED
        if values.get(name) is not None and row[name]
    }
    return {**values, **whole}


def replacing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that makes an object another one, where it is merged with it (RFC 7396)."""
    patch = {**dict.fromkeys(before), **after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            patch[name] = replacing(old, value)
    return patch


def with_values(row: Row, values: Values, path: InputPath) -> tuple[Row, list[Problem]]:
    """A row with clean values applied, and what is wrong with the result."""
    changed = {**row, **values}
    problems: list[Problem] = []
    for name in ("shipping_address", "billing_address"):
        if name in values:
            merged = addresses.merge(addresses.load(row[name]), values[name])
            changed[name] = addresses.dump(merged)
    if values.get("custom") is not None:
        merged_fields = custom.merge(custom.load(row["custom"]), values["custom"])
        changed["custom"], problems = custom.dump(merged_fields, (*path, "custom"))
    if "tags" in values:
        changed["tags"] = orjson.dumps(values["tags"]).decode()
    if changed == row:
        return row, problems
    changed |= folded_columns(changed)
    if not problems and not values.keys().isdisjoint(found_by.SOURCES):
        changed |= found_by.derived(changed, values.keys())
    return changed, problems
