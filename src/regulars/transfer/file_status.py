"""The consent that the name of a file has: Mailchimp exports a file for each status of its
contacts, with the status in the name alone (`unsubscribed_members_export_1a2b.csv`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from regulars.transfer.column_selection import CONSENT, SUBSCRIBED_AT
from regulars.transfer.columns import Column
from regulars.transfer.heading_dictionary import comparable

SUBSCRIBED, UNSUBSCRIBED, OTHER = "subscribed", "unsubscribed", "other"
# The columns that all of these files have, and no file of another system.
_COLUMNS = {"optintime", "confirmtime", "leid", "euid"}
_NAME = re.compile(r"(subscribed|unsubscribed|cleaned|non-?subscribed)[_ .-]", re.IGNORECASE)
_NOTES = {
    SUBSCRIBED: "all its customers accept marketing, except those with a time of withdrawal",
    UNSUBSCRIBED: "none of its customers accepts marketing",
    OTHER: "it says nothing about consent, and the times of the opt-in are no consent",
}


def status_of_file(name: str, columns: Sequence[Column]) -> str | None:
    """Return the status that the name of a file of Mailchimp has: `subscribed`, `unsubscribed`, or
    `other` for contacts whose times of an opt-in are no consent. None for other files, and if a
    column is mapped to the consent."""
    match = _NAME.match(PurePath(name.replace("\\", "/")).name)
    if match is None or not {comparable(column.heading) for column in columns} >= _COLUMNS:
        return None
    if any(column.field == CONSENT and column.reader is None for column in columns):
        return None
    status = match[1].lower()
    return status if status in (SUBSCRIBED, UNSUBSCRIBED) else OTHER


def with_note(columns: Sequence[Column], status: str) -> list[Column]:
    """Return the columns, with a note about the status of the file on the one of the opt-in."""
    note = f"The file has its status in its name: {_NOTES[status]}."
    position = next(
        (c.position for c in columns if c.reader == SUBSCRIBED_AT),
        next((c.position for c in columns if c.field == "email"), -1),
    )
    return [replace(c, note=note) if c.position == position else c for c in columns]
