"""Orders, as far as a customer directory keeps them, and what they add to a customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from regulars.store import Row
from regulars.store.tables import MONEY_SCALE


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


def units(amount: Decimal) -> int:
    """An amount as it is stored, in 1/10,000. Raises ValueError for one that is not exact so."""
    scaled = amount * MONEY_SCALE
    if scaled != int(scaled):
        raise ValueError(f"{amount} has more than four decimal places")
    return int(scaled)


def amounts(stored: Sequence[int]) -> list[int | float]:
    """Stored amounts as JSON numbers: 35 for 35.0000, 12.5 for 12.5000. Exact below 5·10¹¹,
    where neighbouring doubles stand closer than 1/10,000."""
    return [one / MONEY_SCALE if one % MONEY_SCALE else one // MONEY_SCALE for one in stored]


def net_payment(financial_status: str, total: int, refunded: int) -> int:
    """What was paid of an order, less refunds. Nothing is paid of one that is still pending."""
    return (0 if financial_status == "pending" else total) - refunded


def counts(order: Row) -> bool:
    """Whether an order counts for its customer. A cancelled order and a test count for nothing."""
    return not order["test"] and order["cancelled_at"] is None


def order_row(account_id: int, order_id: int, customer: Row, order: NewOrder) -> Row:
    """An order as it is stored."""
    total, refunded = units(order.total), units(order.refunded_amount)
    return {
        "account_id": account_id,
        "order_id": order_id,
        "customer_id": customer["customer_id"],
        "name": order.name,
        "email": customer["email"],
        "total": total,
        "refunded_amount": refunded,
        "net_payment": net_payment(order.financial_status, total, refunded),
        "currency": order.currency,
        "financial_status": order.financial_status,
        "fulfillment_status": order.fulfillment_status,
        "tags": orjson.dumps(order.tags).decode(),
        "test": order.test,
        "referrer": order.referrer,
        "cancelled_at": order.cancelled_at,
        "created_at": order.created_at,
        "updated_at": max(order.created_at, order.cancelled_at or 0),
    }


def with_order(customer: Row, order: Row) -> Row:
    """A customer's row with an order's spend and count, changed when the order was."""
    if not counts(order):
        return customer
    return {
        **customer,
        "expenses": customer["expenses"] + order["net_payment"],
        "orders_count": customer["orders_count"] + 1,
        "updated_at": max(customer["updated_at"], order["updated_at"]),
    }
