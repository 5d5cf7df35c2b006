"""Reading, starting and cancelling jobs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from regulars.core.commands import IdempotencyRecord, Origin
from regulars.core.errors import Rejected
from regulars.jobs.commands import StartJob
from regulars.jobs.ending import end_statements
from regulars.jobs.problems import JobNotFound
from regulars.jobs.values import CANCELLED, SEGMENTS, details_of, ended_source, name_of
from regulars.segments.commands import SegmentChange
from regulars.store import Row, Store, imports
from regulars.store.imports import PENDING, PULL, UNDO

# Makes the command which starts a job, with its idempotency record.
StartJobBuilder = Callable[[IdempotencyRecord | None], StartJob]
_COUNTS = ("position", "bytes_read", "created", "updated", "unchanged", "rejected", "rejected_at")


async def find_import(store: Store, account_id: int, import_id: str) -> Row | None:
    """Return the row of an import, a pull or another job, or None."""
    if not imports.is_id(import_id):
        return None
    params = {"account_id": account_id, "import_id": import_id}
    rows = await store.fetch(imports.import_by_id(), params)
    return imports.row_of(rows[0]) if rows else None


async def find_job(store: Store, account_id: int, job_id: str) -> Row | None:
    """Return the row of a job, or None. A pull is no job."""
    row = await find_import(store, account_id, job_id)
    return row if row and row["kind"] != PULL else None


async def segments_of(store: Store, account_id: int, job_id: str) -> Sequence[SegmentChange]:
    """Return what a job has changed in segments."""
    params = {"account_id": account_id, "import_id": job_id, "kind": SEGMENTS}
    rows = await store.fetch(imports.parts_from(), {**params, "part": 0, "limit": 1})
    changes: list[SegmentChange] = orjson.loads(rows[0][1]) if rows else []
    return changes


async def cancel(store: Store, account_id: int, row: Row, now: int) -> None:
    """Cancel a job that waits or runs."""
    statements = end_statements(
        account_id, row["import_id"], CANCELLED, now, "Cancelled.", source=ended_source(row)
    )
    await store.execute(statements)


def new_job(
    account_id: int,
    kind: str,
    name: str,
    origin: Origin,
    now: int,
    details: Mapping[str, Any],
    undo_of: str | None = None,
) -> Row:
    """Return the row of a new job that waits."""
    source = {"actor_kind": origin.kind, "request_id": origin.request_id, **details}
    return {
        "account_id": account_id,
        "import_id": f"job_{secrets.token_hex(8)}",
        "kind": kind,
        "state": PENDING,
        "name": name,
        "fingerprint": "",
        "source": orjson.dumps(source).decode(),
        "actor": origin.name,
        "size": None,
        **dict.fromkeys(_COUNTS, 0),
        "last_rejected": "[]",
        "problems": "{}",
        "message": None,
        "cursor": None,
        "created_at": now,
        "updated_at": now,
        "ended_at": None,
        "claimed_by": None,
        "claimed_until": 0,
        **dict.fromkeys(("first_change", "last_change", "undone_by")),
        "undo_of": undo_of,
    }


async def undo_command(
    store: Store, account_id: int, job_id: str, origin: Origin, now: int, dry_run: bool
) -> StartJobBuilder:
    """Return the function that makes the command which starts the undo of a job. Raises Rejected
    with JobNotFound."""
    row = await find_job(store, account_id, job_id)
    if row is None:
        raise Rejected(JobNotFound(job_id))
    details = {
        "dry_run": dry_run,
        "silent": bool(details_of(row).get("silent")),
        "first_change": row["first_change"],
        "last_change": row["last_change"],
    }
    new = new_job(account_id, UNDO, name_of(row), origin, now, details, undo_of=job_id)
    new = {**new, "size": row["created"] + row["updated"]}
    related = (job_id, row["undone_by"]) if row["undone_by"] else (job_id,)
    return partial(StartJob, new, now, None, related, origin=origin)
