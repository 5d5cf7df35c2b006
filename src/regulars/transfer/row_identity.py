"""Whom a row of a file is about: our own ids, and those of other systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from regulars.core import ids
from regulars.core.errors import InvalidInput, Problem
from regulars.core.external_ids import SHOP, ExternalId, ExternalIds, parse
from regulars.core.ids import MAX_ID
from regulars.core.text import sanitize
from regulars.customers.commands import Reference, reference_to
from regulars.customers.search.phones import forms
from regulars.transfer.columns import EXTERNAL_ID
from regulars.transfer.import_options import EXTERNAL, PHONE, is_external

_ID_LENGTH = 255


def foreign_id(value: Any) -> str | None:
    """Return the id of another system, cleaned. None for a global id, and for a number that may be
    an `_id`: `node` would return another customer for it."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or ids.decode(text) is not None:
        return None
    if text.isdecimal() and (len(text) < len(str(MAX_ID)) or int(text[:_ID_LENGTH]) <= MAX_ID):
        return None
    return sanitize(text)[0].strip()[:_ID_LENGTH] or None


def foreign_ids(value: Any) -> ExternalIds:
    """Return the ids of the shop in a value, which is one or a list; see `foreign_id`."""
    ids_ = map(foreign_id, value if isinstance(value, list) else [value])
    return tuple(ExternalId(SHOP, id_) for id_ in dict.fromkeys(filter(None, ids_)))


def exported_ids(texts: list[str]) -> ExternalIds:
    """Return the external ids in the column `external_ids` of our own export."""
    return tuple(dict.fromkeys(filter(None, map(parse, texts))))


def _customer_of(value: Any) -> int | None:
    """Return the `_id` in the global id of a customer; None for any other value."""
    global_id = ids.decode(value) if isinstance(value, str) else None
    return (
        global_id[1]
        if global_id and global_id[0] == "Customer" and global_id[1] <= MAX_ID
        else None
    )


class RowIdentity(NamedTuple):
    """Whom a row is about; see `SetRow`."""

    customer: Reference | None = None
    take: int | None = None
    no_email: str = ""
    own_id: int | None = None


def identify_row(
    keys: Mapping[str, Any],
    values: Mapping[str, Any],
    problems: list[Problem],
    match: str,
    is_own: bool,
    has_email_column: bool,
) -> RowIdentity:
    """Return the customer that a row selects by id, and the `_id` of a new customer. Appends to
    `problems` if it selects none.

    A file of another system has its own numbers under `id` and `_id`. They select no customer:
    only a global id does, or an `_id` with the option `match=_id`.
    """
    number, id_ = keys["_id"], keys["id"]
    own = number if is_own and id_ is None else _customer_of(id_)
    if own is not None and number not in (None, own):
        message = f"`_id` is {number}, and `id` is that of customer {own}. Remove one of them."
        problems.append(InvalidInput(message, ("_id",)))
        return RowIdentity()
    if match == "_id":
        number = number or own
        if number is None and id_ is not None:
            number = reference_to(str(id_)).customer_id
        if number is None and not problems:
            problems.append(InvalidInput("The row has no _id, by which customers are found."))
        return RowIdentity(Reference(str(number), number), number)
    if match == PHONE:
        if not forms(values.get("phone") or "") and not problems:
            message = "The row has no phone number, by which customers are found."
            problems.append(InvalidInput(message, (PHONE,)))
        return RowIdentity(take=number or own)
    ids = values.get("external_ids") or ()
    if is_external(match) and match.removeprefix(EXTERNAL) not in [e.source for e in ids]:
        if not problems:
            message = f"The row has no {match}, by which customers are found."
            problems.append(InvalidInput(message))
        return RowIdentity()
    if "email" in values or ids:
        return RowIdentity(take=number or own)
    if own is not None:
        # Without a column of emails, the file says nothing about them.
        return RowIdentity(Reference(str(own), own), own_id=own if has_email_column else None)
    if any(keys[name] is not None for name in ("_id", "id", EXTERNAL_ID)):
        message = (
            "The row has no email, and its id is that of another system. Add the email, or "
            "choose `match=_id` (--match _id) if the id is the customer's `_id` here."
        )
        return RowIdentity(no_email=message)
    return RowIdentity()
