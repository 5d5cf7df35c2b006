"""The commands for the secret of webhooks, and the process that delivers events."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import typer

from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.settings import Settings

if TYPE_CHECKING:
    from regulars.store import Store

app = typer.Typer()


@app.command(
    "webhook-secret show",
    epilog=examples(
        "regulars webhook-secret show",
        "regulars webhook-secret show --account shop --json",
    ),
)
def secret_show(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Show the secret of an account.

    Receivers use it to verify that an event comes from your server. The command creates the secret
    if the account has none.
    """
    _print_secret(account, database_url, as_json, is_rotation=False)


@app.command(
    "webhook-secret rotate", epilog=examples("regulars webhook-secret rotate --account shop")
)
def secret_rotate(
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Replace the secret of an account.

    The server signs events with the new secret immediately. For 24 hours, the header
    regulars-signature also has a signature with the old secret, so that you can update the
    receivers.
    """
    _print_secret(account, database_url, as_json, is_rotation=True)


def _print_secret(
    account: str | None, database_url: str | None, as_json: bool, is_rotation: bool
) -> None:
    from regulars.accounts.accounts import Accounts
    from regulars.core.clock import now_ms
    from regulars.webhooks.signatures import rotate, secrets_of

    async def read(store: Store) -> Any:
        owner = await Accounts(store).resolve(account)
        read_secrets = rotate if is_rotation else secrets_of
        return owner, await read_secrets(store, owner.account_id, now_ms())

    settings = options.settings(database_url=database_url)
    owner, secrets = with_store(settings, read)
    if as_json:
        print_json({"account": owner.name, "secret": secrets.current, "previous": secrets.previous})
    else:
        print(secrets.current)


def deliver(settings: Settings) -> None:
    """Delivers webhooks and evaluates segments until the process is stopped. Raises UsageError,
    StoreError, and KeyboardInterrupt on Ctrl-C."""
    from regulars.store import parse_url

    if parse_url(settings.database_url).dialect == "sqlite":
        raise UsageError(
            "`regulars worker` requires PostgreSQL. With SQLite, the server delivers webhooks and "
            "evaluates segments."
        )
    if with_store(settings, lambda store: _work(store, settings)) == signal.SIGINT:
        raise KeyboardInterrupt


async def _work(store: Store, settings: Settings) -> int:
    """Delivers webhooks and evaluates segments until a signal arrives, and returns the signal."""
    from regulars import startup
    from regulars.http import log
    from regulars.segments.worker import SegmentWorker
    from regulars.store.statement_times import statement_times
    from regulars.webhooks.worker import Worker

    log.configure(settings.log_level, settings.log_format)
    statement_times.slow_seconds = settings.slow_statement_seconds
    worker = Worker(
        store, settings.webhook_private_targets, settings.webhook_retry_seconds, is_only=False
    )
    segment_worker = SegmentWorker(store, settings.segment_sweep_seconds, is_only=False)
    startup.keep_objects()
    loop = asyncio.get_running_loop()
    received = int(signal.SIGTERM)

    def stop(number: int) -> None:
        nonlocal received
        received = number
        worker.stop()
        segment_worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    print("Delivering webhooks. Press Ctrl-C to stop.", flush=True)
    await asyncio.gather(worker.run(), segment_worker.run())
    return received
