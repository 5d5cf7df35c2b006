"""The rules of a write: commands and the rows they name in, new rows or refusals out.

Pure: no database, no clock, no I/O. Commands are decided in order, and each sees what the ones
before it in the batch have done; a refused one leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.directory import found_by, history, recording, setting, subscribing
from regulars.directory.bulk import ChangeTags, SetCustomers
from regulars.directory.commands import (
    Activity,
    Command,
    CreateCustomer,
    CreateWebhook,
    DeleteContact,
    DeleteCustomers,
    DeleteWebhook,
    RecordContact,
    RecordLead,
    RecordOrder,
    RecordVisit,
    Reference,
    UpdateCustomer,
    UpdateWebhook,
)
from regulars.directory.customers import with_values
from regulars.directory.draft import Draft
from regulars.directory.errors import (
    CustomerNotFound,
    DuplicateEmail,
    InvalidInput,
    Refused,
    TooMuchWork,
    VersionConflict,
)
from regulars.directory.orders import counts, order_row, with_order
from regulars.directory.receipts import replayed
from regulars.store import Changes, Row, State

AnyCommand = Command | SetCustomers | ChangeTags


def decide(
    account_id: int, commands: Sequence[AnyCommand], state: State
) -> tuple[list[Any], Changes]:
    """The outcome of each command (its result, or the Refused that it ends with) and the
    changes of them all. Where they change much of the index, only the first of them are decided,
    and the outcomes are fewer: the others belong in a later batch."""
    draft = Draft(account_id, state)
    outcomes: list[Any] = []
    for command in commands:
        try:
            outcomes.append(_apply_once(draft, command))
        except Refused as refused:
            outcomes.append(refused)
        if draft.work >= found_by.MOST_BATCH_WORK:
            break
    return outcomes, draft.changes()


def _apply_once(draft: Draft, command: AnyCommand) -> Any:
    """The outcome of a command; of one whose request was sent before, what it was then."""
    receipt = command.receipt
    if receipt is None:
        return _apply(draft, command)
    known = draft.receipts.find(receipt)
    if known is not None:
        return replayed(known, receipt)
    try:
        result = _apply(draft, command)
    except Refused as refused:
        if receipt.of_refusals:
            draft.receipts.note(receipt, refused)
        raise
    draft.receipts.note(receipt, result)
    return result


def _apply(draft: Draft, command: AnyCommand) -> Any:
    match command:
        case CreateCustomer():
            return _create(draft, command)
        case UpdateCustomer():
            return _update(draft, command)
        case DeleteCustomers():
            return _delete(draft, command)
        case SetCustomers():
            return setting.customers(draft, command)
        case ChangeTags():
            return setting.tags(draft, command)
        case RecordOrder():
            return recording.order(draft, command)
        case RecordContact():
            return recording.contact(draft, command)
        case DeleteContact():
            return recording.delete_contact(draft, command)
        case RecordLead():
            return recording.lead(draft, command)
        case RecordVisit():
            return recording.visit(draft, command)
        case CreateWebhook():
            return subscribing.create(draft, command)
        case UpdateWebhook():
            return subscribing.update(draft, command)
        case DeleteWebhook():
            return subscribing.delete(draft, command)


def _create(draft: Draft, command: CreateCustomer) -> Row:
    row, problems = command.row, list(command.problems)
    key = command.values.get("email_key")
    if key and draft.holder(key) is not None:
        problems.append(DuplicateEmail(("node", "email")))
    taken = [o.name for o in command.activity.orders if draft.order(o.name)]
    if taken:
        message = f"There is already an order named {', '.join(taken)}."
        problems.append(InvalidInput(message, ("orders",)))
    if problems:
        raise Refused(*problems)
    keys = {"account_id": draft.account_id, "customer_id": draft.next_id("customers")}
    created = _with_activity(draft, {**row, **keys}, command.activity)
    draft.put(created)
    draft.note(history.CREATED, created["customer_id"], command)
    return created


def _with_activity(draft: Draft, customer: Row, activity: Activity) -> Row:
    """A customer's row with what the customer did; its orders and leads go into the draft."""
    customer = {**customer, "visits": customer["visits"] + activity.visits}
    for order in activity.orders:
        row = order_row(draft.account_id, draft.next_id("orders"), customer, order)
        draft.put_order(row)
        customer = with_order(customer, row)
        if counts(row):
            moment = max(customer["updated_at"], row["updated_at"])
            customer = {**customer, "updated_at": moment}
    for lead in activity.leads:
        draft.leads.append(
            {
                "account_id": draft.account_id,
                "lead_id": draft.next_id("leads"),
                "customer_id": customer["customer_id"],
                "subject": lead.subject,
                "message": lead.message,
                "custom": None,
                "created_at": lead.created_at,
            }
        )
    return customer


def _update(draft: Draft, command: UpdateCustomer) -> Row:
    row = draft.find(command.customer)
    if row is None:
        missing = CustomerNotFound([command.customer.given], ("id",))
        raise Refused(missing, *command.problems)
    problems = [*_conflicts(draft, [command.customer], command.version), *command.problems]
    holder = draft.holder(command.values.get("email_key", ""))
    if holder is not None and holder != row["customer_id"]:
        problems.append(DuplicateEmail(("node", "email")))
    changed, found = with_values(row, command.values, ("node",))
    problems += found
    if problems:
        raise Refused(*problems)
    return draft.save(row, changed, command)


def _delete(draft: Draft, command: DeleteCustomers) -> list[int]:
    missing = [r.given for r in command.customers if draft.find(r) is None]
    if missing:
        raise Refused(CustomerNotFound(missing, ("items",)))
    conflicts = _conflicts(draft, command.customers, command.version)
    if conflicts:
        raise Refused(*conflicts)
    ids = [r.customer_id for r in command.customers if r.customer_id is not None]
    work = sum(found_by.work_of(draft.row(customer_id), None) for customer_id in set(ids))
    if work > found_by.MOST_WORK and len(set(ids)) > 1:
        raise Refused(TooMuchWork())
    for customer_id in dict.fromkeys(ids):
        draft.drop(customer_id, command.at)
        draft.note(history.DELETED, customer_id, command)
    return ids


def _conflicts(
    draft: Draft, customers: Sequence[Reference], version: int | None
) -> list[VersionConflict]:
    """Those of the customers that are of another version than the one asked for, if one is."""
    if version is None:
        return []
    rows = [(reference.given, draft.find(reference)) for reference in customers]
    return [
        VersionConflict(given, version, row["version"])
        for given, row in rows
        if row is not None and row["version"] != version
    ]
