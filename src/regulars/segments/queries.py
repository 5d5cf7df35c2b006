"""The statements of segments."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.segments.definitions import Definition
from regulars.segments.table import memberships, segments
from regulars.store.columns import Text
from regulars.store.entity import BatchStatement, Change, Where, batch_account
from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import customers

COLUMNS = tuple(str(column.name) for column in segments.c)
MEMBERSHIP_COLUMNS = tuple(str(column.name) for column in memberships.c)


@cache
def all_segments() -> Query:
    """Whole rows of the segments of an account, by `_id`."""
    rows = sa.select(*segments.c).where(of_account(segments))
    return Query(rows.order_by(segments.c.segment_id))


@cache
def definitions() -> Query:
    """The segments of an account: the columns of `Definition`."""
    columns = [segments.c[name] for name in Definition._fields]
    return Query(sa.select(*columns).where(of_account(segments)))


@cache
def segments_by_id() -> Query:
    """Whole rows of the segments `evaluated_segments`."""
    rows = sa.select(*segments.c).where(of_account(segments))
    return Query(rows.where(any_of(segments.c.segment_id, "evaluated_segments")))


@cache
def memberships_of() -> Query:
    """Whole rows of the customers `evaluated_customers` in the segments `evaluated_segments`."""
    rows = sa.select(*memberships.c).where(of_account(memberships))
    of_segments = any_of(memberships.c.segment_id, "evaluated_segments")
    of_customers = any_of(memberships.c.customer_id, "evaluated_customers")
    return Query(rows.where(of_segments, of_customers))


@cache
def existing_customers() -> Query:
    """The customers among `evaluated_customers` that exist: the id."""
    rows = sa.select(customers.c.customer_id).where(of_account(customers))
    return Query(rows.where(any_of(customers.c.customer_id, "evaluated_customers")))


def _is_watched(rows: sa.FromClause) -> sa.ColumnElement[bool]:
    """The condition that the segment of memberships exists and is watched. The memberships of
    others are deleted later, a few at a time."""
    watched: sa.Select[int] = sa.select(sa.literal_column("1")).where(
        segments.c.account_id == rows.c.account_id,
        segments.c.segment_id == rows.c.segment_id,
        segments.c.watched.is_(sa.true()),
    )
    return watched.correlate(rows).exists()


@cache
def segments_of_customers() -> Query:
    """The watched segments of the customers `ids`: customer, segment, by `_id`."""
    pairs = sa.select(memberships.c.customer_id, memberships.c.segment_id).where(
        of_account(memberships),
        any_of(memberships.c.customer_id, "ids"),
        memberships.c.removed_at.is_(None),
        _is_watched(memberships),
    )
    return Query(pairs.order_by(memberships.c.customer_id, memberships.c.segment_id))


@cache
def customers_known_in() -> Query:
    """The customers among `ids` that are, or were until they were deleted, in one of the segments
    `segment_ids`: the id."""
    rows = sa.select(memberships.c.customer_id).where(
        of_account(memberships),
        any_of(memberships.c.customer_id, "ids"),
        any_of(memberships.c.segment_id, "segment_ids"),
    )
    return Query(rows.distinct())


@cache
def members_after() -> Query:
    """At most `limit` customers of the segment `segment_id` after the customer `after`: the id, in
    its order."""
    rows = sa.select(memberships.c.customer_id).where(
        of_account(memberships),
        memberships.c.segment_id == number("segment_id"),
        memberships.c.customer_id > number("after"),
        memberships.c.removed_at.is_(None),
    )
    return Query(rows.order_by(memberships.c.customer_id).limit(number("limit")))


@cache
def delete_old_memberships() -> Query:
    """Delete, for all accounts, the memberships of customers that were deleted at `before` or
    earlier."""
    return Query(memberships.delete().where(memberships.c.removed_at <= number("before")))


@cache
def orphaned_segments() -> Query:
    """At most `limit` segments that have memberships and are not watched: account, `_id`."""
    members = sa.select(memberships.c.account_id, memberships.c.segment_id).distinct()
    found = members.subquery("with_members")
    rows = sa.select(found.c.account_id, found.c.segment_id).where(~_is_watched(found))
    return Query(rows.limit(number("limit")))


@cache
def delete_orphaned_memberships() -> Query:
    """Delete at most `limit` memberships of the segment `segment_id`, unless it is watched."""
    of_segment = memberships.c.segment_id == number("segment_id")
    some = sa.select(memberships.c.customer_id).where(of_account(memberships), of_segment)
    is_one = memberships.c.customer_id.in_(some.limit(number("limit")))
    is_orphaned = ~_is_watched(memberships)
    return Query(
        memberships.delete().where(of_account(memberships), of_segment, is_one, is_orphaned)
    )


def _delete_memberships(where: Where) -> Change:
    of_segments = any_of(memberships.c.segment_id, "watched_segments")
    return memberships.delete().where(
        where(memberships.c.account_id == batch_account(), of_segments)
    )


# Deletes the memberships that the segments `watched_segments` have from an earlier time.
DELETE_MEMBERSHIPS = BatchStatement("deleted_memberships", _delete_memberships)


def _delete_left(where: Where) -> Change:
    segment, customer = (
        sa.cast(memberships.c[name], Text) for name in ("segment_id", "customer_id")
    )
    is_left = any_of(segment + sa.literal_column("':'") + customer, "left_memberships")
    of_customers = (
        memberships.c.account_id == batch_account(),
        any_of(memberships.c.customer_id, "leaving_customers"),
    )
    return memberships.delete().where(where(*of_customers, is_left))


# Deletes the memberships `left_memberships` (`SEGMENT:CUSTOMER`) of the customers
# `leaving_customers`.
DELETE_LEFT = BatchStatement("left_memberships", _delete_left)
