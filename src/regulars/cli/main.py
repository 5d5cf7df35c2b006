"""The commands, their options and their help."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from regulars import __version__
from regulars.cli import options
from regulars.cli.accounts import account_app, token_app
from regulars.cli.database import with_store
from regulars.cli.errors import error_message, exit_code
from regulars.cli.inbox import app as inbox_app
from regulars.cli.maintenance import app as maintenance_app
from regulars.cli.output import print_json
from regulars.cli.transfer import app as transfer_app
from regulars.cli.webhooks import app as webhooks_app
from regulars.directory.database import upgrade
from regulars.store.migrate import distribute
from regulars.store.schema_version import newest_version, read_schema_state

app = typer.Typer(
    name="regulars",
    help="A self-hosted customer directory behind a GraphQL API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(account_app, name="account")
app.add_typer(token_app, name="token")
app.add_typer(maintenance_app)
app.add_typer(webhooks_app)
app.add_typer(inbox_app)
app.add_typer(transfer_app)


def main() -> None:
    """Runs a command. An expected error becomes a message on standard error and an exit code."""
    try:
        app()
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        print(f"regulars: {error_message(error)}", file=sys.stderr)
        sys.exit(code)


@app.command()
@options.every_setting
def serve(**values: Any) -> None:
    """Serve the API.

    A new database gets its tables, an account named "default" and a first token, which is shown
    once. A database with older tables is left alone: see `regulars migrate`.
    """
    from regulars.cli.serve import serve as run

    run(options.settings(**values))


@app.command()
def migrate(
    database_url: options.DatabaseURL = None,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand/--contract",
            "--before",
            help="--expand (or --before) only adds what this version needs, so that the older "
            "version can go on serving. --contract, the default, also removes what only the older "
            "version needs.",
        ),
    ] = False,
    as_json: options.AsJSON = False,
) -> None:
    """Bring the database's tables to the version of this program.

    Does nothing to a database that is there already. There is no way back but a backup: make one
    first. On a database with Citus, the tables are distributed by account.
    """
    address = options.address(database_url)
    state = read_schema_state(address)
    old = state.version if state else None
    is_newer = state is not None and state.is_usable and state.version != newest_version()
    if state and (is_newer or (old == newest_version() and (expand or state.finished == old))):
        new: str | None = old
        spread = [] if is_newer else distribute(address)
    else:
        new, spread = upgrade(address, expand_only=expand), []
    if as_json:
        print_json({"database": address.redacted, "before": old, "after": new})
        return
    if spread:
        print(f"Distributed {len(spread)} tables of {address.redacted} by account.")
    if is_newer:
        print(
            f"{address.redacted} is at version {new}, of a newer Regulars. This one works with it."
        )
    elif old != new:
        print(f"{address.redacted} is at version {new} now; it was {old or 'empty'}.")
    elif state and state.finished != new and not expand:
        print(f"{address.redacted} is at version {new}, and no older Regulars works with it now.")
    else:
        print(f"{address.redacted} is at version {new} already.")


@app.command()
def schema() -> None:
    """Print the API's schema, in GraphQL's schema definition language."""
    from regulars.api import schema as api_schema

    print(api_schema.sdl(), end="")


@app.command()
def sample(
    customers: Annotated[
        int, typer.Option("--customers", metavar="N", min=0, max=10_000_000, help="How many.")
    ] = 1_000,
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", help="The same seed makes the same customers.")
    ] = 1,
    recent: Annotated[
        bool,
        typer.Option(
            "--recent",
            help="Have them come in the three years before now, and not before 2026.",
        ),
    ] = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Fill an account with realistic customers, with addresses, tags, orders and leads.

    Their emails end in example.com, example.net and example.org, so that none is anybody's.
    Those that are there already, from a run with the same seed, stay as they are.
    """
    from regulars.cli.sample import fill

    settings = options.settings(database_url=database_url)
    result = with_store(settings, lambda store: fill(store, account, customers, seed, recent))
    if as_json:
        print_json(result)
    else:
        print(
            f"Added {result['added']:,} customers to the account {result['account']} in "
            f"{result['seconds']:.1f} s; {result['present']:,} were there already."
        )


@app.command("version")
def show_version(as_json: options.AsJSON = False) -> None:
    """Print the version of the program, and of the tables that it works with."""
    if as_json:
        print_json({"version": __version__, "tables": newest_version()})
    else:
        print(f"regulars {__version__} (tables {newest_version()})")
