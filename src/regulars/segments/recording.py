"""The rule by which evaluations of watched segments are recorded.

The memberships, the entries of the history and the position of a segment change together, so that
nothing is recorded twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from regulars.core.commands import Origin
from regulars.customers import history
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.segments.commands import Evaluation, RecordEvaluations
from regulars.segments.queries import DELETE_LEFT
from regulars.segments.table import memberships, segments
from regulars.store import Row, tables

# The rows of the state that say which of the evaluated customers exist.
EXISTING = "existing_customers"
ACTOR_KIND = "segment"


def record(unit: CustomerUnitOfWork, command: RecordEvaluations) -> Mapping[int, int]:
    """Save evaluations, and return the position of each segment whose evaluation was saved."""
    last_change = unit.counters["changes"]
    stored_ids = {row["customer_id"] for row in unit.state.rows.get(EXISTING, ())}
    customers = unit.rows[tables.customers]
    existing = {
        number
        for number in stored_ids
        if not customers.is_known(number) or customers.get(number) is not None
    }
    positions: dict[int, int] = {}
    for evaluation in command.evaluations:
        row = unit.rows[segments].get(evaluation.segment_id)
        if row is None or not row["watched"] or _differs(row, evaluation.expected):
            continue
        unit.rows[segments].put({**row, **evaluation.columns})
        positions[evaluation.segment_id] = {**row, **evaluation.columns}["position"]
        _record(unit, command, evaluation, row["name"], existing)
    for segment_id, position in positions.items():
        # The new entries follow the position: they need no evaluation.
        row = unit.rows[segments].get(segment_id)
        if row is not None and position == last_change < unit.counters["changes"]:
            positions[segment_id] = unit.counters["changes"]
            unit.rows[segments].put({**row, "position": unit.counters["changes"]})
    return positions


def _differs(row: Row, expected: Mapping[str, object]) -> bool:
    return any(row[name] != value for name, value in expected.items())


def _record(
    unit: CustomerUnitOfWork,
    command: RecordEvaluations,
    evaluation: Evaluation,
    name: str,
    existing: Collection[int],
) -> None:
    segment_id, rows = evaluation.segment_id, unit.rows[memberships]
    key = {"account_id": unit.account_id, "segment_id": segment_id}

    def add_entry(kind: str, customer_id: int) -> None:
        if evaluation.is_announced:
            origin = Origin(ACTOR_KIND, name, silent=customer_id in evaluation.silent)
            cause = history.segment_cause(segment_id)
            unit.record(kind, customer_id, replace(command, origin=origin), cause=cause)

    for customer_id in evaluation.removed:
        row = rows.get((segment_id, customer_id))
        if row is not None and row["removed_at"] is None:
            rows.put({**row, "removed_at": command.at})
    # Nothing follows the entry of a deletion. The customer may have been deleted after it was
    # evaluated: that entry is evaluated next.
    for customer_id in evaluation.entered:
        row = rows.get((segment_id, customer_id))
        if customer_id in existing and (row is None or row["removed_at"] is not None):
            new = {"customer_id": customer_id, "since": command.at, "removed_at": None}
            rows.put({**key, **new})
            add_entry(history.SEGMENT_ENTERED, customer_id)
    for customer_id in evaluation.left:
        row = rows.get((segment_id, customer_id))
        if customer_id in existing and row is not None and row["removed_at"] is None:
            rows.assume_deleted((segment_id, customer_id))
            pair = f"{segment_id}:{customer_id}"
            unit.run(DELETE_LEFT, leaving_customers=[customer_id], left_memberships=[pair])
            add_entry(history.SEGMENT_LEFT, customer_id)
