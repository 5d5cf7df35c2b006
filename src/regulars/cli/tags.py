"""`regulars tags`: list tags, and rename or merge them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.connection import Connection, with_connection
from regulars.cli.customer_fields import DRY_RUN, print_dry_run
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import wants_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_LIST = """query($query: String!, $first: Int!, $after: String) {
  tags(query: $query, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor } edges { node { name customers_count } } } }"""
_RENAME = """mutation($name: String!, $newName: String!, $segments: Boolean!, $after: String) {
  renameTag(name: $name, newName: $newName, segments: $segments, after: $after%s) {
    customers_count hasNextPage endCursor segments { _id name renamed } } }"""


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
        "regulars tags rename v.i.p. vip --dry-run", "regulars tags rename 'Late parcel' late"
    ),
)
@with_connection
def rename(
    name: Annotated[str, typer.Argument(metavar="TAG", help="The tag.")],
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new tag. It may exist.")],
    keep_segments: Annotated[
        bool, typer.Option("--keep-segments", help="Do not change the segments that name the tag.")
    ] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Rename a tag of all customers that have it.

    Customers that have both tags keep the new one. Segments that name the tag name the new one.
    The command can be repeated after an interruption.
    """
    from regulars.cli.client import mutate

    values = {"name": name, "newName": new_name, "segments": not keep_segments}

    async def work(client: Client) -> dict[str, Any]:
        count, after = 0, None
        while True:
            page = await mutate(client, _RENAME, DRY_RUN * dry_run, **values, after=after)
            count, after = count + page["customers_count"], page["endCursor"]
            if not page["hasNextPage"]:
                return {"customers_count": count, "segments": page["segments"]}

    result = connection.run(work)
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(result)
        return
    verb = "Would rename" if dry_run else "Renamed"
    print(f"{verb} the tag of {count_of(result['customers_count'], 'customer')}.")
    for segment in result["segments"]:
        if segment["renamed"]:
            print(f"{verb} it in the segment {segment['name']!r}.")
        else:
            print(f"The query of the segment {segment['name']!r} would be too long. Change it.")
