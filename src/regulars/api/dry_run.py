"""Dry runs of mutations: the response shows what a write would do, and nothing is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.api.context import Context
from regulars.core.commands import Command
from regulars.core.dry_run import DryRun
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.ids import encoder
from regulars.customers import history
from regulars.store.large_work import LARGE_CHARACTERS, run_large
from regulars.webhooks.log import DeliveryLog
from regulars.webhooks.values import TYPES

ARGUMENT = "dryRun"


async def draft(env: Context, command: Command, key: str) -> tuple[Context, Any]:
    """Decide a command of the root field `key`, and discard its changes. Return the context in
    which the response is made, and the result. Report the entries and the events that the command
    would cause. Raises Rejected, as the command does."""
    written = await env.directory.write(env.account_id, DryRun(command))
    await report(env, key, written.entries)
    return env.with_draft(written), written.result


async def report(env: Context, key: str, entries: Sequence[Mapping[str, Any]] = ()) -> None:
    """Add what a dry run of the root field `key` would write to the history, and the events of
    that, to the extensions of the response. Raises Rejected if they are too large."""
    dry_run = env.extensions.setdefault("dry_run", {"changes": [], "events": []})
    size = sum(len((entry["fields"] or "").encode()) for entry in entries)
    env.extension_bytes += size
    max_bytes = env.directory.limits.response_bytes
    if env.extension_bytes > max_bytes:
        message = (
            f"The changes of the dry run have more than {max_bytes:,} bytes "
            "(`REGULARS_MAX_RESPONSE_BYTES`). Send fewer customers."
        )
        raise Rejected(InvalidInput(message, (ARGUMENT,)))

    def render() -> list[dict[str, Any]]:
        return [_change(key, entry) for entry in entries]

    dry_run["changes"] += await run_large(render) if size > LARGE_CHARACTERS else render()
    sent = [entry for entry in entries if not entry["silent"]]
    counts = await DeliveryLog(env.directory.store).count_webhooks(env.account_id) if sent else {}
    dry_run["events"] += [
        {
            "path": [key],
            "type": type_,
            "customer_id": _customer_id(entry),
            "webhooks": counts.get(type_, 0),
        }
        for entry in sent
        for type_, kinds in TYPES.items()
        if entry["kind"] in kinds
    ]


def _change(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    change = {
        "path": [key],
        "kind": entry["kind"],
        "customer_id": _customer_id(entry),
        "fields": history.fields(entry["fields"]),
    }
    if entry["order_id"] is not None:
        change["order_id"] = encoder("Order")([entry["order_id"]])[0]
    return change


def _customer_id(entry: Mapping[str, Any]) -> str:
    return encoder("Customer")([entry["customer_id"]])[0]
