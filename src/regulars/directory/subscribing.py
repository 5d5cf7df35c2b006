"""The rules of a write to webhooks."""

from __future__ import annotations

from typing import Any

from regulars.directory.commands import CreateWebhook, DeleteWebhook, UpdateWebhook
from regulars.directory.draft import Draft
from regulars.directory.errors import Problem, Refused
from regulars.directory.webhooks import DuplicateWebhook, WebhookNotFound, is_disabled
from regulars.store import Row


def create(draft: Draft, command: CreateWebhook) -> Row:
    """The webhook's row. Raises Refused."""
    values, problems = command.values, list(command.problems)
    if not problems and draft.webhooks.at(values["type"], values["url"]) is not None:
        problems.append(DuplicateWebhook(values["type"]))
    if problems:
        raise Refused(*problems)
    row = {
        "account_id": draft.account_id,
        "webhook_id": draft.next_id("webhooks"),
        "settings": "{}",
        **values,
        "created_at": command.at,
        "updated_at": command.at,
        "enabled_at": command.at,
        # It is told of what comes after it.
        "position": draft.counters["changes"],
        "next_at": None,
        "claimed_by": None,
        "claimed_until": 0,
        "disabled_at": None,
        "disabled_reason": None,
        "paused": False,
    }
    draft.webhooks.put(row)
    return row


def update(draft: Draft, command: UpdateWebhook) -> Row:
    """The webhook's row. Raises Refused."""
    row = draft.webhooks.find(command.webhook_id)
    if row is None:
        raise Refused(WebhookNotFound(command.given), *command.problems)
    values = {**command.values, **_switched(row, command)}
    changed = {**row, **values}
    problems: list[Problem] = list(command.problems)
    other = draft.webhooks.at(changed["type"], changed["url"])
    if other is not None and other != row["webhook_id"]:
        problems.append(DuplicateWebhook(changed["type"]))
    if problems:
        raise Refused(*problems)
    if command.skip_missed:
        values["position"] = draft.counters["changes"]
    if command.skip_missed or changed["type"] != row["type"]:
        draft.webhooks.skip(row["webhook_id"], command.at)
    if command.skip_missed or any(row[name] != value for name, value in values.items()):
        values["updated_at"] = max(command.at, row["updated_at"])
        changed = {**row, **values}
        draft.webhooks.put(changed, values)
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


def delete(draft: Draft, command: DeleteWebhook) -> int:
    """The `_id` of the webhook that there is no longer. Raises Refused."""
    row = draft.webhooks.find(command.webhook_id)
    if row is None:
        raise Refused(WebhookNotFound(command.given))
    draft.webhooks.drop(row["webhook_id"])
    number: int = row["webhook_id"]
    return number
