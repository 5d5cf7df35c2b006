"""The rules of adding tags to many customers, and of removing them."""

from __future__ import annotations

from typing import Any

import orjson

from regulars.core.errors import CustomerNotFound, InvalidInput, Problem, Rejected, TooMuchWork
from regulars.customers.bulk import ChangeTags
from regulars.customers.commands import Reference
from regulars.customers.rules import version_conflicts
from regulars.customers.search import index_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import MAX_TAGS, with_values
from regulars.store import Row


def change_tags(unit: CustomerUnitOfWork, command: ChangeTags) -> list[int]:
    """Add and remove tags, and return the `_id`s of the customers in the order of the command.
    Raises Rejected."""
    missing = [r.id_text for r in command.customers if unit.find(r) is None]
    if missing:
        raise Rejected(CustomerNotFound(missing, ("items",)), *command.problems)
    conflicts = version_conflicts(unit, command.customers, command.version)
    if conflicts or command.problems:
        raise Rejected(*conflicts, *command.problems)
    problems: list[Problem] = []
    updates: list[tuple[Row, Row]] = []
    work = 0
    references: dict[int, tuple[Reference, Row]] = {}
    for reference in command.customers:
        row = unit.find(reference)
        assert row is not None
        references.setdefault(row["customer_id"], (reference, row))
    for reference, row in references.values():
        new_tags: list[Any] = orjson.loads(row["tags"])
        new_tags = [
            tag for tag in dict.fromkeys([*new_tags, *command.add]) if tag not in command.remove
        ]
        if len(new_tags) > MAX_TAGS:
            message = (
                f"The customer `{reference.id_text[:50]}` would have {len(new_tags):,} tags; the "
                f"maximum is {MAX_TAGS}."
            )
            problems.append(InvalidInput(message, ("tags",)))
        updated, _ = with_values(row, {"tags": new_tags}, ())
        work += index_terms.work_of(row, updated)
        if work > index_terms.MAX_WORK and updates:
            raise Rejected(TooMuchWork())
        updates.append((row, updated))
    if problems:
        raise Rejected(*problems)
    for row, updated in updates:
        unit.save(row, updated, command)
    rows = map(unit.find, command.customers)
    return [row["customer_id"] for row in rows if row is not None]
