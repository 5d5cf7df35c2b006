"""The part of the API for webhooks, their deliveries and attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from graphql import GraphQLError

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context
from regulars.api.guards import needs, price_of_write
from regulars.api.part import ApiPart, Node, Scalar
from regulars.api.values import timestamp_of
from regulars.api.writing import mutation
from regulars.core import ids
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, MissingScope, Problem, Rejected
from regulars.core.ids import number_of
from regulars.core.paging import page_of, requested_size
from regulars.core.scopes import READ, WEBHOOKS, WRITE
from regulars.graphql import (
    Arguments,
    Layout,
    Layouts,
    Load,
    PerRow,
    Related,
    Resolve,
    Root,
    TypeBinding,
    Value,
)
from regulars.jobs.ending import JOB_ENDED
from regulars.store import Row
from regulars.store.relations import DELIVERIES
from regulars.store.writes import SKIP_DELIVERIES
from regulars.webhooks.commands import CreateWebhook, DeleteWebhook, UpdateWebhook
from regulars.webhooks.deliveries import DELIVERY_CURSORS
from regulars.webhooks.filters import find_misspelt
from regulars.webhooks.log import DeliveryLog, with_status
from regulars.webhooks.targets import ForbiddenTarget, require_allowed
from regulars.webhooks.values import TYPES as EVENT_TYPES
from regulars.webhooks.values import DeliveryId, NotPermitted, clean_webhook

# In points: counting the missed events may read 250,000 changes.
_MISSED_COST = 20


def webhooks(layouts: Layouts) -> Resolve:
    """Return the resolver of the account's webhooks, oldest first."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        rows = await _log(env).webhooks(env.account_id)
        return await _webhooks_filled(env, rows, layouts.only)

    return resolve


def webhook(layouts: Layouts) -> Resolve:
    """Return the resolver of a webhook by its id; null if there is none."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        webhook_id = number_of(arguments["id"], "Webhook")
        return None if webhook_id is None else await load_webhook(env, webhook_id, layouts.only)

    return resolve


def webhook_types(_layouts: Layouts) -> Resolve:
    """Return the resolver of the event types."""

    async def resolve(_env: Context, _arguments: dict[str, Any]) -> Any:
        return list(EVENT_TYPES)

    return resolve


async def _prepare_create(env: Context, arguments: dict[str, Any]) -> Any:
    return await _clean(env, {"settings": {}, **arguments["node"]})


def _create(
    env: Context, cleaned: Any, idempotency_record: IdempotencyRecord | None
) -> CreateWebhook:
    values, problems = cleaned
    return CreateWebhook(values, env.now, problems, idempotency_record, env.origin)


async def _prepare_update(env: Context, arguments: dict[str, Any]) -> Any:
    id_text, node = arguments["id"], arguments["node"]
    values, problems = await _clean(env, node)
    disable, skip = node.get("disabled"), bool(node.get("skip_missed"))
    if skip and disable is not False:
        message = "`skip_missed` needs `disabled: false`."
        problems.append(InvalidInput(message, ("node", "skip_missed")))
    return id_text, values, problems, disable, skip


def _update(
    env: Context, prepared: Any, idempotency_record: IdempotencyRecord | None
) -> UpdateWebhook:
    id_text, values, problems, disable, skip = prepared
    number = number_of(id_text, "Webhook")
    return UpdateWebhook(
        id_text, number, values, env.now, problems, disable, skip, idempotency_record, env.origin
    )


def _delete(
    env: Context, arguments: Any, idempotency_record: IdempotencyRecord | None
) -> DeleteWebhook:
    id_text = arguments["id"]
    return DeleteWebhook(
        id_text, number_of(id_text, "Webhook"), env.now, idempotency_record, env.origin
    )


async def _webhook(env: Context, row: Row, layouts: Layouts) -> Any:
    return (await _webhooks_filled(env, [with_status(row)], layouts.only))[0]


async def _deleted(_env: Context, webhook_id: int, _layouts: Layouts) -> str:
    return ids.encoder("Webhook")([webhook_id])[0]


create_webhook = mutation(_create, _prepare_create, _webhook, shows=WEBHOOKS)
update_webhook = mutation(_update, _prepare_update, _webhook, shows=WEBHOOKS)
delete_webhook = mutation(_delete, render=_deleted, shows=WEBHOOKS)


def retry_delivery(layouts: Layouts) -> Resolve:
    """Return the resolver that requests another attempt of a delivery."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        log = _log(env)
        row = await log.retry(env.account_id, arguments["id"], env.now)
        return (await _filled(env, [row], layouts.only))[0]

    return resolve


def test_webhook(layouts: Layouts) -> Resolve:
    """Return the resolver that requests the delivery of an example event."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        id_text = arguments["id"]
        log = _log(env)
        row = await log.send_example(
            env.account_id, id_text, number_of(id_text, "Webhook"), env.now
        )
        return (await _filled(env, [row], layouts.only))[0]

    return resolve


async def _clean(env: Context, node: Mapping[str, Any]) -> tuple[Row, list[Problem]]:
    """Return a webhook's columns and the problems of its input. The host must be allowed, and the
    token must be able to read what the events contain."""
    values, problems = clean_webhook(node, ("node",))
    if values.get("settings", "{}") != "{}":
        problems.extend(find_misspelt(node["settings"]))
    problems.extend(_permission_problems(env, values.get("type")))
    if values.get("url") and not any(p.input_path == ("node", "url") for p in problems):
        try:
            await require_allowed(values["url"], env.directory.limits.private_targets)
        except ForbiddenTarget as forbidden:
            problems.append(InvalidInput(str(forbidden), ("node", "url")))
    return values, problems


def _permission_problems(env: Context, type_: str | None) -> list[Problem]:
    """Return the problems of a token that cannot read what the events of a type contain. Only a
    token that can write customers can read jobs."""
    if type_ is None or not (type_ == JOB_ENDED or EVENT_TYPES.get(type_, True)):
        return []
    needed = (READ, WRITE) if type_ == JOB_ENDED else (READ,)
    missing = [scope for scope in needed if scope not in env.scopes]
    return [NotPermitted(type_, scope) for scope in missing[:1]]


def _log(env: Context) -> DeliveryLog:
    """Return the webhooks as the request sees them: in a dry run, with the deliveries skipped that
    the write would skip."""
    skipped = env.draft.statements.get(SKIP_DELIVERIES, {}) if env.draft else {}
    webhook_ids = frozenset(skipped.get("skipped_webhooks", ()))
    return DeliveryLog(env.directory.store, webhook_ids, skipped.get("skipped_at", 0))


async def load_webhook(env: Context, webhook_id: int, layout: Layout) -> Any:
    """Return a webhook's row in a layout, or None."""
    row = await _log(env).webhook(env.account_id, webhook_id)
    return None if row is None else (await _webhooks_filled(env, [row], layout))[0]


async def load_delivery(env: Context, delivery_id: DeliveryId, layout: Layout) -> Any:
    """Return a delivery's row in a layout, or None."""
    row = await _log(env).delivery(env.account_id, delivery_id)
    return None if row is None else (await _filled(env, [row], layout))[0]


async def _webhooks_filled(env: Context, rows: Sequence[Row], layout: Layout) -> Sequence[Any]:
    if "missed_count" in layout.columns:
        log = _log(env)
        rows = [{**row, "missed_count": await log.count_missed(row)} for row in rows]
    return await _filled(env, rows, layout)


async def _filled(env: Context, rows: Sequence[Row], layout: Layout) -> Sequence[Any]:
    tuples = [tuple(row[name] for name in layout.columns) for row in rows]
    return await layout.load_related(tuples, env)


def _deliveries(arguments: Arguments) -> Load:
    """Return the loader of a page of deliveries for each webhook, newest first."""

    async def load(env: Context, webhook_ids: list[int], layout: Layout) -> Sequence[Any]:
        page = page_of(arguments, DELIVERY_CURSORS, "deliveries", env.directory.limits.page_size)
        connection = Connection(layout, DELIVERIES.keyset, DELIVERY_CURSORS.encode)
        log = _log(env)
        pages = await log.list_deliveries(env.account_id, webhook_ids, page, connection.columns)
        return await connection.rows_of(pages, env)

    return load


async def _attempts(env: Context, keys: list[Any], layout: Layout) -> Sequence[Any]:
    if "exchange" in layout.columns and READ not in env.scopes:
        raise Rejected(MissingScope(READ))
    log = _log(env)
    return [
        [tuple(row[name] for name in layout.columns) for row in rows]
        for rows in await log.attempts(env.account_id, keys)
    ]


def _exchange_value(name: str) -> Value:
    def read(exchange: str | None) -> Any:
        return None if exchange is None else orjson.loads(exchange)[name]

    return Value(("exchange",), PerRow(read), can_be_large=True)


def _customer_ids(numbers: Sequence[int | None]) -> list[str | None]:
    encode = ids.encoder("Customer")
    return [None if number is None else encode([number])[0] for number in numbers]


WEBHOOK = TypeBinding(
    {
        "id": Value(("webhook_id",), ids.encoder("Webhook")),
        "_id": Value(("webhook_id",)),
        "type": Value(("type",)),
        "url": Value(("url",)),
        "version": Value(("webhook_id",), lambda numbers: ["v2"] * len(numbers)),
        "settings": Value(("settings",), PerRow(orjson.loads), can_be_large=True),
        "created_at": timestamp_of("created_at"),
        "updated_at": timestamp_of("updated_at"),
        "disabled_at": timestamp_of("disabled_since"),
        "disabled_reason": Value(("disabled_why",)),
        "paused": Value(("is_paused",)),
        "missed_count": Value(("missed_count",), cost=_MISSED_COST),
        "deliveries": Related("webhook_id", prepare=_deliveries, size=requested_size),
    }
)
DELIVERY = TypeBinding(
    {
        "id": Value(("id",)),
        "event_id": Value(("event_id",)),
        "sequence": Value(("sequence",)),
        "customer_id": Value(("customer_id",), _customer_ids),
        "job_id": Value(("job_id",)),
        "state": Value(("state",)),
        "created_at": timestamp_of("created_at"),
        "next_attempt_at": timestamp_of("due_at"),
        "ended_at": timestamp_of("ended_at"),
        "attempts": Related("key", _attempts),
    }
)
ATTEMPT = TypeBinding(
    {
        "attempt": Value(("attempt",)),
        "at": timestamp_of("at"),
        "milliseconds": Value(("milliseconds",)),
        "status": Value(("status",)),
        "error": Value(("error",)),
        **{
            name: _exchange_value(name)
            for name in ("request_headers", "request", "response_headers", "response")
        },
    }
)


def webhook_settings(value: Any) -> dict[str, Any]:
    """Return the JSON object. An empty array becomes an empty object. Raises GraphQLError for any
    other value."""
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise GraphQLError('`WebhookSettings` must be a JSON object, such as `{"changes": true}`.')
    return value


def _roots(_page_size: int) -> Mapping[str, Root]:
    # These send customers to the webhook's receiver: the token must be able to read customers.
    sends = needs(WEBHOOKS, READ)
    return {
        "webhookTypes": Root(webhook_types),
        "webhooks": Root(webhooks, needs(WEBHOOKS)),
        "webhook": Root(webhook, needs(WEBHOOKS)),
        "createWebhook": Root(create_webhook, needs(WEBHOOKS), price_of_write),
        "updateWebhook": Root(update_webhook, sends, price_of_write),
        "deleteWebhook": Root(delete_webhook, needs(WEBHOOKS), price_of_write),
        "retryWebhookDelivery": Root(retry_delivery, sends, price_of_write),
        "testWebhook": Root(test_webhook, sends, price_of_write),
    }


API = ApiPart(
    {
        "Webhook": WEBHOOK,
        **connection_types("WebhookDelivery", DELIVERIES.keyset, DELIVERY_CURSORS.encode),
        "WebhookDelivery": DELIVERY,
        "WebhookAttempt": ATTEMPT,
    },
    _roots,
    {"Webhook": Node(WEBHOOKS, load_webhook)},
    {"WebhookSettings": Scalar(webhook_settings)},
)
