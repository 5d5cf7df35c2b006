"""The values of orders, and their effect on the customer's totals."""

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
    """An order to record. Amounts are exact decimals with at most four places; timestamps are in
    milliseconds since 1970. `name` is the shop's order number, unique in an account."""

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
    """Return the paid amount of an order less refunds, in 1/10,000. If the paid amount is unknown,
    a pending order is unpaid, and any other is paid in full."""
    paid: int | None = order["paid"]
    if paid is None:
        paid = 0 if order["financial_status"] == "pending" else order["total"]
    return paid - int(order["refunded_amount"])


def is_counted(order: Row) -> bool:
    """Whether an order counts in its customer's totals. Cancelled and test orders do not."""
    return not order["test"] and order["cancelled_at"] is None


def may_stop_to_count(values: Mapping[str, Any]) -> bool:
    """Whether values of an order can make an earlier order the last one of its customer."""
    return not values.keys().isdisjoint(("cancelled_at", "test", "created_at"))


def order_row(account_id: int, order_id: int, customer: Row, order: NewOrder) -> Row:
    """Return the row of a new order."""
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
        "external_ids": None,
    }
    return {**row, "net_payment": net_payment(row)}


def financial_status(total: int, paid: int, refunded: int) -> str:
    """Return the financial status for amounts in 1/10,000."""
    if refunded:
        return "refunded" if refunded >= paid else "partially_refunded"
    return "paid" if paid >= total else "pending"


# The key in an order's details for the time of a cancellation that was reverted.
_CLEARED = "cleared_cancelled_at"


def keep_cleared_cancellation(order: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an update, with the time of a cancellation that they revert. If the shop
    repeats that cancellation, the order is not cancelled again."""
    is_cleared = "cancelled_at" in values and values["cancelled_at"] is None
    if not is_cleared or order["cancelled_at"] is None:
        return dict(values)
    stored = values.get("details") or order["details"]
    details = {**(orjson.loads(stored) if stored else {}), _CLEARED: order["cancelled_at"]}
    return {**values, "details": orjson.dumps(details, option=orjson.OPT_SORT_KEYS).decode()}


def with_details(
    order: Row | None, values: Mapping[str, Any], details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of an order with `details` merged into its stored details."""
    if not details:
        return dict(values)
    before = orjson.loads(order["details"]) if order and order["details"] else {}
    merged = orjson.dumps({**before, **details}, option=orjson.OPT_SORT_KEYS)
    return {**values, "details": merged.decode()}


def reconcile_out_of_order(
    order: Row | None, values: Mapping[str, Any], event: str
) -> dict[str, Any]:
    """Return the values of an event that still apply to an order.

    Events can arrive late and out of order; none reverts the values of a later one. Paid and
    refunded amounts only grow. A cancellation stays until `order/uncancelled`. `order/created`
    changes nothing else in an order that exists.
    """
    if order is None:
        # No event has reported a payment.
        return {"financial_status": "pending", **values}
    updates = {} if event == "order/created" else dict(values)
    details = orjson.loads(order["details"]) if order["details"] else {}
    # A timestamp that is sent as an age differs each time.
    updates.pop("created_at", None)
    for name in ("paid", "refunded_amount"):
        if values.get(name) is not None:
            updates[name] = max(values[name], order[name] or 0)
    if event == "order/uncancelled":
        updates["cancelled_at"] = None
    elif (
        updates.get("cancelled_at") is None
        or order["cancelled_at"] is not None
        or updates["cancelled_at"] == details.get(_CLEARED)
    ):
        updates.pop("cancelled_at", None)
    if event == "order/created" and order["cancelled_at"] is None and values.get("cancelled_at"):
        updates["cancelled_at"] = values["cancelled_at"]
    after = {**order, **updates}
    if after["paid"] is not None:
        updates["financial_status"] = financial_status(
            after["total"], after["paid"], after["refunded_amount"]
        )
    return updates
