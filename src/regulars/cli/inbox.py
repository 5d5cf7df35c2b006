"""The commands for what a shop sent and could not be understood."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from regulars.accounts.accounts import Accounts, now_ms
from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.output import format_timestamp, print_json, print_rows
from regulars.store import Store
from regulars.webhooks import secret_queries
from regulars.webhooks.inbox import Inbox
from regulars.webhooks.signatures import secrets_of

app = typer.Typer()
inbox_app = typer.Typer(help="Events of a shop that could not be understood.", no_args_is_help=True)
app.add_typer(inbox_app, name="inbox")

_MIN_SECRET = 8


@inbox_app.command("list")
def inbox_list(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """List the events that are kept, and why. As JSON with their bodies."""

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
            **({"body": bytes(event["body"]).decode(errors="replace")} if as_json else {}),
        }
        for event in with_store(options.settings(database_url=database_url), read)
    ]
    print_rows(rows, ("id", "type", "received_at", "times", "problem"), as_json)


@inbox_app.command("retry")
def inbox_retry(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids, as `regulars inbox list` has them; all without any."),
    ] = None,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Read kept events again: after what they needed is there, or with a newer Regulars."""

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
        print(f"{row['id']}: {row['problem'] or 'understood'}")
    remaining = sum(row["problem"] is not None for row in rows)
    print(f"{len(rows) - remaining} understood, {remaining} still kept.")


@inbox_app.command("forget")
def inbox_forget(
    ids: Annotated[list[str], typer.Argument(help="Ids, as `regulars inbox list` has them.")],
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
) -> None:
    """Give kept events up, with what they tell of customers."""

    async def forget(store: Store) -> int:
        inbox, selected = await _select_events(store, account, ids)
        for event in selected:
            await inbox.delete(event)
        return len(selected)

    count = with_store(options.settings(database_url=database_url), forget)
    print(f"Forgot {count}.")


async def _select_events(
    store: Store, account: str | None, ids: list[str] | None
) -> tuple[Inbox, list[dict[str, Any]]]:
    """The kept events of those ids; all without any. Raises UsageError."""
    owner = await Accounts(store).resolve(account)
    inbox = Inbox(store)
    events = await inbox.events(owner.account_id)
    missing = set(ids or ()) - {event["inbox_id"] for event in events}
    if missing:
        raise UsageError(f"The inbox holds no event {', '.join(sorted(missing))}.")
    return inbox, [event for event in events if not ids or event["inbox_id"] in ids]


@inbox_app.command("secret")
def inbox_secret(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
) -> None:
    """Say with which secret the shop signs its events: it is read from standard input.

    The account's own secret (`regulars webhook-secret show`) is good as well.
    """
    if sys.stdin.isatty():
        print("The shop's secret: ", end="", flush=True)
    secret = sys.stdin.readline().strip()
    if len(secret) < _MIN_SECRET or not secret.isprintable():
        raise UsageError(
            f"A secret is a line of at least {_MIN_SECRET} characters on standard input."
        )

    async def save(store: Store) -> str:
        owner = await Accounts(store).resolve(account)
        await secrets_of(store, owner.account_id, now_ms())
        row = {"account_id": owner.account_id, "inbound": secret}
        await store.execute([(secret_queries.set_inbound_secret(), row)])
        return owner.name

    name = with_store(options.settings(database_url=database_url), save)
    print(f"Events signed with this secret are taken for the account {name}.")
