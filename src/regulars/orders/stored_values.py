"""Rules for the stored values of orders and leads, shop ids and the inbox."""

from __future__ import annotations

import re
from collections.abc import Mapping

from regulars.core.stored_values import (
    ARRAY,
    COUNT,
    FLAG,
    ID,
    NOT_EMPTY,
    OBJECT,
    POSITIVE,
    TIME,
    Rule,
    one_of,
)

_CURRENCY = Rule(lambda value: re.fullmatch("[A-Z]{3}", value) is not None, "not a currency")

RULES: Mapping[str, Mapping[str, Rule]] = {
    "orders": {
        "order_id": ID,
        "name": NOT_EMPTY,
        "currency": _CURRENCY,
        "financial_status": one_of("pending", "paid", "refunded", "partially_refunded"),
        "fulfillment_status": one_of("unfulfilled", "fulfilled", "partial"),
        "tags": ARRAY,
        "details": OBJECT,
        "test": FLAG,
        **dict.fromkeys(("total", "refunded_amount", "paid"), COUNT),
        **dict.fromkeys(("created_at", "updated_at", "cancelled_at"), TIME),
    },
    "leads": {"lead_id": ID, "custom": OBJECT, "created_at": TIME},
    "shop_ids": {"shop_id": NOT_EMPTY, "type": one_of("Customer", "Order", "Lead")},
    "deleted_shop_ids": {"shop_id": NOT_EMPTY, "deleted_at": TIME, "event": COUNT},
    "inbox": {"problem": NOT_EMPTY, "received_at": TIME, "times": POSITIVE},
    "inbox_keys": {"inbox_id": NOT_EMPTY},
}
