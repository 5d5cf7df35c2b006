"""The queries of the process that evaluates watched segments.

A worker claims the watched segments of an account for a limited time. A claim only avoids that two
workers do the same: an evaluation is saved if the position of the segment is still the one that it
began with.
"""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.customers import history as kinds
from regulars.segments.queries import COLUMNS
from regulars.segments.table import memberships, segments
from regulars.store.queries import columns_named, of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import counters, history
from regulars.store.tokens import in_enabled_account


def _is_watched() -> sa.ColumnElement[bool]:
    return segments.c.watched == sa.true()


def _is_claimed() -> sa.ColumnElement[bool]:
    worker_id = sa.bindparam("worker_id", type_=sa.Text())
    return sa.and_(of_account(segments), segments.c.claimed_by == worker_id)


@cache
def accounts_with_work(of_accounts: bool = False) -> Query:
    """At most `limit` enabled accounts with a watched segment that is to be evaluated and that no
    worker has claimed at the time `now`: the account. With `of_accounts`, only of the accounts
    `ids`."""
    has_work = sa.or_(segments.c.position < counters.c.changes, segments.c.due_at <= number("now"))
    statement = (
        sa.select(segments.c.account_id)
        .select_from(segments.join(counters, counters.c.account_id == segments.c.account_id))
        .where(_is_watched(), segments.c.claimed_until <= number("now"), has_work)
        .where(in_enabled_account(segments))
    )
    if of_accounts:
        # Citus asks only their nodes if the condition is on both tables.
        for table in (segments, counters):
            statement = statement.where(any_of(table.c.account_id, "ids"))
    return Query(statement.distinct().limit(number("limit")))


@cache
def claim() -> Query:
    """Claim the watched segments of an account for the worker `worker_id` until `until`, but for
    those that are claimed: whole rows."""
    statement = segments.update().where(
        of_account(segments), _is_watched(), segments.c.claimed_until <= number("now")
    )
    claimed = statement.where(in_enabled_account(segments)).values(
        claimed_by=sa.bindparam("worker_id", type_=sa.Text()), claimed_until=number("until")
    )
    return Query(claimed.returning(*columns_named(segments, COLUMNS)))


@cache
def extend_claim() -> Query:
    """Extend the worker's claim: the number of the claimed segments."""
    return Query(segments.update().where(_is_claimed()).values(claimed_until=number("until")))


@cache
def release() -> Query:
    """End the worker's claim of the segments `segment_ids`. They can be claimed again from `until`
    on."""
    statement = segments.update().where(_is_claimed(), any_of(segments.c.segment_id, "segment_ids"))
    return Query(statement.values(claimed_by=sa.null(), claimed_until=number("until")))


@cache
def clear_claims() -> Query:
    """End all claims: for the only worker of a database, at its start."""
    is_claimed = segments.c.claimed_by.is_not(None)
    return Query(segments.update().where(is_claimed).values(claimed_by=sa.null(), claimed_until=0))


@cache
def move_position() -> Query:
    """Move the segments `segment_ids` from the position `expected` to `position`. Its count is that
    of the moved segments."""
    statement = segments.update().where(
        _is_claimed(),
        any_of(segments.c.segment_id, "segment_ids"),
        segments.c.position == number("expected"),
    )
    return Query(statement.values(position=number("position")))


@cache
def lag() -> Query:
    """One row: how many changes of all accounts are not evaluated yet for a watched segment."""
    behind = (
        sa.select(sa.func.max(counters.c.changes - segments.c.position).label("entries"))
        .select_from(segments.join(counters, counters.c.account_id == segments.c.account_id))
        .where(_is_watched())
        .group_by(segments.c.account_id)
        .subquery("behind")
    )
    return Query(sa.select(sa.func.sum(behind.c.entries)))


@cache
def changes_to_evaluate() -> Query:
    """At most `limit` changes after the number `after` and up to `last`, but for the entries of
    segments: number, customer, kind, whether it is silent."""
    columns = columns_named(history, ("sequence", "customer_id", "kind", "silent"))
    statement = sa.select(*columns).where(
        of_account(history),
        history.c.sequence > number("after"),
        history.c.sequence <= number("last"),
        history.c.kind.not_in(
            [sa.literal_column(f"'{kind}'") for kind in (kinds.SEGMENT_ENTERED, kinds.SEGMENT_LEFT)]
        ),
    )
    return Query(statement.order_by(history.c.sequence).limit(number("limit")))


@cache
def deletions() -> Query:
    """The deletions of the members of the segment `segment_id` after the change `after` and up to
    `last`: the customer."""
    member: sa.Select[int] = sa.select(sa.literal_column("1")).where(
        memberships.c.account_id == history.c.account_id,
        memberships.c.segment_id == number("segment_id"),
        memberships.c.customer_id == history.c.customer_id,
        memberships.c.removed_at.is_(None),
    )
    statement = sa.select(history.c.customer_id).where(
        of_account(history),
        history.c.sequence > number("after"),
        history.c.sequence <= number("last"),
        history.c.kind == sa.literal_column(f"'{kinds.DELETED}'"),
        member.correlate(history).exists(),
    )
    return Query(statement.distinct().limit(number("limit")))


@cache
def changed_customers() -> Query:
    """The customers among `ids` with a change after the number `after`: the id."""
    statement = sa.select(history.c.customer_id).where(
        of_account(history),
        any_of(history.c.customer_id, "ids"),
        history.c.sequence > number("after"),
    )
    return Query(statement.distinct())
