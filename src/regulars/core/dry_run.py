"""Dry runs: a command is decided, and its changes are discarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.core.commands import Command, Origin
from regulars.store import LookupKeys, Row, UnitOfWork
from regulars.store.entity import BatchStatement
from regulars.store.tables import history


@dataclass(frozen=True, slots=True)
class DryRun:
    """Decides a command by itself on the stored rows. Nothing is saved, and no idempotency record
    is read. The result is a Draft."""

    command: Command

    @property
    def at(self) -> int:
        return self.command.at

    @property
    def origin(self) -> Origin:
        return self.command.origin

    @property
    def idempotency_record(self) -> None:
        return None

    @property
    def is_large(self) -> bool:
        return self.command.is_large

    @property
    def expects_no_rows(self) -> bool:
        # A predicted state is compared with the database only when something is saved.
        return False

    @property
    def is_step(self) -> bool:
        return False

    def lookup_keys(self) -> LookupKeys:
        return self.command.lookup_keys()


class Draft(NamedTuple):
    """What a command would write: its result, the new and changed rows of each table by key (None
    for a deleted row), the new entries of the history, and the further statements with their
    parameters. New customers have all of their history in `rows`: restored ones have older entries,
    which cannot be read without the stored customer."""

    result: Any
    rows: Mapping[sa.Table, Mapping[Any, Row | None]]
    entries: Sequence[Row]
    statements: Mapping[BatchStatement, Mapping[str, Any]]


def draft_of(unit: UnitOfWork, result: Any) -> Draft:
    """Return what a unit of work would write."""
    differences = {table: rows.differences() for table, rows in unit.rows.items()}
    rows = {table: {key: row for key, _, row in each} for table, each in differences.items()}
    changes = differences.get(history, ())
    entries = [row for _, before, row in changes if before is None and row is not None]
    for customer_id, before, _ in differences.get(unit.entities.root.table, ()):
        if before is None:
            restored = unit.rows[history].of_customer(customer_id)
            rows.setdefault(history, {}).update({row["sequence"]: row for row in restored})
    return Draft(result, rows, entries, unit.statements)
