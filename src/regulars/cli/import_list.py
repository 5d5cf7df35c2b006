"""`regulars imports list`: the newest imports of files, and their progress."""

from __future__ import annotations

import typer

from regulars.cli.connection import Connection, with_connection
from regulars.cli.options import examples
from regulars.cli.output import print_rows

app = typer.Typer()

_COLUMNS = ("created_at", "name", "state", "rows", "created", "updated", "rejected", "id")


@app.command("imports list", epilog=examples("regulars imports list"))
@with_connection
def imports_list(*, connection: Connection, as_json: bool | None) -> None:
    """List the imports of files and their progress.

    The newest 50 of the last 30 days are listed. `regulars import list` does the same, unless there
    is a file with the name `list`.
    """
    show_imports(connection, as_json)


def show_imports(connection: Connection, as_json: bool | None) -> None:
    """Print the newest imports of a database or a server. Raises APIError, StoreError."""
    imports = connection.run(lambda client: client.list_imports())
    print_rows(imports, _COLUMNS, as_json, "No file was imported within the last 30 days.")
