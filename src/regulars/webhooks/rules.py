"""The rules of a write to webhooks."""

from __future__ import annotations

from typing import Any

from regulars.core.errors import Problem, Rejected
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import Row
from regulars.store.tables import webhooks
from regulars.store.writes import SKIP_DELIVERIES
from regulars.webhooks.commands import CreateWebhook, DeleteWebhook, UpdateWebhook
from regulars.webhooks.values import DuplicateWebhook, WebhookNotFound, is_disabled


def create(unit: CustomerUnitOfWork, command: CreateWebhook) -> Row:
    """The webhook's row. Raises Rejected."""
    values, problems = command.values, list(command.problems)
    if not problems and _at(unit, values) is not None:
        problems.append(DuplicateWebhook(values["type"]))
    if problems:
        raise Rejected(*problems)
    row = {
        "account_id": unit.account_id,
        "webhook_id": unit.next_id("webhooks"),
        "settings": "{}",
        **values,
        "created_at": command.at,
        "updated_at": command.at,
        "enabled_at": command.at,
        # It gets the changes that come after it.
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
    """The webhook's row. Raises Rejected."""
    row = unit.rows[webhooks].get(command.webhook_id)
    if row is None:
        raise Rejected(WebhookNotFound(command.given), *command.problems)
    values = {**command.values, **_switched(row, command)}
    changed = {**row, **values}
    problems: list[Problem] = list(command.problems)
    other = _at(unit, changed)
    if other is not None and other != row["webhook_id"]:
        problems.append(DuplicateWebhook(changed["type"]))
    if problems:
        raise Rejected(*problems)
    if command.skip_missed:
        values["position"] = unit.counters["changes"]
    if command.skip_missed or changed["type"] != row["type"]:
        skipped = [row["webhook_id"]]
        unit.run(SKIP_DELIVERIES, skipped_webhooks=skipped, skipped_at=command.at)
    if command.skip_missed or any(row[name] != value for name, value in values.items()):
        values["updated_at"] = max(command.at, row["updated_at"])
        changed = {**row, **values}
        unit.rows[webhooks].put(changed, values)
    return changed


def _switched(row: Row, command: UpdateWebhook) -> dict[str, Any]:
    """The columns by which a webhook is paused or resumed."""
    if command.disable is None:
        return {}
    disabled = is_disabled(row["disabled_at"], row["enabled_at"])
    if command.disable == (disabled and (row["paused"] or not command.disable)):
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
    """The `_id` of the webhook that there is no longer. Raises Rejected."""
    row = unit.rows[webhooks].get(command.webhook_id)
    if row is None:
        raise Rejected(WebhookNotFound(command.given))
    unit.rows[webhooks].delete(row["webhook_id"])
    number: int = row["webhook_id"]
    return number


def _at(unit: CustomerUnitOfWork, webhook: Row) -> int | None:
    """The webhook of the same type and URL."""
    found: int | None = unit.rows[webhooks].find(("type", "url"), (webhook["type"], webhook["url"]))
    return found
