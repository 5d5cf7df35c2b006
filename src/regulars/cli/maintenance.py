"""The commands for maintenance: doctor, verify, backup, copy, restore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from regulars.cli import options
from regulars.cli.errors import REFUSED
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.core.counts import count_of

app = typer.Typer()


@app.command("doctor", epilog=examples("regulars doctor", "regulars doctor --json"))
def doctor(
    database_url: options.DatabaseURL = None,
    read_database_url: options.ReadDatabaseURL = None,
    host: options.Host = None,
    port: options.Port = None,
    workers: options.Workers = None,
    backup_folder: options.BackupFolder = None,
    tools: options.Tools = None,
    as_json: options.JsonOrTable = None,
) -> None:
    """Check a deployment, and report what to fix.

    The command reads the same settings as `regulars serve`. It runs every check, whatever the
    others report. Its exit code is 1 if a check fails. Warnings do not change the exit code.
    """
    from regulars.cli.doctor import FAIL, examine

    settings = options.settings(
        database_url=database_url,
        read_database_url=read_database_url,
        host=host,
        port=port,
        workers=workers,
        backup_folder=backup_folder,
    )
    findings = examine(settings, tools)
    rows = [{"state": f.state, "what": f.subject, "message": f.message} for f in findings]
    print_rows(rows, ("state", "what", "message"), as_json)
    if any(finding.state == FAIL for finding in findings):
        sys.exit(REFUSED)


@app.command("verify", epilog=examples("regulars verify", "regulars verify --addresses"))
def verify(
    addresses: Annotated[
        bool,
        typer.Option(
            "--addresses",
            help="Count the addresses that violate the rules of their countries, in each account. "
            "They do not change the exit code.",
        ),
    ] = False,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Check that the data in a database is consistent.

    The command reads all rows of one snapshot, while the database is in use. Its exit code is 1 if
    it finds a problem.
    """
    from regulars.directory.verify import verify as run

    report = run(options.address(database_url), addresses)
    if as_json:
        result = {"read": report.read, "problems": report.problems, "found": report.found}
        if addresses:
            result["addresses"] = [
                count.to_json(account_id) for account_id, count in report.addresses.items()
            ]
        print_json({**result, "information": report.information})
    else:
        read = ", ".join(f"{name} {count:,}" for name, count in report.read.items())
        print(f"Rows read: {read}.")
        for line in (*report.information, *report.problems):
            print(line)
        if report.found > len(report.problems):
            print(f"… and {report.found - len(report.problems):,} more.")
        problems = count_of(report.found, "problem")
        print(f"Found {problems}." if report.found else "The data is consistent.")
    if report.found:
        sys.exit(REFUSED)


@app.command(
    "backup",
    epilog=examples("regulars backup regulars-2026-11-29.backup"),
)
def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The new file. It must not exist yet.")
    ],
    tools: options.Tools = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Back up a database to a file.

    The server can keep running. For SQLite, the command uses the online backup and checks the
    result. For PostgreSQL, it runs pg_dump with the custom format.
    """
    from regulars.store.backup import backup as run
    from regulars.store.schema_version import stored_version

    address = options.address(database_url)
    tables = stored_version(address)
    size = run(address, file, tools)
    if as_json:
        print_json({"file": str(file), "bytes": size, "tables": tables})
    else:
        print(f"Backed up {address.redacted} (tables {tables}) to {file}, {size:,} bytes.")


@app.command(
    "copy",
    epilog=examples(
        "regulars copy sqlite:///shop.db postgresql://regulars@localhost/shop",
        "regulars copy sqlite:///shop.db postgresql://regulars@localhost/shop --resume",
    ),
)
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The URL of the database to read.")],
    target: Annotated[
        str,
        typer.Argument(metavar="TO", help="The URL of the database to write: new, or empty."),
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a stopped copy, or update an earlier copy. Rows that exist only in TO "
            "are deleted.",
        ),
    ] = False,
    go_on: Annotated[bool, typer.Option("--continue", hidden=True)] = False,
    as_json: options.AsJSON = False,
) -> None:
    """Copy a database to another database.

    Both can be SQLite, PostgreSQL or Citus. The command reads one snapshot of FROM, which can be in
    use, and compares every row afterwards. Its exit code is 1 if a row differs.
    """
    from regulars.cli.copying import run

    result = run(source, target, resume or go_on)
    if as_json:
        print_json(result)
    else:
        columns = ("added", "removed", "compared", "different")
        rows = [{"table": name, **counts} for name, counts in result["tables"].items()]
        print_rows(
            [row for row in rows if any(row[c] for c in columns)], ("table", *columns), False
        )
        print(
            f"All rows of {result['to']} equal those of {result['from']}."
            if not result["different"]
            else f"{count_of(result['different'], 'row differs', 'rows differ')}. Stop other "
            f"programs that write to {result['to']}, and copy again with --resume."
        )
    if result["different"]:
        sys.exit(REFUSED)


@app.command("restore", epilog=examples("regulars restore regulars-2026-11-29.backup"))
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file from `regulars backup`.")],
    tools: options.Tools = None,
    database_url: options.DatabaseURL = None,
    as_json: options.AsJSON = False,
) -> None:
    """Restore a backup to an empty database.

    The command creates the database file of SQLite. After you restore a backup of an older version,
    run `regulars migrate`.
    """
    from regulars.directory.database import distribute
    from regulars.store.backup import restore as run
    from regulars.store.schema_version import newest_version, stored_version

    address = options.address(database_url)
    run(address, file, tools)
    distribute(address)
    tables = stored_version(address)
    if as_json:
        print_json({"database": address.redacted, "tables": tables})
        return
    print(f"Restored {file} to {address.redacted} (tables {tables}).")
    if tables != newest_version():
        print(f"This version of Regulars needs tables {newest_version()}. Run: regulars migrate")
