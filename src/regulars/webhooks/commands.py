"""The commands on webhooks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    Values,
    one_id,
    record_lookups,
)
from regulars.core.errors import Problem
from regulars.store import LookupKeys
from regulars.webhooks import job_events
from regulars.webhooks.segment_use import can_use_segments


class _WebhookInput(SmallCommand):
    """A command with values of a webhook. If these can use segments, it reads all segments of the
    account, whose queries take too long to parse for the event loop."""

    __slots__ = ()

    values: Values

    @property
    def is_large(self) -> bool:
        return bool(self._segments)

    @property
    def _segments(self) -> tuple[bool, ...]:
        # With another type, the stored settings are read again.
        settings = self.values.get("settings", "")
        can_use = can_use_segments(settings) or ("type" in self.values and not settings)
        return (True,) if can_use else ()

    def lookups(self) -> dict[str, Collection[Any]]:
        """Return the lookups of the values."""
        urls = [self.values["url"]] if self.values.get("url") else ()
        return {
            "webhook_urls": urls,
            "all_segments": self._segments,
            "segment_webhooks": self._segments,
            **job_events.lookups_of(self.values),
        }


@dataclass(frozen=True, slots=True)
class CreateWebhook(_WebhookInput):
    """Create a webhook with clean values at the time `at`."""

    values: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(**self.lookups(), **record_lookups(self.idempotency_record))


@dataclass(frozen=True, slots=True)
class UpdateWebhook(_WebhookInput):
    """Update a webhook with clean values at the time `at`. `id_text` is the id in the request.
    `disable` pauses the webhook (True) or resumes it (False). With `skip_missed`, the events that
    it missed are not sent."""

    id_text: str
    webhook_id: int | None
    values: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    disable: bool | None = None
    skip_missed: bool = False
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            webhook_ids=one_id(self.webhook_id),
            **self.lookups(),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class DeleteWebhook(SmallCommand):
    """Delete a webhook with its deliveries. `id_text` is the id in the request."""

    id_text: str
    webhook_id: int | None
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        records = record_lookups(self.idempotency_record)
        return LookupKeys(webhook_ids=one_id(self.webhook_id), **records)
