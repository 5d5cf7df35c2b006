"""`regulars account` and `regulars token`."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from regulars.accounts.accounts import Accounts, now_ms
from regulars.accounts.sessions import Sessions
from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.output import format_timestamp, print_json, print_rows
from regulars.cli.urls import reachable_at, sign_in_url
from regulars.core.scopes import BOTH, SCOPES
from regulars.store import queries

account_app = typer.Typer(help="Accounts: every customer belongs to one.", no_args_is_help=True)
token_app = typer.Typer(help="Tokens: each opens one account.", no_args_is_help=True)

_SCOPES = "; ".join(f"{name}: {description}" for name, description in SCOPES.items()) + "."


@account_app.command("create")
def account_create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Create an account.

    Then give it a token: regulars token create --account NAME
    """
    settings = options.settings(database_url=database_url)
    account = with_store(settings, lambda store: Accounts(store).create(name))
    if as_json:
        print_json({"name": account.name, "created_at": format_timestamp(account.created_at)})
    else:
        print(f"Created the account {account.name}.")


@account_app.command("list")
def account_list(database_url: options.DatabaseURL = None, as_json: options.AsJSON = False) -> None:
    """List the accounts, and how many customers each has."""
    settings = options.settings(database_url=database_url)

    async def read(store: Any) -> list[dict[str, Any]]:
        counts = dict(await store.fetch(queries.count_customers(), {}))
        return [
            {
                "name": account.name,
                "customers": counts.get(account.account_id, 0),
                "created_at": format_timestamp(account.created_at),
            }
            for account in await Accounts(store).all()
        ]

    rows = with_store(settings, read)
    print_rows(rows, ("name", "customers", "created_at"), as_json)


@account_app.command("move")
def account_move(
    name: Annotated[str, typer.Argument(help="The account.")],
    node: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="A node, as `regulars doctor` names it.")
    ],
    alone: Annotated[
        bool,
        typer.Option("--alone", help="Have the node for this account alone: all others leave it."),
    ] = False,
    block: Annotated[
        bool,
        typer.Option(
            "--block-writes",
            help="Have whoever writes wait meanwhile: for nodes without wal_level = logical.",
        ),
    ] = False,
    database_url: options.DatabaseURL = None,
) -> None:
    """Move an account to another node of Citus, while it is served."""
    from regulars.store.citus.nodes import move_account

    address = options.address(database_url)
    if address.dsn is None:
        raise UsageError(
            "A SQLite database has no nodes: accounts are moved between those of Citus."
        )
    for line in asyncio.run(move_account(address.dsn, name, node, alone, block)):
        print(line)


@token_app.command("create")
def token_create(
    account: options.AccountName = None,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="What the token is for.")
    ] = "unnamed",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="WHEN",
            help="When it ends: 12h, 30d, or a date such as 2030-12-31 (its first moment, in UTC).",
        ),
    ] = None,
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help=f"What it may do; several times for several. {_SCOPES}",
        ),
    ] = [BOTH],  # noqa: B006  # typer copies it
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            help="Show a link in place of the token: whoever opens it first, within an hour, is "
            "signed in to the pages, and nobody ever sees the token.",
        ),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Where people find the pages, for --link: https://customers.example.com. Unless "
            "it is given, where `regulars serve` would listen.",
        ),
    ] = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Create a token for an account, and show it: this once.

    On a terminal the token comes with a sentence; a script gets it alone, or as JSON.
    """
    if url and not link:
        raise UsageError("--url says where a link leads: give --link with it.")
    settings = options.settings(database_url=database_url)
    ends = expiry(expires, now_ms()) if expires else None

    async def create(store: Any) -> tuple[str, Any]:
        accounts = Accounts(store)
        owner = await accounts.resolve(account)
        text, token = await accounts.create_token(owner, name, ends, scopes=scope)
        if link:
            code = await Sessions(store, accounts, settings.session_hours).link(token.token_id)
            text = sign_in_url(url or reachable_at(settings.host, settings.port), code)
        return text, token

    text, token = with_store(settings, create)
    if as_json:
        print_json(
            {
                "link" if link else "token": text,
                "id": token.token_id,
                "account": token.account,
                "name": token.name,
                "scopes": token.scopes.split(),
                "expires_at": format_timestamp(token.expires_at),
            }
        )
    elif sys.stdout.isatty():
        description = "A link to sign in with, once within an hour" if link else "Shown this once"
        print(f"Token {token.token_id} for the account {token.account}. {description}:\n{text}")
    else:
        print(text)


@token_app.command("list")
def token_list(database_url: options.DatabaseURL = None, as_json: options.AsJSON = False) -> None:
    """List the tokens: what they are for, and whether they are valid. Never their text."""
    settings = options.settings(database_url=database_url)
    tokens = with_store(settings, lambda store: Accounts(store).tokens())
    now = now_ms()
    rows = [
        {
            "id": token.token_id,
            "account": token.account,
            "name": token.name,
            "scopes": token.scopes.split() if as_json else token.scopes,
            "state": token.state(now),
            "created_at": format_timestamp(token.created_at),
            "expires_at": format_timestamp(token.expires_at),
            "revoked_at": format_timestamp(token.revoked_at),
            "last_used_at": format_timestamp(token.last_used_at),
        }
        for token in tokens
    ]
    columns = ("id", "account", "name", "scopes", "state", "created_at", "expires_at")
    print_rows(rows, (*columns, "revoked_at", "last_used_at"), as_json)


@token_app.command("revoke")
def token_revoke(
    token_id: Annotated[
        str, typer.Argument(help="The token's id, as `regulars token list` has it.")
    ],
    database_url: options.DatabaseURL = None,
) -> None:
    """End a token: within a second, nothing is answered to it any more."""
    settings = options.settings(database_url=database_url)
    with_store(settings, lambda store: Accounts(store).revoke(token_id))
    print(f"Revoked the token {token_id}.")


_SPAN = re.compile(r"([1-9][0-9]{0,5})([hd])")
_MILLISECONDS = {"h": 3_600_000, "d": 86_400_000}


def expiry(text: str, now: int) -> int:
    """Returns the end that `12h`, `30d` or a date means, in ms since 1970. Raises UsageError."""
    span = _SPAN.fullmatch(text)
    if span:
        return now + int(span[1]) * _MILLISECONDS[span[2]]
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(
            f"--expires takes 12h, 30d or a date such as 2030-12-31, not {text!r}."
        ) from None
    if day.timestamp() * 1000 <= now:
        raise UsageError(f"--expires {text} is past; a token must end in the future.")
    return int(day.timestamp() * 1000)
