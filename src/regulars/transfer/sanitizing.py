"""Remove characters from values of files and other servers that would reject a row.

The row is imported with a warning (docs/contract/contract.md, "Writes").
"""

from __future__ import annotations

import operator
import re
from typing import Any

import orjson

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.core.text import COMBINING_MARKS, CONTROL_CHARACTERS, sanitize
from regulars.customers.address_book import BOOK, MAX_ENTRIES
from regulars.customers.bulk import NO_EMAIL_CONSENT, SURPLUS_TAGS
from regulars.customers.contact_points import EMAILS, KINDS
from regulars.customers.custom import MAX_DEPTH
from regulars.customers.fields import FIELDS
from regulars.customers.imported_contacts import SURPLUS as SURPLUS_CONTACTS
from regulars.customers.imported_contacts import TAKEN
from regulars.customers.values import MAX_TAGS

CUSTOM = "custom"
_LONG_TEXTS = names_of(FIELDS, fields.LongText)
_MAX_ENTRIES = {BOOK: MAX_ENTRIES, **{kind.name: kind.max_count for kind in KINDS.values()}}
# The prefix of the kinds of warnings in the problems of an import.
WARNING = "warning_"
WARNED_ROWS = f"{WARNING}rows"
# The kinds of changes besides those of `sanitize`.
KEPT = "kept"
SKIPPED = "skipped_lines"
UNREADABLE = "unreadable"
SURPLUS = "surplus_cells"
STRAY_QUOTES = "stray_quotes"
GARBLED = "garbled"
WHOLE_ADDRESS = "whole_address"
NOT_IMPORTED = "not_imported"

_BREAK_IN_JSON = re.compile(r"\r\n|[\t\n\r]")
_CONTROL_IN_JSON = re.compile(r"[\x00-\x1f]")
_ESCAPED_NUL = "\\u0000"

Changes = tuple[str, ...]


def sanitized(field: str, value: Any) -> tuple[Any, Changes]:
    """Return the clean value of a field, and the kinds of changes. In `custom`, only NUL is
    removed, also from keys."""
    if field == CUSTOM and isinstance(value, str):
        return _custom_text(value)
    if field.partition(".")[0] == CUSTOM:
        clean = without_nul(value)
        return clean, () if clean is value else (CONTROL_CHARACTERS,)
    if isinstance(value, str):
        return sanitize(value, lines=field in _LONG_TEXTS)
    if isinstance(value, list):
        pairs = [sanitize(item) if isinstance(item, str) else (item, ()) for item in value]
        changes = {change: None for _, changes in pairs for change in changes}
        return [item for item, _ in pairs], tuple(changes)
    return value, ()


def _custom_text(text: str) -> tuple[Any, Changes]:
    """Clean custom fields in the form of a JSON text. JSON allows no control characters in
    strings."""
    if not _CONTROL_IN_JSON.search(text) and _ESCAPED_NUL not in text:
        return text, ()
    changes: Changes = ()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        changes = (CONTROL_CHARACTERS,)
        text = _CONTROL_IN_JSON.sub("", _BREAK_IN_JSON.sub(" ", text))
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text, changes
    if not isinstance(value, dict):
        return text, changes
    clean = without_nul(value)
    return clean, changes if clean is value else (CONTROL_CHARACTERS,)


def without_nul(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Remove NUL from the strings and keys of a JSON value. Return the same object if it has none.
    Values deeper than custom fields may be nested are not changed."""
    if isinstance(value, str):
        return value.replace("\0", "") if "\0" in value else value
    if not depth or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        items = [without_nul(item, depth - 1) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    pairs = [(without_nul(key), without_nul(item, depth - 1)) for key, item in value.items()]
    same = all(
        key is k and item is i for (key, item), (k, i) in zip(pairs, value.items(), strict=True)
    )
    return value if same else dict(pairs)


def warning_message(change: str, field: str) -> str:
    """Return the message of a warning for the user."""
    if change == KEPT:
        if field == SURPLUS_TAGS:
            return (
                f"The customer has {MAX_TAGS} tags, which is the maximum. The other tags of the "
                "row were stored in `custom`, up to 4,000 characters."
            )
        if field == "tags":
            return (
                "The customer's other tags were kept. Choose tags=replace (--tags) to remove them."
            )
        if field == NO_EMAIL_CONSENT:
            return "The customer has no email, so the consent to marketing was not imported."
        if field == "created_at":
            return (
                "The customer exists already, and keeps the date of their creation. An import sets "
                "it for new customers only."
            )
        if field == f"{EMAILS.name}.{TAKEN}":
            return (
                "Another customer has this email and keeps it. Here, it was stored in `custom`. "
                "Check whether the two are one person, or remove the email."
            )
        if field.partition(".")[2] == SURPLUS_CONTACTS:
            name = field.partition(".")[0]
            return (
                f"The customer has {_MAX_ENTRIES[name]} {name}, which is the maximum. The others "
                "were stored in `custom`, up to 4,000 characters."
            )
        if field == "external_id":
            return (
                "Another customer has this external id and keeps it. Here, it was stored in "
                "`custom`. Check whether the two are one person, or correct the id."
            )
        return (
            "The customer is unsubscribed and stays so. Choose consent=overwrite (--consent) to "
            "subscribe them."
        )
    if change == SKIPPED:
        return (
            "Lines with `__parentId` are parts of other records, such as addresses or orders, and "
            "no customers. They were skipped."
        )
    if change == GARBLED:
        return (
            "The text seems to be damaged: it was saved in a wrong encoding, or has codes of "
            "HTML. It was imported as it is. Export it again as UTF-8."
        )
    if change == COMBINING_MARKS:
        return "More than 30 combining marks in a row. The first 30 were imported."
    if field.partition(".")[0] == CUSTOM:
        return "NUL characters were removed."
    if field in _LONG_TEXTS:
        return "Control characters were removed."
    return "Control characters were removed. Tabs and line breaks were replaced with spaces."
