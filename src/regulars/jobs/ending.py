"""Ending a job: the statements of one transaction, with the events of the webhooks about it.

An event is a delivery from the start, because a job is no change of a customer and is not in the
history. It is created only if the job ends by this transaction: none is lost, and none is created
twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store import imports
from regulars.store.imports import FILE, IDS, unfinished_job
from regulars.store.queries import lock_account, of_account
from regulars.store.query import Query, Statement, number
from regulars.store.tables import deliveries, webhooks

# The type of the events, and the number from which their deliveries are counted. The numbers of
# other deliveries are those of changes. The milliseconds since 1970 are added, so that the events
# are sent in their order.
JOB_ENDED = "job/ended"
FIRST_NUMBER = 10**17


def end_statements(
    account_id: int,
    job_id: str,
    state: str,
    now: int,
    message: str | None = None,
    problems: str | None = None,
    source: str | None = None,
) -> list[Statement]:
    """Return the statements that end a job which waits or runs, and delete its file or its ids. The
    last one changes a row if the job ends by it."""
    params: Mapping[str, Any] = {
        "account_id": account_id,
        "import_id": job_id,
        "part": 0,
        "new_state": state,
        "new_message": message,
        "new_problems": problems,
        "new_source": source,
        "now": now,
        "first_number": FIRST_NUMBER,
    }
    return [
        # The job ends once, and no webhook is created meanwhile that would miss the event.
        (lock_account(), params),
        *((imports.delete_parts(), {**params, "kind": kind}) for kind in (FILE, IDS)),
        (_wake_webhooks(), params),
        (_insert_deliveries(), params),
        (imports.end_import(), params),
    ]


def _of_events() -> tuple[sa.ColumnElement[bool], ...]:
    """Select the webhooks that get the end of the job."""
    is_of_type = webhooks.c.type == sa.literal_column(f"'{JOB_ENDED}'")
    return of_account(webhooks), is_of_type, unfinished_job(webhooks)


@cache
def _wake_webhooks() -> Query:
    """Make the webhooks due at the time `now`. A worker that releases one of them sees the
    deliveries, because it waits for this transaction."""
    return Query(webhooks.update().where(*_of_events()).values(next_at=number("now")))


@cache
def _insert_deliveries() -> Query:
    """Insert a delivery for each of the webhooks, also for paused ones."""
    other = deliveries.alias("other")
    last = (
        sa.select(sa.func.coalesce(sa.func.max(other.c.number), sa.literal_column("0")))
        .where(
            other.c.account_id == webhooks.c.account_id,
            other.c.webhook_id == webhooks.c.webhook_id,
        )
        .correlate(webhooks)
        .scalar_subquery()
    )
    next_number = number("first_number") + number("now")
    values: dict[str, sa.ColumnElement[Any]] = {
        "account_id": webhooks.c.account_id,
        "webhook_id": webhooks.c.webhook_id,
        "number": sa.case((last < next_number, next_number), else_=last + sa.literal_column("1")),
        "state": sa.literal_column("'pending'"),
        "attempts": sa.literal_column("0"),
        "tries": sa.literal_column("0"),
        "due_at": number("now"),
        "created_at": number("now"),
        "job_id": sa.bindparam("import_id", type_=sa.Text()),
    }
    row = sa.select(*values.values()).where(*_of_events())
    return Query(deliveries.insert().from_select(list(values), row))
