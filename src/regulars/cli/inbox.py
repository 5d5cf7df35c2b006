"""The commands for shop events that could not be processed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import format_timestamp, print_json, print_rows
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.store import Store
    from regulars.webhooks.inbox import Inbox

app = typer.Typer()

_MIN_SECRET = 8


@app.command("inbox list", epilog=examples("regulars inbox list", "regulars inbox list --json"))
def inbox_list(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.JsonOrTable = None,
) -> None:
    """List the unprocessed events and their problems.

    The JSON output contains the bodies of the events.
    """
    from regulars.accounts.accounts import Accounts
    from regulars.webhooks.inbox import Inbox

    async def read(store: Store) -> list[dict[str, Any]]:
        owner = await Accounts(store).resolve(account)
        return await Inbox(store).events(owner.account_id)

    rows = [
        {
            "id": event["inbox_id"],
            "type": event["type"],
            "received_at": format_timestamp(event["received_at"]),
            "times": event["times"],
            "problem": event["problem"],
            "body": bytes(event["body"]).decode(errors="replace"),
        }
        for event in with_store(options.settings(database_url=database_url), read)
    ]
    print_rows(
        rows,
        ("id", "type", "received_at", "times", "problem"),
        as_json,
        "The inbox has no unprocessed events.",
    )


@app.command(
    "inbox retry", epilog=examples("regulars inbox retry", "regulars inbox retry 7f3a 8b2c")
)
def inbox_retry(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="The ids of the events, from `regulars inbox list`. The default is all events.",
        ),
    ] = None,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Process events again.

    Retry events after you have fixed their problem or upgraded Regulars.
    """
    from regulars.core.clock import now_ms

    async def retry(store: Store) -> list[dict[str, Any]]:
        inbox, selected = await _select_events(store, account, ids)
        return [
            {"id": event["inbox_id"], "problem": await inbox.retry(event, now_ms())}
            for event in selected
        ]

    rows = with_store(options.settings(database_url=database_url), retry)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['id']}: {row['problem'] or 'Processed.'}")
    remaining = sum(row["problem"] is not None for row in rows)
    remain = count_of(remaining, "event remains", "events remain")
    print(f"Processed {count_of(len(rows) - remaining, 'event')}. {remain} in the inbox.")


@app.command("inbox delete", epilog=examples("regulars inbox delete 7f3a 8b2c"))
@app.command("inbox forget", hidden=True, epilog=examples("regulars inbox delete 7f3a 8b2c"))
def inbox_delete(
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="The ids of the events, from `regulars inbox list`."),
    ],
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
) -> None:
    """Delete unprocessed events.

    The events and the customer data in them are lost.
    """

    async def delete(store: Store) -> int:
        inbox, selected = await _select_events(store, account, ids)
        for event in selected:
            await inbox.delete(event)
        return len(selected)

    count = with_store(options.settings(database_url=database_url), delete)
    print(f"Deleted {count_of(count, 'event')}.")


async def _select_events(
    store: Store, account: str | None, ids: list[str] | None
) -> tuple[Inbox, list[dict[str, Any]]]:
    """Returns the events with some ids; all without ids. Raises UsageError."""
    from regulars.accounts.accounts import Accounts
    from regulars.webhooks.inbox import Inbox

    owner = await Accounts(store).resolve(account)
    inbox = Inbox(store)
    events = await inbox.events(owner.account_id)
    missing = set(ids or ()) - {event["inbox_id"] for event in events}
    if missing:
        raise UsageError(
            f"The inbox has no event {', '.join(sorted(missing))}. "
            "List the events with: regulars inbox list"
        )
    return inbox, [event for event in events if not ids or event["inbox_id"] in ids]


@app.command("inbox secret", epilog=examples("regulars inbox secret < secret.txt"))
def inbox_secret(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
) -> None:
    """Set the secret that a shop signs its events with.

    The command reads the secret from standard input. Regulars also accepts events that are signed
    with the secret of the account (`regulars webhook-secret show`).
    """
    from regulars.accounts.accounts import Accounts
    from regulars.core.clock import now_ms
    from regulars.webhooks import secret_queries
    from regulars.webhooks.signatures import secrets_of

    if sys.stdin.isatty():
        print("The shop's secret: ", end="", flush=True)
    secret = sys.stdin.readline().strip()
    if len(secret) < _MIN_SECRET or not secret.isprintable():
        raise UsageError(
            f"The secret must have at least {_MIN_SECRET} characters, and no control characters."
        )

    async def save(store: Store) -> str:
        owner = await Accounts(store).resolve(account)
        await secrets_of(store, owner.account_id, now_ms())
        row = {"account_id": owner.account_id, "inbound": secret}
        await store.execute([(secret_queries.set_inbound_secret(), row)])
        return owner.name

    name = with_store(options.settings(database_url=database_url), save)
    print(f"The account {name} now accepts events that are signed with this secret.")
