"""The rows and ids of deliveries."""

from __future__ import annotations

from regulars.core.paging import TaggedCursors
from regulars.store import Row
from regulars.webhooks.values import PENDING

# A webhook: account, number.
WebhookKey = tuple[int, int]

DELIVERY_CURSORS = TaggedCursors(
    "delivery",
    2,
    "This is not a cursor of a delivery. Use `cursor` of an edge, or `endCursor`, from the "
    "deliveries of a webhook.",
)


def new_delivery(key: WebhookKey, number: int, customer_id: int | None, now: int) -> Row:
    """Return a delivery that is due."""
    return {
        "account_id": key[0],
        "webhook_id": key[1],
        "number": number,
        "customer_id": customer_id,
        "state": PENDING,
        "attempts": 0,
        "tries": 0,
        "due_at": now,
        "created_at": now,
        "ended_at": None,
        "job_id": None,
    }


def example_delivery(webhook_id: int, account_id: int, now: int) -> Row:
    """Return the delivery of an example event."""
    return new_delivery((account_id, webhook_id), -now, None, now)


def event_id(account_id: int, webhook: Row, delivery: Row) -> str:
    """Return the id of an event; it is the same for every webhook that receives the event."""
    if delivery["number"] < 0:
        return f"test-{account_id}-{webhook['webhook_id']}-{-delivery['number']}"
    return f"event-{account_id}-{delivery['job_id'] or delivery['number']}"
