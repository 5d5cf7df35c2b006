"""Rebuilding the search terms of an account after a setting that they depend on has changed."""

from __future__ import annotations

from dataclasses import dataclass

from regulars.core.commands import COMMAND_LINE, IdempotencyRecord, Origin, SmallCommand
from regulars.customers.search import index_terms, search_document
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import LookupKeys

# The position of a rebuild, among the counters of the account: the first `_id` that is left.
REBUILD_FROM = "rebuild_from"
# Characters that a batch indexes at most: the writes of clients wait for it.
_MAX_WORK = 30_000


@dataclass(frozen=True, slots=True)
class RebuildTerms(SmallCommand):
    """Rebuilds the search terms of customers, if the rebuild of the account is still at `start`.
    `customer_ids` are the next ones, in their order; `is_last` says that no others follow. Returns
    the next position, 0 after the last customer, or None if the rebuild is elsewhere."""

    start: int
    customer_ids: tuple[int, ...]
    is_last: bool
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        return True

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(customer_ids=frozenset(self.customer_ids))


def rebuild_terms(unit: CustomerUnitOfWork, command: RebuildTerms) -> int | None:
    """Derive the terms of customers by the settings of the account, and return the next position.
    Their versions and their history do not change."""
    if unit.counters[REBUILD_FROM] != command.start:
        return None
    position, work = command.start, 0
    for customer_id in command.customer_ids:
        if work > _MAX_WORK:
            break
        position = customer_id + 1
        row = unit.customer(customer_id)
        if row is not None:
            work += index_terms.work_of(None, row)
            unit.put_customer({**row, **search_document.derive_columns(row)})
    else:
        position = 0 if command.is_last else position
    unit.work += work
    unit.counters[REBUILD_FROM] = position
    return position
