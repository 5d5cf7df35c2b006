"""The commands that copy customers between servers."""

from __future__ import annotations

from typing import Annotated

import typer

from regulars.cli import options
from regulars.cli.completion import completes
from regulars.cli.errors import UsageError
from regulars.cli.options import examples

app = typer.Typer()

URL = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="The URL of the API, such as https://shop.example.com/api/v2."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="A token of the other server. Prefer the environment variable, because other users of "
        "the machine can see options. [env: REGULARS_REMOTE_TOKEN]",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow plain HTTP, for a network that you trust.")
]


@app.command(
    "pull",
    epilog=examples(
        "regulars pull https://shop.example.com/api/v2",
        "regulars pull https://shop.example.com/api/v2 --since last --delete",
    ),
)
def pull(
    url: URL,
    token: Token = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Pull only the changes since a time such as 2026-11-25T08:00:00Z. last is the "
            "time of the last pull.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a pull that was stopped.")
    ] = False,
    delete: Annotated[
        bool,
        typer.Option("--delete", help="Delete customers that no longer exist on the other server."),
    ] = False,
    match: Annotated[
        str,
        typer.Option(
            "--match",
            autocompletion=completes("email", "_id"),
            metavar="FIELD",
            help="How customers are matched. _id keeps the _ids of the other server. email updates "
            "the customer with the same email.",
        ),
    ] = "_id",
    dry_run: options.DryRun = False,
    silent: options.Silent = False,
    insecure: Insecure = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Copy the customers of another server to an account.

    The other server can be a Regulars, or a service with the same API. Ids, _ids and timestamps
    stay the same. The command retries temporary errors for up to 15 minutes. Its exit code is 5 if
    the rules of this server reject some customers. Comments, orders, messages and visits are not
    copied.
    """
    from regulars.cli.mirroring import RemoteServer
    from regulars.cli.mirroring import pull as run
    from regulars.cli.mirroring import since as timestamp_of
    from regulars.transfer.import_options import MATCH
    from regulars.transfer.pull import Options

    if match not in MATCH:
        raise UsageError(f"--match must be {' or '.join(MATCH)}, not {match!r}.")
    if match == "email" and delete:
        raise UsageError("--delete cannot be combined with --match email. Remove one of them.")
    if resume and (dry_run or since):
        raise UsageError(
            "--resume cannot be combined with --since or --dry-run. Remove one of them."
        )
    chosen = Options(timestamp_of(since), resume, delete, match == "_id", dry_run, silent)
    settings = options.settings(database_url=database_url)
    run(
        settings,
        account,
        RemoteServer(url, options.secret("--token", token, "REGULARS_REMOTE_TOKEN"), insecure),
        chosen,
        as_json,
    )


@app.command(
    "push",
    epilog=examples(
        "regulars push https://shop.example.com/api/v2 --dry-run",
        "regulars push https://shop.example.com/api/v2 --query 'tags:vip'",
    ),
)
def push(
    url: URL,
    token: Token = None,
    query: options.Query = "",
    dry_run: options.DryRun = False,
    insecure: Insecure = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Copy the customers of an account to another server.

    The command matches customers by email, and creates or updates them. It skips customers that are
    already identical, so you can repeat it after it was stopped. It never deletes customers.
    Comments, orders, messages and visits are not copied.
    """
    from regulars.cli.mirroring import RemoteServer
    from regulars.cli.mirroring import push as run

    settings = options.settings(database_url=database_url)
    run(
        settings,
        account,
        RemoteServer(url, options.secret("--token", token, "REGULARS_REMOTE_TOKEN"), insecure),
        query,
        dry_run,
        as_json,
    )
