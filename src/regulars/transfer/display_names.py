"""Names in cells of emails, as email programs write them: `Ana Sá <ana@example.com>`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from regulars.transfer.column_profile import ColumnProfile, share
from regulars.transfer.column_selection import Choice
from regulars.transfer.email_cells import unwrap_email

# Readings of a column of emails that has the name of the customer, too, and of this name.
WITH_NAME, DISPLAY_NAME = "with_name", "display_name"
_NAMES = ("name", "first_name", "last_name")


def add_display_names(
    profiles: Sequence[ColumnProfile], choices: Sequence[Choice], taken: Collection[str]
) -> None:
    """Let the names in the column of emails be those of the customers, if no column is. `taken` are
    the fields of mapped columns."""
    used = {choice.field for choice in choices} | set(taken)
    if not used.isdisjoint(_NAMES):
        return
    for choice, profile in zip(choices, profiles, strict=False):
        if choice.field == "email" and share(profile, display_name):
            choice.reader = WITH_NAME
            choice.note = choice.note or "It has the names of the customers, too."


def display_name(value: Any) -> str | None:
    """Return the name in a cell of an email, None without one."""
    is_named = isinstance(value, str) and "<" in value
    return (unwrap_email(value).name or None) if is_named else None
