"""Commands that rename, disable and delete accounts, and rename tokens. They need the database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from regulars.cli import options
from regulars.cli.completion import complete_account, complete_token
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.accounts.accounts import Account
    from regulars.settings import Settings
    from regulars.store import Store

app = typer.Typer()

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The account.", autocompletion=complete_account)
]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without asking for the name.")]


@app.command("account rename", epilog=examples('regulars account rename north "north shop"'))
def account_rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="The new name.")],
    database_url: options.DatabaseURL = None,
) -> None:
    """Rename an account.

    This needs the database. The tokens of the account stay valid. The address for events of its
    shop, /in/NAME/TYPE, contains the name: change it in the shop.
    """

    from regulars.accounts.accounts import Accounts

    async def rename(store: Store) -> str:
        accounts = Accounts(store)
        return await accounts.rename(await accounts.resolve(name), new_name)

    renamed = with_store(options.settings(database_url=database_url), rename)
    print(f"Renamed the account {name} to {renamed}.")
    print(f"Its shop must send events to /in/{quote(renamed)}/TYPE from now on.")


@app.command("account disable", epilog=examples("regulars account disable north"))
def account_disable(name: Name, database_url: options.DatabaseURL = None) -> None:
    """Disable an account.

    This needs the database. The tokens of the account are refused, its webhooks and imports stop,
    and nothing is deleted. Webhooks and imports continue where they stopped when the account is
    enabled. Servers refuse the tokens within a second, with the error errors_account_disabled.
    """
    settings = options.settings(database_url=database_url)
    changed = _change(settings, name, is_disabling=True)
    state = "is disabled now" if changed else "was disabled already"
    print(f"The account {name} {state}.")


@app.command("account enable", epilog=examples("regulars account enable north"))
def account_enable(name: Name, database_url: options.DatabaseURL = None) -> None:
    """Enable a disabled account.

    This needs the database. Webhooks and imports continue where they stopped.
    """
    settings = options.settings(database_url=database_url)
    changed = _change(settings, name, is_disabling=False)
    state = "is enabled now" if changed else "was enabled already"
    print(f"The account {name} {state}.")


def _change(settings: Settings, name: str, is_disabling: bool) -> bool:
    from regulars.accounts.accounts import Accounts

    async def change(store: Store) -> bool:
        accounts = Accounts(store)
        account = await accounts.resolve(name)
        return await (accounts.disable if is_disabling else accounts.enable)(account)

    return with_store(settings, change)


@app.command("account delete", epilog=examples("regulars account delete north"))
def account_delete(
    name: Name,
    yes: Yes = False,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Delete an account with everything in it.

    This needs the database. It removes its customers, orders, leads, history, webhooks, imports and
    tokens. It cannot be undone. On a terminal the command asks for the account's name; a script
    passes --yes. A deletion that is stopped continues when the command is repeated.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from regulars.accounts.deletion import delete_account

    settings = options.settings(database_url=database_url)
    account, customers = with_store(settings, lambda store: _load(store, name))
    if not yes:
        _confirm_name(account.name, customers)
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[rows]}"))
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("Deleting", total=None, rows="")
        total = 0

        def report(table: str, rows: int) -> None:
            nonlocal total
            total += rows
            bar.update(task, description=f"Deleting {table}", rows=count_of(total, "row"))

        deleted = with_store(
            settings, lambda store: delete_account(store, account, report), is_bulk=True
        )
    if as_json:
        print_json({"account": account.name, "deleted": deleted})
    else:
        print(f"Deleted the account {account.name} with {count_of(customers, 'customer')}.")


async def _load(store: Store, name: str) -> tuple[Account, int]:
    from regulars.accounts.accounts import Accounts
    from regulars.store import queries

    account = await Accounts(store).resolve(name)
    counts: dict[int, Any] = dict(await store.fetch(queries.count_customers(), {}))
    return account, counts.get(account.account_id, 0)


def _confirm_name(name: str, customers: int) -> None:
    """Ask for the name of an account. Raises UsageError for another one, and without a terminal."""
    if not sys.stdin.isatty():
        raise UsageError(
            "Deleting an account cannot be undone. Pass --yes to confirm it in a script."
        )
    print(
        f"This deletes the account {name} with {count_of(customers, 'customer')}, for good.",
        file=sys.stderr,
    )
    answer = typer.prompt("Type the account's name to confirm", err=True)
    if answer.strip() != name:
        raise UsageError(f"{answer.strip()!r} is not {name!r}. Nothing was deleted.")


@app.command("token rename", epilog=examples('regulars token rename k7w2mnp4xq "shop app"'))
def token_rename(
    token_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The token's id, as in `regulars token list`.",
            autocompletion=complete_token,
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    database_url: options.DatabaseURL = None,
) -> None:
    """Rename a token.

    This needs the database. The secret of the token stays the same.
    """
    from regulars.accounts.accounts import Accounts

    settings = options.settings(database_url=database_url)
    new_name = with_store(settings, lambda store: Accounts(store).rename_token(token_id, name))
    print(f"Renamed the token {token_id} to {new_name}.")
