"""`regulars webhook filter`: set the filters of a webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli.completion import complete_segment
from regulars.cli.connection import Connection, with_connection
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.cli.segments import find_segments
from regulars.cli.values import wants_json
from regulars.cli.webhook_commands import UPDATE, WebhookId, require_webhook

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_SETTINGS = "query($id: ID!) { webhook(id: $id) { settings } }"


@app.command(
    "webhook filter",
    epilog=examples(
        'regulars webhook filter 1 --query "country:MA" --include id,email',
        "regulars webhook filter 1 --fields phone,custom.loyalty",
        "regulars webhook filter 1 --segment vip --segment 'At risk'",
        'regulars webhook filter 1 --query ""',
    ),
)
@with_connection
def webhook_filter(
    webhook: WebhookId,
    query: Annotated[
        str | None,
        typer.Option("--query", metavar="QUERY", help="Only customers that meet this search."),
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(
            "--segment",
            metavar="SEGMENT",
            help="Only customers of this segment, by its name or id; repeat it for several.",
            autocompletion=complete_segment,
        ),
    ] = None,
    fields: Annotated[
        str | None,
        typer.Option(
            "--fields", metavar="NAMES", help="Only changes of one of these fields, with commas."
        ),
    ] = None,
    include: Annotated[
        str | None,
        typer.Option(
            "--include", metavar="NAMES", help="The keys of the body to send, with commas."
        ),
    ] = None,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Set the filters of a webhook.

    A filter without an option stays as it is. An empty value removes a filter.
    """
    from regulars.cli.client import fetch_data

    values: dict[str, Any] = {
        "query": query,
        "fields": None if fields is None else _names_of(fields),
        "include": None if include is None else _names_of(include),
    }
    if segment is None and all(value is None for value in values.values()):
        raise UsageError("Pass one or more of --query, --segment, --fields and --include.")

    async def work(client: Client) -> dict[str, Any]:
        if segment is not None:
            found = await find_segments(client, filter(None, segment))
            values["segments_uids"] = [each["id"] for each in found]
        data = await fetch_data(client, _SETTINGS, id=webhook)
        settings = dict(require_webhook(data["webhook"], webhook)["settings"])
        for name, value in values.items():
            if value:
                settings[name] = value
            elif value is not None:
                settings.pop(name, None)
        data = await fetch_data(client, UPDATE, id=webhook, node={"settings": settings})
        changed: dict[str, Any] = data["updateWebhook"]
        return changed

    changed = connection.run(work)
    if wants_json(as_json):
        print_json(changed)
    else:
        print(f"Updated the filters of the webhook {changed['_id']} to {changed['url']}.")


def _names_of(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
