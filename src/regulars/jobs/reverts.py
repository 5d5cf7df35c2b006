"""Setting fields of one entry of the history back to their values before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    record_lookups,
)
from regulars.core.errors import (
    CustomerNotFound,
    DuplicateEmail,
    InvalidInput,
    LastIdentifier,
    Problem,
    Rejected,
    VersionConflict,
)
from regulars.customers import history
from regulars.customers.contact_points import EMAILS
from regulars.customers.external_ids import taken_ids
from regulars.customers.fields import WRITABLE
from regulars.customers.reverting import CHANGED, LAST, TAKEN, Kept, Pairs, email_keys_of, revert
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import LookupKeys, Row

# A consent is given by the customer, not by an entry of the history.
_EXCLUDED = ("accepts_marketing",)
_NAMES = [field.name for field in WRITABLE if field.name not in _EXCLUDED]


class ChangeNotFound(Problem):
    """An entry of the history does not exist, or has no values any more."""

    key = "changes_not_found"

    def __init__(self, sequence: int) -> None:
        super().__init__(
            f"The change {sequence} does not exist, is not an update of a customer, or its values "
            "were removed.",
            ("sequence",),
        )


class ChangedSince(VersionConflict):
    """Fields were changed after the entry. `fields` are their names."""

    def __init__(self, row: Row, fields: Sequence[str]) -> None:
        number = row["customer_id"]
        super().__init__(str(number), number, 0, row["version"], ("fields",))
        listed = ", ".join(f"`{name[:60]}`" for name in fields[:10])
        self.message = (
            f"{listed} changed after this entry. Check the present values, and pass `force: true` "
            "to replace them."
        )
        self._extensions = {**self._extensions, "fields": list(fields)}


@dataclass(frozen=True, slots=True)
class RevertFields(SmallCommand):
    """Sets fields of a customer back. `pairs` has their values before and after the entry."""

    customer_id: int
    pairs: Pairs
    at: int
    force: bool = False
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    shop_ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        items = self.pairs["external_ids"][0] if "external_ids" in self.pairs else ()
        ids = tuple([external.id for external in history.stored_ids(items)])
        object.__setattr__(self, "shop_ids", ids)

    @property
    def is_large(self) -> bool:
        return True

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=[self.customer_id],
            email_keys=email_keys_of(self.pairs),
            shop_ids=self.shop_ids,
            account_settings=(True,),
            **record_lookups(self.idempotency_record),
        )


def pairs_of(
    sequence: int, text: str | None, fields: Sequence[str] | None
) -> dict[str, tuple[Any, Any]]:
    """Return the values of fields before and after an entry, whose stored fields are `text`. A name
    can be that of a part, such as `custom.tier`. Raises Rejected."""
    stored: dict[str, tuple[Any, Any]] = orjson.loads(text) if text else {}
    if not stored:
        raise Rejected(ChangeNotFound(sequence))
    if fields is None:
        pairs = {name: pair for name, pair in stored.items() if name in _NAMES}
        if not pairs:
            raise Rejected(InvalidInput("No field of this change can be restored.", ("sequence",)))
        return pairs
    pairs = {}
    for index, path in enumerate(fields):
        name, dot, key = path.partition(".")
        if name not in stored or name not in _NAMES:
            names = ", ".join(each for each in stored if each in _NAMES) or "none"
            message = f"`{path[:100]}` cannot be restored from this change. Supported: {names}."
            raise Rejected(InvalidInput(message, ("fields", index)))
        pairs[name] = _part(pairs.get(name), stored[name], key) if dot else stored[name]
    return pairs


def _part(chosen: tuple[Any, Any] | None, stored: tuple[Any, Any], key: str) -> tuple[Any, Any]:
    """Return a pair in which one more key has its value from before."""
    before, after = (value if isinstance(value, Mapping) else {} for value in stored)
    changed = dict(chosen[0] if chosen else after)
    if key in before:
        changed[key] = before[key]
    else:
        changed.pop(key, None)
    return changed or stored[0], stored[1]


def revert_fields(unit: CustomerUnitOfWork, command: RevertFields) -> Row:
    """Return the row of the customer. Raises Rejected."""
    row = unit.customer(command.customer_id)
    if row is None:
        raise Rejected(CustomerNotFound([str(command.customer_id)], ("sequence",)))
    if command.version is not None and row["version"] != command.version:
        number = str(row["customer_id"])
        raise Rejected(VersionConflict(number, row["customer_id"], command.version, row["version"]))
    reverted = revert(unit, row, command.pairs, force=command.force)
    if reverted.kept:
        raise Rejected(*_problems(unit, row, command, reverted.kept))
    return unit.save(row, reverted.row, command)


def _problems(
    unit: CustomerUnitOfWork, row: Row, command: RevertFields, kept: Sequence[Kept]
) -> list[Problem]:
    path = ("fields",)
    changed = [each.field for each in kept if each.reason == CHANGED]
    problems: list[Problem] = [ChangedSince(row, changed)] if changed else []
    for each in kept:
        if each.reason == LAST:
            problems.append(LastIdentifier("an identification", path))
        elif each.reason == TAKEN and each.field == "external_ids":
            ids = history.stored_ids(command.pairs["external_ids"][0])
            problems += taken_ids(unit, ids, row["customer_id"], (), "fields")
        elif each.reason == TAKEN and each.field in (EMAILS.default, EMAILS.name):
            problems.append(DuplicateEmail(path))
        elif each.reason != CHANGED:
            message = f"`{each.field}` cannot be restored: {each.reason}."
            problems.append(InvalidInput(message, path))
    return problems
