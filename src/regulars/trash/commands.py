"""The commands on the trash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    SummarizedResult,
    record_lookups,
)
from regulars.customers.commands import Reference, customer_ids
from regulars.customers.contact_points import email_key
from regulars.store import LookupKeys

# The background task that purges customers.
PURGER = Origin("system", "trash")


@dataclass(frozen=True, slots=True)
class RestoreCustomers(SmallCommand):
    """Restores all of the customers or none, at a time in milliseconds since 1970. With
    `skips_conflicts`, values that another object has now are left out. `updated_at` is the time of
    the last change on another server, in the same unit; without it, it is `at`. `event` is the
    number of the restore in the feed of another Regulars: customers that a later event has deleted
    are not found. `new_email` is the email of the one customer on another server, of which changes
    before the deletion may be unknown here: if another customer has an email in the trash, it
    replaces all of them."""

    customers: tuple[Reference, ...]
    at: int
    skips_conflicts: bool = False
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    updated_at: int | None = None
    event: int | None = None
    new_email: str | None = None

    @property
    def is_large(self) -> bool:
        """The body of a customer can take long to decode."""
        return True

    def lookup_keys(self) -> LookupKeys:
        ids = customer_ids(*self.customers)
        return LookupKeys(
            customer_ids=ids,
            restored_ids=ids,
            email_keys=frozenset([email_key(self.new_email)] if self.new_email else []),
            spend_settings=(True,),
            shop_ids=[each.id_text for each in self.customers if self.event is not None],
            **record_lookups(self.idempotency_record),
        )


class Conflict(NamedTuple):
    """A value of a customer in the trash that another object has: the kind of the value (a kind of
    the keys of the trash), and the `_id` of the customer that has it."""

    customer_id: int
    field: str
    value: str
    taken_by: int


@dataclass(frozen=True, slots=True)
class RestoreResult(SummarizedResult):
    """The `_id`s of the restored customers, in the order of the command, and the values that were
    left out."""

    customer_ids: tuple[int, ...]
    skipped: tuple[Conflict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result without values of a customer."""
        skipped = [[each.customer_id, each.field, each.taken_by] for each in self.skipped]
        return {"customer_ids": list(self.customer_ids), "skipped": skipped}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RestoreResult:
        """Return a stored result. Its values are empty."""
        skipped = [
            Conflict(number, name, "", taken_by) for number, name, taken_by in stored["skipped"]
        ]
        return cls(tuple(stored["customer_ids"]), tuple(skipped))


@dataclass(frozen=True, slots=True)
class PurgeCustomers(SmallCommand):
    """Purges customers in the trash, and returns how many: all of them or none. If it is `due`,
    only those whose time has come at `at` (milliseconds since 1970), and others are ignored."""

    customers: tuple[Reference, ...]
    at: int
    due: bool = False
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            purged_ids=customer_ids(*self.customers),
            **record_lookups(self.idempotency_record),
        )
