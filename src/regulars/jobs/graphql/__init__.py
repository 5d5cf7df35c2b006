"""Jobs in the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from regulars.api.connections import Connection, connection_types
from regulars.api.context import Context
from regulars.api.guards import WRITE_COST, needs, price_of_page, price_of_write
from regulars.api.part import ApiPart
from regulars.api.values import timestamp_of
from regulars.api.writing import write
from regulars.core.commands import IdempotencyRecord
from regulars.core.dry_run import DryRun
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.ids import encoder
from regulars.core.paging import encode, load, page_of
from regulars.core.scopes import READ, WRITE
from regulars.customers import history
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
from regulars.jobs.commands import EditCustomers, JobResult
from regulars.jobs.edits import parse_edit
from regulars.jobs.graphql.edits import prepare_edit, prepare_renaming
from regulars.jobs.graphql.reverts import revert_change
from regulars.jobs.problems import JobNotFound
from regulars.jobs.starting import StartJobBuilder, cancel, find_job, segments_of, undo_command
from regulars.jobs.values import CANCELLED, UNENDED, details_of, job_to_json
from regulars.jobs.wakeup import wake
from regulars.store import Row, imports
from regulars.store.imports import BULK, RECEIVING

JOB_COST = 100 * WRITE_COST
_KEYSET = ("created_at", "import_id")
# What `jobs` does not read.
_ONLY_OF_ONE: Mapping[str, Any] = {"preview": [], "segments": []}
_Prepare = Callable[[Context, dict[str, Any]], Awaitable[StartJobBuilder]]


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
            rows = [imports.row_of(row) for row in read]
            cut = page.cut(rows, is_behind=page.after is not None)
            columns = connection.columns
            tuples = []
            for row in cut.rows:
                tuples.append(
                    _tuple(
                        {**job_to_json(row), "import_id": row["import_id"], **_ONLY_OF_ONE},
                        columns,
                    )
                )
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
    if "segments" in layout.columns:
        described["segments"] = await _segments(env, row)
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
        row["import_id"], 0, tuple(ids), edit, env.now, env.origin, is_draft=True
    )
    draft = await env.directory.write(env.account_id, DryRun(command))
    return [
        {
            "customer_id": encoder("Customer")([entry["customer_id"]])[0],
            "fields": history.fields(entry["fields"]),
        }
        for entry in draft.entries
    ]


async def _segments(env: Context, row: Row) -> list[dict[str, Any]]:
    """Return the segments in which a job has renamed tags."""
    changes = await segments_of(env.directory.primary, env.account_id, row["import_id"])
    ids = encoder("Segment")([each["segment_id"] for each in changes])
    return [
        {"id": id_, "_id": each["segment_id"], "name": each["name"], "renamed": each["renamed"]}
        for id_, each in zip(ids, changes, strict=True)
    ]


def _start(layouts: Layouts, prepare: _Prepare) -> Resolve:
    """Return a field that starts a job. `prepare` returns the function that makes its command."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        build = await prepare(env, arguments)

        async def execute(record: IdempotencyRecord | None) -> Any:
            return await env.directory.write(env.account_id, build(record))

        result = await write(env, execute)
        wake()
        if isinstance(result, JobResult):
            return await _render(env, result.row, layouts)
        row = await find_job(env.directory.primary, env.account_id, result["job_id"])
        if row is None:
            raise Rejected(JobNotFound(result["job_id"]))
        return await _render(env, row, layouts)

    return resolve


async def _prepare_undo(env: Context, arguments: dict[str, Any]) -> StartJobBuilder:
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
        "updateCustomers": Root(partial(_start, prepare=prepare_edit), guard, _price),
        "renameTags": Root(partial(_start, prepare=prepare_renaming), guard, _price),
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
                "segments": Nested(("segments",), can_be_large=True),
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
