"""The commands about Regulars itself: `version`, `schema` and `help`."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Annotated, Any

import typer

import regulars
from regulars.cli import options
from regulars.cli.options import examples
from regulars.versions import commit

app = typer.Typer()


@app.command("version", epilog=examples("regulars version", "regulars version --json"))
def version(as_json: options.AsJSON = False) -> None:
    """Print the version of Regulars, its commit, and the version of its tables.

    The version of the tables is the one that `regulars migrate` upgrades a database to.
    """
    print_version(as_json)


def print_version(as_json: bool = False) -> None:
    """Prints the version of Regulars, its commit, and the version of its tables."""
    if as_json:
        from regulars.cli.output import print_json

        print_json(
            {"version": regulars.__version__, "commit": commit(), "tables": _newest_tables()}
        )
    else:
        print(f"regulars {regulars.__version__} (commit {commit()}, tables {_newest_tables()})")


def _newest_tables() -> str:
    """Returns the newest version of the tables, without importing the store."""
    folder = files("regulars") / "store" / "migrations" / "versions"
    found = (re.match(r"v(\d{4})_", file.name) for file in folder.iterdir())
    return max(match[1] for match in found if match)


@app.command("schema", epilog=examples("regulars schema > schema.graphql"))
def schema() -> None:
    """Print the GraphQL schema of the API.

    The schema is in GraphQL's schema definition language.
    """
    from regulars.api import schema as api_schema

    print(api_schema.sdl(), end="")


@app.command("help", epilog=examples("regulars help", "regulars help token create"))
def show_help(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="A command, or a group.")
    ] = None,
) -> None:
    """Show the help of Regulars or of a command."""
    current: Any = context.find_root()
    for name in command or ():
        if not hasattr(current.command, "get_command"):
            context.fail(f"{current.command_path!r} has no commands.")
        found = current.command.get_command(current, name)
        if found is None:  # fails with a suggestion
            current.command.resolve_command(current, [name])
        current = found.context_class(found, info_name=name, parent=current)
    print(current.get_help())
