"""Orders, as far as a customer directory keeps them, and what they add to a customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from regulars.core.money import units
from regulars.store import Row


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to record. Amounts are exact decimals of at most four places; moments are
    milliseconds since 1970. `name` is the shop's own number, unique in an account."""

    name: str
    total: Decimal
    created_at: int
    currency: str = "USD"
    refunded_amount: Decimal = Decimal(0)
    financial_status: str = "paid"
    fulfillment_status: str = "unfulfilled"
    tags: tuple[str, ...] = ()
    test: bool = False
    referrer: str | None = None
    cancelled_at: int | None = None


def net_payment(order: Row) -> int:
    """What was paid of an order, less refunds. Where nobody says what was paid, nothing is of one
    that is still pending, and all of any other."""
    paid: int | None = order["paid"]
    if paid is None:
        paid = 0 if order["financial_status"] == "pending" else order["total"]
    return paid - int(order["refunded_amount"])


def counts(order: Row) -> bool:
    """Whether an order counts for its customer. A cancelled order and a test count for nothing."""
    return not order["test"] and order["cancelled_at"] is None


def order_row(account_id: int, order_id: int, customer: Row, order: NewOrder) -> Row:
    """An order as it is stored."""
    row = {
        "account_id": account_id,
        "order_id": order_id,
        "customer_id": customer["customer_id"],
        "name": order.name,
        "email": customer["email"],
        "total": units(order.total),
        "refunded_amount": units(order.refunded_amount),
        "net_payment": 0,
        "currency": order.currency,
        "financial_status": order.financial_status,
        "fulfillment_status": order.fulfillment_status,
        "tags": orjson.dumps(order.tags).decode(),
        "test": order.test,
        "referrer": order.referrer,
        "cancelled_at": order.cancelled_at,
        "created_at": order.created_at,
        "updated_at": max(order.created_at, order.cancelled_at or 0),
        "paid": None,
        "details": None,
    }
    return {**row, "net_payment": net_payment(row)}


def spend(order: Row | None) -> tuple[int, int]:
    """What an order adds to its customer's expenses, and to the count of orders."""
    return (order["net_payment"], 1) if order is not None and counts(order) else (0, 0)


def with_order(customer: Row, order: Row, before: Row | None = None) -> Row:
    """A customer's row with an order's spend and count, in the place of those that the order had
    before."""
    (expenses, count), (old_expenses, old_count) = spend(order), spend(before)
    return {
        **customer,
        "expenses": customer["expenses"] + expenses - old_expenses,
        "orders_count": customer["orders_count"] + count - old_count,
    }


def financial_status(total: int, paid: int, refunded: int) -> str:
    """How an order stands, by what was paid of it and given back."""
    if refunded:
        return "refunded" if refunded >= paid else "partially_refunded"
    return "paid" if paid >= total else "pending"


# Where an order's details keep the time of a cancellation that was taken back.
_CLEARED = "cleared_cancelled_at"


def with_cleared_cancellation(known: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of an order that is known, which also keep the cancellation that they take back: a
    shop that sends it again does not cancel the order again."""
    is_cleared = "cancelled_at" in values and values["cancelled_at"] is None
    if not is_cleared or known["cancelled_at"] is None:
        return dict(values)
    stored = values.get("details") or known["details"]
    details = {**(orjson.loads(stored) if stored else {}), _CLEARED: known["cancelled_at"]}
    return {**values, "details": orjson.dumps(details, option=orjson.OPT_SORT_KEYS).decode()}


def with_details(
    known: Row | None, values: Mapping[str, Any], details: Mapping[str, Any]
) -> dict[str, Any]:
    """Values of an order with what else is kept of it. What an earlier write said stays."""
    if not details:
        return dict(values)
    before = orjson.loads(known["details"]) if known and known["details"] else {}
    merged = orjson.dumps({**before, **details}, option=orjson.OPT_SORT_KEYS)
    return {**values, "details": merged.decode()}


def reconcile_out_of_order(
    known: Row | None, values: Mapping[str, Any], event: str
) -> dict[str, Any]:
    """What an event of a shop tells of an order that is known: events may come late, in another
    order than they happened, and none takes back what a later one told. What was paid, and what was
    given back, only grows; a cancellation stays; and what an order was when it was created says
    nothing of what it is now."""
    if known is None:
        # Nobody has said that it was paid.
        return {"financial_status": "pending", **values}
    told = {} if event == "order/created" else dict(values)
    known_details = orjson.loads(known["details"]) if known["details"] else {}
    # A moment that is told as an age is another one each time.
    told.pop("created_at", None)
    for name in ("paid", "refunded_amount"):
        if values.get(name) is not None:
            told[name] = max(values[name], known[name] or 0)
    if event == "order/uncancelled":
        told["cancelled_at"] = None
    elif (
        told.get("cancelled_at") is None
        or known["cancelled_at"] is not None
        or told["cancelled_at"] == known_details.get(_CLEARED)
    ):
        told.pop("cancelled_at", None)
    if event == "order/created" and known["cancelled_at"] is None and values.get("cancelled_at"):
        told["cancelled_at"] = values["cancelled_at"]
    now = {**known, **told}
    if now["paid"] is not None:
        told["financial_status"] = financial_status(
            now["total"], now["paid"], now["refunded_amount"]
        )
    return told
