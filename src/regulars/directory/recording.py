"""What a shop tells: orders, messages, visits. They count for the customer in the same transaction,
to the last unit of money.

An order belongs to the customer with its email when it was first told of, and stays with that
customer. A customer who is found by email gets the names, the phone and the addresses that it
lacks; what it has already stays.
"""

from __future__ import annotations

from typing import Any

from regulars.directory import history
from regulars.directory.commands import RecordLead, RecordOrder, RecordVisit
from regulars.directory.customers import new_row, with_values
from regulars.directory.draft import Draft
from regulars.directory.errors import CustomerNotFound, InvalidInput, Problem, Refused
from regulars.directory.orders import net_payment, with_order
from regulars.store import Row

_FILLED = ("phone", "first_name", "last_name", "shipping_address", "billing_address")

_NEW_ORDER = {
    "email": "",
    "refunded_amount": 0,
    "currency": "USD",
    "financial_status": "paid",
    "fulfillment_status": "unfulfilled",
    "tags": "[]",
    "test": False,
    "referrer": None,
    "cancelled_at": None,
    "paid": None,
    "details": None,
}


def order(draft: Draft, command: RecordOrder) -> Row:
    """The order as it is kept now. Raises Refused."""
    values = command.values
    known = draft.order(values.get("name", ""))
    problems = [*command.problems, *_amiss(known, values)]
    if problems:
        raise Refused(*problems)
    if known is None:
        row = {
            **_NEW_ORDER,
            "created_at": command.at,
            **values,
            "account_id": draft.account_id,
            "order_id": draft.next_id("orders"),
        }
        customer = _customer(draft, command)
        row |= {"customer_id": customer["customer_id"], "email": values["email"]}
    else:
        row = {**known, **values}
        found = draft.row(known["customer_id"])
        assert found is not None  # an order goes with its customer
        customer = _filled(draft, found, command)
    row["net_payment"] = net_payment(row)
    if known is not None and row == known:
        return known
    row["updated_at"] = max(command.at, row["created_at"], known["updated_at"] if known else 0)
    draft.put_order(row)
    counted = with_order(customer, row, known)
    if counted != customer:
        counted = draft.touch(counted, command)
    fields = history.difference(customer, counted) | history.order_difference(known, row)
    for kind in _kinds(known, row):
        number = customer["customer_id"]
        draft.note(kind, number, command, history.dump(fields), row["order_id"])
        fields = {}
    return row


def _amiss(known: Row | None, values: Any) -> list[Problem]:
    """What of an order cannot be, given what is known of it."""
    problems: list[Problem] = []
    for name in ("email", "total"):
        if known is None and name not in values:
            message = f"There is no order of this name yet, and a new one needs its {name}."
            problems.append(InvalidInput(message, ("node", name)))
    merged = {**_NEW_ORDER, "total": 0, **(known or {}), **values}
    if merged["refunded_amount"] > max(merged["total"], merged["paid"] or 0):
        message = "More is refunded than the order's total. Mend refunded_amount, or total."
        problems.append(InvalidInput(message, ("node", "refunded_amount")))
    return problems


def _kinds(before: Row | None, now: Row) -> list[str]:
    """What happened to an order."""
    kinds = [] if before else [history.ORDER_CREATED]
    was: Any = before or {**_NEW_ORDER, "financial_status": "pending"}
    if was["financial_status"] == "pending" and now["financial_status"] != "pending":
        kinds.append(history.ORDER_CONFIRMED)
    if now["refunded_amount"] > was["refunded_amount"]:
        kinds.append(history.ORDER_REFUNDED)
    if now["cancelled_at"] is not None and was["cancelled_at"] is None:
        kinds.append(history.ORDER_CANCELLED)
    return kinds or [history.ORDER_UPDATED]


def lead(draft: Draft, command: RecordLead) -> Row:
    """The message as it is kept. Raises Refused."""
    if command.problems:
        raise Refused(*command.problems)
    row = {
        "account_id": draft.account_id,
        "lead_id": draft.next_id("leads"),
        "subject": "",
        "message": "",
        "custom": None,
        "created_at": command.at,
        **command.values,
    }
    customer = _customer(draft, command)
    row["customer_id"] = customer["customer_id"]
    draft.leads.append(row)
    draft.touch(customer, command)
    draft.note(history.LEAD_CREATED, customer["customer_id"], command)
    return row


def visit(draft: Draft, command: RecordVisit) -> Row:
    """The customer, with one more visit. Raises Refused."""
    row = draft.find(command.customer)
    if row is None:
        raise Refused(CustomerNotFound([command.customer.given], ("id",)))
    saved = draft.touch({**row, "visits": row["visits"] + 1}, command)
    fields = history.dump(history.difference(row, saved))
    draft.note(history.VISITED, row["customer_id"], command, fields)
    return saved


def _customer(draft: Draft, command: RecordOrder | RecordLead) -> Row:
    """The customer with the email of the person, or a new one."""
    holder = draft.holder(command.person["email_key"])
    if holder is not None:
        found = draft.row(holder)
        assert found is not None  # who has an email is there
        return _filled(draft, found, command)
    keys = {"account_id": draft.account_id, "customer_id": draft.next_id("customers")}
    row, problems = with_values(new_row(command.at), dict(command.person), ("node",))
    if problems:
        raise Refused(*problems)
    created = {**row, **keys}
    draft.put(created)
    draft.note(history.CREATED, created["customer_id"], command)
    return created


def _filled(draft: Draft, row: Row, command: RecordOrder | RecordLead) -> Row:
    """A customer with what it lacked."""
    lacking = {name: command.person[name] for name in _FILLED if command.person.get(name)}
    lacking = {name: value for name, value in lacking.items() if not row[name]}
    if not lacking:
        return row
    changed, _ = with_values(row, lacking, ("node",))
    return draft.save(row, changed, command)
