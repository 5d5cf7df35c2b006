"""The values of webhooks: event types, input and ids.

A webhook subscribes to one event type. Its events follow from the history alone: one for each
change of the kinds of its type after the webhook was created.
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
from regulars.jobs.ending import JOB_ENDED
from regulars.store import Row

# The kinds of changes that cause an event of each type.
TYPES: Mapping[str, tuple[str, ...]] = {
    "contact/signup": (history.CREATED,),
    "contact/updated": (history.UPDATED, history.LEAD_CREATED),
    "contact/deleted": (history.DELETED,),
    "contact/restored": (history.RESTORED,),
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
    "segment/entered": (history.SEGMENT_ENTERED,),
    "segment/left": (history.SEGMENT_LEFT,),
    # The end of a job is no change. Its deliveries are created with it (`jobs.ending`).
    JOB_ENDED: (),
    # Accepted because apps of the API subscribe to it; there are no apps here to uninstall.
    "app/uninstalled": (),
}
# The event types of the API that are never sent, with the data that Regulars does not store.
UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(("payment/created", "payment/paid"), "payments"),
    **dict.fromkeys(("checkout/created", "checkout/updated"), "checkouts"),
    "order-item/created": "items of orders",
    **{f"product/{action}": "products" for action in ("created", "updated", "deleted")},
    **{f"funnel/{action}": "funnels" for action in ("created", "updated", "deleted")},
}
URL_LENGTH = 2_048
SETTINGS_BYTES = 4_096
# The setting that adds the values before a change to a body.
CHANGES = "changes"

# The states of a delivery.
STATES = PENDING, DELIVERED, FAILED, SKIPPED = "pending", "delivered", "failed", "skipped"

_DELIVERY = re.compile(rb"WebhookDelivery:([1-9][0-9]{0,9})-(-?[1-9][0-9]{0,17})")


class WebhookNotFound(Problem):
    """No webhook of the account, or no delivery, has this id."""

    key = "webhooks_not_found"

    def __init__(self, id_text: str, noun: str = "webhook") -> None:
        super().__init__(f"No {noun} has the id {id_text[:50]}.", ("id",))


class DuplicateWebhook(Problem):
    """Another webhook of the account has this type and URL."""

    key = "webhooks_duplicated"

    def __init__(self, type_: str) -> None:
        super().__init__(
            f"Another webhook already sends `{type_}` to this URL. Update or delete that webhook.",
            ("node", "url"),
        )


class TooManyWebhooks(Problem):
    """The account has the maximum number of webhooks whose filters use segments."""

    key = "errors_limit"

    def __init__(self, max_count: int) -> None:
        super().__init__(
            f"This account has {max_count} webhooks with filters that use segments, the maximum. "
            "Delete one first, or remove its segments.",
            ("node", "settings"),
        )


class WrongVersion(Problem):
    """Events are not sent in this version of the API."""

    key = "webhooks_version_error"

    def __init__(self) -> None:
        super().__init__(
            "Only version 2 of the events is supported. Use `v2`, or omit `version`.",
            ("node", "version"),
        )


class NotPermitted(Problem):
    """The token lacks the scope to read the data that the webhook would send."""

    key = "webhooks_errors_permission"

    def __init__(self, type_: str, scope: str) -> None:
        data = "jobs" if type_ == JOB_ENDED else "customer data"
        super().__init__(
            f"Events of type `{type_}` contain {data}, and the token lacks the scope "
            f"`{scope}`. Create a token with `regulars token create --scope webhooks --scope "
            f"{scope}`.",
            ("node", "type"),
        )


def clean_webhook(node: Mapping[str, Any], path: InputPath) -> tuple[Row, list[Problem]]:
    """Return the columns of a webhook's input, and its problems. `targets.require_allowed` checks
    whether the URL is allowed."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in node.items():
        value_path = (*path, name)
        if value is None and name not in ("disabled", "skip_missed"):
            message = f"`{name}` cannot be null. Omit it to keep the stored value."
            problems.append(InvalidInput(message, value_path))
        elif name == "type":
            values["type"] = value.strip()
            if values["type"] not in TYPES:
                problems.append(InvalidInput(_unsupported_type(values["type"]), value_path))
        elif name == "url":
            values["url"], error = _clean_url(value)
            if error:
                problems.append(InvalidInput(f"The URL {error}", value_path))
        elif name == "settings":
            values["settings"], error = _clean_settings(value)
            if error:
                problems.append(InvalidInput(f"The settings {error}", value_path))
        elif name == "version" and value != "v2":
            problems.append(WrongVersion())
    return values, problems


def _unsupported_type(type_: str) -> str:
    """Return the message about a type that is unknown or never sent."""
    supported = f"Supported types: {', '.join(TYPES)}."
    if type_ in UNSUPPORTED:
        return (
            f"Regulars does not store {UNSUPPORTED[type_]}, so `{type_}` is never sent. {supported}"
        )
    return f"Unknown event type `{type_[:50]}`.{did_you_mean(type_, TYPES)} {supported}"


def _clean_url(text: str) -> tuple[str, str | None]:
    """Return a URL without its fragment, and the predicate of an error message or None."""
    url, error = clean(text, URL_LENGTH)
    if error:
        return url, error
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or " " in url:
        return url, (
            "is not a full URL, such as `https://example.com/hooks`. Percent-encode other than "
            "ASCII characters, and write the host name in Punycode."
        )
    if parts.username is not None or parts.password is not None:
        return url, (
            "contains a user name or password. Remove it, and verify the signature instead."
        )
    return parts._replace(fragment="").geturl(), None


def _clean_settings(settings: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the settings as JSON, and the predicate of an error message or None."""
    if not isinstance(settings.get(CHANGES, False), bool):
        return "{}", "have a value of `changes` that is neither true nor false."
    try:
        stored = orjson.dumps(settings)
    except TypeError:  # orjson parses deeper nesting than it serializes
        return "{}", "are nested too deeply. The maximum is 250 levels."
    if len(stored) > SETTINGS_BYTES:
        return "{}", f"take {len(stored):,} bytes as JSON; the maximum is {SETTINGS_BYTES:,}."
    return stored.decode(), None


def wants_changes(webhook: Row) -> bool:
    """Return whether the settings request the values before a change."""
    return orjson.loads(webhook["settings"]).get(CHANGES) is True


def is_disabled(disabled_at: int | None, enabled_at: int) -> bool:
    """Return whether a webhook is disabled or paused, so that no events are sent to it."""
    return disabled_at is not None and disabled_at > enabled_at


class DeliveryId(NamedTuple):
    """The id of a delivery: its webhook, and its number within the webhook."""

    webhook_id: int
    number: int

    def encode(self) -> str:
        """Return the id as the API shows it, in base64."""
        text = f"WebhookDelivery:{self.webhook_id}-{self.number}"
        return base64.b64encode(text.encode()).decode()

    @classmethod
    def decode(cls, text: str) -> DeliveryId | None:
        """Parse an id of the API; None if it is not the id of a delivery."""
        match = _DELIVERY.fullmatch(from_base64(text.strip()) or b"")
        return cls(int(match[1]), int(match[2])) if match else None
