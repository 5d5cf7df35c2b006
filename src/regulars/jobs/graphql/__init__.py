"""Jobs in the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context
from regulars.api.guards import WRITE_COST, needs, price_of_page, price_of_write
from regulars.api.part import ApiPart
from regulars.api.values import timestamp_of
from regulars.api.writing import write
from regulars.core.commands import Command, IdempotencyRecord, Origin
from regulars.core.dry_run import DryRun
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.ids import encoder
from regulars.core.paging import encode, load, page_of
from regulars.core.scopes import READ, WRITE
from regulars.customers import history
from regulars.customers.commands import Reference, reference_to
from regulars.customers.listing import customer_page
from regulars.graphql import (
    Arguments,
    Layouts,
    Nested,
    Resolve,
    Root,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.jobs.commands import EditCustomers, JobResult, StartJob
from regulars.jobs.edits import Edit, parse_edit
from regulars.jobs.graphql.reverts import revert_change
from regulars.jobs.problems import FoundMore, JobNotFound
from regulars.jobs.starting import cancel, find_job, new_job, undo_command
from regulars.jobs.values import CANCELLED, UNENDED, details_of, job_to_json
from regulars.jobs.wakeup import wake
from regulars.segments.searching import parse_search
from regulars.store import Row, imports
from regulars.store.imports import BULK, RECEIVING

MAX_ITEMS = 1_000
JOB_COST = 100 * WRITE_COST
_KEYSET = ("created_at", "import_id")
_PREVIEWED = 10
_TOLERANCE = 10


class _JobCursors:
    """The cursors of the list of jobs: `["job", created_at, id]`."""

    mismatch = (
        "This is not a cursor of a job. Use `cursor` of an edge, or `endCursor`, from `jobs`."
    )

    @staticmethod
    def decode(text: str) -> tuple[int, str] | None:
        decoded = load(text)
        match decoded:
            case ["job", int(created_at), str(job_id)] if 0 <= created_at < 2**62 and imports.is_id(
                job_id
            ):
                return created_at, job_id
        return None

    @staticmethod
    def encode(created_at: Sequence[int], ids: Sequence[str]) -> list[str]:
        return encode(["job"] * len(ids), created_at, ids)


_CURSORS = _JobCursors()


def job(layouts: Layouts) -> Resolve:
    """Resolve a job by its id."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        row = await find_job(env.directory.primary, env.account_id, arguments["id"])
        return None if row is None else await _render(env, row, layouts)

    return resolve


def jobs(layouts: Layouts) -> Resolve:
    """Resolve a page of the jobs."""
    connection = Connection(layouts.only, _KEYSET, _CURSORS.encode)
    is_paged = layouts.only.selects("edges", "pageInfo")
    is_counted = layouts.only.selects("totalCount")

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        page = page_of(arguments, _CURSORS, "jobs", env.directory.limits.page_size)
        store, parameters = env.directory.primary, {"account_id": env.account_id}
        result: dict[str, Any] = {}
        if is_counted:
            ((result["totalCount"],),) = await store.fetch(imports.count_jobs(), parameters)
        if is_paged:
            after = {}
            if page.after is not None:
                after["after_time"], after["after_id"] = page.after
            query = imports.page_of_jobs(imports.COLUMNS, bool(after))
            read = await store.fetch(query, {**parameters, **after, "limit": page.limit})
            rows = [dict(zip(imports.COLUMNS, row, strict=True)) for row in read]
            cut = page.cut(rows, is_behind=page.after is not None)
            columns = connection.columns
            tuples = []
            for row in cut.rows:
                tuples.append(_tuple({**job_to_json(row), "preview": []}, columns))
                await asyncio.sleep(0)  # a job can have a large edit
            shown = connection.row(cut._replace(rows=tuples), ())
            edges = await connection.edges.load_related(tuples, env)
            result |= {**shown, "edges": edges}
        return result

    return resolve


async def _render(env: Context, row: Row, layouts: Layouts) -> Any:
    layout, described = layouts.only, job_to_json(row)
    if "preview" in layout.columns:
        described["preview"] = await _preview(env, row)
    (filled,) = await layout.load_related([_tuple(described, layout.columns)], env)
    return filled


def _tuple(described: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple([described[name] for name in columns])


async def _preview(env: Context, row: Row) -> list[dict[str, Any]]:
    """Return what a dry run of a bulk edit would change now, of its first customers. It is not
    stored, because it has values of customers."""
    details = details_of(row)
    if row["kind"] != BULK or "edit" not in details or row["state"] == CANCELLED:
        return []
    ids = details.get("first_ids", [])
    edit, problems = parse_edit(details["edit"])
    if not ids or problems:
        return []
    command = EditCustomers(
        row["import_id"], 0, tuple(ids), edit, env.now, Origin("token", ""), is_draft=True
    )
    draft = await env.directory.write(env.account_id, DryRun(command))
    return [
        {
            "customer_id": encoder("Customer")([entry["customer_id"]])[0],
            "fields": history.fields(entry["fields"]),
        }
        for entry in draft.entries
    ]


def _start(layouts: Layouts, prepare: Any) -> Resolve:
    """Return a field that starts a job. `prepare` returns the function that makes its command."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        build = await prepare(env, arguments)

        async def execute(record: IdempotencyRecord | None) -> Any:
            command: Command = build(record)
            return await env.directory.write(env.account_id, command)

        result = await write(env, execute)
        wake()
        if isinstance(result, JobResult):
            return await _render(env, result.row, layouts)
        row = await find_job(env.directory.primary, env.account_id, result["job_id"])
        if row is None:
            raise Rejected(JobNotFound(result["job_id"]))
        return await _render(env, row, layouts)

    return resolve


_EDITS = {
    "node": "node",
    "addTags": "add_tags",
    "removeTags": "remove_tags",
    "removeCustom": "remove_custom",
    "increments": "increments",
}


async def _prepare_edit(env: Context, arguments: dict[str, Any]) -> Any:
    has_search = any(arguments.get(name) is not None for name in ("query", "segment"))
    if has_search == (arguments.get("items") is not None):
        message = (
            "Pass `items`, or else `query`, `segment` or both. `query` with an empty text means "
            "all customers."
        )
        raise Rejected(InvalidInput(message, ("items" if has_search else "query",)))
    source = {
        key: arguments[name] for name, key in _EDITS.items() if arguments.get(name) is not None
    }
    edit, problems = parse_edit(source)
    if problems:
        raise Rejected(*problems)
    if edit.is_empty:
        message = "The edit changes nothing. Set a field, or add or remove a tag."
        raise Rejected(InvalidInput(message, ("node",)))
    references = _references(arguments.get("items"))
    first_ids = await _check_count(env, arguments)
    details = {
        "dry_run": bool(arguments.get("dryRun")),
        "silent": bool(arguments.get("silent")),
        "edit": source,
        **{
            n: arguments[n]
            for n in ("query", "segment", "expected")
            if arguments.get(n) is not None
        },
    }
    if details["dry_run"]:
        ids = [r.customer_id for r in references or () if r.customer_id is not None]
        details["first_ids"] = ids[:_PREVIEWED] if references is not None else first_ids
    return _builder(env, edit, details, references)


def _builder(
    env: Context,
    edit: Edit,
    details: Mapping[str, Any],
    references: tuple[Reference, ...] | None,
) -> Any:
    row = new_job(env.account_id, BULK, edit.name, env.origin, env.received_at, details)

    def build(record: IdempotencyRecord | None) -> StartJob:
        return StartJob(row, env.received_at, references, (), record, env.origin)

    return build


def _references(items: Sequence[str] | None) -> tuple[Reference, ...] | None:
    if items is None:
        return None
    if not 0 < len(items) <= MAX_ITEMS:
        message = (
            f"`items` has {len(items):,} ids; send 1 to {MAX_ITEMS:,}. For more customers, pass a "
            "`query` or a `segment`."
        )
        raise Rejected(InvalidInput(message, ("items",)))
    return tuple([reference_to(text) for text in items])


async def _check_count(env: Context, arguments: dict[str, Any]) -> list[int]:
    """Check the query, and the number of customers that it finds. Return the first ids."""
    expected = arguments.get("expected")
    if expected is not None and expected < 0:
        raise Rejected(InvalidInput("`expected` must be 0 or greater.", ("expected",)))
    max_count = None if expected is None else expected + expected // _TOLERANCE

    def check(count: int) -> None:
        if expected is not None and max_count is not None and count > max_count:
            raise Rejected(FoundMore(count, expected))

    if arguments.get("items") is not None:
        check(len(set(arguments["items"])))
        return []
    search = await parse_search(
        env.directory.primary,
        env.account_id,
        arguments.get("query") or "",
        env.directory.limits.search_characters,
        arguments.get("segment"),
    )
    selected = customer_page({"first": _PREVIEWED}, search, env.now, _PREVIEWED)
    if max_count is not None:
        check(await env.directory.count(env.account_id, selected))
    if not arguments.get("dryRun"):
        return []
    page = await env.directory.page(env.account_id, selected, ("order_value", "customer_id"))
    return [row[1] for row in page.rows]


async def _prepare_undo(env: Context, arguments: dict[str, Any]) -> Any:
    return await undo_command(
        env.directory.primary,
        env.account_id,
        arguments["id"],
        env.origin,
        env.received_at,
        bool(arguments.get("dryRun")),
    )


def cancel_job(layouts: Layouts) -> Resolve:
    """Cancel a job."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        store, job_id = env.directory.primary, arguments["id"]
        row = await find_job(store, env.account_id, job_id)
        if row is None:
            raise Rejected(JobNotFound(job_id))
        if row["state"] in UNENDED:
            if row["state"] == RECEIVING:
                message = "The file of this import is still being received. Delete the import."
                raise Rejected(InvalidInput(message, ("id",)))
            await cancel(env.directory.store, env.account_id, row, env.now)
            wake()
            row = await find_job(store, env.account_id, job_id) or row
        return await _render(env, row, layouts)

    return resolve


def _price(_arguments: Arguments, fixed: int, _per_row: int) -> int:
    return JOB_COST + fixed


def _roots(page_size: int) -> Mapping[str, Root]:
    guard = needs(WRITE, READ)
    return {
        # A preview decides about ten customers.
        "job": Root(job, guard, price_of_write),
        "jobs": Root(jobs, guard, partial(price_of_page, page_size)),
        "updateCustomers": Root(partial(_start, prepare=_prepare_edit), guard, _price),
        "undoJob": Root(partial(_start, prepare=_prepare_undo), guard, _price),
        "cancelJob": Root(cancel_job, guard),
        "revertChange": Root(revert_change, guard, price_of_write),
    }


API = ApiPart(
    {
        **connection_types("Job", _KEYSET, _CURSORS.encode, {"totalCount": Value(("totalCount",))}),
        "Job": TypeBinding(
            {
                **{
                    name: Value((name,))
                    for name in (
                        *("id", "kind", "state", "name", "dry_run", "silent", "total", "done"),
                        *("changed", "unchanged", "rejected", "message", "undone_by", "undo_of"),
                        "can_undo",
                    )
                },
                "actor": SameRow(),
                "problems": Nested(("problems",), can_be_large=True),
                "preview": Nested(("preview",), can_be_large=True),
                "created_at": timestamp_of("created_at"),
                "ended_at": timestamp_of("ended_at"),
            }
        ),
        "JobProblem": TypeBinding(
            {name: Value((name,)) for name in ("message", "count", "examples")},
            has_dict_rows=True,
        ),
        "JobPreview": TypeBinding(
            {"customer_id": Value(("customer_id",)), "fields": Nested(("fields",))},
            has_dict_rows=True,
        ),
    },
    _roots,
)
