"""The events about jobs: which webhooks get them, and their bodies.

`jobs.ending` creates the deliveries. A body shows the job as it was at its end. It has no problems:
these can quote values of customers, and would be stored with the attempts after an erasure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.core.errors import InvalidInput, Problem
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.jobs.ending import JOB_ENDED
from regulars.jobs.starting import find_job
from regulars.jobs.values import JOBS_VERSION, job_to_json, with_texts
from regulars.store import LoadedRows, Row, Store
from regulars.store.entity import Load
from regulars.store.queries import of_account
from regulars.store.query import Query
from regulars.store.tables import webhooks

# The end of a job creates a delivery for each of them.
MAX_WEBHOOKS = 100
_COUNTED = "job_webhooks"
_OLD_VERSION = (
    "Events about jobs need the last part of the migration, because servers of an older version "
    "would not send them. Run `regulars migrate --contract` when all servers have this version."
)
_COPIED = (
    *("id", "kind", "state", "name", "dry_run", "silent", "total", "done", "changed", "unchanged"),
    *("rejected", "message", "undo_of", "can_undo", "actor", "created_at", "ended_at"),
)
_EXAMPLE: Mapping[str, Any] = {
    "id": "job_0123456789abcdef",
    "kind": "bulk",
    "state": "done",
    "name": "tags",
    "dry_run": False,
    "silent": False,
    "total": 2,
    "done": 2,
    "changed": 2,
    "unchanged": 0,
    "rejected": 0,
    "message": None,
    "undo_of": None,
    "can_undo": True,
    "actor_kind": "token",
    "actor": "Test",
    "created_at": 1_710_771_637_000,
    "ended_at": 1_710_771_639_000,
}


class TooManyJobWebhooks(Problem):
    """The account has the maximum number of webhooks of events about jobs."""

    key = "errors_limit"

    def __init__(self) -> None:
        super().__init__(
            f"This account has {MAX_WEBHOOKS} webhooks of the type `{JOB_ENDED}`, the maximum. "
            "Delete one first.",
            ("node", "type"),
        )


@cache
def _webhooks_of_jobs() -> Query:
    """The `_id`s of the account's webhooks of events about jobs, at most as many as may be."""
    is_of_type = webhooks.c.type == sa.literal_column(f"'{JOB_ENDED}'")
    statement = sa.select(webhooks.c.webhook_id).where(of_account(webhooks), is_of_type)
    return Query(statement.limit(sa.literal_column(str(MAX_WEBHOOKS))))


def _split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {_COUNTED: [{"webhook_id": row[0]} for row in rows]}


LOAD = Load((_COUNTED,), _webhooks_of_jobs, _split)


def lookups_of(values: Mapping[str, Any]) -> dict[str, tuple[bool, ...]]:
    """Return what a write to a webhook looks up if it gets events about jobs."""
    needed = (True,) if values.get("type") == JOB_ENDED else ()
    return {_COUNTED: needed, "table_versions": needed}


def type_problems(
    unit: CustomerUnitOfWork, values: Mapping[str, Any], row: Row | None
) -> list[Problem]:
    """Return the problems of a webhook that is to get events about jobs. `row` is its stored row,
    or None."""
    if values.get("type") != JOB_ENDED or (row and row["type"] == JOB_ENDED):
        return []
    if not unit.has_tables(JOBS_VERSION):
        return [InvalidInput(_OLD_VERSION, ("node", "type"))]
    stored = {each["webhook_id"] for each in unit.state.rows.get(_COUNTED, ())}
    written = {each["webhook_id"]: each["type"] == JOB_ENDED for each in unit.rows[webhooks].all()}
    ids = {number for number in stored if written.get(number, True)}
    ids |= {number for number, is_of_type in written.items() if is_of_type}
    return [TooManyJobWebhooks()] if len(ids) >= MAX_WEBHOOKS else []


async def event_body(store: Store, account_id: int, job_id: str) -> dict[str, Any]:
    """Return the body of the event of the end of a job. A job that was deleted since has only its
    id."""
    row = await find_job(store, account_id, job_id)
    if row is None:
        return {"node": {"id": job_id, "__typename": "Job"}}
    # An undo comes later.
    return {"node": _node(job_to_json({**row, "undone_by": None}))}


def example_body() -> dict[str, Any]:
    """Return an invented body, for a test delivery."""
    return {"node": _node(_EXAMPLE)}


def _node(job: Mapping[str, Any]) -> dict[str, Any]:
    described = with_texts(job)
    return {**{name: described[name] for name in _COPIED}, "__typename": "Job"}
