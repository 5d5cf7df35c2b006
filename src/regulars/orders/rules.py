"""The rules of orders, leads and visits.

They update the customer's totals in the same transaction. An order belongs to the customer that
had its email when it was first recorded, and stays with that customer. A customer that is matched
by email gets missing names, phone and addresses; its existing values stay.
"""

from __future__ import annotations

from typing import Any

from regulars.core.commands import Command, Values
from regulars.core.errors import (
    CustomerNotFound,
    InvalidInput,
    MissingEmail,
    Problem,
    Rejected,
)
from regulars.core.external_ids import MAX_IDS, load
from regulars.customers import history
from regulars.customers.field_rules import EMPTY, FILLABLE
from regulars.customers.identification import of_email
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import new_row, with_values
from regulars.orders.commands import (
    RecordLead,
    RecordOrder,
    RecordVisit,
)
from regulars.orders.identification import (
    identified_customer,
    is_of,
    is_of_deleted,
    order_ids,
    owner_without_email,
)
from regulars.orders.shop_ids import CUSTOMER, ORDER, merged
from regulars.orders.spend import DEFAULT_CURRENCY, default_currency, with_order
from regulars.orders.values import (
    keep_cleared_cancellation,
    net_payment,
    reconcile_out_of_order,
    with_details,
)
from regulars.store import Row
from regulars.store.tables import leads, orders

_NO_ORDER = "No order has this name, and a new order needs `%s`. Send it."

# A new time of the last order alone is no change of the customer.
_LAST = "last_order_at"

_NEW_ORDER = {
    "email": "",
    "refunded_amount": 0,
    "currency": DEFAULT_CURRENCY,
    "financial_status": "paid",
    "fulfillment_status": "unfulfilled",
    "tags": "[]",
    "test": False,
    "referrer": None,
    "cancelled_at": None,
    "paid": None,
    "details": None,
    "external_ids": None,
}


def record_order(unit: CustomerUnitOfWork, command: RecordOrder) -> Row:
    """Create or update an order, and return its row: empty if its customer was deleted. Raises
    Rejected."""
    stored = unit.order(command.values.get("name", ""))
    if command.event:
        if stored is None and is_of_deleted(unit, command):
            return {}
        values = reconcile_out_of_order(stored, command.values, command.event)
    else:
        values = dict(command.values)
    if stored is None or command.event != "order/created":
        values = with_details(stored, values, command.details)
    customer_id = unit.shop_ids.find(command.shop_ids.customer, CUSTOMER)
    identified, problems = identified_customer(unit, command, stored)
    ids, id_problems = order_ids(unit, command, stored)
    has_customer = customer_id is not None or identified is not None or bool(problems)
    has_customer |= command.customer is not None and "email" in command.customer.values
    problems += [*id_problems, *command.problems, *_order_problems(stored, values, has_customer)]
    if stored is not None or identified is not None:
        problems = of_email(unit, problems)
    else:
        identified, problems = owner_without_email(
            unit, _person_of(command), command.shop_ids.customer, problems
        )
    if problems:
        raise Rejected(*problems)
    if stored is None:
        row = {
            **_NEW_ORDER,
            "currency": default_currency(unit),
            "created_at": command.at,
            **values,
            "account_id": unit.account_id,
            "order_id": unit.next_id("orders"),
        }
        customer = _find_orcreate_customer(unit, command, identified)
        row |= {"customer_id": customer["customer_id"]}
        row["email"] = values.get("email") or customer["email"]
    else:
        row = {**stored, **keep_cleared_cancellation(stored, values)}
        owner = unit.customer(stored["customer_id"])
        assert owner is not None  # an order is deleted with its customer
        is_by_owner = identified is not None or is_of(unit, command, owner)
        customer = _fill(unit, owner, command) if is_by_owner else owner
    customer_id = customer["customer_id"]
    known_customer = customer
    if stored is None or is_by_owner:
        known_customer = _with_shop_id(unit, customer, command.shop_ids.customer)
    row["external_ids"] = unit.shop_ids.added(ids, command.shop_ids.order, ORDER)
    row["net_payment"] = net_payment(row)
    if stored is not None and row == stored:
        unit.save(customer, known_customer, command)
        return stored
    row["updated_at"] = max(command.at, row["created_at"], stored["updated_at"] if stored else 0)
    if row["external_ids"] != (stored["external_ids"] if stored else None):
        unit.shop_ids.save(ORDER, stored, row)
    unit.rows[orders].put(row)
    names_currency = "currency" in values
    counted_customer = with_order(unit, known_customer, row, stored, names_currency)
    if {**counted_customer, _LAST: customer[_LAST]} != customer:
        counted_customer = unit.touch(counted_customer, command)
    elif counted_customer != customer:
        unit.put_customer(counted_customer)
    fields = history.difference(customer, counted_customer) | history.order_difference(stored, row)
    for kind in _change_kinds(stored, row):
        unit.record(kind, customer_id, command, history.dump(fields), row["order_id"])
        fields = {}
    return row


def _order_problems(stored: Row | None, values: Any, has_customer: bool) -> list[Problem]:
    """Return the problems of an order's values together with its stored row. `has_customer` says
    whether its customer is known, or gets an email from another value."""
    required_names = () if stored else ("total",) if has_customer else ("email", "total")
    problems: list[Problem] = [
        (MissingEmail if name == "email" else InvalidInput)(_NO_ORDER % name, ("node", name))
        for name in required_names
        if name not in values
    ]
    merged = {**_NEW_ORDER, "total": 0, **(stored or {}), **values}
    if merged["refunded_amount"] > max(merged["total"], merged["paid"] or 0):
        message = (
            "`refunded_amount` is greater than the total of the order. Correct "
            "`refunded_amount` or `total`."
        )
        problems.append(InvalidInput(message, ("node", "refunded_amount")))
    return problems


def _change_kinds(before: Row | None, after: Row) -> list[str]:
    """Return the kinds of changes between two rows of an order, in the order of the history."""
    kinds = [] if before else [history.ORDER_CREATED]
    previous: Any = before or {**_NEW_ORDER, "financial_status": "pending"}
    if previous["financial_status"] == "pending" and after["financial_status"] != "pending":
        kinds.append(history.ORDER_CONFIRMED)
    if after["fulfillment_status"] != previous["fulfillment_status"]:
        kinds.append(history.ORDER_FULFILLED)
    if after["refunded_amount"] > previous["refunded_amount"]:
        kinds.append(history.ORDER_REFUNDED)
    if after["cancelled_at"] is not None and previous["cancelled_at"] is None:
        kinds.append(history.ORDER_CANCELLED)
    if after["cancelled_at"] is None and previous["cancelled_at"] is not None:
        kinds.append(history.ORDER_UNCANCELLED)
    return kinds or [history.ORDER_UPDATED]


def record_lead(unit: CustomerUnitOfWork, command: RecordLead) -> Row:
    """Create a lead, and return its row. Raises Rejected."""
    identified, problems = identified_customer(unit, command)
    problems += command.problems
    if identified is None and not problems and "email_key" not in _person_of(command):
        message = (
            "No customer has this identifier, and a new customer needs an email. Send the email."
        )
        problems.append(MissingEmail(message, ("node", "email")))
    if identified is None:
        identified, problems = owner_without_email(unit, _person_of(command), None, problems)
    else:
        problems = of_email(unit, problems)
    if problems:
        raise Rejected(*problems)
    row = {
        "account_id": unit.account_id,
        "lead_id": unit.next_id("leads"),
        "subject": "",
        "message": "",
        "custom": None,
        "created_at": command.at,
        **command.values,
    }
    customer = _find_orcreate_customer(unit, command, identified)
    row["customer_id"] = customer["customer_id"]
    unit.rows[leads].put(row)
    unit.touch(customer, command)
    unit.record(history.LEAD_CREATED, customer["customer_id"], command)
    return row


def record_visit(unit: CustomerUnitOfWork, command: RecordVisit) -> Row:
    """Count a visit, and return the customer's row. Raises Rejected."""
    row = unit.find(command.customer)
    if row is None:
        raise Rejected(CustomerNotFound([command.customer.id_text], ("id",)))
    updated = unit.touch({**row, "visits": row["visits"] + 1}, command)
    fields = history.dump(history.difference(row, updated))
    unit.record(history.VISITED, row["customer_id"], command, fields)
    return updated


def _find_orcreate_customer(
    unit: CustomerUnitOfWork, command: RecordOrder | RecordLead, identified: Row | None
) -> Row:
    """Return the customer who is identified, or has the shop id, or else the email, with empty
    fields filled. Create it if it does not exist."""
    if identified is not None:
        return _fill(unit, identified, command)
    customer_id = shop_id = None
    if isinstance(command, RecordOrder):
        shop_id = command.shop_ids.customer
        customer_id = unit.shop_ids.find(shop_id, CUSTOMER)
    values = _person_of(command)
    if customer_id is None:
        customer_id = unit.holder(values.get("email_key", ""))
    if customer_id is None:
        ids = load(unit.shop_ids.added(None, shop_id, CUSTOMER))
        return create_customer(unit, {**values, "external_ids": ids} if ids else values, command)
    customer = unit.customer(customer_id)
    assert customer is not None  # emails and shop ids always have a customer
    return fill_values(unit, customer, values, command)


def _person_of(command: RecordOrder | RecordLead) -> dict[str, Any]:
    """Return the columns of the person in a command, with those of its identifier."""
    return {**command.person, **(command.customer.values if command.customer else {})}


def create_customer(unit: CustomerUnitOfWork, values: Values, command: Command) -> Row:
    row, problems = with_values(new_row(command.at), dict(values), ("node",))
    if problems:
        raise Rejected(*problems)
    customer = unit.put_customer(unit.as_new(row))
    unit.record(history.CREATED, customer["customer_id"], command)
    return customer


def _with_shop_id(unit: CustomerUnitOfWork, customer: Row, shop_id: str | None) -> Row:
    """Return a customer's row with a shop id added, if it is free."""
    ids = unit.shop_ids.added(customer["external_ids"], shop_id, CUSTOMER)
    if ids == customer["external_ids"]:
        return customer
    return with_values(customer, {"external_ids": load(ids)}, ())[0]


def _fill(unit: CustomerUnitOfWork, row: Row, command: RecordOrder | RecordLead) -> Row:
    """Set the empty fields of a customer from the person in the command."""
    return fill_values(unit, row, command.person, command)


def fill_values(unit: CustomerUnitOfWork, row: Row, values: Values, command: Command) -> Row:
    missing_values = {
        name: values[name] for name in FILLABLE if values.get(name) and row[name] == EMPTY[name]
    }
    key = values.get("email_key")
    if key and not row["email"] and unit.holder(key) is None:
        missing_values |= {name: values[name] for name in ("email", "email_key")}
    ids = merged(row["external_ids"], values.get("external_ids") or ())
    if len(load(row["external_ids"])) < len(ids) <= MAX_IDS:
        missing_values["external_ids"] = ids
    if not missing_values:
        return row
    updated, problems = with_values(row, missing_values, ("node",))
    return row if problems else unit.save(row, updated, command)
