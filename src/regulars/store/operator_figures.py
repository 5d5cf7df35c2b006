"""The queries of the metrics about work that waits or has failed, of all accounts."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.query import Query
from regulars.store.tables import counters, deliveries, history, imports, inbox, webhooks

FIGURES = (
    "disabled_webhooks",
    "failing_webhooks",
    "waiting_webhooks",
    "webhook_oldest_event_at",
    "imports_waiting",
    "imports_failed",
    "inbox_events",
)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


@cache
def webhook_figures() -> Query:
    """One row: how many webhooks are disabled (but not paused), failing, and waiting; and the time
    of the oldest change that was not delivered, in milliseconds since 1970, or null."""
    pending = sa.and_(
        deliveries.c.account_id == webhooks.c.account_id,
        deliveries.c.webhook_id == webhooks.c.webhook_id,
        deliveries.c.due_at.is_not(None),
    )
    has_failed = sa.exists().where(pending, deliveries.c.tries > 0)
    oldest_pending = sa.select(sa.func.min(deliveries.c.created_at)).where(pending)
    next_change = sa.select(history.c.at).where(
        history.c.account_id == webhooks.c.account_id,
        history.c.sequence == webhooks.c.position + 1,
    )
    is_disabled = sa.and_(
        webhooks.c.disabled_at.is_not(None), webhooks.c.disabled_at > webhooks.c.enabled_at
    )
    states = (
        sa.select(
            is_disabled.label("disabled"),
            webhooks.c.paused.label("paused"),
            has_failed.label("failing"),
            oldest_pending.scalar_subquery().label("pending_at"),
            next_change.scalar_subquery().label("change_at"),
        )
        .select_from(webhooks.join(counters, counters.c.account_id == webhooks.c.account_id))
        .subquery()
    )
    columns: Any = states.c
    is_enabled = sa.not_(columns.disabled)
    pending_at, change_at = columns.pending_at, columns.change_at
    # The smaller one of two values that may be null.
    oldest = sa.case(
        (pending_at.is_(None), change_at),
        (change_at.is_(None), pending_at),
        (pending_at < change_at, pending_at),
        else_=change_at,
    )
    statement = sa.select(
        _count(sa.and_(columns.disabled, sa.not_(columns.paused))),
        _count(sa.and_(is_enabled, columns.failing)),
        _count(sa.and_(is_enabled, oldest.is_not(None))),
        sa.func.min(sa.case((is_enabled, oldest))),
    )
    return Query(statement)


@cache
def import_figures() -> Query:
    """One row: how many imports of files and other jobs wait or run, and how many stored ones have
    failed."""
    return Query(
        sa.select(
            _count(
                imports.c.state.in_(
                    [sa.literal_column("'pending'"), sa.literal_column("'running'")]
                )
            ),
            _count(imports.c.state == sa.literal_column("'failed'")),
        ).where(imports.c.kind != sa.literal_column("'pull'"))
    )


@cache
def inbox_figures() -> Query:
    """One row: how many events of shops are in the inboxes."""
    return Query(sa.select(sa.func.count()).select_from(inbox))
