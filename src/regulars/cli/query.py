"""`regulars query`: execute a GraphQL document."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from regulars.cli.connection import Connection, with_connection
from regulars.cli.errors import REFUSED, APIError, exit_code
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.cli.values import read_json_object, read_text

app = typer.Typer()


@app.command(
    "query",
    epilog=examples(
        "echo '{ customers(first: 3) { edges { node { email } } } }' | regulars query -"
    ),
)
@with_connection
def query(
    document: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A file with a GraphQL document; - is standard input."),
    ],
    variables: Annotated[
        str | None,
        typer.Option(
            "--variables",
            metavar="JSON",
            help="The variables as a JSON object; @FILE reads a file.",
        ),
    ] = None,
    operation: Annotated[
        str | None,
        typer.Option(
            "--operation",
            metavar="NAME",
            help="The operation to execute. Required if the document has several.",
        ),
    ] = None,
    *,
    connection: Connection,
    as_json: bool | None,  # noqa: ARG001  # the response is always JSON
) -> None:
    """Execute a GraphQL document.

    The command prints the response as JSON. If the response has errors, their messages are printed
    to standard error, too, and the exit code is 1.
    """
    values = read_json_object(variables, "--variables") if variables is not None else {}
    text = read_text(document, "FILE")
    response = connection.run(lambda client: client.execute(text, values, operation))
    print_json(response)
    if response.get("errors"):
        error = APIError.of_response(response["errors"])
        print(f"regulars: {error}", file=sys.stderr)
        sys.exit(exit_code(error) or REFUSED)
