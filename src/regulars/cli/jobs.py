"""`regulars update` and `regulars jobs`: change many customers, and undo that."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli import options
from regulars.cli.connection import Connection, with_connection
from regulars.cli.customer_fields import print_dry_run
from regulars.cli.customers import Limit
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json, print_rows
from regulars.cli.values import print_record, wants_json
from regulars.core.counts import count_of
from regulars.core.fields import Address, Flag, Json, names_of
from regulars.customers.addresses import PARTS
from regulars.customers.fields import WRITABLE

if TYPE_CHECKING:
    from regulars.cli.client import Client

app = typer.Typer()

_POLL_SECONDS = 0.25
_ENDED = ("done", "failed", "cancelled")
_JOB = """id kind state name dry_run silent total done changed unchanged rejected message undo_of
  undone_by can_undo actor { kind name } created_at(format: "ISO") ended_at(format: "ISO")
  problems { message count examples }"""
_GET = f"query($id: ID!) {{ job(id: $id) {{ {_JOB} segments {{ name renamed }} }} }}"
_LIST = f"""query($first: Int!, $after: String) {{ jobs(first: $first, after: $after) {{
  totalCount pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {_JOB} }} }} }} }}"""
_CANCEL = f"mutation($id: ID!) {{ cancelJob(id: $id) {{ {_JOB} }} }}"
_UNDO = "mutation($id: ID!, $dryRun: Boolean) { undoJob(id: $id, dryRun: $dryRun) { id } }"
_UPDATE = """mutation($query: String, $segment: String, $items: [ID!], $node: InputUpdateCustomer,
  $addTags: [String!], $removeTags: [String!], $removeCustom: [String!],
  $increments: [InputIncrement!], $expected: Int, $silent: Boolean, $dryRun: Boolean) {
  updateCustomers(query: $query, segment: $segment, items: $items, node: $node, addTags: $addTags,
    removeTags: $removeTags, removeCustom: $removeCustom, increments: $increments,
    expected: $expected, silent: $silent, dryRun: $dryRun) { id } }"""
_COLUMNS = ("created_at", "kind", "state", "name", "changed", "unchanged", "rejected", "id")

JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of the job.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Do not wait for the end. A server runs the job.")
]


Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="A field to set, such as phone= or custom.tier=gold; repeat it for several.",
    ),
]
Amounts = Annotated[
    list[str] | None,
    typer.Option(
        "--add",
        metavar="custom.NAME=AMOUNT",
        help="An amount to add to a custom field; repeat it for several.",
    ),
]
AddTags = Annotated[
    list[str] | None,
    typer.Option("--add-tag", metavar="TAG", help="A tag to add; repeat it for several."),
]
RemoveTags = Annotated[
    list[str] | None,
    typer.Option("--remove-tag", metavar="TAG", help="A tag to remove; repeat it for several."),
]
RemoveCustom = Annotated[
    list[str] | None,
    typer.Option(
        "--remove-custom", metavar="NAME", help="A custom field to remove; repeat it for several."
    ),
]
Customers = Annotated[
    list[str] | None,
    typer.Option("--customer", metavar="ID", help="A customer; repeat it for several."),
]


@app.command(
    "update",
    epilog=examples(
        "regulars update --query 'country:FR' --add-tag french --dry-run",
        "regulars update --segment VIP --set custom.tier=gold --add custom.points=10",
        "regulars update --query '' --set phone= --expected 980",
    ),
)
@with_connection
def update(
    query: Annotated[
        str | None,
        typer.Option("--query", metavar="TEXT", help="A search. An empty text: all customers."),
    ] = None,
    segment: Annotated[
        str | None, typer.Option("--segment", metavar="NAME", help="A segment, by name or id.")
    ] = None,
    customers: Customers = None,
    values: Values = None,
    amounts: Amounts = None,
    add_tags: AddTags = None,
    remove_tags: RemoveTags = None,
    remove_custom: RemoveCustom = None,
    expected: Annotated[
        int | None,
        typer.Option(
            "--expected",
            metavar="N",
            help="The number of customers. A tenth more are refused.",
        ),
    ] = None,
    silent: options.Silent = False,
    dry_run: options.DryRun = False,
    no_wait: NoWait = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Update all customers of a search.

    The customers are those that the search finds now. The command waits for the end, and prints the
    job. `regulars jobs undo ID` takes the changes back.
    """
    if (query is not None or segment is not None) == (customers is not None):
        raise UsageError("Pass --customer, or else --query, --segment or both.")
    edit = {
        "node": parse_values(values or ()),
        "addTags": add_tags,
        "removeTags": remove_tags,
        "removeCustom": remove_custom,
        "increments": [_parse_amount(text) for text in amounts or ()],
    }
    edit = {name: value for name, value in edit.items() if value}
    if not edit:
        raise UsageError("Nothing to update. Pass an option such as --set or --add-tag.")
    variables = {
        "query": query,
        "segment": segment,
        "items": customers,
        "expected": expected,
        **edit,
        "silent": silent,
        "dryRun": dry_run,
    }
    run_job(connection, _UPDATE, variables, no_wait, as_json)


@app.command("jobs list", epilog=examples("regulars jobs list"))
@with_connection
def jobs_list(limit: Limit = 25, *, connection: Connection, as_json: bool | None) -> None:
    """List bulk edits, imports and undos.

    Those of the last 30 days, newest first.
    """
    from regulars.cli.client import fetch_nodes

    jobs, total, _ = connection.run(lambda client: fetch_nodes(client, _LIST, limit))
    if wants_json(as_json):
        print_json(jobs)
        return
    print_rows(jobs, _COLUMNS, False, "There was no job within the last 30 days.")
    if jobs:
        print(f"{len(jobs):,} of {count_of(total, 'job')}.")


@app.command("jobs show", epilog=examples("regulars jobs show job_0123456789abcdef"))
@with_connection
def jobs_show(job_id: JobId, *, connection: Connection, as_json: bool | None) -> None:
    """Print a job and its problems."""
    _print_job(connection.run(lambda client: _get(client, job_id)), as_json)


@app.command("jobs cancel", epilog=examples("regulars jobs cancel job_0123456789abcdef"))
@with_connection
def jobs_cancel(job_id: JobId, *, connection: Connection, as_json: bool | None) -> None:
    """Stop a job.

    What it has changed stays, and can be undone.
    """
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> dict[str, Any]:
        job: dict[str, Any] = (await fetch_data(client, _CANCEL, id=job_id))["cancelJob"]
        return job

    _print_job(connection.run(work), as_json)


@app.command(
    "jobs undo",
    epilog=examples(
        "regulars jobs undo job_0123456789abcdef --dry-run",
        "regulars jobs undo imp_0123456789abcdef",
    ),
)
@with_connection
def jobs_undo(
    job_id: JobId,
    dry_run: options.DryRun = False,
    no_wait: NoWait = False,
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Undo a bulk edit, an import or an undo.

    Values that were changed since are kept. The command prints why, with examples.
    """
    variables = {"id": job_id, "dryRun": dry_run}
    run_job(connection, _UNDO, variables, no_wait, as_json)


def run_job(
    connection: Connection,
    document: str,
    variables: dict[str, Any],
    no_wait: bool,
    as_json: bool | None,
) -> None:
    """Start a job by a mutation that selects its id, and wait for it. Exit with 1 if it fails."""
    from regulars.cli.client import fetch_data

    async def work(client: Client) -> dict[str, Any]:
        (started,) = (await fetch_data(client, document, **variables)).values()
        if not no_wait:
            await client.run_job(started["id"])
        job = await _get(client, started["id"])
        while not no_wait and job["state"] not in _ENDED:
            job = await _get(client, started["id"])
            await asyncio.sleep(_POLL_SECONDS * (job["state"] not in _ENDED))
        return job

    job = connection.run(work)
    print_dry_run(bool(variables["dryRun"]))
    _print_job(job, as_json)
    if job["state"] == "failed":
        raise typer.Exit(1)


async def _get(client: Client, job_id: str) -> dict[str, Any]:
    from regulars.cli.client import fetch_data

    job: dict[str, Any] | None = (await fetch_data(client, _GET, id=job_id))["job"]
    if job is None:
        raise UsageError(f"No job has the id {job_id!r}. List the jobs with `regulars jobs list`.")
    return job


def _print_job(job: dict[str, Any], as_json: bool | None) -> None:
    if wants_json(as_json):
        print_json(job)
        return
    shown = {**job, "actor": job["actor"]["name"]}
    problems, segments = shown.pop("problems"), shown.pop("segments", ())
    print_record(shown)
    for segment in segments:
        name = segment["name"]
        if segment["renamed"]:
            print(f"The segment {name!r} names the new tag.")
        else:
            print(f"The query of the segment {name!r} would be too long. Change it.")
    for problem in problems:
        print(f"{problem['count']:,} × {problem['message']} ({', '.join(problem['examples'])})")


def parse_values(texts: Any) -> dict[str, Any]:
    """Return the input of the values of --set. Raises UsageError."""
    node: dict[str, Any] = {}
    names = {field.name for field in WRITABLE}
    objects = names_of(WRITABLE, Address, Json)
    for text in texts:
        path, equals, value = text.partition("=")
        name, dot, part = path.partition(".")
        if not equals or name not in names:
            raise UsageError(
                f"--set {text!r} is not FIELD=VALUE. The field is one of a customer, such as "
                "phone, notes, custom.NAME or shipping_address.city."
            )
        if name in objects:
            is_known = part in PARTS or name not in names_of(WRITABLE, Address)
            if not dot or not part or not is_known:
                raise UsageError(f"--set {path}: name a part, such as {name}.NAME=VALUE.")
            parsed = _json_scalar(value) if name in names_of(WRITABLE, Json) else value
            node.setdefault(name, {})[part] = parsed
        elif name in names_of(WRITABLE, Flag):
            if value not in ("true", "false"):
                raise UsageError(f"--set {path} takes true or false, not {value!r}.")
            node[name] = value == "true"
        else:
            node[name] = value
    return node


def _json_scalar(text: str) -> Any:
    """Return a number, true or false as such, and other values as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _parse_amount(text: str) -> dict[str, Any]:
    name, _, amount = text.partition("=")
    try:
        return {"field": name, "amount": float(amount)}
    except ValueError:
        message = f"--add {text!r} is not custom.NAME=AMOUNT, such as custom.points=10."
        raise UsageError(message) from None
