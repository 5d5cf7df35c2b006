"""The rules of setting many customers: an upsert for each row, and tags added and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from regulars.core.errors import (
    CustomerNotFound,
    DuplicateEmail,
    DuplicateRow,
    InvalidInput,
    OtherRows,
    Problem,
    Rejected,
    Stopped,
    TooMuchWork,
    failed,
)
from regulars.core.ids import MAX_BROUGHT_ID
from regulars.customers import history
from regulars.customers.bulk import (
    CREATED,
    REJECTED,
    UNCHANGED,
    UPDATED,
    ChangeTags,
    RowOutcome,
    SetCustomers,
    SetResult,
    SetRow,
    Step,
    counted,
)
from regulars.customers.search import search_document
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import MAX_TAGS, instead, new_row, with_values
from regulars.store import Row
from regulars.store.imports import RUNNING
from regulars.store.tables import imports


@dataclass(slots=True)
class _Seen:
    """Which row named a customer first, by `_id` and by email."""

    ids: dict[int, int] = field(default_factory=dict)
    emails: dict[str, int] = field(default_factory=dict)

    def first(self, number: int | None, email_key: str, index: int) -> int | None:
        """The row that named the customer before this one, if one did."""
        before = self.ids.get(number) if number is not None else None
        if before is None and email_key:
            before = self.emails.get(email_key)
        if number is not None:
            self.ids.setdefault(number, index)
        if email_key:
            self.emails.setdefault(email_key, index)
        return before


def customers(unit: CustomerUnitOfWork, command: SetCustomers) -> SetResult:
    """What becomes of each row. Raises Rejected with Stopped if the rows are a step of an import
    that has ended, or is at another place."""
    if command.step:
        _require_current(unit, command.step)
    savepoint = unit.savepoint()
    seen = _Seen() if command.distinct else None
    outcomes = []
    for n, row in enumerate(command.rows):
        outcomes.append(_set_or_reject(unit, command, n, row, seen))
        if unit.work - savepoint.work > search_document.MOST_WORK and n:
            unit.roll_back(savepoint)
            raise Rejected(TooMuchWork())
    rejected = [n for n, outcome in enumerate(outcomes) if outcome.outcome == REJECTED]
    whole = command.whole and bool(rejected)
    if whole or command.dry_run:
        unit.roll_back(savepoint)
    if whole:
        outcomes = [
            _not_alone(unit, row, outcome, rejected[0])
            for row, outcome in zip(command.rows, outcomes, strict=True)
        ]
    if command.step:
        unit.rows[imports].put(_after(unit, command.step, outcomes, command.at))
    return SetResult(not whole and not command.dry_run, tuple(outcomes))


def _set_or_reject(
    unit: CustomerUnitOfWork, command: SetCustomers, index: int, row: SetRow, seen: _Seen | None
) -> RowOutcome:
    """What becomes of a row. An exception rejects the row alone: `_set` computes everything before
    it changes the unit of work, so that the other rows are not affected."""
    try:
        return _set(unit, command, index, row, seen)
    except Rejected as refused:  # the account has no more ids
        return RowOutcome(REJECTED, None, refused.problems)
    except Exception as error:
        return RowOutcome(REJECTED, None, (failed(error, command.origin.request_id, row.path),))


def _set(
    unit: CustomerUnitOfWork, command: SetCustomers, index: int, row: SetRow, seen: _Seen | None
) -> RowOutcome:
    if row.problems and not row.values:  # nothing of it could be read
        return RowOutcome(REJECTED, None, row.problems)
    found = _found(unit, row)
    problems = list(row.problems)
    if seen:
        number = found["customer_id"] if found else None
        before = seen.first(number, row.values.get("email_key", ""), index)
        if before is not None:
            problems.insert(0, DuplicateRow(before, row.path))
    if found is None:
        problems += _wrong_with_new(unit, row)
        changed, more = with_values(_new(row, command.at), row.values, row.path)
    else:
        key = row.values.get("email_key")
        holder = unit.holder(key) if key else None
        if holder is not None and holder != found["customer_id"]:
            problems.append(DuplicateEmail((*row.path, "email")))
        values = instead(found, row.values) if row.mirrored else row.values
        changed, more = with_values(found, values, row.path)
    problems += more
    if problems:
        return RowOutcome(REJECTED, found, tuple(problems))
    if changed is not found:
        unit.changed_terms(found, changed)
    if found is None:
        saved = _create(unit, row, changed, command)
        outcome = CREATED
    else:
        at = row.timestamps[1] if row.mirrored and row.timestamps else None
        saved = unit.save(found, changed, command, at)
        outcome = UNCHANGED if saved is found else UPDATED
    unit.shop_ids.add(row.shop_id, "Customer", saved["customer_id"], saved["customer_id"])
    return RowOutcome(outcome, saved)


def _found(unit: CustomerUnitOfWork, row: SetRow) -> Row | None:
    if row.customer is not None:
        return unit.find(row.customer)
    holder = unit.holder(row.values.get("email_key", ""))
    return None if holder is None else unit.customer(holder)


def _wrong_with_new(unit: CustomerUnitOfWork, row: SetRow) -> list[Problem]:
    """What is wrong with a row for a customer that there is not."""
    named = row.customer is not None
    if row.take is not None and row.take > MAX_BROUGHT_ID and unit.is_free(row.take):
        message = (
            f"The `_id` {row.take:,} of a new customer is greater than {MAX_BROUGHT_ID:,}, and few "
            "ids would be left for others. Remove it: the customer gets the next free one."
        )
        return [InvalidInput(message, (*row.path, "_id"))]
    if named and row.mirrored and row.take is not None and not unit.is_free(row.take):
        message = (
            f"The _id {row.take} was given to a customer who is deleted here, and an _id is given "
            "once. Delete the customer there, too, or make another account for the mirror."
        )
        return [InvalidInput(message, (*row.path, "_id"))]
    if row.customer is not None and (row.take is None or not unit.is_free(row.take)):
        return [CustomerNotFound([row.customer.given], (*row.path, "id"))]
    key = row.values.get("email_key")
    if key and unit.holder(key) is not None:
        return [DuplicateEmail((*row.path, "email"))]
    if "email" not in row.values and not any(p.input_path[-1:] == ("email",) for p in row.problems):
        message = "A new customer needs an email; one that is there is named by id, _id or email."
        return [InvalidInput(message, (*row.path, "email"))]
    return []


def _new(row: SetRow, at: int) -> Row:
    if row.timestamps is None:
        return new_row(at)
    created, updated = row.timestamps
    return {**new_row(created), "updated_at": max(created, updated)}


def _create(unit: CustomerUnitOfWork, row: SetRow, values: Row, command: SetCustomers) -> Row:
    number = unit.take_id(row.take) if row.take is not None and unit.is_free(row.take) else None
    keys = {
        "account_id": unit.account_id,
        "customer_id": unit.next_id("customers") if number is None else number,
    }
    created = {**values, **keys}
    unit.put_customer(created)
    unit.record(history.CREATED, created["customer_id"], command)
    return created


def _not_alone(unit: CustomerUnitOfWork, row: SetRow, outcome: RowOutcome, bad: int) -> RowOutcome:
    """What became of a row where nothing is saved because of another."""
    if outcome.outcome == REJECTED:
        return outcome
    return RowOutcome(REJECTED, _found(unit, row), (OtherRows(bad, row.path),))


def _require_current(unit: CustomerUnitOfWork, step: Step) -> None:
    row = unit.rows[imports].get(step.import_id)
    if row is None or row["state"] != RUNNING or row["position"] != step.position:
        raise Rejected(Stopped(step.import_id))


def _after(unit: CustomerUnitOfWork, step: Step, outcomes: Sequence[RowOutcome], at: int) -> Row:
    """An import's row after a step."""
    before = unit.rows[imports].get(step.import_id)
    assert before is not None  # `_require_current`
    counts = counted(outcome.outcome for outcome in outcomes)
    rejected = [
        [step.position + n, [problem.to_json() for problem in outcome.problems]]
        for n, outcome in enumerate(outcomes)
        if outcome.outcome == REJECTED
    ]
    return {
        **before,
        "position": step.to,
        "bytes_read": step.read,
        **{name.lower(): before[name.lower()] + count for name, count in counts.items()},
        "rejected_at": step.rejected_at,
        "last_rejected": orjson.dumps(rejected).decode(),
        "problems": step.problems,
        "cursor": step.cursor,
        "updated_at": at,
    }


def tags(unit: CustomerUnitOfWork, command: ChangeTags) -> list[int]:
    """The `_id`s of the customers, in the order given. Raises Rejected."""
    missing = [r.given for r in command.customers if unit.find(r) is None]
    if missing:
        raise Rejected(CustomerNotFound(missing, ("items",)), *command.problems)
    if command.problems:
        raise Rejected(*command.problems)
    problems: list[Problem] = []
    saved: list[tuple[Row, Row]] = []
    work = 0
    for reference in dict.fromkeys(command.customers):
        row = unit.find(reference)
        assert row is not None
        kept: list[Any] = orjson.loads(row["tags"])
        kept = [tag for tag in dict.fromkeys([*kept, *command.add]) if tag not in command.remove]
        if len(kept) > MAX_TAGS:
            message = (
                f"The customer {reference.given[:50]} would have {len(kept):,} tags; at most "
                f"{MAX_TAGS} are allowed."
            )
            problems.append(InvalidInput(message, ("tags",)))
        changed, _ = with_values(row, {"tags": kept}, ())
        work += search_document.work_of(row, changed)
        if work > search_document.MOST_WORK and saved:
            raise Rejected(TooMuchWork())
        saved.append((row, changed))
    if problems:
        raise Rejected(*problems)
    for row, changed in saved:
        unit.save(row, changed, command)
    return [r.customer_id for r in command.customers if r.customer_id is not None]
