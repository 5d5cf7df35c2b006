"""The rules of jobs: starting one, and each batch of an edit or an undo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from regulars.comments.table import comments
from regulars.core.errors import (
    CustomerNotFound,
    Problem,
    Rejected,
    Stopped,
    TooMuchWork,
    is_too_much,
)
from regulars.core.ids import encoder
from regulars.customers.address_book import BOOK
from regulars.customers.commands import Reference
from regulars.customers.contact_rules import book_problems, contact_problems
from regulars.customers.identification import changed_problems
from regulars.customers.reverting import CHANGED, revert
from regulars.customers.search import index_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.jobs.commands import (
    ADDED,
    REMOVED,
    BatchResult,
    CustomerUndo,
    EditCustomers,
    JobResult,
    StartJob,
    UndoChanges,
)
from regulars.jobs.edits import apply
from regulars.jobs.problems import CannotUndo, JobNotFound, OldTables, TooManyJobs
from regulars.jobs.values import (
    CANCELLED,
    FAILED,
    JOBS_VERSION,
    KEPT,
    MAX_WAITING,
    REJECTED,
    SEGMENTS,
    can_undo,
    csv_lines,
    with_problem,
)
from regulars.segments.commands import SegmentChange
from regulars.segments.tag_renaming import rename_in_segments, restore_segments
from regulars.store import Row
from regulars.store.imports import IDS, RUNNING
from regulars.store.moving import OVERSIZED
from regulars.store.tables import import_parts, imports, leads, orders
from regulars.trash.commands import RestoreCustomers
from regulars.trash.moving import delete_customers
from regulars.trash.problems import NotInTrash
from regulars.trash.rules import restore

# The rows of the state with the jobs that wait or run.
WAITING = "waiting_jobs"
# The position of an undo that has undone everything. The numbers of changes begin with 1.
UNDONE = 0
_GONE = "The customer was deleted."
_ids_of = encoder("Customer")


def start(unit: CustomerUnitOfWork, command: StartJob) -> JobResult:
    """Store a job, and return it. Raises Rejected."""
    if not unit.has_tables(JOBS_VERSION):
        raise Rejected(OldTables())
    row = command.row
    jobs = unit.rows[imports]
    new_jobs = {each["import_id"] for each in jobs.all() if not jobs.is_loaded(each["import_id"])}
    waiting = {each["import_id"] for each in unit.state.rows.get(WAITING, ())}
    if len(waiting | new_jobs) >= MAX_WAITING:
        raise Rejected(TooManyJobs())
    if row["undo_of"]:
        undone = jobs.get(row["undo_of"])
        if undone is None:
            raise Rejected(JobNotFound(row["undo_of"]))
        last = jobs.get(undone["undone_by"]) if undone["undone_by"] else None
        if last is not None and last["state"] in (CANCELLED, FAILED):
            undone = {**undone, "undone_by": None}  # the rest can be undone
        if not can_undo(undone):
            raise Rejected(CannotUndo(undone))
        if not orjson.loads(row["source"])["dry_run"]:
            jobs.put({**undone, "undone_by": row["import_id"]})
    if command.customers is not None:
        ids = _ids_among(unit, command.customers)
        row = {**row, "size": len(ids)}
        jobs.put(row)
        _put_part(unit, row["import_id"], IDS, 0, pack_ids(ids))
    else:
        jobs.put(row)
    return JobResult(row)


def _ids_among(unit: CustomerUnitOfWork, references: Sequence[Reference]) -> list[int]:
    missing = [r.id_text for r in references if unit.find(r) is None]
    if missing:
        raise Rejected(CustomerNotFound(missing, ("items",)))
    rows = [row for r in references if (row := unit.find(r)) is not None]
    return list(dict.fromkeys(row["customer_id"] for row in rows))


def pack_ids(ids: Iterable[int]) -> bytes:
    """Return ids as the bytes of a part."""
    return orjson.dumps(list(ids))


def unpack_ids(content: bytes) -> list[int]:
    """Return the ids in a part."""
    ids: list[int] = orjson.loads(content)
    return ids


def edit(unit: CustomerUnitOfWork, command: EditCustomers) -> BatchResult:
    """Edit customers, and return the outcome. Raises Rejected with Stopped if the job was cancelled
    or is elsewhere."""
    batch = _Batch(unit, command.job_id, command.position, command.is_draft)
    start_of_work = unit.work
    for customer_id in command.ids:
        row = unit.customer(customer_id)
        if row is None:
            batch.reject(customer_id, _GONE)
        else:
            updated, problems = apply(command.edit, row)
            problems = _problems(unit, command, row, updated, problems)
            if problems:
                batch.reject(customer_id, " ".join(problem.message for problem in problems))
            else:
                batch.count(unit.save(row, updated, command) is not row)
        if unit.work - start_of_work > index_terms.MAX_WORK:
            break
    if command.renames_segments and command.edit.renaming and batch.processed == len(command.ids):
        batch.put_segments(rename_in_segments(unit, command.edit.renaming, command.at))
    return batch.end(command.at, REJECTED)


def _problems(
    unit: CustomerUnitOfWork,
    command: EditCustomers,
    row: Row,
    updated: Row,
    problems: list[Problem],
) -> list[Problem]:
    values, path = command.edit.values, ("node",)
    return [
        *changed_problems(unit, problems, row, updated, values, path),
        *contact_problems(unit, values, row["customer_id"], path),
        *book_problems(unit, row, updated, (*path, BOOK)),
    ]


def undo(unit: CustomerUnitOfWork, command: UndoChanges) -> BatchResult:
    """Undo what a job did to customers, and return the outcome. Raises Rejected: with Stopped, as
    `edit` does, and with TooMuchWork if the customers have too much data."""
    if OVERSIZED in unit.state.rows and len(command.customers) > 1:
        raise Rejected(TooMuchWork())
    batch = _Batch(unit, command.job_id, command.position, command.is_draft)
    savepoint = unit.savepoint()
    before = None
    for each in command.customers:
        try:
            _undo_one(unit, command, each, batch)
        except Rejected as rejection:
            if is_too_much(rejection) and len(command.customers) > 1:
                unit.roll_back(savepoint)
                raise
            batch.skip(each, rejection.problems[0].message)
        before = each.before
        if unit.work - savepoint.work > index_terms.MAX_WORK:
            break
    if command.segments:
        batch.put_segments(restore_segments(unit, command.segments, command.at))
        before = UNDONE
    return batch.end(command.at, KEPT, before)


def _undo_one(
    unit: CustomerUnitOfWork, command: UndoChanges, each: CustomerUndo, batch: _Batch
) -> None:
    """Undo what the job did to a customer. Raises Rejected, with nothing changed."""
    if each.kind == ADDED:
        _remove(unit, command, each, batch)
    elif each.kind == REMOVED:
        _add_again(unit, command, each, batch)
    else:
        _set_back(unit, command, each, batch)


def _remove(
    unit: CustomerUnitOfWork, command: UndoChanges, each: CustomerUndo, batch: _Batch
) -> None:
    """Delete a customer that the job has created, unless it was changed since."""
    row = unit.customer(each.customer_id)
    if row is None:
        batch.count(is_changed=False)
        return
    reason = ""
    if unit.rows[orders].of_customer(each.customer_id):
        reason = "has orders"
    elif unit.rows[leads].of_customer(each.customer_id):
        reason = "has leads"
    elif unit.rows[comments].of_customer(each.customer_id):
        reason = "has comments"
    elif each.changed_by is not None or row["version"] != each.version:
        reason = CHANGED
    if reason:
        batch.skip(each, reason)
        return
    delete_customers(unit, [each.customer_id], command)
    batch.count(is_changed=True)


def _add_again(
    unit: CustomerUnitOfWork, command: UndoChanges, each: CustomerUndo, batch: _Batch
) -> None:
    """Restore a customer that the job has deleted."""
    reference = Reference(str(each.customer_id), each.customer_id)
    if unit.customer(each.customer_id) is not None:
        batch.count(is_changed=False)
        return
    try:
        restore(unit, RestoreCustomers((reference,), command.at, True, None, command.origin))
    except Rejected as rejection:
        if not any(isinstance(problem, NotInTrash) for problem in rejection.problems):
            raise
        batch.skip(each, "purged")
        return
    batch.count(is_changed=True)


def _set_back(
    unit: CustomerUnitOfWork, command: UndoChanges, each: CustomerUndo, batch: _Batch
) -> None:
    """Set the fields of a customer back that the job has changed."""
    row = unit.customer(each.customer_id)
    if row is None:
        batch.skip(each, "deleted since")
        return
    reverted = revert(unit, row, each.pairs)
    for kept in reverted.kept:
        batch.keep(each, kept.field, kept.reason)
    batch.count(unit.save(row, reverted.row, command) is not row)


class _Batch:
    """The outcome of a batch so far. Raises Rejected with Stopped if the job was cancelled, or if
    another process is at it."""

    def __init__(
        self, unit: CustomerUnitOfWork, job_id: str, position: int, is_draft: bool
    ) -> None:
        row = unit.rows[imports].get(job_id)
        is_current = row and row["state"] == RUNNING and row["position"] == position
        if row is None or not (is_draft or is_current):
            raise Rejected(Stopped(job_id))
        self._unit = unit
        self._row = row
        self._last_change = unit.counters["changes"]
        self._is_draft = is_draft
        self._counts = {"updated": 0, "unchanged": 0, "rejected": 0}
        self._problems: dict[str, Any] = {} if is_draft else orjson.loads(row["problems"])
        self._lines: list[tuple[Any, ...]] = []

    def count(self, is_changed: bool) -> None:
        """Count a customer that was changed, or not."""
        self._counts["updated" if is_changed else "unchanged"] += 1

    def reject(self, customer_id: int, reason: str) -> None:
        """Count a customer that cannot be edited."""
        self._counts["rejected"] += 1
        self._problems = with_problem(self._problems, reason, customer_id)
        self._lines.append((customer_id, reason))

    def keep(self, each: CustomerUndo, field: str, reason: str) -> None:
        """Note that a field, or with an empty one the customer, stays as it is."""
        message = f"{field}: {reason}" if field else reason
        self._problems = with_problem(self._problems, message, each.customer_id)
        self._lines.append((each.customer_id, field, reason, each.changed_by or ""))

    def skip(self, each: CustomerUndo, reason: str) -> None:
        """Count a customer that stays as it is, and note why."""
        self.keep(each, "", reason)
        self.count(is_changed=False)

    @property
    def processed(self) -> int:
        """The number of customers of the batch so far."""
        return sum(self._counts.values())

    def put_segments(self, changes: Sequence[SegmentChange]) -> None:
        """Store what changed in segments, for the undo and for people."""
        if changes:
            _put_part(self._unit, self._row["import_id"], SEGMENTS, 0, orjson.dumps(changes))

    def end(self, at: int, kind: str, before: int | None = None) -> BatchResult:
        """Save the progress of the job with the batch, and return the outcome."""
        counts, row = self._counts, self._row
        processed = self.processed
        part = row["rejected_at"]
        lines = csv_lines(self._lines)
        if lines:
            _put_part(self._unit, row["import_id"], kind, part, lines)
            part += 1
        if not self._is_draft:
            progress = {
                **row,
                **{name: row[name] + count for name, count in counts.items()},
                "position": row["position"] + processed,
                "problems": orjson.dumps(self._problems).decode(),
                "rejected_at": part,
                "cursor": None if before is None else str(before),
                "updated_at": at,
            }
            self._unit.rows[imports].put(self._unit.with_changes(progress, self._last_change))
        changed, unchanged, rejected = counts.values()
        return BatchResult(processed, changed, unchanged, rejected, self._problems, before, lines)


def _put_part(unit: CustomerUnitOfWork, job_id: str, kind: str, part: int, content: bytes) -> None:
    row = {"account_id": unit.account_id, "import_id": job_id, "kind": kind}
    unit.rows[import_parts].put({**row, "part": part, "bytes": content})
