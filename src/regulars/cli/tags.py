"""`regulars tags`: list tags, and rename or merge them."""

from __future__ import annotations

from typing import Annotated

import typer

from regulars.cli import options
from regulars.cli.connection import Connection, with_connection
from regulars.cli.jobs import NoWait, run_job
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import wants_json

app = typer.Typer()

_LIST = """query($query: String!, $first: Int!, $after: String) {
  tags(query: $query, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor } edges { node { name customers_count } } } }"""
_RENAME = """mutation($names: [String!]!, $newName: String!, $segments: Boolean,
  $dryRun: Boolean) {
  renameTags(names: $names, newName: $newName, segments: $segments, dryRun: $dryRun) { id } }"""


@app.command("tags list", epilog=examples("regulars tags list", "regulars tags list vi"))
@with_connection
def tags_list(
    beginning: Annotated[
        str, typer.Argument(metavar="BEGINNING", help="Only tags that begin with this text.")
    ] = "",
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """List the tags with their numbers of customers, by name.

    Tags that differ only in case or accents are one tag.
    """
    from regulars.cli.client import fetch_nodes

    tags = connection.run(lambda client: fetch_nodes(client, _LIST, query=beginning)).nodes
    if wants_json(as_json):
        print_json(tags)
    else:
        print_rows(tags, ("name", "customers_count"), False, "No customer has such a tag.")


@app.command(
    "tags rename",
    epilog=examples(
        "regulars tags rename v.i.p. vip --dry-run",
        "regulars tags rename 'Late parcel' 'Parcel late' late",
    ),
)
@with_connection
def rename(
    names: Annotated[list[str], typer.Argument(metavar="TAG...", help="The tags.")],
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new tag. It may exist.")],
    keep_segments: Annotated[
        bool, typer.Option("--keep-segments", help="Do not change the segments that name the tags.")
    ] = False,
    dry_run: options.DryRun = False,
    no_wait: NoWait = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Rename or merge tags of all customers that have them.

    Customers that have several of the tags get the new one once. Segments that name one of them
    name the new one at the end. The command waits for the end, and prints the job. `regulars jobs
    undo ID` takes the changes back.
    """
    variables = {
        "names": names,
        "newName": new_name,
        "segments": not keep_segments,
        "dryRun": dry_run,
    }
    run_job(connection, _RENAME, variables, no_wait, as_json)
