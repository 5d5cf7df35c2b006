"""Webhooks: who is told of what happens, and where.

A webhook is of one type of event. What it is told follows from the history alone: it is sent each
change of the kinds of its type that comes after the moment it was made.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from regulars.core.errors import InputPath, InvalidInput, Problem
from regulars.core.lenient_base64 import from_base64
from regulars.core.text import clean, did_you_mean
from regulars.customers import history
from regulars.store import Row

# The kinds of changes that an event of each type is of.
TYPES: Mapping[str, tuple[str, ...]] = {
    "contact/signup": (history.CREATED,),
    "contact/updated": (history.UPDATED, history.LEAD_CREATED),
    "contact/deleted": (history.DELETED,),
    "contact-form/created": (history.LEAD_CREATED,),
    "order/created": (history.ORDER_CREATED,),
    "order/confirmed": (history.ORDER_CONFIRMED,),
    "order/fulfilled": (history.ORDER_FULFILLED,),
    "order/refunded": (history.ORDER_REFUNDED,),
    "order/cancelled": (history.ORDER_CANCELLED,),
    "order/uncancelled": (history.ORDER_UNCANCELLED,),
    "order/updated": (
        *(history.ORDER_CONFIRMED, history.ORDER_UPDATED, history.ORDER_REFUNDED),
        *(history.ORDER_CANCELLED, history.ORDER_UNCANCELLED, history.ORDER_FULFILLED),
    ),
    # Accepted because apps of the API subscribe to it; there are no apps here to uninstall.
    "app/uninstalled": (),
}
# The types of the API that are never sent, and what Regulars does not store.
UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(("payment/created", "payment/paid"), "payments"),
    **dict.fromkeys(("checkout/created", "checkout/updated"), "checkouts"),
    "order-item/created": "items of orders",
    **{f"product/{what}": "products" for what in ("created", "updated", "deleted")},
    **{f"funnel/{what}": "funnels" for what in ("created", "updated", "deleted")},
}
URL_LENGTH = 2_048
SETTINGS_BYTES = 4_096

# The states of a delivery.
STATES = PENDING, DELIVERED, FAILED, SKIPPED = "pending", "delivered", "failed", "skipped"

_DELIVERY = re.compile(rb"WebhookDelivery:([1-9][0-9]{0,9})-(-?[1-9][0-9]{0,17})")


class WebhookNotFound(Problem):
    """An id that names no webhook of the account, or no delivery of one."""

    key = "webhooks_not_found"

    def __init__(self, given: str, what: str = "webhook") -> None:
        super().__init__(f"No {what} has the id {given[:50]}.", ("id",))


class DuplicateWebhook(Problem):
    """There is already a webhook of that type to that address."""

    key = "webhooks_duplicated"

    def __init__(self, type_: str) -> None:
        super().__init__(
            f"There is already a webhook for {type_} to this URL. Update or delete that one.",
            ("node", "url"),
        )


class WrongVersion(Problem):
    """A version of the API whose events are not sent."""

    key = "webhooks_version_error"

    def __init__(self) -> None:
        super().__init__(
            "Events are sent as version 2 of the API has them: use version v2, or leave it out.",
            ("node", "version"),
        )


class NotPermitted(Problem):
    """The token may keep webhooks, but not see what this one would tell."""

    key = "webhooks_errors_permission"

    def __init__(self, type_: str, scope: str) -> None:
        super().__init__(
            f"An event {type_} tells of customers, and the token lacks the scope {scope}. "
            f"Use one that has it: regulars token create --scope webhooks --scope {scope}",
            ("node", "type"),
        )


def clean_webhook(node: Mapping[str, Any], path: InputPath) -> tuple[Row, list[Problem]]:
    """A webhook as somebody asks for it, as it is kept, and what is wrong with it. Whether its
    address may be told anything is looked at where its host's name is resolved."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, given in node.items():
        here = (*path, name)
        if given is None and name not in ("disabled", "skip_missed"):
            message = f"{name} cannot be null. Leave it out to keep what it is."
            problems.append(InvalidInput(message, here))
        elif name == "type":
            values["type"] = given.strip()
            if values["type"] not in TYPES:
                problems.append(InvalidInput(_no_type(values["type"]), here))
        elif name == "url":
            values["url"], wrong = _clean_url(given)
            if wrong:
                problems.append(InvalidInput(f"The URL {wrong}", here))
        elif name == "settings":
            values["settings"], wrong = _clean_settings(given)
            if wrong:
                problems.append(InvalidInput(f"The settings {wrong}", here))
        elif name == "version" and given != "v2":
            problems.append(WrongVersion())
    return values, problems


def _no_type(given: str) -> str:
    supported = f"Supported types: {', '.join(TYPES)}."
    if given in UNSUPPORTED:
        return f"Regulars stores no {UNSUPPORTED[given]}, so `{given}` is never sent. {supported}"
    return f"There is no event `{given[:50]}`.{did_you_mean(given, TYPES)} {supported}"


def _clean_url(given: str) -> tuple[str, str | None]:
    """An address as it is kept, and what is wrong with it."""
    url, wrong = clean(given, URL_LENGTH)
    if wrong:
        return url, wrong
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or " " in url:
        return url, (
            "is none: write it as in https://example.com/hooks, with other than ASCII characters "
            "percent-encoded, and a host's name in Punycode."
        )
    if parts.username is not None or parts.password is not None:
        return url, "holds a user name or a password. Leave it out; check the signature instead."
    return parts._replace(fragment="").geturl(), None


def _clean_settings(given: Mapping[str, Any]) -> tuple[str, str | None]:
    if not isinstance(given.get("changes", False), bool):
        return "{}", "have a `changes` that is neither true nor false."
    try:
        stored = orjson.dumps(given)
    except TypeError:  # orjson reads what is nested deeper than it writes
        return "{}", "are nested too deep. At most 250 levels are allowed."
    if len(stored) > SETTINGS_BYTES:
        return "{}", f"take {len(stored):,} bytes as JSON; at most {SETTINGS_BYTES:,} are allowed."
    return stored.decode(), None


def wants_changes(webhook: Row) -> bool:
    """Whether the receiver asks for the values before, too."""
    return orjson.loads(webhook["settings"]).get("changes") is True


def is_disabled(disabled_at: int | None, enabled_at: int) -> bool:
    """Whether nothing is sent to a webhook."""
    return disabled_at is not None and disabled_at > enabled_at


class DeliveryId(NamedTuple):
    """A delivery of an account: its webhook, and its number there."""

    webhook_id: int
    number: int

    def encode(self) -> str:
        text = f"WebhookDelivery:{self.webhook_id}-{self.number}"
        return base64.b64encode(text.encode()).decode()

    @classmethod
    def decode(cls, text: str) -> DeliveryId | None:
        """The delivery that an id names; None for what is none."""
        found = _DELIVERY.fullmatch(from_base64(text.strip()) or b"")
        return cls(int(found[1]), int(found[2])) if found else None
