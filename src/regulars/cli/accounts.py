"""`regulars account` and `regulars token`."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.completion import complete_account, complete_token, completes
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import format_timestamp, print_json, print_rows
from regulars.cli.urls import reachable_at, sign_in_url
from regulars.core.scopes import BOTH, SCOPES

account_app = typer.Typer()
token_app = typer.Typer()

_SCOPES = " ".join(f"{name}: {description}" for name, description in SCOPES.items())


@account_app.command(
    "create",
    epilog=examples("regulars account create north", "regulars token create --account north"),
)
def account_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the account.")],
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Create an account.

    Every customer belongs to an account. Create a token for it with
    `regulars token create --account NAME`.
    """
    from regulars.accounts.accounts import Accounts

    settings = options.settings(database_url=database_url)
    account = with_store(settings, lambda store: Accounts(store).create(name))
    if as_json:
        print_json({"name": account.name, "created_at": format_timestamp(account.created_at)})
    else:
        print(f"Created the account {account.name}.")


@account_app.command(
    "list", epilog=examples("regulars account list", "regulars account list --json")
)
def account_list(
    database_url: options.DatabaseURL = None, as_json: options.JsonOrTable = None
) -> None:
    """List the accounts and their numbers of customers."""
    from regulars.accounts.accounts import Accounts
    from regulars.store import queries

    settings = options.settings(database_url=database_url)

    async def read(store: Any) -> list[dict[str, Any]]:
        counts = dict(await store.fetch(queries.count_customers(), {}))
        return [
            {
                "name": account.name,
                "customers": counts.get(account.account_id, 0),
                "state": "enabled" if account.disabled_at is None else "disabled",
                "created_at": format_timestamp(account.created_at),
            }
            for account in await Accounts(store).all()
        ]

    rows = with_store(settings, read)
    print_rows(
        rows,
        ("name", "customers", "state", "created_at"),
        as_json,
        "No account exists. Create one with: regulars account create NAME",
    )


@account_app.command(
    "move",
    epilog=examples(
        "regulars account move north 10.0.0.5:5432",
        "regulars account move north 10.0.0.5:5432 --dedicated",
    ),
)
def account_move(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The name of the account.", autocompletion=complete_account
        ),
    ],
    node: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="The node, as `regulars doctor` lists it.")
    ],
    dedicated: Annotated[
        bool,
        typer.Option(
            "--dedicated",
            help="Reserve the node for this account. All other accounts move to other nodes.",
        ),
    ] = False,
    alone: Annotated[bool, typer.Option("--alone", hidden=True)] = False,
    block: Annotated[
        bool,
        typer.Option(
            "--block-writes",
            help="Block writes to the account during the move. Nodes without wal_level = logical "
            "require it.",
        ),
    ] = False,
    database_url: options.DatabaseURL = None,
) -> None:
    """Move an account to another node of a Citus cluster.

    The server keeps answering requests during the move.
    """
    from regulars.store.citus.nodes import move_account

    address = options.address(database_url)
    if address.dsn is None:
        raise UsageError(
            "`regulars account move` requires a Citus cluster. A SQLite database has no nodes."
        )
    for line in asyncio.run(move_account(address.dsn, name, node, dedicated or alone, block)):
        print(line)


@token_app.command(
    "create",
    epilog=examples(
        "regulars token create",
        "regulars token create --account north --name app --scope customers:read --expires 90d",
        "regulars token create --scope admin --link --url https://customers.example.com",
    ),
)
def token_create(
    account: options.AccountName = None,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="A name that says what the token is for.")
    ] = "unnamed",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="WHEN",
            help="When the token expires: 12h, 30d, or a date such as 2030-12-31 (at 00:00 UTC). "
            "By default, it never expires.",
        ),
    ] = None,
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            autocompletion=completes(*SCOPES),
            help=f"A permission of the token. Repeat the option for several. {_SCOPES}",
        ),
    ] = [BOTH],  # noqa: B006  # typer copies it
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            help="Print a sign-in link for the pages instead of the token. The link works once, "
            "for one hour.",
        ),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The URL of the server for --link, such as https://customers.example.com. The "
            "default is the address that `regulars serve` listens on.",
        ),
    ] = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Create a token for an account and show it once.

    A token gives access to exactly one account. Regulars stores only a hash of it. If the output is
    not a terminal, the command prints nothing but the token.
    """
    from regulars.accounts.accounts import Accounts
    from regulars.accounts.sessions import Sessions
    from regulars.core.clock import now_ms

    if url and not link:
        raise UsageError("--url requires --link, because it is the URL of the sign-in link.")
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
        description = (
            "Sign in with this link. It works once, for one hour"
            if link
            else "Save the token now, because it is shown only once"
        )
        print(
            f"Created the token {token.token_id} for the account {token.account}. "
            f"{description}:\n{text}"
        )
    else:
        print(text)


@token_app.command("list", epilog=examples("regulars token list", "regulars token list --json"))
def token_list(
    database_url: options.DatabaseURL = None, as_json: options.JsonOrTable = None
) -> None:
    """List the tokens and their state.

    The list does not contain the tokens themselves, which are not stored.
    """
    from regulars.accounts.accounts import Accounts
    from regulars.core.clock import now_ms

    settings = options.settings(database_url=database_url)
    tokens = with_store(settings, lambda store: Accounts(store).tokens())
    now = now_ms()
    rows = [
        {
            "id": token.token_id,
            "account": token.account,
            "name": token.name,
            "scopes": token.scopes.split(),
            "state": token.state(now),
            "created_at": format_timestamp(token.created_at),
            "expires_at": format_timestamp(token.expires_at),
            "revoked_at": format_timestamp(token.revoked_at),
            "last_used_at": format_timestamp(token.last_used_at),
        }
        for token in tokens
    ]
    columns = ("id", "account", "name", "scopes", "state", "created_at", "expires_at")
    print_rows(
        rows,
        (*columns, "revoked_at", "last_used_at"),
        as_json,
        "No token exists. Create one with: regulars token create",
    )


@token_app.command("revoke", epilog=examples("regulars token revoke 5c0d7a1e"))
def token_revoke(
    token_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The id of the token, from `regulars token list`.",
            autocompletion=complete_token,
        ),
    ],
    database_url: options.DatabaseURL = None,
) -> None:
    """Revoke a token.

    The servers stop accepting the token within a second.
    """
    from regulars.accounts.accounts import Accounts

    settings = options.settings(database_url=database_url)
    with_store(settings, lambda store: Accounts(store).revoke(token_id))
    print(f"Revoked the token {token_id}.")


_SPAN = re.compile(r"([1-9][0-9]{0,5})([hd])")
_MILLISECONDS = {"h": 3_600_000, "d": 86_400_000}


def expiry(text: str, now: int) -> int:
    """Returns the time of `12h`, `30d` or a date, in ms since 1970. Raises UsageError."""
    span = _SPAN.fullmatch(text)
    if span:
        return now + int(span[1]) * _MILLISECONDS[span[2]]
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(
            f"--expires must be a duration such as 12h or 30d, or a date such as 2030-12-31, not "
            f"{text!r}."
        ) from None
    if day.timestamp() * 1000 <= now:
        raise UsageError(f"--expires must be in the future, not {text}.")
    return int(day.timestamp() * 1000)
