"""The commands that bring customers in and take them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from regulars.cli import options
from regulars.cli.errors import UsageError
from regulars.cli.output import print_json

app = typer.Typer()

Format = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="csv or jsonl (JSON Lines); else by the file."),
]


Query = Annotated[
    str, typer.Option("--query", metavar="QUERY", help="In the search language; else all.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen, and save nothing.")
]
Silent = Annotated[
    bool,
    typer.Option("--silent", help="Send no events to webhooks. The feed has the changes."),
]


@app.command("import")
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Files; - is standard input.")
    ],
    mapped: Annotated[
        list[str],
        typer.Option(
            "--map",
            metavar="HEADING=FIELD",
            help="What a column is, as in 'E-mail=email'; - leaves it out. Several times.",
        ),
    ] = [],  # noqa: B006  # typer copies it
    unknown: Annotated[
        str,
        typer.Option(
            "--unknown",
            metavar="WHAT",
            help="What to do with columns that are not known: custom keeps them in `custom`, "
            "drop, refuse.",
        ),
    ] = "custom",
    empty: Annotated[
        str,
        typer.Option(
            "--empty",
            metavar="WHAT",
            help="What an empty cell does to a customer who is there: keep or clear the field.",
        ),
    ] = "keep",
    match: Annotated[
        str,
        typer.Option("--match", metavar="FIELD", help="How customers are found: email or _id."),
    ] = "email",
    consent: Annotated[
        str,
        typer.Option(
            "--consent",
            metavar="WHAT",
            help="Whether a row may subscribe an unsubscribed customer: keep (no) or overwrite.",
        ),
    ] = "keep",
    tags: Annotated[
        str,
        typer.Option(
            "--tags",
            metavar="WHAT",
            help="Whether the tags of a row are added to those of a customer: add or replace.",
        ),
    ] = "add",
    dates: Annotated[
        str | None,
        typer.Option(
            "--dates",
            metavar="ORDER",
            help="The order of day and month where the file does not tell: dmy or mdy.",
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            "--sheet", metavar="NAME", help="The sheet of a workbook; else the first with rows."
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Reject a row for a value that cannot be read, instead of warning."
        ),
    ] = False,
    dry_run: DryRun = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an import of the file was stopped.")
    ] = False,
    silent: Silent = False,
    rejected: Annotated[
        Path | None,
        typer.Option(
            "--rejected",
            metavar="FILE",
            help="Where rejected rows go; else FILE.rejected.csv beside the file.",
        ),
    ] = None,
    form: Format = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="NAME", help="Of the file; else as recognised."),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="CHARACTER",
            help="Of CSV: a character, comma, semicolon, tab or pipe; else as recognised.",
        ),
    ] = None,
    header: Annotated[
        bool,
        typer.Option(
            "--header/--no-header",
            help="Whether the first line are the headings; else columns are called 1, 2, …",
        ),
    ] = True,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Import customers from CSV or JSON Lines, compressed with gzip or not.

    Each row updates the customer who has its email, compared without case, and creates one where
    nobody has. Columns are recognised by their headings: those of exports of Shopify, Stripe,
    WooCommerce, Mailchimp and Regulars, and common names. Rows that are wrong are written to a file
    with the reason, and the others are imported; the command ends with 5 then. Ctrl-C stops it,
    and --resume goes on.
    """
    from regulars.cli.importing import Job, run
    from regulars.transfer.date_text import Order
    from regulars.transfer.import_options import Options

    chosen = Options(
        format=form,
        encoding=encoding,
        delimiter=delimiter,
        header=header,
        mapped=tuple(mapped),
        unknown=unknown,
        empty=empty,
        match=match,
        consent=consent,
        tags=tags,
        dates=cast("Order | None", dates),  # checked by `problem`
        sheet=sheet,
        strict=strict,
    )
    settings = options.settings(database_url=database_url)
    run(settings, files, Job(account, chosen, rejected, dry_run, resume, silent), as_json)


@app.command()
def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A name that ends in .gz is compressed; - is standard output."
        ),
    ] = "-",
    query: Query = "",
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="With commas between; else all that can be imported again.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, csv-excel (CSV for Excel), xlsx or jsonl (JSON Lines); else by the file.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="NAME",
            help="comma, semicolon or tab, of csv-excel: the list separator of your Excel. Else "
            "comma.",
        ),
    ] = None,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Export customers to CSV, Excel or JSON Lines: as they are at one moment, while others write.

    In csv, cells that a spreadsheet would take for a formula begin with an apostrophe, which import
    takes away again. csv-excel and xlsx also keep leading zeros and long numbers in Excel. An
    export that is imported into an empty account exports to the same bytes.
    """
    from regulars.cli.exporting import run

    chosen = [name.strip() for name in columns.split(",") if name.strip()] if columns else []
    settings = options.settings(database_url=database_url)
    result = run(settings, account, target, form, query, chosen, delimiter)
    if target == "-":
        return
    if as_json:
        print_json(result)
    else:
        print(
            f"{result['customers']:,} customers of the account {result['account']} are in {target}."
        )


URL = Annotated[str, typer.Argument(metavar="URL", help="As in https://shop.example.com/api/v2.")]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="REGULARS_REMOTE_TOKEN",
        help="A token of the other server. In the variable nobody sees it in the list of "
        "processes.",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Send the token over http, in a network you trust.")
]


@app.command()
def pull(
    url: URL,
    token: Token,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Only what has changed since: last is the last pull, or a moment.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a pull that was stopped.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete customers who are gone there.")
    ] = False,
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="FIELD",
            help="_id: a mirror, with the other server's _ids; email: who has the email is he.",
        ),
    ] = "_id",
    dry_run: DryRun = False,
    silent: Silent = False,
    insecure: Insecure = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Mirror the customers of another server that speaks this API: another Regulars, or the service
    where they live now.

    The original _ids, ids and moments are kept. Errors that pass by are waited for, up to 15
    minutes; a pull that was stopped goes on with --resume. It ends with 5 when customers of the
    other server are refused by the rules of this one.
    """
    from regulars.cli.mirroring import RemoteServer
    from regulars.cli.mirroring import pull as run
    from regulars.cli.mirroring import since as timestamp_of
    from regulars.transfer.import_options import MATCH
    from regulars.transfer.pull import Options

    if match not in MATCH:
        raise UsageError(f"--match is {' or '.join(MATCH)}, not {match!r}.")
    if match == "email" and delete:
        raise UsageError("--delete needs a mirror: leave out --match email.")
    if resume and (dry_run or since):
        raise UsageError(
            "--resume goes on with a pull of the whole list: leave out the other option."
        )
    chosen = Options(timestamp_of(since), resume, delete, match == "_id", dry_run, silent)
    settings = options.settings(database_url=database_url)
    run(settings, account, RemoteServer(url, token, insecure), chosen, as_json)


@app.command()
def push(
    url: URL,
    token: Token,
    query: Query = "",
    dry_run: DryRun = False,
    insecure: Insecure = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Create and update an account's customers on another server that speaks this API.

    Who has the same email is the same customer; who is there as he is here is left alone, so that
    the same command goes on with a push that was stopped. Nobody is deleted there.
    """
    from regulars.cli.mirroring import RemoteServer
    from regulars.cli.mirroring import push as run

    settings = options.settings(database_url=database_url)
    run(settings, account, RemoteServer(url, token, insecure), query, dry_run, as_json)
