"""The commands that run Regulars: `serve`, `worker`, `migrate` and `sample`."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.core.counts import count_of

app = typer.Typer()


@app.command(
    "serve",
    epilog=examples(
        "regulars serve",
        "regulars serve --port 9000 --database-url sqlite:///shop.db",
        "regulars serve --host 0.0.0.0 --workers 4 --database-url postgresql://…",
    ),
)
@options.every_setting
def serve(**values: Any) -> None:
    """Serve the API and the pages.

    For an empty database, this command creates the tables, an account named "default" and a first
    token, which it shows once. It does not upgrade older tables. Run `regulars migrate` for that.
    Ctrl-C or SIGTERM stops the server after the running requests.
    """
    settings = options.settings(**values)
    # A SIGHUP waits until the server can reload. Until then, it would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        from regulars.cli.serve import serve as run

        run(settings)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@app.command(
    "worker",
    epilog=examples(
        "regulars worker",
        "regulars worker --webhook-retry-seconds 3600",
    ),
)
@options.these_settings(
    "database_url",
    "pool_size",
    "webhook_private_targets",
    "webhook_retry_seconds",
    "segment_sweep_seconds",
    "log_level",
    "log_format",
)
def worker(**values: Any) -> None:
    """Deliver webhooks and evaluate segments in a separate process.

    Several workers can share a PostgreSQL database. The server also does this work, unless you
    start it with --no-webhook-worker. With SQLite, only the server does it. Ctrl-C or SIGTERM stops
    the worker.
    """
    from regulars.cli.webhooks import deliver

    deliver(options.settings(**values))


@app.command(
    "migrate",
    epilog=examples(
        "regulars migrate",
        "regulars migrate --expand    (before you replace the running servers)",
        "regulars migrate --contract  (after you have replaced all of them)",
    ),
)
def migrate(
    database_url: options.DatabaseURL = None,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand/--contract",
            help="--expand only adds what this version needs, so that servers of the older version "
            "keep working. --contract also removes what only the older version needs.",
        ),
    ] = False,
    before: Annotated[bool, typer.Option("--before", hidden=True)] = False,
    as_json: options.AsJSON = False,
) -> None:
    """Create or upgrade the tables of a database.

    The command does nothing if the tables are current. You cannot undo it: create a backup first
    with `regulars backup`. On a Citus cluster, it also distributes the tables by account.
    """
    from regulars.directory.database import distribute, upgrade
    from regulars.store.schema_version import newest_version, read_schema_state

    expand_only = expand or before
    address = options.address(database_url)
    state = read_schema_state(address)
    old = state.version if state else None
    is_newer = state is not None and state.is_usable and state.version != newest_version()
    if state and (is_newer or (old == newest_version() and (expand_only or state.finished == old))):
        new: str | None = old
        distributed = [] if is_newer else distribute(address)
    else:
        new, distributed = upgrade(address, expand_only=expand_only), []
    if as_json:
        print_json({"database": address.redacted, "before": old, "after": new})
        return
    name = address.redacted
    if distributed:
        print(f"Distributed {count_of(len(distributed), 'table')} of {name} by account.")
    if is_newer:
        print(f"{name} has tables {new} of a newer version of Regulars. They work with this one.")
    elif old is None:
        print(f"Created tables {new} in {name}.")
    elif old != new:
        print(f"Upgraded {name} from tables {old} to {new}.")
    elif state and state.finished != new and not expand_only:
        print(f"Finished the upgrade of {name} to tables {new}. Older versions cannot use it now.")
    else:
        print(f"{name} already has tables {new}.")


@app.command(
    "sample",
    epilog=examples(
        "regulars sample",
        "regulars sample --customers 50000 --recent --account demo",
    ),
)
def sample(
    customers: Annotated[
        int,
        typer.Option(
            "--customers",
            metavar="NUMBER",
            min=0,
            max=10_000_000,
            help="The number of customers.",
        ),
    ] = 1_000,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="NUMBER", help="The same seed generates the same customers."
        ),
    ] = 1,
    recent: Annotated[
        bool,
        typer.Option(
            "--recent",
            help="Date the customers in the three years before today, not before 2026.",
        ),
    ] = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Add sample customers to an account.

    The customers are realistic, with addresses, tags, orders and leads. Their emails end in
    example.com, example.net and example.org, so no real person has them. Customers from an earlier
    run with the same seed do not change. Install the names and cities with: pip install
    'regulars[sample]'
    """
    settings = options.settings(database_url=database_url)
    try:
        from regulars.cli.sample import fill
    except ModuleNotFoundError as error:
        if error.name != "faker":
            raise
        raise UsageError(
            "`regulars sample` needs the package Faker, which is not installed. Install it with: "
            "pip install 'regulars[sample]'"
        ) from None
    result = with_store(settings, lambda store: fill(store, account, customers, seed, recent))
    if as_json:
        print_json(result)
        return
    present = result["present"]
    existing = f" {count_of(present, 'customer')} existed already." if present else ""
    print(
        f"Added {count_of(result['added'], 'customer')} to the account {result['account']} in "
        f"{result['seconds']:.1f} s.{existing}"
    )
