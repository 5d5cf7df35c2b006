"""`regulars webhook`: list, test, retry, pause and resume webhooks."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli.completion import complete_webhook
from regulars.cli.connection import Connection, with_connection
from regulars.cli.errors import REFUSED, APIError
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import print_record, wants_json
from regulars.core.ids import number_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_WEBHOOK = """id _id type url settings created_at(format: "ISO") updated_at(format: "ISO")
  disabled_at(format: "ISO") disabled_reason paused missed_count"""
_DELIVERY = """id event_id sequence customer_id state created_at(format: "ISO")
  next_attempt_at(format: "ISO") ended_at(format: "ISO")
  attempts { attempt at(format: "ISO") milliseconds status error }"""
_LIST = f"{{ webhooks {{ {_WEBHOOK} }} }}"
_SHOW = f"""query($id: ID!, $first: Int!, $after: String) {{ webhook(id: $id) {{ {_WEBHOOK}
  deliveries(first: $first, after: $after) {{
    pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {_DELIVERY} }} }} }} }} }}"""
_STATES = """query($id: ID!, $first: Int!, $after: String) { webhook(id: $id) {
  deliveries(first: $first, after: $after) {
    pageInfo { hasNextPage endCursor } edges { node { id state } } } } }"""
_TEST = f"mutation($id: ID!) {{ testWebhook(id: $id) {{ {_DELIVERY} }} }}"
_RETRY = f"mutation($id: ID!) {{ retryWebhookDelivery(id: $id) {{ {_DELIVERY} }} }}"
_LOAD = f"query($id: ID!) {{ node(id: $id) {{ ... on WebhookDelivery {{ {_DELIVERY} }} }} }}"
UPDATE = f"""mutation($id: ID!, $node: WebhookUpdateInput!) {{
  updateWebhook(id: $id, node: $node) {{ {_WEBHOOK} }} }}"""

_PAGE_SIZE = 100
_POLL_SECONDS = 0.3

WebhookId = Annotated[
    str,
    typer.Argument(
        metavar="WEBHOOK",
        help="The `_id` or the id of a webhook.",
        autocompletion=complete_webhook,
    ),
]


@app.command("webhook list", epilog=examples("regulars webhook list --json"))
@with_connection
def webhook_list(*, connection: Connection, as_json: bool | None) -> None:
    """List the webhooks of an account."""
    from regulars.cli.client import fetch_data

    webhooks = connection.run(lambda client: fetch_data(client, _LIST))["webhooks"]
    if wants_json(as_json):
        print_json(webhooks)
        return
    rows = [
        {
            "_id": webhook["_id"],
            "type": webhook["type"],
            "state": state_of(webhook),
            "missed_count": webhook["missed_count"],
            "url": webhook["url"],
        }
        for webhook in webhooks
    ]
    print_rows(rows, ("_id", "type", "state", "missed_count", "url"), False, "No webhook exists.")


@app.command("webhook show", epilog=examples("regulars webhook show 1 --limit 50"))
@with_connection
def webhook_show(
    webhook: WebhookId,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", min=1, max=_PAGE_SIZE, help="The newest N deliveries."
        ),
    ] = 10,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Print a webhook and its newest deliveries."""
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> dict[str, Any]:
        data = await fetch_data(client, _SHOW, id=webhook, first=limit)
        return require_webhook(data["webhook"], webhook)

    loaded = connection.run(work)
    deliveries = [edge["node"] for edge in loaded["deliveries"]["edges"]]
    if wants_json(as_json):
        print_json({**loaded, "deliveries": deliveries})
        return
    record = {**loaded, "state": state_of(loaded), "paused": None, "deliveries": None}
    print_record({"_id": record.pop("_id"), **record, "id": None, "global_id": loaded["id"]})
    print()
    rows = [
        {
            "created_at": delivery["created_at"],
            "state": delivery["state"],
            "last_attempt": describe_attempts(delivery),
            "id": delivery["id"],
        }
        for delivery in deliveries
    ]
    print_rows(
        rows, ("created_at", "state", "last_attempt", "id"), False, "Nothing was sent to it yet."
    )


@app.command("webhook test", epilog=examples("regulars webhook test 1"))
@with_connection
def webhook_test(
    webhook: WebhookId,
    wait: Annotated[
        float,
        typer.Option(
            "--wait", metavar="SECONDS", min=0, max=600, help="How long to wait for the outcome."
        ),
    ] = 15,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Send an example of an event to a webhook.

    The server or `regulars worker` sends it, and the command prints the outcome. The exit code is 1
    unless it is delivered.
    """
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> dict[str, Any]:
        delivery = (await fetch_data(client, _TEST, id=webhook))["testWebhook"]
        deadline = time.monotonic() + wait
        # A failed attempt leaves the delivery pending: it is attempted again later.
        while not delivery["attempts"] and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            delivery = (await fetch_data(client, _LOAD, id=delivery["id"]))["node"]
        result: dict[str, Any] = delivery
        return result

    delivery = connection.run(work)
    if wants_json(as_json):
        print_json(delivery)
    elif delivery["attempts"]:
        print(f"The example is {delivery['state']}: {describe_attempts(delivery)}.")
    else:
        print(
            f"Nothing was sent within {wait:g} s. Check that a server or `regulars worker` "
            "runs, and that the webhook is not paused."
        )
    if delivery["state"] != "delivered":
        sys.exit(REFUSED)


@app.command("webhook retry", epilog=examples("regulars webhook retry 1"))
@with_connection
def webhook_retry(
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID",
            help="Ids of deliveries; or a webhook, for all of its failed deliveries.",
        ),
    ],
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Send deliveries of webhooks again.

    A delivery that has failed is attempted again as often as a new one.
    """
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> list[dict[str, Any]]:
        delivery_ids: list[str] = []
        for text in ids:
            is_webhook = number_of(text, "Webhook") is not None
            delivery_ids += await failed_deliveries(client, text) if is_webhook else [text]
        return [
            (await fetch_data(client, _RETRY, id=delivery_id))["retryWebhookDelivery"]
            for delivery_id in dict.fromkeys(delivery_ids)
        ]

    deliveries = connection.run(work)
    if wants_json(as_json):
        print_json(deliveries)
    elif deliveries:
        print(f"Requested again: {len(deliveries):,}.")
    else:
        print("No delivery has failed.")


@app.command("webhook pause", epilog=examples("regulars webhook pause 1"))
@with_connection
def webhook_pause(webhook: WebhookId, *, connection: Connection, as_json: bool | None) -> None:
    """Pause a webhook.

    Nothing is sent while it is paused, and its events wait.
    """
    changed = _update(connection, webhook, disabled=True)
    if wants_json(as_json):
        print_json(changed)
    else:
        print(f"Paused the webhook {changed['_id']} to {changed['url']}.")


@app.command("webhook resume", epilog=examples("regulars webhook resume 1 --skip-missed"))
@with_connection
def webhook_resume(
    webhook: WebhookId,
    skip_missed: Annotated[
        bool, typer.Option("--skip-missed", help="Drop the events that wait, and do not send them.")
    ] = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Resume a webhook that is paused or disabled.

    The events that waited are sent, unless you pass --skip-missed.
    """
    fields = {"disabled": False, **({"skip_missed": True} if skip_missed else {})}
    changed = _update(connection, webhook, **fields)
    if wants_json(as_json):
        print_json(changed)
    else:
        print(f"Resumed the webhook {changed['_id']} to {changed['url']}.")


def _update(connection: Connection, webhook: str, **node: bool) -> dict[str, Any]:
    from regulars.cli.client import fetch_data

    data = connection.run(lambda client: fetch_data(client, UPDATE, id=webhook, node=node))
    changed: dict[str, Any] = data["updateWebhook"]
    return changed


async def failed_deliveries(client: Client, webhook: str) -> list[str]:
    """Return the ids of a webhook's failed deliveries, newest first. Raises APIError if there is no
    such webhook."""
    from regulars.cli.client import fetch_data

    ids, after = [], None
    while True:
        data = await fetch_data(client, _STATES, id=webhook, first=_PAGE_SIZE, after=after)
        page = require_webhook(data["webhook"], webhook)["deliveries"]
        nodes = [edge["node"] for edge in page["edges"]]
        ids += [node["id"] for node in nodes if node["state"] == "failed"]
        if not page["pageInfo"]["hasNextPage"]:
            return ids
        after = page["pageInfo"]["endCursor"]


def require_webhook(webhook: dict[str, Any] | None, webhook_id: str) -> dict[str, Any]:
    """Return a webhook that the server found. Raises APIError if there is none."""
    if webhook is None:
        raise APIError(
            f"No webhook has the id {webhook_id!r}. List them with `regulars webhook list`."
        )
    return webhook


def state_of(webhook: Mapping[str, Any]) -> str:
    """Return `enabled`, `paused` or `disabled`."""
    if webhook["paused"]:
        return "paused"
    return "disabled" if webhook["disabled_at"] else "enabled"


def describe_attempts(delivery: Mapping[str, Any]) -> str:
    """Return the number of attempts of a delivery, and the outcome of the last."""
    if not delivery["attempts"]:
        return ""
    last = delivery["attempts"][-1]
    outcome = last["error"] or f"status {last['status']}"
    return f"{outcome} at attempt {last['attempt']} after {last['milliseconds']:,} ms"
