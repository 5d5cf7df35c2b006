"""The rules of setCustomers and imports: each row creates or updates a customer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from regulars.core.errors import (
    DuplicateRow,
    MissingEmail,
    OtherRows,
    Problem,
    Rejected,
    Stopped,
    TooMuchWork,
    failed,
)
from regulars.core.external_ids import ExternalId
from regulars.customers import history
from regulars.customers.address_book import BOOK
from regulars.customers.bulk import (
    CREATED,
    KEPT_FIELDS,
    REJECTED,
    UNCHANGED,
    UPDATED,
    RowOutcome,
    SetCustomers,
    SetResult,
    SetRow,
    Step,
    counted,
)
from regulars.customers.commands import email_keys, has_email, has_lists, keys_of_lists
from regulars.customers.contact_rules import book_problems, contact_problems
from regulars.customers.contacts import Contacts
from regulars.customers.external_ids import MAX_AMBIGUOUS, ambiguous_phone
from regulars.customers.field_rules import Values
from regulars.customers.identification import changed_problems, new_problems, of_email
from regulars.customers.imported_contacts import with_contacts, with_stored_defaults
from regulars.customers.kept_values import keep_values, with_external_ids, without_consent
from regulars.customers.row_problems import (
    creation_problems,
    external_id_problems,
    holders,
    version_problems,
)
from regulars.customers.search import index_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import new_row, replacing_values, with_values
from regulars.store import Row
from regulars.store.imports import RUNNING
from regulars.store.tables import imports

_EMAIL = ("email", "email_key")


@dataclass(slots=True)
class _FirstRows:
    """The first row of each customer in a command, by `_id`, email and external id. `numbers` are
    the `_id`s of the customers of rows."""

    rows: dict[int | str | ExternalId, int] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)

    def first(self, number: int | None, values: Values, index: int) -> int | None:
        """Return the index of an earlier row of the customer, or None, and remember this row. Rows
        of different customers can have the same email or external id, which is another problem."""
        names: list[int | str | ExternalId] = [number] if number else []
        names += email_keys(values)
        names += values.get("external_ids") or ()
        earlier = (self.rows[name] for name in names if name in self.rows)
        before = next((n for n in earlier if number in (None, self.numbers.get(n, number))), None)
        for name in names:
            self.rows.setdefault(name, index)
        if number:
            self.numbers[index] = number
        return before

    def note(self, number: int, index: int) -> None:
        """Remember a row that has created a customer."""
        self.rows.setdefault(number, index)
        self.numbers[index] = number


def set_customers(unit: CustomerUnitOfWork, command: SetCustomers) -> SetResult:
    """Create or update a customer for each row, and return the outcomes.

    Raises Rejected with TooMuchWork if the batch would change too many terms, and with Stopped if
    the rows are a step of an import that has ended or is at another position.
    """
    if command.step:
        _require_current(unit, command.step)
    savepoint = unit.savepoint()
    last_change = unit.counters["changes"]
    first_rows = _FirstRows() if command.distinct else None
    contacts = Contacts(unit) if command.contact_identifies else None
    outcomes = []
    for n, row in enumerate(command.rows):
        outcomes.append(_set_or_reject(unit, command, n, row, first_rows, contacts))
        if contacts and (saved_row := outcomes[-1].row):
            contacts.add(saved_row)
        if unit.work - savepoint.work > index_terms.MAX_WORK and n:
            unit.roll_back(savepoint)
            raise Rejected(TooMuchWork())
    rejected = [n for n, outcome in enumerate(outcomes) if outcome.outcome == REJECTED]
    is_rejected = command.whole and bool(rejected)
    if is_rejected:
        unit.roll_back(savepoint)
        outcomes = [
            _reject_with_others(unit, row, outcome, rejected[0])
            for row, outcome in zip(command.rows, outcomes, strict=True)
        ]
    if command.step:
        progress = _advance_import(unit, command.step, outcomes, command.at)
        unit.rows[imports].put(unit.with_changes(progress, last_change))
    return SetResult(not is_rejected, tuple(outcomes))


def _set_or_reject(
    unit: CustomerUnitOfWork,
    command: SetCustomers,
    index: int,
    row: SetRow,
    first_rows: _FirstRows | None,
    contacts: Contacts | None,
) -> RowOutcome:
    """Set a row. An exception rejects only this row: `_set` computes everything before it changes
    the unit of work."""
    try:
        return _set(unit, command, index, row, first_rows, contacts)
    except Rejected as rejection:  # the account has no more ids
        return RowOutcome(REJECTED, None, rejection.problems)
    except Exception as error:
        return RowOutcome(REJECTED, None, (failed(error, command.origin.request_id, row.path),))


def _set(
    unit: CustomerUnitOfWork,
    command: SetCustomers,
    index: int,
    row: SetRow,
    first_rows: _FirstRows | None,
    contacts: Contacts | None,
) -> RowOutcome:
    if row.problems and not row.values:  # nothing of it could be read
        return RowOutcome(REJECTED, None, row.problems)
    if _is_plain(row, command) and unit.holder(row.values["email_key"]) is None:
        new_values, terms, _ = _new_customer(unit, row, row.values, command.at, is_as_parsed=True)
        return RowOutcome(CREATED, _create(unit, row, new_values, command, terms))
    uses_phone = command.phone_is_first or command.phone_identifies
    term = command.phone_term(row) if uses_phone else ""
    has_phone = command.phone_is_first and bool(term and unit.with_facet(term))
    stored = None if has_phone else _find(unit, row)
    problems = list(row.problems)
    if contacts and not has_phone and not has_email(row.values):
        row, stored, match_problems = contacts.match(row, stored)
        problems += match_problems
    identifies = has_phone or command.phone_identifies
    if identifies and stored is None and term:
        matches, phone = unit.with_facet(term), row.values["phone"]
        if matches:  # the number stays as it is stored, for example with its country code
            stored = matches[0]
            left_out = ("phone",) if has_phone and row.values.get("email") else (*_EMAIL, "phone")
            rest = {k: v for k, v in row.values.items() if k not in left_out}
            row = row._replace(values=rest)
        if len(matches) > 1:
            numbers = [match["customer_id"] for match in matches[: MAX_AMBIGUOUS + 1]]
            problems.append(ambiguous_phone(phone, numbers, (*row.path, "phone")))
    row = with_stored_defaults(_with_stored_default(unit, row, stored), stored)
    values, kept_fields = with_external_ids(unit, row, stored)
    if values is not row.values:
        problems += external_id_problems(unit, row, stored, values["external_ids"])
    values, kept_contacts = with_contacts(unit, row, stored, values)
    kept_fields += kept_contacts
    if first_rows:
        customer_id = stored["customer_id"] if stored else None
        earlier = first_rows.first(customer_id, row.values, index)
        if earlier is not None:
            problems.insert(0, DuplicateRow(earlier, row.path))
    is_as_parsed = values is row.values or not kept_fields
    terms = None
    is_strict = not (command.contact_identifies or row.mirrored)
    if not is_strict:
        values, consents = without_consent(stored, values)
        kept_fields += consents
    checked_values = values if is_strict else {}
    if stored is None:
        new_values, terms, value_problems = _new_customer(
            unit, row, values, command.at, is_as_parsed
        )
        of_creation = creation_problems(unit, row)
        problems += of_creation
        if all(isinstance(problem, MissingEmail) for problem in of_creation):
            problems = new_problems(unit, problems, new_values, checked_values, row.path)
        else:
            problems = of_email(unit, problems)
    else:
        problems += contact_problems(unit, row.values, stored["customer_id"], row.path)
        values = replacing_values(stored, values) if row.mirrored else values
        values, others = keep_values(stored, values, command)
        kept_fields += others
        problems += version_problems(row, stored)
        if row.timestamps and not row.mirrored and row.timestamps[0] != stored["created_at"]:
            kept_fields += ("created_at",)
        new_values, value_problems = with_values(stored, values, row.path, unit.default_country)
        problems = changed_problems(unit, problems, stored, new_values, checked_values, row.path)
    problems += value_problems
    problems += book_problems(unit, stored, new_values, (*row.path, BOOK))
    if problems:
        return RowOutcome(REJECTED, stored, tuple(problems))
    if new_values is not stored and terms is None:
        unit.changed_terms(stored, new_values)
    if stored is None:
        row_after = _create(unit, row, new_values, command, terms)
        outcome = CREATED
        if first_rows:
            first_rows.note(row_after["customer_id"], index)
    else:
        at = row.timestamps[1] if row.mirrored and row.timestamps else None
        row_after = unit.save(stored, new_values, command, at)
        outcome = UNCHANGED if row_after is stored else UPDATED
    return RowOutcome(outcome, row_after, kept_fields=kept_fields)


def _is_plain(row: SetRow, command: SetCustomers) -> bool:
    """Whether a row creates the customer that was computed for it if no customer has its email:
    nothing else can identify a customer or be rejected."""
    values = row.values
    return (
        row.new_customer is not None
        and bool(values.get("email_key"))
        and row.customer is None
        and row.take is None
        and row.version is None
        and not (row.mirrored or row.shop_ids or command.distinct or command.phone_is_first)
        and not (values.get("external_ids") or has_lists(values))
    )


def _find(unit: CustomerUnitOfWork, row: SetRow) -> Row | None:
    """Return the customer whom the first of a row's identifiers names."""
    if row.customer is not None:
        return unit.find(row.customer)
    holder = next(iter(holders(unit, row.values)), None) if row.values.get("external_ids") else None
    holder = holder or _holder_of_email(unit, row.values)
    return None if holder is None else unit.customer(holder)


def _holder_of_email(unit: CustomerUnitOfWork, values: Values) -> int | None:
    """Return the `_id` of the customer with an email of a row: the default, or else the first of
    its list that a customer has."""
    holder = unit.holder(values.get("email_key", ""))
    if holder is None and "emails" in values:
        holder = next(filter(None, map(unit.holder, keys_of_lists(values))), None)
    return holder


def _with_stored_default(unit: CustomerUnitOfWork, row: SetRow, stored: Row | None) -> SetRow:
    """Return a row without its email if its customer was found by it, and has another default. An
    email that identifies a customer changes nothing."""
    key = row.values.get("email_key")
    if (
        stored is None
        or not key
        or key == stored["email_key"]
        or row.customer is not None
        or row.mirrored
        or any(name in row.values for name in ("emails", "external_ids"))
        or unit.holder(key) != stored["customer_id"]
    ):
        return row
    rest = {name: value for name, value in row.values.items() if name not in _EMAIL}
    return row._replace(values=rest)


def with_new_customer(row: SetRow) -> SetRow:
    """Return a row with the customer that it would create. That takes half of the time of creating
    one, and needs no database."""
    if row.problems or not row.values or row.contacts:
        return row
    empty, values = new_row(0), row.values
    if row.shop_ids:
        ids = dict.fromkeys([*(values.get("external_ids") or ()), *row.shop_ids])
        values = {**values, "external_ids": tuple(ids)}
    columns, problems = with_values(empty, values, row.path)
    if problems:
        return row
    terms = index_terms.terms_of(columns)
    changed = {name: value for name, value in columns.items() if value is not empty[name]}
    return row._replace(new_customer=(changed, terms))


def _new_customer(
    unit: CustomerUnitOfWork, row: SetRow, values: Values, at: int, is_as_parsed: bool
) -> tuple[Row, Collection[str] | None, Sequence[Problem]]:
    """Return the customer that a row creates with `values`, without its ids, its search terms if
    they are known, and problems. The values are as parsed if none of them was changed since."""
    created, updated = (at, at) if row.timestamps is None else row.timestamps
    empty = new_row(created)
    if updated > created:
        empty = {**empty, "updated_at": updated}
    if row.new_customer is None or not is_as_parsed:
        customer, problems = with_values(empty, values, row.path, unit.default_country)
        return customer, None, problems
    columns, terms = row.new_customer
    return {**empty, **columns}, terms, ()


def _create(
    unit: CustomerUnitOfWork,
    row: SetRow,
    values: Row,
    command: SetCustomers,
    terms: Collection[str] | None,
) -> Row:
    customer_id = (
        unit.take_id(row.take) if row.take is not None and unit.is_free(row.take) else None
    )
    created = unit.put_customer(unit.as_new(values, customer_id), terms)
    unit.record(history.CREATED, created["customer_id"], command)
    return created


def _reject_with_others(
    unit: CustomerUnitOfWork, row: SetRow, outcome: RowOutcome, rejected_index: int
) -> RowOutcome:
    """Return the outcome of a row if a row prevents the save, without the rows that the command
    wrote before: they were rolled back."""
    if outcome.outcome == REJECTED:
        before = outcome.row
        return outcome._replace(row=before and unit.customer(before["customer_id"]))
    return RowOutcome(REJECTED, _find(unit, row), (OtherRows(rejected_index, row.path),))


def _require_current(unit: CustomerUnitOfWork, step: Step) -> None:
    row = unit.rows[imports].get(step.import_id)
    if row is None or row["state"] != RUNNING or row["position"] != step.position:
        raise Rejected(Stopped(step.import_id))


def _advance_import(
    unit: CustomerUnitOfWork, step: Step, outcomes: Sequence[RowOutcome], at: int
) -> Row:
    """Return an import's row after a step."""
    before = unit.rows[imports].get(step.import_id)
    assert before is not None  # `_require_current`
    counts = counted(outcome.outcome for outcome in outcomes)
    rejected: list[Any] = [
        [step.position + n, [problem.to_json() for problem in outcome.problems]]
        for n, outcome in enumerate(outcomes)
        if outcome.outcome == REJECTED
    ]
    kept = [[step.position + n, o.kept_fields] for n, o in enumerate(outcomes) if o.kept_fields]
    if kept:
        rejected.append([KEPT_FIELDS, kept])
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
