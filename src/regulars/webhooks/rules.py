"""The rules of writes to webhooks: create, update and delete."""

from __future__ import annotations

from typing import Any

import orjson

from regulars.core.errors import Problem, Rejected
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.segments import watching
from regulars.segments.definitions import Definitions
from regulars.segments.expansion import Expansion
from regulars.segments.table import segments
from regulars.store import Row
from regulars.store.tables import webhooks
from regulars.store.writes import SKIP_DELIVERIES
from regulars.webhooks import job_events
from regulars.webhooks.commands import CreateWebhook, DeleteWebhook, UpdateWebhook
from regulars.webhooks.filters import check_filters, filter_names
from regulars.webhooks.segment_use import (
    SEGMENTS,
    can_use_segments,
    listed_segments,
    with_segments,
)
from regulars.webhooks.values import (
    DuplicateWebhook,
    TooManyWebhooks,
    WebhookNotFound,
    is_disabled,
)

# Each write to a segment reads them.
MAX_WEBHOOKS_OF_SEGMENTS = 500


def create(unit: CustomerUnitOfWork, command: CreateWebhook) -> Row:
    """Create a webhook and return its row. Raises Rejected."""
    values, problems = command.values, list(command.problems)
    if not problems:
        problems.extend(_filter_problems(unit, values))
        problems.extend(job_events.type_problems(unit, values, None))
    if not problems and _find_duplicate(unit, values) is not None:
        problems.append(DuplicateWebhook(values["type"]))
    if problems:
        raise Rejected(*problems)
    _watch_segments(unit, values, command.at)
    row = {
        "account_id": unit.account_id,
        "webhook_id": unit.next_id("webhooks"),
        **values,
        "filtered": _has_filters(values),
        "created_at": command.at,
        "updated_at": command.at,
        "enabled_at": command.at,
        # The webhook receives later changes only.
        "position": unit.counters["changes"],
        "next_at": None,
        "claimed_by": None,
        "claimed_until": 0,
        "disabled_at": None,
        "disabled_reason": None,
        "paused": False,
    }
    unit.rows[webhooks].put(row)
    return row


def update(unit: CustomerUnitOfWork, command: UpdateWebhook) -> Row:
    """Update a webhook and return its row. Raises Rejected."""
    row = unit.rows[webhooks].get(command.webhook_id)
    if row is None:
        raise Rejected(WebhookNotFound(command.id_text), *command.problems)
    values = {**command.values, **_pause_columns(row, command)}
    updated = {**row, **values}
    problems: list[Problem] = list(command.problems)
    # Settings from before there were filters stay without effect until they are updated.
    if not problems and ("settings" in values or ("type" in values and row["filtered"])):
        problems.extend(_filter_problems(unit, updated))
        values["filtered"] = _has_filters(updated)
        updated = {**row, **values}
    if not problems:
        problems.extend(job_events.type_problems(unit, values, row))
    duplicate_id = _find_duplicate(unit, updated)
    if duplicate_id is not None and duplicate_id != row["webhook_id"]:
        problems.append(DuplicateWebhook(updated["type"]))
    if problems:
        raise Rejected(*problems)
    if "filtered" in values:
        _watch_segments(unit, updated, command.at)
    if command.skip_missed:
        values["position"] = unit.counters["changes"]
    if command.skip_missed or updated["type"] != row["type"]:
        webhook_ids = [row["webhook_id"]]
        unit.run(SKIP_DELIVERIES, skipped_webhooks=webhook_ids, skipped_at=command.at)
    if command.skip_missed or any(row[name] != value for name, value in values.items()):
        values["updated_at"] = max(command.at, row["updated_at"])
        updated = {**row, **values}
        unit.rows[webhooks].put(updated, values)
    return updated


def _filter_problems(unit: CustomerUnitOfWork, webhook: Row) -> list[Problem]:
    """Return the problems of a webhook's filters, with the segments of the account."""
    settings = webhook["settings"]
    problems = check_filters(webhook["type"], orjson.loads(settings), Expansion(_definitions(unit)))
    if not problems and can_use_segments(settings):
        others = with_segments(unit.rows[webhooks].all())
        ids = {row["webhook_id"] for row in others} - {webhook.get("webhook_id")}
        if len(ids) >= MAX_WEBHOOKS_OF_SEGMENTS:
            problems.append(TooManyWebhooks(MAX_WEBHOOKS_OF_SEGMENTS))
    return problems


def _watch_segments(unit: CustomerUnitOfWork, webhook: Row, at: int) -> None:
    """Have the segments in `segments_uids` watched: the deletion of a customer needs the last known
    membership. Raises Rejected."""
    if can_use_segments(webhook["settings"]):
        ids = listed_segments(webhook, _definitions(unit))
        watching.watch(unit, ids, at, ("node", "settings", SEGMENTS))


def _definitions(unit: CustomerUnitOfWork) -> Definitions:
    return Definitions.of_rows(unit.rows[segments].all())


def _has_filters(webhook: Row) -> bool:
    return bool(filter_names(orjson.loads(webhook["settings"])))


def _pause_columns(row: Row, command: UpdateWebhook) -> dict[str, Any]:
    """Return the columns to set so that a webhook is paused or resumed; none if it already is."""
    if command.disable is None:
        return {}
    is_off = is_disabled(row["disabled_at"], row["enabled_at"])
    if command.disable == (is_off and (row["paused"] or not command.disable)):
        return {}
    if not command.disable:
        enabled_at = max(command.at, row["disabled_at"])
        return {"enabled_at": enabled_at, "paused": False, "next_at": command.at}
    return {
        "disabled_at": max(command.at, row["enabled_at"] + 1),
        "disabled_reason": f"Paused by {command.origin.name}.",
        "paused": True,
    }


def delete(unit: CustomerUnitOfWork, command: DeleteWebhook) -> int:
    """Delete a webhook and return its `_id`. Raises Rejected."""
    row = unit.rows[webhooks].get(command.webhook_id)
    if row is None:
        raise Rejected(WebhookNotFound(command.id_text))
    unit.rows[webhooks].delete(row["webhook_id"])
    webhook_id: int = row["webhook_id"]
    return webhook_id


def _find_duplicate(unit: CustomerUnitOfWork, webhook: Row) -> int | None:
    """Return the `_id` of the webhook with the same type and URL."""
    values = (webhook["type"], webhook["url"])
    webhook_id: int | None = unit.rows[webhooks].find(("type", "url"), values)
    return webhook_id
