"""The decision on a batch: from commands and the rows that they name to new rows or rejections.

Pure: no database, no clock, no I/O. Commands are decided in order. Each sees the effects of those
before it, and a rejected command or a dry run has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from regulars.core import idempotency_records
from regulars.core.commands import Command
from regulars.core.dry_run import DryRun, draft_of
from regulars.core.errors import Rejected
from regulars.customers.search import index_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.directory.entities import ENTITIES
from regulars.store import Changes, Domain, Entities, State
from regulars.store.moving import OVERSIZED, UnbatchableCommands


def decide(
    account_id: int, commands: Sequence[Command], state: State, entities: Entities = ENTITIES
) -> tuple[list[Any], Changes]:
    """Returns the outcome of each command (its result, or a Rejected) and the changes of all. If
    they change too much of the search index for one batch, only the first commands are decided, and
    there are fewer outcomes than commands. Raises UnbatchableCommands if the commands cannot be one
    batch."""
    if OVERSIZED in state.rows and len(commands) > 1:
        raise UnbatchableCommands
    unit = CustomerUnitOfWork(account_id, state, entities)
    outcomes: list[Any] = []
    discarded_work = 0
    for command in commands:
        try:
            if isinstance(command, DryRun):
                # It sees the stored rows, as if it came before the batch.
                discarded = CustomerUnitOfWork(account_id, state, entities)
                result = _apply(discarded, command.command)
                outcomes.append(draft_of(discarded, result))
                discarded_work += discarded.work
            else:
                outcomes.append(_apply_once(unit, command))
        except Rejected as rejection:
            outcomes.append(rejection)
        if unit.work + discarded_work >= index_terms.MAX_BATCH_WORK:
            break
    return outcomes, unit.changes()


def _apply_once(unit: CustomerUnitOfWork, command: Command) -> Any:
    """Returns the result of a command; for a repeated request, the stored result."""
    idempotency_record = command.idempotency_record
    if idempotency_record is None:
        return _apply(unit, command)
    record = idempotency_records.find(unit, idempotency_record)
    if record is not None:
        return idempotency_records.replayed(record, idempotency_record)
    try:
        result = _apply(unit, command)
    except Rejected as rejection:
        if idempotency_record.of_refusals:
            idempotency_records.record(unit, idempotency_record, rejection)
        raise
    idempotency_records.record(unit, idempotency_record, result)
    return result


def _apply(unit: CustomerUnitOfWork, command: Command) -> Any:
    return unit.entities.rule(type(command))(unit, command)


def domain_of(entities: Entities) -> Domain:
    """Return the domain of entities with their rules."""
    return Domain(entities, partial(decide, entities=entities))


DOMAIN = domain_of(ENTITIES)
