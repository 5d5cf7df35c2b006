"""The rules of the lists of emails, phones and addresses that need other rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from regulars.core.errors import DuplicateEmail, InputPath, InvalidInput, Problem
from regulars.customers.address_book import BOOK
from regulars.customers.commands import has_lists
from regulars.customers.contact_changes import REPLACE, Change
from regulars.customers.contact_points import EMAILS, KINDS, Kind
from regulars.customers.external_ids import global_ids
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import Row

_OLD_VERSION = (
    "Lists of emails, phones and addresses need tables that older versions of Regulars do not use. "
    "The operator must replace all servers, and run `regulars migrate --contract`."
)


def contact_problems(
    unit: CustomerUnitOfWork, values: Mapping[str, Any], customer_id: int | None, path: InputPath
) -> list[Problem]:
    """Return the problems of the emails and the lists in the values of a customer, which is None if
    it is new: other customers have an email, or the tables do not have lists yet."""
    problems: list[Problem] = []
    if not any(has_lists(values)):
        default = values.get(EMAILS.key_column)
        if not default or unit.holder(default) in (None, customer_id):
            return problems
    for key, place in _keys(values):
        holder = unit.holder(key)
        if holder not in (None, customer_id):
            problems.append(DuplicateEmail((*path, *place), global_ids([holder])[0]))
    return [
        *problems,
        *(
            InvalidInput(_OLD_VERSION, (*path, kind.name))
            for kind in KINDS.values()
            if _is_more_than_default(kind, values) and not unit.accepts_lists
        ),
    ]


def book_problems(
    unit: CustomerUnitOfWork, before: Row | None, after: Row, path: InputPath
) -> list[Problem]:
    """Return the problem of a customer whose address book gets more than default addresses, though
    the tables do not have books yet: a program of an older version would lose it with the next
    deletion."""
    if after[BOOK] is None or (before and before[BOOK] is not None) or unit.accepts_lists:
        return []
    return [InvalidInput(_OLD_VERSION, path)]


def _is_more_than_default(kind: Kind, values: Mapping[str, Any]) -> bool:
    """Whether a list in values has more than a default."""
    change: Change | None = values.get(kind.name)
    if change is None:
        return False
    if change.mode != REPLACE or any(entry.label or entry.verified_at for entry in change.entries):
        return True
    default = values.get(kind.default)
    keys = {*([kind.key(default)] if default else []), *(entry.key for entry in change.entries)}
    return len(keys) > 1


def _keys(values: Mapping[str, Any]) -> Iterator[tuple[str, InputPath]]:
    """Yield the emails that a customer then has, each with its place in the input."""
    default = values.get(EMAILS.key_column)
    if default:
        yield default, (EMAILS.default,)
    change: Change | None = values.get(EMAILS.name)
    for index, key in enumerate(change.keys if change else ()):
        if key != default:
            yield key, (EMAILS.name, index, EMAILS.default)
