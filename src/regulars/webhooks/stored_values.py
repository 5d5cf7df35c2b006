"""Rules for the stored values of webhooks, deliveries and attempts."""

from __future__ import annotations

from collections.abc import Mapping

from regulars.core.stored_values import (
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
from regulars.webhooks.values import STATES, TYPES

_STATUS = Rule(lambda value: 100 <= value <= 599, "not an HTTP status")
_URL = Rule(lambda value: value.startswith(("http://", "https://")), "not a URL")

RULES: Mapping[str, Mapping[str, Rule]] = {
    "webhooks": {
        "webhook_id": ID,
        "type": one_of(*TYPES),
        "url": _URL,
        "settings": OBJECT,
        "position": COUNT,
        "claimed_until": COUNT,
        "paused": FLAG,
        "filtered": FLAG,
        **dict.fromkeys(("created_at", "updated_at", "enabled_at", "next_at", "disabled_at"), TIME),
    },
    "deliveries": {
        "state": one_of(*STATES),
        "attempts": COUNT,
        "tries": COUNT,
        **dict.fromkeys(("due_at", "created_at", "ended_at"), TIME),
    },
    "attempts": {
        "attempt": POSITIVE,
        "at": TIME,
        "milliseconds": COUNT,
        "status": _STATUS,
        "exchange": OBJECT,
    },
    "webhook_secrets": {"secret": NOT_EMPTY, "previous": NOT_EMPTY, "inbound": NOT_EMPTY},
}
