"""Cleaning the input of lists of emails and phones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.core import fields
from regulars.core.dates import parse_timestamp
from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.fields import names_of
from regulars.core.stored_values import TIME
from regulars.core.text import clean
from regulars.customers.contact_changes import REMOVE, REPLACE, Change, Given, too_many
from regulars.customers.contact_points import EMAILS, Kind, phone_key
from regulars.customers.emails import clean_email
from regulars.customers.fields import FIELDS

(_PHONE,) = (field for field in FIELDS if isinstance(field, fields.Phone))
assert names_of(FIELDS, fields.Email) == (EMAILS.default,)
# The key of an input that has the value of an entry.
VALUE = {"emails": "email", "phones": "phone"}


def clean_change(
    kind: Kind, inputs: Sequence[Any], path: InputPath, mode: str = REPLACE
) -> tuple[Change, list[Problem]]:
    """Return a change of a list by an input, and problems. The inputs are objects of the API, or
    the bare values of entries to remove."""
    if len(inputs) > 2 * kind.max_count:
        message = f"{too_many(kind, len(inputs))} Send fewer."
        return Change(mode, ()), [InvalidInput(message, path)]
    entries: list[Given] = []
    problems: list[Problem] = []
    for index, value in enumerate(inputs):
        node = {VALUE[kind.name]: value} if isinstance(value, str) else value
        entry, found = _clean_entry(kind, node, (*path, index), is_removed=mode == REMOVE)
        entries.append(entry)
        problems += found
    return Change(mode, tuple(entries)), problems


def _clean_entry(
    kind: Kind, node: Mapping[str, Any], path: InputPath, *, is_removed: bool
) -> tuple[Given, list[Problem]]:
    name = VALUE[kind.name]
    value, key, problem = clean_value(kind, node[name])
    if is_removed:  # what no customer can have is ignored
        return Given(value, key), []
    problems: list[Problem] = [InvalidInput(problem, (*path, name))] if problem else []
    label, problem = clean(node.get("label") or "", kind.max_label)
    if not problem and ("<" in label or ">" in label):
        problem = "contains `<` or `>`, which enclose the value in exports. Remove them."
    if problem:
        problems.append(InvalidInput(f"The label {problem}", (*path, "label")))
    verified_at = None
    if kind.is_verified and "verified_at" in node:
        verified_at, problem = _clean_time(node["verified_at"])
        if problem:
            problems.append(InvalidInput(problem, (*path, "verified_at")))
    is_labelled = node.get("label") is not None
    entry = Given(value, key, label if is_labelled else None, node.get("default"), verified_at)
    return entry, problems


def clean_value(kind: Kind, text: str) -> tuple[str, str, str | None]:
    """Return an email or a phone, the form in which it is compared, and a problem."""
    if kind is EMAILS:
        return clean_email(text)
    phone, problem = clean(text, _PHONE.max_length)
    if problem:
        return phone, "", f"The phone {problem}"
    if not phone:
        return phone, "", "The phone is empty. Enter a phone number."
    return phone, phone_key(phone), None


def _clean_time(text: str | None) -> tuple[int | None, str | None]:
    """Return the time of a verification, 0 for none, and a problem."""
    if text is None:
        return 0, None
    time = parse_timestamp(text)
    if time is None or not TIME.holds(time) or time == 0:
        return None, (
            f"`verified_at` is {text[:50]!r}, which is not a timestamp. Use ISO 8601, such as "
            "2024-03-18T14:20:37Z, or null."
        )
    return time, None
