"""What a shop tells: orders, messages, visits. They count for the customer in the same transaction,
to the last unit of money.

An order belongs to the customer with its email when it was first told of, and stays with that
customer. A customer who is found by email gets the names, the phone and the addresses that it
lacks; what it has already stays.
"""

from __future__ import annotations

from typing import Any

import orjson

from regulars.core.commands import Command, Values
from regulars.core.errors import (
    CustomerNotFound,
    DuplicateEmail,
    HeldEmail,
    InvalidInput,
    Problem,
    Rejected,
)
from regulars.customers import history
from regulars.customers.field_rules import EMPTY, FILLABLE
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import new_row, replacing, with_values
from regulars.orders.commands import (
    DeleteContact,
    RecordContact,
    RecordLead,
    RecordOrder,
    RecordVisit,
)
from regulars.orders.values import (
    net_payment,
    reconcile_out_of_order,
    with_cleared_cancellation,
    with_details,
    with_order,
)
from regulars.store import Row
from regulars.store.tables import leads, orders

_NO_EMAIL = "There is no customer whom the shop calls so, and a new one needs an email."

_NEEDED = "There is no order of this name yet, and a new one needs its %s."

# So many attempts another Regulars makes within 13 minutes, while an event before this one may be
# under way. After that the event is taken as it is.
_PATIENT_ATTEMPTS = 4

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


def order(unit: CustomerUnitOfWork, command: RecordOrder) -> Row:
    """The order as it is kept now. Raises Rejected."""
    known = unit.order(command.values.get("name", ""))
    if command.event:
        if known is None and _is_of_deleted(unit, command):
            return {}
        values = reconcile_out_of_order(known, command.values, command.event)
    else:
        values = dict(command.values)
    if known is None or command.event != "order/created":
        values = with_details(known, values, command.details)
    number = unit.shop_ids.find(command.shop_ids.customer, "Customer")
    problems = [*command.problems, *_amiss(known, values, number)]
    if problems:
        raise Rejected(*problems)
    if known is None:
        row = {
            **_NEW_ORDER,
            "created_at": command.at,
            **values,
            "account_id": unit.account_id,
            "order_id": unit.next_id("orders"),
        }
        customer = _customer(unit, command)
        row |= {"customer_id": customer["customer_id"]}
        row["email"] = values.get("email") or customer["email"]
    else:
        row = {**known, **with_cleared_cancellation(known, values)}
        found = unit.customer(known["customer_id"])
        assert found is not None  # an order goes with its customer
        is_theirs = _is_of(unit, command, found)
        customer = _filled(unit, found, command) if is_theirs else found
    number = customer["customer_id"]
    if known is None or is_theirs:
        unit.shop_ids.add(command.shop_ids.customer, "Customer", number, number)
    unit.shop_ids.add(command.shop_ids.order, "Order", row["order_id"], number)
    row["net_payment"] = net_payment(row)
    if known is not None and row == known:
        return known
    row["updated_at"] = max(command.at, row["created_at"], known["updated_at"] if known else 0)
    unit.rows[orders].put(row)
    counted = with_order(customer, row, known)
    if counted != customer:
        counted = unit.touch(counted, command)
    fields = history.difference(customer, counted) | history.order_difference(known, row)
    for kind in _kinds(known, row):
        unit.record(kind, number, command, history.dump(fields), row["order_id"])
        fields = {}
    return row


def _is_of(unit: CustomerUnitOfWork, command: RecordOrder, owner: Row) -> bool:
    """Whether what is told of an order's customer is about its owner. An order stays with its
    customer when a shop gives it, or its name, to another one."""
    number = unit.shop_ids.find(command.shop_ids.customer, "Customer")
    if number is not None:
        return bool(number == owner["customer_id"])
    return bool(command.person.get("email_key", owner["email_key"]) == owner["email_key"])


def _is_of_deleted(unit: CustomerUnitOfWork, command: RecordOrder) -> bool:
    """Whether an order that is unknown is one that was deleted with its customer, or was made
    before its customer was deleted: an event of it comes late."""
    if unit.shop_ids.deleted_at(command.shop_ids.order) is not None:
        return True
    deleted_at = unit.shop_ids.deleted_at(command.shop_ids.customer)
    created_at = command.values.get("created_at")
    return deleted_at is not None and created_at is not None and created_at <= deleted_at


def contact(unit: CustomerUnitOfWork, command: RecordContact) -> Row:
    """The customer as it is kept now; nothing of an event that comes too late. Raises Rejected."""
    shop_id, values = command.shop_ids.customer, command.values
    if unit.shop_ids.deleted_at(shop_id) is not None or _is_late(unit, command):
        return {}
    number = unit.shop_ids.find(shop_id, "Customer")
    if number is None and command.mirrored is not None and unit.customer(command.mirrored):
        number = command.mirrored
    holder = unit.holder(values.get("email_key", ""))
    problems = list(command.problems)
    if holder not in (None, number):
        if _is_patient(command) and (number is not None or unit.shop_ids.has_customer(holder or 0)):
            raise Rejected(HeldEmail(("node", "email")))
        if number is not None:
            problems.append(DuplicateEmail(("node", "email")))
    if number is None and holder is None and "email" not in values:
        problems.append(InvalidInput(_NO_EMAIL, ("node", "email")))
    if problems:
        raise Rejected(*problems)
    known = unit.customer(number if number is not None else holder or 0)
    if known is None:
        row = _created(unit, values, command)
    elif command.fill:
        row = _filled_with(unit, known, values, command)
    else:
        changed, problems = with_values(known, _whole_custom(known, values), ("node",))
        if problems:
            raise Rejected(*problems)
        row = unit.save(known, changed, command)
    number = row["customer_id"]
    unit.shop_ids.add(shop_id, "Customer", number, number)
    if command.delivery:
        unit.shop_ids.record_event(shop_id, command.delivery.event)
    return row


def _is_late(unit: CustomerUnitOfWork, command: RecordContact) -> bool:
    """Whether another Regulars has told of the customer since. It sends the events of a type in
    their order; an attempt after the first, and an event of another type, may change places."""
    delivery = command.delivery
    if delivery is None or not (command.fill or delivery.attempt > 1):
        return False
    return delivery.event < unit.shop_ids.last_event(command.shop_ids.customer)


def _is_patient(command: RecordContact) -> bool:
    """Whether an event will come again so soon that one before it may arrive meanwhile."""
    return command.delivery is not None and command.delivery.attempt <= _PATIENT_ATTEMPTS


def _whole_custom(known: Row, values: Values) -> dict[str, Any]:
    """Values whose custom fields take the place of those that the customer has."""
    if values.get("custom") is None or not known["custom"]:
        return dict(values)
    return {**values, "custom": replacing(orjson.loads(known["custom"]), values["custom"])}


def delete_contact(unit: CustomerUnitOfWork, command: DeleteContact) -> None:
    """Deletes the customer whom the shop calls so. One that is unknown is deleted already, and its
    id is noted: events of it may come later."""
    number = unit.shop_ids.find(command.shop_id, "Customer")
    if number is None:
        number = command.mirrored
    if number is not None and unit.customer(number) is not None:
        unit.delete_customer(number, command.at)
        unit.record(history.DELETED, number, command)
    if command.shop_id:
        unit.shop_ids.record_deleted(command.shop_id, command.at)


def _amiss(known: Row | None, values: Any, customer_id: int | None) -> list[Problem]:
    """What of an order cannot be, given what is known of it, and of its customer."""
    needed = () if known else ("total",) if customer_id else ("email", "total")
    problems: list[Problem] = [
        InvalidInput(_NEEDED % name, ("node", name)) for name in needed if name not in values
    ]
    merged = {**_NEW_ORDER, "total": 0, **(known or {}), **values}
    if merged["refunded_amount"] > max(merged["total"], merged["paid"] or 0):
        message = "More is refunded than the order's total. Mend refunded_amount, or total."
        problems.append(InvalidInput(message, ("node", "refunded_amount")))
    return problems


def _kinds(before: Row | None, now: Row) -> list[str]:
    """The changes of status of an order, in the order in which they are told."""
    kinds = [] if before else [history.ORDER_CREATED]
    was: Any = before or {**_NEW_ORDER, "financial_status": "pending"}
    if was["financial_status"] == "pending" and now["financial_status"] != "pending":
        kinds.append(history.ORDER_CONFIRMED)
    if now["fulfillment_status"] != was["fulfillment_status"]:
        kinds.append(history.ORDER_FULFILLED)
    if now["refunded_amount"] > was["refunded_amount"]:
        kinds.append(history.ORDER_REFUNDED)
    if now["cancelled_at"] is not None and was["cancelled_at"] is None:
        kinds.append(history.ORDER_CANCELLED)
    if now["cancelled_at"] is None and was["cancelled_at"] is not None:
        kinds.append(history.ORDER_UNCANCELLED)
    return kinds or [history.ORDER_UPDATED]


def lead(unit: CustomerUnitOfWork, command: RecordLead) -> Row:
    """The message as it is kept. Raises Rejected."""
    if command.problems:
        raise Rejected(*command.problems)
    row = {
        "account_id": unit.account_id,
        "lead_id": unit.next_id("leads"),
        "subject": "",
        "message": "",
        "custom": None,
        "created_at": command.at,
        **command.values,
    }
    customer = _customer(unit, command)
    row["customer_id"] = customer["customer_id"]
    unit.rows[leads].put(row)
    unit.touch(customer, command)
    unit.record(history.LEAD_CREATED, customer["customer_id"], command)
    return row


def visit(unit: CustomerUnitOfWork, command: RecordVisit) -> Row:
    """The customer, with one more visit. Raises Rejected."""
    row = unit.find(command.customer)
    if row is None:
        raise Rejected(CustomerNotFound([command.customer.given], ("id",)))
    saved = unit.touch({**row, "visits": row["visits"] + 1}, command)
    fields = history.dump(history.difference(row, saved))
    unit.record(history.VISITED, row["customer_id"], command, fields)
    return saved


def _customer(unit: CustomerUnitOfWork, command: RecordOrder | RecordLead) -> Row:
    """The customer whom the shop calls so, or with the email of the person, or a new one."""
    number = None
    if isinstance(command, RecordOrder):
        number = unit.shop_ids.find(command.shop_ids.customer, "Customer")
    if number is None:
        number = unit.holder(command.person["email_key"])
    if number is None:
        return _created(unit, command.person, command)
    found = unit.customer(number)
    assert found is not None  # who has an email, or an id of the shop, is there
    return _filled(unit, found, command)


def _created(unit: CustomerUnitOfWork, values: Values, command: Command) -> Row:
    keys = {"account_id": unit.account_id, "customer_id": unit.next_id("customers")}
    row, problems = with_values(new_row(command.at), dict(values), ("node",))
    if problems:
        raise Rejected(*problems)
    created = {**row, **keys}
    unit.put_customer(created)
    unit.record(history.CREATED, created["customer_id"], command)
    return created


def _filled(unit: CustomerUnitOfWork, row: Row, command: RecordOrder | RecordLead) -> Row:
    """A customer with what it lacked."""
    return _filled_with(unit, row, command.person, command)


def _filled_with(unit: CustomerUnitOfWork, row: Row, values: Values, command: Command) -> Row:
    lacking = {
        name: values[name] for name in FILLABLE if values.get(name) and row[name] == EMPTY[name]
    }
    if not lacking:
        return row
    changed, problems = with_values(row, lacking, ("node",))
    return row if problems else unit.save(row, changed, command)
