"""The commands that import and export files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from regulars.cli import options
from regulars.cli.completion import complete_columns, complete_segment, completes
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.core.counts import count_of

app = typer.Typer()

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        autocompletion=completes("csv", "jsonl"),
        metavar="FORMAT",
        help="The format: csv or jsonl (JSON Lines). The default follows from the file.",
    ),
]


@app.command(
    "import",
    epilog=examples(
        "regulars import customers.csv --dry-run",
        "regulars import customers.csv --map 'E-mail=email' --account shop",
        "regulars import kunden.xlsx --sheet Kunden --dates dmy",
        "regulars import subscribers.zip --consent overwrite --tags replace",
        "regulars import customers.csv --resume",
    ),
)
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="The files. - is standard input.")
    ],
    mapped: Annotated[
        list[str],
        typer.Option(
            "--map",
            metavar="HEADING=FIELD",
            help="Set the field of a column, as in 'E-mail=email'. The field - leaves the column "
            "out. Repeat the option for several columns.",
        ),
    ] = [],  # noqa: B006  # typer copies it
    unknown: Annotated[
        str,
        typer.Option(
            "--unknown",
            autocompletion=completes("custom", "drop", "refuse"),
            metavar="WHAT",
            help="What to do with columns that fit no field: custom stores them in `custom`, drop "
            "leaves them out, refuse stops the import.",
        ),
    ] = "custom",
    empty: Annotated[
        str,
        typer.Option(
            "--empty",
            autocompletion=completes("keep", "clear"),
            metavar="WHAT",
            help="What an empty cell does to the field of an existing customer: keep or clear.",
        ),
    ] = "keep",
    match: Annotated[
        str,
        typer.Option(
            "--match",
            autocompletion=completes("email", "_id", "phone"),
            metavar="FIELD",
            help="The field that selects the customer of a row: email, _id, phone or "
            "external_id.SOURCE.",
        ),
    ] = "email",
    no_email: Annotated[
        str,
        typer.Option(
            "--no-email",
            autocompletion=completes("keep", "reject"),
            metavar="WHAT",
            help="What to do with rows without an email, if the account permits customers without "
            "one: keep imports them, reject rejects them.",
        ),
    ] = "keep",
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="The system that the ids in the file belong to, such as stripe. All of them are "
            "then external ids of this source, numbers too.",
        ),
    ] = None,
    consent: Annotated[
        str,
        typer.Option(
            "--consent",
            autocompletion=completes("keep", "overwrite"),
            metavar="WHAT",
            help="Whether a row may subscribe an unsubscribed customer: keep (no) or "
            "overwrite (yes).",
        ),
    ] = "keep",
    tags: Annotated[
        str,
        typer.Option(
            "--tags",
            autocompletion=completes("add", "replace"),
            metavar="WHAT",
            help="Whether the tags of a row are added to those of the customer or replace them: "
            "add or replace.",
        ),
    ] = "add",
    dates: Annotated[
        str | None,
        typer.Option(
            "--dates",
            autocompletion=completes("dmy", "mdy", "ymd"),
            metavar="ORDER",
            help="The order of day, month and year if the values do not show it: dmy, mdy or ymd.",
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            "--sheet",
            metavar="NAME",
            help="The sheet of a workbook. The default is the first sheet with emails.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Reject a row for a value that cannot be read, instead of warning."
        ),
    ] = False,
    dry_run: options.DryRun = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a stopped import of the file.")
    ] = False,
    silent: options.Silent = False,
    rejected: Annotated[
        Path | None,
        typer.Option(
            "--rejected",
            metavar="FILE",
            help="The file for rejected rows. The default is FILE.rejected.csv next to the file.",
        ),
    ] = None,
    form: Format = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="NAME",
            help="The encoding of the file, such as utf-8 or windows-1252. By default, it is "
            "detected.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="CHARACTER",
            help="The delimiter of CSV: comma, semicolon, tab, pipe or a character. By default, it "
            "is detected.",
        ),
    ] = None,
    header: Annotated[
        bool,
        typer.Option(
            "--header/--no-header",
            help="Whether the first line contains the headings. Without headings, "
            "the columns are named 1, 2, …",
        ),
    ] = True,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Import customers from files of any system.

    Files are CSV, workbooks (.xlsx, .xls, .xlsb, .ods), JSON, JSON Lines or vCard (.vcf), also
    compressed with gzip or zip. The kind, the encoding and the columns are recognized.

    Each row updates the customer with its email, or creates one. A value that cannot be read is
    kept in the custom field "import: HEADING", and the row is written to FILE.warnings.csv. A row
    without a valid email is rejected, unless the account permits customers without an email: it is
    written to FILE.rejected.csv with the reason, and the exit code is 5. Ctrl-C stops the import,
    and --resume continues it.
    """
    if files == ["list"] and not Path("list").exists():
        # The argument is a file, so `import` cannot have a subcommand. `imports list` is the same.
        from regulars.cli.connection import Connection
        from regulars.cli.import_list import show_imports

        show_imports(Connection(None, None, False, account, database_url), as_json or None)
        return
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
        source=source,
        no_email=no_email,
    )
    settings = options.settings(database_url=database_url)
    run(settings, files, Job(account, chosen, rejected, dry_run, resume, silent), as_json)


@app.command(
    "export",
    epilog=examples(
        "regulars export customers.csv",
        "regulars export customers.xlsx --query 'tags:vip' --columns email,full_name",
        "regulars export - --format jsonl | gzip > customers.jsonl.gz",
    ),
)
def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The file. It is compressed if the name ends in .gz. - is standard output.",
            show_default=False,
        ),
    ] = "-",
    query: options.Query = "",
    segment: Annotated[
        str | None,
        typer.Option(
            "--segment",
            metavar="NAME",
            help="Only the customers of this segment: its name or id.",
            autocompletion=complete_segment,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            autocompletion=complete_columns,
            metavar="NAMES",
            help="The columns, separated by commas. The default is all that can be imported again.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            autocompletion=completes("csv", "csv-excel", "xlsx", "jsonl"),
            metavar="FORMAT",
            help="csv, csv-excel (CSV for Excel), xlsx or jsonl (JSON Lines). The default follows "
            "from the name of the file.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="NAME",
            help="The delimiter of csv-excel: comma (the default), semicolon or tab. Use the list "
            "separator of your Excel.",
        ),
    ] = None,
    include: Annotated[
        str | None,
        typer.Option(
            "--include",
            autocompletion=completes("comments", "public_comments"),
            metavar="NAME",
            help="For jsonl: comments adds the comments of each customer, public_comments those "
            "that are not private.",
        ),
    ] = None,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Export customers to a file.

    The file contains one snapshot of the account, as CSV, Excel or JSON Lines. In csv, cells that a
    spreadsheet would read as a formula get a leading apostrophe, which import removes. csv-excel
    and xlsx also keep leading zeros and long numbers in Excel.
    """
    from regulars.cli.exporting import run
    from regulars.transfer.export_columns import OWN_ID, misread_columns

    chosen = [name.strip() for name in columns.split(",") if name.strip()] if columns else []
    settings = options.settings(database_url=database_url)
    included = [name.strip() for name in (include or "").split(",") if name.strip()]
    result = run(settings, account, target, form, query, chosen, delimiter, segment, included)
    if misread := misread_columns(chosen):
        print(
            f"An import of this file would store {' and '.join(misread)} in custom fields. To "
            f"import it again, add the column {OWN_ID}.",
            file=sys.stderr,
        )
    if target == "-":
        return
    if as_json:
        print_json(result)
    else:
        print(
            f"Exported {count_of(result['customers'], 'customer')} of the account "
            f"{result['account']} to {target}."
        )
