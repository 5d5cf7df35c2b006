"""The rules of a write: commands and the rows they name in, new rows or refusals out.

Pure: no database, no clock, no I/O. Commands are decided in order, and each sees what the ones
before it in the batch have done; a refused one leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.directory import found_by, history
from regulars.directory.commands import (
    Activity,
    Command,
    CreateCustomer,
    DeleteCustomers,
    Reference,
    UpdateCustomer,
)
from regulars.directory.customers import with_values
from regulars.directory.errors import (
    CustomerNotFound,
    DuplicateEmail,
    InvalidInput,
    Refused,
    VersionConflict,
)
from regulars.directory.orders import order_row, with_order
from regulars.directory.receipts import Receipts, replayed
from regulars.store import Changes, Row, State, Terms

MAX_ID = 2**30 - 1


def decide(account_id: int, commands: Sequence[Command], state: State) -> tuple[list[Any], Changes]:
    """The outcome of each command (its result, or the Refused that it ends with) and the
    changes of them all."""
    draft = Draft(account_id, state)
    outcomes: list[Any] = []
    for command in commands:
        try:
            outcomes.append(_apply_once(draft, command))
        except Refused as refused:
            outcomes.append(refused)
    return outcomes, draft.changes()


def _apply_once(draft: Draft, command: Command) -> Any:
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
        draft.receipts.note(receipt, refused)
        raise
    draft.receipts.note(receipt, result)
    return result


def _apply(draft: Draft, command: Command) -> Any:
    match command:
        case CreateCustomer():
            return _create(draft, command)
        case UpdateCustomer():
            return _update(draft, command)
        case DeleteCustomers():
            return _delete(draft, command)


class Draft:
    """The account as the batch leaves it so far: of the rows that the batch names, and of those
    that it makes."""

    def __init__(self, account_id: int, state: State) -> None:
        self.account_id = account_id
        self.counters = dict(state.counters)
        self._counters_before = dict(state.counters)
        self._before = {row["customer_id"]: row for row in state.customers}
        self._now: dict[int, Row | None] = dict(self._before)
        self._by_email = {row["email_key"]: row["customer_id"] for row in state.customers}
        self.order_names = set(state.order_names)
        self.orders: list[Row] = []
        self.leads: list[Row] = []
        self.receipts = Receipts(account_id, state.receipts)
        self.history: list[dict[str, Any]] = []

    def find(self, reference: Reference) -> Row | None:
        """The customer named, as it is now."""
        number = reference.customer_id
        return None if number is None else self._now.get(number)

    def holder(self, email_key: str) -> int | None:
        """The `_id` of the customer who has the email."""
        return self._by_email.get(email_key)

    def put(self, row: Row) -> None:
        """Takes a customer's new row."""
        self._forget_email(row["customer_id"])
        self._now[row["customer_id"]] = row
        self._by_email[row["email_key"]] = row["customer_id"]

    def drop(self, customer_id: int) -> None:
        """Deletes a customer and what belongs to it."""
        self._forget_email(customer_id)
        self._now[customer_id] = None
        self.receipts.forget(customer_id)
        for change in self.history:
            if change["customer_id"] == customer_id:
                change["fields"] = None
        self.orders = [row for row in self.orders if row["customer_id"] != customer_id]
        self.leads = [row for row in self.leads if row["customer_id"] != customer_id]

    def note(self, kind: str, customer_id: int, command: Command, fields: str | None) -> None:
        """Adds a change to the history."""
        self.counters["changes"] += 1
        self.history.append(
            {
                "account_id": self.account_id,
                "sequence": self.counters["changes"],
                "customer_id": customer_id,
                "kind": kind,
                "at": command.at,
                "actor_kind": command.origin.kind,
                "actor": command.origin.name,
                "request_id": command.origin.request_id,
                "fields": fields,
            }
        )

    def next_id(self, kind: str) -> int:
        """The next `_id` of a type: given once and never again, not even after a delete."""
        if self.counters[kind] >= MAX_ID:
            message = f"This account has given all of its {MAX_ID:,} ids for {kind}."
            raise Refused(InvalidInput(message))
        self.counters[kind] += 1
        return self.counters[kind]

    def _forget_email(self, customer_id: int) -> None:
        row = self._now.get(customer_id)
        if row and self._by_email.get(row["email_key"]) == customer_id:
            del self._by_email[row["email_key"]]

    def changes(self) -> Changes:
        """The difference between what was loaded and what is now."""
        before, now = self._before, self._now
        added, removed = self._terms()
        return Changes(
            counters=self.counters if self.counters != self._counters_before else {},
            deleted_customers=[i for i, row in now.items() if row is None and i in before],
            updated_customers=self._updated(),
            inserted_customers=[row for i, row in now.items() if row and i not in before],
            inserted_orders=self.orders,
            inserted_leads=self.leads,
            added_terms=added,
            removed_terms=removed,
            inserted_receipts=self.receipts.new,
            inserted_changes=self.history,
            receipts_before=self.receipts.before,
        )

    def _terms(self) -> tuple[Terms, Terms]:
        """The terms by which customers are found now and were not before, and the reverse."""
        added: dict[int, set[str]] = {}
        removed: dict[int, set[str]] = {}
        for customer_id, row in self._now.items():
            old = self._before.get(customer_id)
            if row is old or (row and old and all(row[c] == old[c] for c in found_by.TERMS_OF)):
                continue
            now = found_by.terms_of(row) if row else set()
            then = found_by.terms_of(old) if old else set()
            if now - then:
                added[customer_id] = now - then
            if then - now:
                removed[customer_id] = then - now
        return added, removed

    def _updated(self) -> dict[tuple[str, ...], list[Row]]:
        """The rows that are no longer what they were, by the columns that differ."""
        updated: dict[tuple[str, ...], list[Row]] = {}
        for customer_id, old in self._before.items():
            row = self._now[customer_id]
            if row is not None and row is not old:
                columns = tuple(name for name in row if row[name] != old[name])
                if columns:
                    updated.setdefault(columns, []).append(row)
        return updated


def _create(draft: Draft, command: CreateCustomer) -> Row:
    row, problems = command.row, list(command.problems)
    key = command.values.get("email_key")
    if key and draft.holder(key) is not None:
        problems.append(DuplicateEmail(("node", "email")))
    taken = [o.name for o in command.activity.orders if o.name in draft.order_names]
    if taken:
        message = f"There is already an order named {', '.join(taken)}."
        problems.append(InvalidInput(message, ("orders",)))
    if problems:
        raise Refused(*problems)
    keys = {"account_id": draft.account_id, "customer_id": draft.next_id("customers")}
    created = _with_activity(draft, {**row, **keys}, command.activity)
    draft.put(created)
    draft.note(history.CREATED, created["customer_id"], command, None)
    return created


def _with_activity(draft: Draft, customer: Row, activity: Activity) -> Row:
    """A customer's row with what the customer did; its orders and leads go into the draft."""
    customer = {**customer, "visits": customer["visits"] + activity.visits}
    for order in activity.orders:
        row = order_row(draft.account_id, draft.next_id("orders"), customer, order)
        draft.order_names.add(order.name)
        draft.orders.append(row)
        customer = with_order(customer, row)
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
    return _save(draft, row, changed, command)


def _delete(draft: Draft, command: DeleteCustomers) -> list[int]:
    missing = [r.given for r in command.customers if draft.find(r) is None]
    if missing:
        raise Refused(CustomerNotFound(missing, ("items",)))
    conflicts = _conflicts(draft, command.customers, command.version)
    if conflicts:
        raise Refused(*conflicts)
    ids = [r.customer_id for r in command.customers if r.customer_id is not None]
    for customer_id in dict.fromkeys(ids):
        draft.drop(customer_id)
        draft.note(history.DELETED, customer_id, command, None)
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


def _save(draft: Draft, row: Row, changed: Row, command: Command) -> Row:
    """Takes a changed row; one that changes nothing keeps its moment."""
    if changed == row:
        return row
    moment = max(command.at, row["updated_at"])
    saved = {**changed, "updated_at": moment, "version": row["version"] + 1}
    draft.put(saved)
    fields = history.difference(row, saved)
    draft.note(history.UPDATED, row["customer_id"], command, fields)
    return saved
