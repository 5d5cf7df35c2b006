"""What a customer is: input cleaned into values, values turned into rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.core import fields
from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.customers import field_rules
from regulars.customers.field_rules import (
    APPLY,
    CLEAN,
    EMPTY,
    MERGED,
    NULLABLE,
    TIMESTAMPS,
    Values,
    folded_columns,
)
from regulars.customers.fields import FIELDS
from regulars.customers.search import search_document
from regulars.store import Row

(_TAGS,) = (field for field in FIELDS if isinstance(field, fields.Tags))
MAX_TAGS = _TAGS.max_count


def clean_values(node: Mapping[str, Any], path: InputPath) -> tuple[Values, list[Problem]]:
    """The fields that somebody sends, as they are kept, and everything that is wrong with them.

    Answers only the fields that `node` names. An address and `custom` stay patches: what they
    are merged with is known later. `email` comes with its `email_key`.
    """
    values: Values = {}
    problems: list[Problem] = []
    for name, value in node.items():
        if value is None:
            if name in NULLABLE:
                values[name] = None
            else:
                message = f"{name} cannot be null. Leave it out to keep what it is."
                problems.append(InvalidInput(message, (*path, name)))
        elif name in CLEAN:
            problems += CLEAN[name](values, value, (*path, name))
        else:  # a value that no rule has checked is never stored
            raise LookupError(f"No rule for the field {name!r}.")
    return values, problems


def clean_tags(given: Sequence[str], path: InputPath) -> tuple[list[str], list[Problem]]:
    """Tags trimmed; empty ones and exact duplicates dropped, the order kept."""
    return field_rules.clean_tags(given, path, _TAGS)


def new_row(at: int) -> Row:
    """An empty customer, created at a moment (milliseconds since 1970), without its keys."""
    return {**EMPTY, **dict.fromkeys(TIMESTAMPS, at)}


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
    for name, value in values.items():
        if name in APPLY:
            changed[name], wrong = APPLY[name](row, value, path)
            problems += wrong
    if changed == row:
        return row, problems
    changed |= folded_columns(changed, values.keys())
    if not problems and not values.keys().isdisjoint(search_document.SOURCES):
        changed |= search_document.derive_columns(changed, values.keys())
    return changed, problems
