"""`regulars segments`: list, read and change segments, and their customers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.completion import complete_segment
from regulars.cli.confirming import confirm
from regulars.cli.connection import Connection, with_connection
from regulars.cli.customer_fields import DRY_RUN, print_dry_run
from regulars.cli.customer_list import print_customers, search_customers
from regulars.cli.customers import Limit
from regulars.cli.errors import APIError, UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import print_record, read_json_object, wants_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_CONDITION = "{ operator tags }"
_DEFINITION = f"""id _id name description query
  settings {{ include {_CONDITION} exclude {_CONDITION} }} watched"""
_SEGMENT = f"""{_DEFINITION} watched_since(format: "ISO") problem
  created_at(format: "ISO") updated_at(format: "ISO")"""
_LIST = f"""query($query: String!, $first: Int!, $after: String) {{
  segments(query: $query, first: $first, after: $after) {{
    pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {_SEGMENT} }} }} }} }}"""
_COUNT = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Segment { statistics } } }"
_COUNTED_AT_ONCE = 50
_CREATE = f"""mutation($node: SegmentInput!, $announce: Boolean!) {{
  createSegment(node: $node, announce: $announce%s) {{ {_SEGMENT} }} }}"""
_UPDATE = f"""mutation($node: SegmentInput!, $id: ID!, $announce: Boolean!) {{
  updateSegment(node: $node, id: $id, announce: $announce%s) {{ {_SEGMENT} }} }}"""
_DELETE = "mutation($items: [ID!]!) { deleteSegments(items: $items%s) }"

SegmentName = Annotated[
    str,
    typer.Argument(
        metavar="SEGMENT",
        help="The name, the `_id` or the id of a segment.",
        autocompletion=complete_segment,
    ),
]
Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="The description.")
]
SegmentQuery = Annotated[
    str | None,
    typer.Option("--query", metavar="QUERY", help="A search, such as 'tag:vip country:FR'."),
]
Settings = Annotated[
    str | None,
    typer.Option(
        "--settings",
        metavar="JSON",
        help="Tags instead of a query, as in the API; @FILE reads a file and - standard input.",
    ),
]
Watched = Annotated[
    bool | None,
    typer.Option(
        "--watched/--no-watched", help="Whether to record when customers enter and leave."
    ),
]
Announce = Annotated[
    bool,
    typer.Option("--announce", help="Also record the customers that the first evaluation finds."),
]


@app.command("segments list", epilog=examples("regulars segments list"))
@with_connection
def segments_list(*, connection: Connection, as_json: bool | None) -> None:
    """List the segments, by name."""

    async def work(client: Client) -> list[dict[str, Any]]:
        return await _with_counts(client, await load_segments(client))

    segments = connection.run(work)
    if wants_json(as_json):
        print_json(segments)
        return
    columns = ("_id", "name", "customers", "watched", "query", "problem")
    rows = [{**segment, "customers": segment["statistics"]} for segment in segments]
    print_rows(rows, columns, False, "No segment exists.")


@app.command("segments show", epilog=examples("regulars segments show vip"))
@with_connection
def show(segment: SegmentName, *, connection: Connection, as_json: bool | None) -> None:
    """Print a segment and its number of customers."""

    async def work(client: Client) -> dict[str, Any]:
        (found,) = await _with_counts(client, await find_segments(client, [segment]))
        return found

    _print(connection.run(work), as_json)


@app.command(
    "segments create",
    epilog=examples(
        "regulars segments create vip --query 'tag:vip -segment:\"at risk\"'",
        'regulars segments create members --settings \'{"include": {"tags": ["member"]}}\'',
    ),
)
@with_connection
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the segment.")],
    query: SegmentQuery = None,
    settings: Settings = None,
    description: Description = None,
    watched: Watched = None,
    announce: Announce = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Create a segment.

    Without a query and settings, all customers belong to it.
    """
    from regulars.cli.client import mutate

    values = {
        "node": {"name": name, **_node(query, settings, description, watched)},
        "announce": announce,
    }
    created = connection.run(lambda client: mutate(client, _CREATE, DRY_RUN * dry_run, **values))
    _print(created, as_json, dry_run)


@app.command(
    "segments update", epilog=examples("regulars segments update vip --name 'Very important'")
)
@with_connection
def update(
    segment: SegmentName,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The new name.")
    ] = None,
    query: SegmentQuery = None,
    settings: Settings = None,
    description: Description = None,
    watched: Watched = None,
    announce: Annotated[
        bool,
        typer.Option(
            "--announce", help="Record the entries and exits that follow from this update."
        ),
    ] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Update a segment.

    What has no option keeps its value. A new name is also written to the queries that use it.
    """
    from regulars.cli.client import mutate

    node = _node(query, settings, description, watched)
    if name is not None:
        node["name"] = name
    if not node:
        raise UsageError("Nothing to update. Pass an option such as --query.")

    async def work(client: Client) -> Any:
        (found,) = await find_segments(client, [segment])
        values = {"node": node, "id": found["id"], "announce": announce}
        return await mutate(client, _UPDATE, DRY_RUN * dry_run, **values)

    _print(connection.run(work), as_json, dry_run)


@app.command("segments delete", epilog=examples("regulars segments delete vip --yes"))
@with_connection
def delete(
    segments: Annotated[
        list[str],
        typer.Argument(
            metavar="SEGMENT",
            help="The names, `_id`s or ids of segments.",
            autocompletion=complete_segment,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    dry_run: options.DryRun = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Delete segments.

    Their customers stay. All of the segments are deleted, or none. On a terminal the command asks
    first; a script passes --yes.
    """
    from regulars.cli.client import mutate

    confirm(f"Delete {count_of(len(segments), 'segment')}?", yes or dry_run, "segments")

    async def work(client: Client) -> Any:
        ids = [found["id"] for found in await find_segments(client, segments)]
        return await mutate(client, _DELETE, DRY_RUN * dry_run, items=ids)

    deleted = connection.run(work)
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(deleted)
    else:
        verb = "Would delete" if dry_run else "Deleted"
        print(f"{verb} {count_of(len(deleted), 'segment')}.")


@app.command("segments members", epilog=examples("regulars segments members vip --limit 100"))
@with_connection
def members(
    segment: SegmentName,
    limit: Limit = 25,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", help="Continue after this cursor of a page."),
    ] = None,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """List the customers of a segment, the newest first.

    `regulars export --segment` exports all of them to a file.
    """
    from regulars.segments.expansion import quote

    query = f"segment:{quote(segment)}"
    result = connection.run(lambda client: search_customers(client, query, limit, after))
    print_customers(result, as_json, "No customer belongs to this segment.")


async def load_segments(client: Client) -> list[dict[str, Any]]:
    """Return all segments of the account, by name."""
    from regulars.cli.client import fetch_nodes

    return (await fetch_nodes(client, _LIST, query="order_by:name order_dir:asc")).nodes


async def find_segments(client: Client, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the segments with some names or ids. Raises APIError."""
    from regulars.segments.definitions import Definition, Definitions

    segments = {segment["_id"]: segment for segment in await load_segments(client)}
    definitions = Definitions(
        Definition(number, segment["name"], "") for number, segment in segments.items()
    )
    found = []
    for name in names:
        definition = definitions.find(name)
        if definition is None:
            raise APIError(
                f"No segment has the name or id {name!r}. List them with `regulars segments list`."
            )
        found.append(segments[definition.segment_id])
    return found


async def _with_counts(client: Client, segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return segments with their numbers of customers: None for those that have a problem."""
    from regulars.cli.client import fetch_data

    ids = [segment["id"] for segment in segments if not segment["problem"]]
    counts: dict[str, int] = {}
    for start in range(0, len(ids), _COUNTED_AT_ONCE):
        data = await fetch_data(client, _COUNT, ids=ids[start : start + _COUNTED_AT_ONCE])
        counts |= {node["id"]: node["statistics"] for node in data["nodes"] if node}
    return [{**segment, "statistics": counts.get(segment["id"])} for segment in segments]


def _node(
    query: str | None, settings: str | None, description: str | None, watched: bool | None
) -> dict[str, Any]:
    node: dict[str, Any] = {}
    if query is not None:
        node["query"] = query
    if settings is not None:
        node["settings"] = read_json_object(settings, "--settings")
    if description is not None:
        node["description"] = description
    if watched is not None:
        node["watched"] = watched
    return node


def _print(segment: dict[str, Any], as_json: bool | None, dry_run: bool = False) -> None:
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(segment)
        return
    record = {**segment, "customers": segment.get("statistics"), "statistics": None}
    tags = {part: each["tags"] for part, each in segment["settings"].items() if each["tags"]}
    print_record(
        {
            "_id": record.pop("_id"),
            **record,
            "settings": None,
            **{
                f"{part} {segment['settings'][part]['operator']}": names
                for part, names in tags.items()
            },
            "id": None,
            "global_id": segment["id"],
        }
    )
