"""The decision on a batch: commands and the rows that they name in, new rows or refusals out.

Pure: no database, no clock, no I/O. Commands are decided in order, and each sees what the ones
before it in the batch have done; a refused one leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from regulars.core import idempotency_records
from regulars.core.commands import Command
from regulars.core.errors import Rejected
from regulars.customers.search import search_document
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.directory.entities import ENTITIES
from regulars.store import Changes, Domain, Entities, State


def decide(
    account_id: int, commands: Sequence[Command], state: State, entities: Entities = ENTITIES
) -> tuple[list[Any], Changes]:
    """The outcome of each command (its result, or the Rejected that it ends with) and the
    changes of them all. Where they change much of the index, only the first of them are decided,
    and the outcomes are fewer: the others belong in a later batch."""
    unit = CustomerUnitOfWork(account_id, state, entities)
    outcomes: list[Any] = []
    for command in commands:
        try:
            outcomes.append(_apply_once(unit, command))
        except Rejected as refused:
            outcomes.append(refused)
        if unit.work >= search_document.MAX_BATCH_WORK:
            break
    return outcomes, unit.changes()


def _apply_once(unit: CustomerUnitOfWork, command: Command) -> Any:
    """The outcome of a command; of one whose request was sent before, what it was then."""
    idempotency_record = command.idempotency_record
    if idempotency_record is None:
        return _apply(unit, command)
    known = idempotency_records.find(unit, idempotency_record)
    if known is not None:
        return idempotency_records.replayed(known, idempotency_record)
    try:
        result = _apply(unit, command)
    except Rejected as refused:
        if idempotency_record.of_refusals:
            idempotency_records.record(unit, idempotency_record, refused)
        raise
    idempotency_records.record(unit, idempotency_record, result)
    return result


def _apply(unit: CustomerUnitOfWork, command: Command) -> Any:
    return unit.entities.rule(type(command))(unit, command)


def domain_of(entities: Entities) -> Domain:
    """The domain of some entities, with their rules."""
    return Domain(entities, partial(decide, entities=entities))


DOMAIN = domain_of(ENTITIES)
