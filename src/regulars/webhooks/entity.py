"""The entities of webhooks. Deliveries are written by the worker alone."""

from __future__ import annotations

from regulars.store import queries, tables
from regulars.store.entity import Entity, Lookup, Updates, blank
from regulars.webhooks import job_events, rules, segment_use
from regulars.webhooks.commands import CreateWebhook, DeleteWebhook, UpdateWebhook

WEBHOOKS = Entity(
    tables.webhooks,
    counter="webhooks",
    lookups=(
        Lookup("webhook_ids", tables.webhooks.c.url, queries.urls_of_webhooks),
        Lookup("webhook_urls", tables.webhooks.c.url),
    ),
    more_loads=(segment_use.LOAD, job_events.LOAD),
    unique=(("type", "url"),),
    # The worker that delivers writes other columns of the row.
    updates=Updates.ASSIGNED,
    rules={
        CreateWebhook: rules.create,
        UpdateWebhook: rules.update,
        DeleteWebhook: rules.delete,
    },
)

ATTEMPTS = Entity(
    tables.attempts,
    editable=("exchange",),
    on_customer_delete=blank(tables.attempts, "exchange"),
    is_log=True,
)

ENTITIES = (WEBHOOKS, ATTEMPTS)
