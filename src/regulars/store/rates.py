"""The queries of rate limits: a token bucket that several processes share (PostgreSQL).

A level is in thousandths of a point: points per second times milliseconds. The time is the
database's, so that all processes use one clock.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.columns import Number
from regulars.store.query import Query, number
from regulars.store.tables import buckets


def _now() -> sa.ColumnElement[int]:
    seconds = sa.extract("epoch", sa.func.clock_timestamp())
    return sa.cast(sa.func.floor(seconds * 1000), Number)


def _level(now: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    """The level of the bucket at a time."""
    elapsed_ms = sa.func.greatest(sa.literal_column("0"), now - buckets.c.at)
    return sa.func.greatest(sa.literal_column("0"), buckets.c.level - elapsed_ms * number("rate"))


@cache
def take() -> Query:
    """Add `wanted` to the bucket of a token, unless its level would exceed `burst`: a row with the
    new level, or none."""
    from sqlalchemy.dialects.postgresql import insert as insert_into

    # The time is read once: Citus accepts no function call in an ON CONFLICT clause.
    new = {
        "account_id": number("account_id"),
        "token_id": sa.bindparam("token_id", type_=sa.Text()),
        "level": number("wanted"),
        "at": _now(),
    }
    insert = insert_into(buckets).values(new)
    at = insert.excluded.at
    new_level = _level(at) + number("wanted")
    statement = insert.on_conflict_do_update(
        index_elements=[buckets.c.account_id, buckets.c.token_id],
        set_={"level": new_level, "at": sa.func.greatest(buckets.c.at, at)},
        where=new_level <= number("burst"),
    )
    return Query(statement.returning(buckets.c.level))


@cache
def wanting() -> Query:
    """By how much `wanted` would exceed `burst`, in thousandths of a point."""
    statement = sa.select(_level(_now()) + number("wanted") - number("burst")).where(
        buckets.c.account_id == number("account_id"),
        buckets.c.token_id == sa.bindparam("token_id", type_=sa.Text()),
    )
    return Query(statement)
