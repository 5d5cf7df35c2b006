"""The commands on webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class CreateWebhook(SmallCommand):
    """Create a webhook with clean values at the time `at`."""

    values: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            webhook_urls=_urls(self.values), **record_lookups(self.idempotency_record)
        )


@dataclass(frozen=True, slots=True)
class UpdateWebhook(SmallCommand):
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
            webhook_urls=_urls(self.values),
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


def _urls(values: Values) -> frozenset[str]:
    return frozenset([values["url"]]) if values.get("url") else frozenset()
