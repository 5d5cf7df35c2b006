"""Which values each column may hold, for `verify`: enumerations, ranges, JSON, lengths.

Relations between rows are in `verify`. A column without a rule is derived, compared with another
table, or free text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from regulars.accounts.sessions import LINK, SESSION
from regulars.core import fields as kinds
from regulars.core.fields import Field
from regulars.core.ids import MAX_ID
from regulars.core.scopes import SCOPES
from regulars.customers import history
from regulars.customers.fields import STORED
from regulars.store import Row
from regulars.store.imports import FILE, PENDING, PULL, RECEIVING, RUNNING
from regulars.webhooks.values import STATES, TYPES

# 9999-12-31T23:59:59.999Z, in milliseconds since 1970.
_LAST_TIME = 253_402_300_799_999
_FIRST_TIME = -62_135_596_800_000  # 0001-01-01
_SHA256_BYTES = 32


class Rule(NamedTuple):
    """What a value that is not null must be."""

    holds: Callable[[Any], bool]
    description: str


def _one_of(*words: str) -> Rule:
    return Rule(frozenset(words).__contains__, f"not one of {', '.join(words)}")


def _is_json(kind: type | None, value: str) -> bool:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return kind is None or isinstance(found, kind)


_ID = Rule(lambda value: 0 < value <= MAX_ID, f"not between 1 and {MAX_ID:,}")
_COUNT = Rule(lambda value: value >= 0, "negative")
_POSITIVE = Rule(lambda value: value > 0, "not positive")
_TIME = Rule(lambda value: _FIRST_TIME <= value <= _LAST_TIME, "not a time")
_FLAG = Rule(lambda value: value in (0, 1), "neither 0 nor 1")
_NOT_EMPTY = Rule(bool, "empty")
_HASH = Rule(lambda value: len(bytes(value)) == _SHA256_BYTES, "not a SHA-256 hash")
_OBJECT = Rule(lambda value: _is_json(dict, value), "not a JSON object")
_ARRAY = Rule(lambda value: _is_json(list, value), "not a JSON array")
_JSON = Rule(lambda value: _is_json(None, value), "not JSON")
_CURRENCY = Rule(lambda value: re.fullmatch("[A-Z]{3}", value) is not None, "not a currency")
_SCOPES = Rule(lambda value: set(value.split()) <= SCOPES.keys() and value, "not a list of scopes")
_VERSION = Rule(lambda value: re.fullmatch(r"\d{4}", value) is not None, "not a version")
_STATUS = Rule(lambda value: 100 <= value <= 599, "not an HTTP status")
_URL = Rule(lambda value: value.startswith(("http://", "https://")), "not a URL")

# What the stored value of each kind of field must be; texts are free.
_OF_KIND: Mapping[type[Field], Callable[[Any], Rule | None]] = {
    kinds.Text: lambda _: None,
    kinds.LongText: lambda _: None,
    kinds.Email: lambda _: None,
    kinds.Phone: lambda _: None,
    kinds.Flag: lambda _: _FLAG,
    kinds.Tags: lambda _: _ARRAY,
    kinds.Json: lambda _: _OBJECT,
    kinds.Address: lambda _: _OBJECT,
    kinds.Timestamp: lambda _: _TIME,
    kinds.Money: lambda _: None,
    kinds.Count: lambda field: _POSITIVE if field.start else _COUNT,
}

RULES: Mapping[str, Mapping[str, Rule]] = {
    "accounts": {"account_id": _POSITIVE, "name": _NOT_EMPTY, "created_at": _TIME},
    "tokens": {
        "hash": _HASH,
        "scopes": _SCOPES,
        **dict.fromkeys(("created_at", "expires_at", "revoked_at", "last_used_at"), _TIME),
    },
    "sessions": {
        "hash": _HASH,
        "kind": _one_of(SESSION, LINK),
        "created_at": _TIME,
        "expires_at": _TIME,
    },
    "compatibility": {"oldest": _VERSION, "finished": _VERSION},
    "counters": dict.fromkeys(
        ("customers", "orders", "leads", "revision", "changes", "webhooks"), _COUNT
    ),
    "customers": {
        "customer_id": _ID,
        **{f.name: rule for f in STORED if (rule := _OF_KIND[type(f)](f)) is not None},
    },
    "terms": {"term": _NOT_EMPTY},
    "history": {
        "kind": _one_of(*history.KINDS),
        "actor_kind": _one_of("token", "command_line", "inbound", "import"),
        "at": _TIME,
        "fields": _OBJECT,
        "silent": _FLAG,
    },
    "receipts": {
        "fingerprint": _NOT_EMPTY,
        "part": _COUNT,
        "created_at": _TIME,
        "outcome": _OBJECT,
    },
    "buckets": {"at": _TIME},
    "orders": {
        "order_id": _ID,
        "name": _NOT_EMPTY,
        "currency": _CURRENCY,
        "financial_status": _one_of("pending", "paid", "refunded", "partially_refunded"),
        "fulfillment_status": _one_of("unfulfilled", "fulfilled", "partial"),
        "tags": _ARRAY,
        "details": _OBJECT,
        "test": _FLAG,
        **dict.fromkeys(("total", "refunded_amount", "paid"), _COUNT),
        **dict.fromkeys(("created_at", "updated_at", "cancelled_at"), _TIME),
    },
    "leads": {"lead_id": _ID, "custom": _OBJECT, "created_at": _TIME},
    "webhooks": {
        "webhook_id": _ID,
        "type": _one_of(*TYPES),
        "url": _URL,
        "settings": _OBJECT,
        "position": _COUNT,
        "claimed_until": _COUNT,
        "paused": _FLAG,
        **dict.fromkeys(
            ("created_at", "updated_at", "enabled_at", "next_at", "disabled_at"), _TIME
        ),
    },
    "deliveries": {
        "state": _one_of(*STATES),
        "attempts": _COUNT,
        "tries": _COUNT,
        **dict.fromkeys(("due_at", "created_at", "ended_at"), _TIME),
    },
    "attempts": {
        "attempt": _POSITIVE,
        "at": _TIME,
        "milliseconds": _COUNT,
        "status": _STATUS,
        "exchange": _OBJECT,
    },
    "webhook_secrets": {"secret": _NOT_EMPTY, "previous": _NOT_EMPTY, "inbound": _NOT_EMPTY},
    "shop_ids": {"shop_id": _NOT_EMPTY, "type": _one_of("Customer", "Order", "Lead")},
    "deleted_shop_ids": {"shop_id": _NOT_EMPTY, "deleted_at": _TIME},
    "inbox": {"problem": _NOT_EMPTY, "received_at": _TIME, "times": _POSITIVE},
    "inbox_keys": {"inbox_id": _NOT_EMPTY},
    "imports": {
        "kind": _one_of(FILE, PULL),
        "state": _one_of(RECEIVING, PENDING, RUNNING, "done", "cancelled", "failed"),
        "source": _OBJECT,
        "last_rejected": _ARRAY,
        "problems": _OBJECT,
        "claimed_until": _COUNT,
        **dict.fromkeys(
            (
                *("size", "position", "bytes_read", "created", "updated", "unchanged"),
                *("rejected", "rejected_at"),
            ),
            _COUNT,
        ),
        **dict.fromkeys(("created_at", "updated_at", "ended_at"), _TIME),
    },
    "import_parts": {"kind": _one_of(FILE, "rejected"), "part": _COUNT, "bytes": _NOT_EMPTY},
}


def wrong_values(table: str, row: Row) -> Iterator[str]:
    """What is wrong with the values of a row, each by itself. Never shows a value."""
    for column, rule in RULES.get(table, {}).items():
        value = row[column]
        if value is not None and not rule.holds(value):
            yield f"{column} is {rule.description}"
