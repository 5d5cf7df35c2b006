"""The commands for maintenance: doctor, verify, backup, copy, restore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from regulars.cli import options
from regulars.cli.errors import REFUSED
from regulars.cli.output import print_json, print_rows
from regulars.store.migrate import distribute
from regulars.store.schema_version import newest_version, stored_version

app = typer.Typer()


@app.command()
def doctor(
    database_url: options.DatabaseURL = None,
    read_database_url: options.ReadDatabaseURL = None,
    host: options.Host = None,
    workers: options.Workers = None,
    as_json: options.AsJSON = False,
) -> None:
    """Look at a deployment, and say what to mend.

    Reads the same settings as `regulars serve`. Ends with 1 when something must be mended.
    """
    from regulars.cli.doctor import FAIL, examine

    settings = options.settings(
        database_url=database_url,
        read_database_url=read_database_url,
        host=host,
        workers=workers,
    )
    findings = examine(settings)
    rows = [{"state": f.state, "what": f.subject, "message": f.message} for f in findings]
    print_rows(rows, ("state", "what", "message"), as_json)
    if any(finding.state == FAIL for finding in findings):
        sys.exit(REFUSED)


@app.command()
def verify(database_url: options.DatabaseURL = None, as_json: options.AsJSON = False) -> None:
    """Prove a database consistent: everything in it is what the rules would store.

    Reads all of it, at one moment, while it is in use. Ends with 1 when something is wrong.
    """
    from regulars.directory.verify import verify as run

    report = run(options.address(database_url))
    if as_json:
        print_json({"read": report.read, "problems": report.problems, "found": report.found})
    else:
        read = ", ".join(f"{count:,} {name}" for name, count in report.read.items())
        print(f"Read {read}.")
        for problem in report.problems:
            print(problem)
        if report.found > len(report.problems):
            print(f"… and {report.found - len(report.problems):,} more.")
        print(f"{report.found:,} problems." if report.found else "Consistent.")
    if report.found:
        sys.exit(REFUSED)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file.")],
    tools: options.Tools = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Copy the database to a file, while it is in use.

    SQLite's own online backup, checked; or pg_dump, in its custom format, for PostgreSQL.
    """
    from regulars.store.backup import backup as run

    address = options.address(database_url)
    version_of = stored_version(address)
    size = run(address, file, tools)
    if as_json:
        print_json({"file": str(file), "bytes": size, "tables": version_of})
    else:
        print(f"Copied {address.redacted} (tables {version_of}) to {file}, {size:,} bytes.")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The URL of a database.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="The URL of another: a new one, or an empty one.")
    ],
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="Go on with a copy, or bring it up to date: what differs is made the same, and "
            "what is only in TO is deleted.",
        ),
    ] = False,
    as_json: options.AsJSON = False,
) -> None:
    """Copy a whole database to another of any kind, and compare every row.

    SQLite, PostgreSQL and Citus, from any to any. FROM is read as it is at one moment, and may be
    in use. Ends with 1 when a row is not the same.
    """
    from regulars.cli.copying import run

    result = run(source, target, go_on)
    if as_json:
        print_json(result)
    else:
        columns = ("added", "removed", "compared", "different")
        rows = [{"table": name, **counts} for name, counts in result["tables"].items()]
        print_rows(
            [row for row in rows if any(row[c] for c in columns)], ("table", *columns), False
        )
        print(
            f"{result['to']} is the same as {result['from']} was."
            if not result["different"]
            else f"{result['different']:,} rows are not the same. Is something else writing to "
            f"{result['to']}? Copy again with --continue."
        )
    if result["different"]:
        sys.exit(REFUSED)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `regulars backup` made.")],
    tools: options.Tools = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Put a backup back, into a database that does not exist yet or is empty.

    One of older tables needs `regulars migrate` afterwards.
    """
    from regulars.store.backup import restore as run

    address = options.address(database_url)
    run(address, file, tools)
    distribute(address)
    version_of = stored_version(address)
    if as_json:
        print_json({"database": address.redacted, "tables": version_of})
        return
    print(f"Restored {file} to {address.redacted} (tables {version_of}).")
    if version_of != newest_version():
        print(f"This program needs tables {newest_version()}. Run: regulars migrate")
