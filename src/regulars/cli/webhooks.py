"""The commands for webhooks: their secret, and a worker of its own."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import typer

from regulars.accounts.accounts import Accounts, now_ms
from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.output import print_json
from regulars.settings import Settings
from regulars.store import Store, parse_url
from regulars.store.schema_version import require_usable

app = typer.Typer()
secret_app = typer.Typer(
    help="The secret by which receivers know that an event is yours.", no_args_is_help=True
)
app.add_typer(secret_app, name="webhook-secret")


@secret_app.command("show")
def secret_show(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Show an account's secret; it is made when there is none yet."""
    _print_secret(account, database_url, as_json, rotating=False)


@secret_app.command("rotate")
def secret_rotate(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Give an account another secret, and show it.

    Events are signed with it from now on. For 24 hours the header regulars-signature holds a proof
    by the old secret as well, so that receivers can be changed meanwhile.
    """
    _print_secret(account, database_url, as_json, rotating=True)


def _print_secret(
    account: str | None, database_url: str | None, as_json: bool, rotating: bool
) -> None:
    from regulars.webhooks.signatures import rotate, secrets_of

    async def read(store: Store) -> Any:
        owner = await Accounts(store).resolve(account)
        make = rotate if rotating else secrets_of
        return owner, await make(store, owner.account_id, now_ms())

    settings = options.settings(database_url=database_url)
    owner, secrets = with_store(settings, read)
    if as_json:
        print_json({"account": owner.name, "secret": secrets.current, "previous": secrets.previous})
    else:
        print(secrets.current)


@app.command()
@options.these_settings("database_url", "webhook_private_targets", "webhook_retry_seconds")
def worker(**values: Any) -> None:
    """Deliver webhooks, in a process of its own, until it is told to stop.

    Several share a PostgreSQL database; the server delivers as well, unless it is told
    --no-webhook-worker. On SQLite the server alone delivers.
    """
    settings = options.settings(**values)
    address = parse_url(settings.database_url)
    if address.dialect == "sqlite":
        raise UsageError("SQLite is served by one process, which delivers webhooks itself.")
    require_usable(address)
    with_store(settings, lambda store: _work(store, settings))


async def _work(store: Store, settings: Settings) -> None:
    from regulars.http import log
    from regulars.webhooks.worker import Worker

    log.configure()
    worker = Worker(
        store, settings.webhook_private_targets, settings.webhook_retry_seconds, is_only=False
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    print("Delivering webhooks. Stop it with Ctrl-C.", flush=True)
    await worker.run()
