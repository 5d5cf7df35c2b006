"""The statements by which an undo reads the history."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.store.columns import Text
from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import history

_CAUSE: sa.BindParameter[str] = sa.bindparam("cause", type_=Text)
# Entries that are no changes of the customer itself.
_OF_SEGMENTS: list[sa.ColumnElement[str]] = [
    sa.literal_column(f"'{kind}'") for kind in ("segment_entered", "segment_left")
]


@cache
def entries_of_cause() -> Query:
    """At most `limit` entries of a cause, newest first, with a number of at least `first` and below
    `before`: number, customer."""
    statement = sa.select(history.c.sequence, history.c.customer_id).where(
        of_account(history),
        history.c.sequence >= number("first"),
        history.c.sequence < number("before"),
        history.c.cause == _CAUSE,
    )
    return Query(statement.order_by(history.c.sequence.desc()).limit(number("limit")))


@cache
def entries_of_customers() -> Query:
    """At most `limit` entries of a cause about the customers `ids`, oldest first, with a number
    above `after` and up to `last`: number, customer, kind, fields."""
    columns = (history.c.sequence, history.c.customer_id, history.c.kind, history.c.fields)
    statement = sa.select(*columns).where(
        of_account(history),
        any_of(history.c.customer_id, "ids"),
        history.c.sequence > number("after"),
        history.c.sequence <= number("last"),
        history.c.cause == _CAUSE,
    )
    return Query(statement.order_by(history.c.sequence).limit(number("limit")))


@cache
def last_other_entries() -> Query:
    """The last entry about each of the customers `ids` that has another cause and a number above
    `after`: customer, number."""
    statement = sa.select(history.c.customer_id, sa.func.max(history.c.sequence)).where(
        of_account(history),
        any_of(history.c.customer_id, "ids"),
        history.c.sequence > number("after"),
        sa.or_(history.c.cause.is_(None), history.c.cause != _CAUSE),
        history.c.kind.not_in(_OF_SEGMENTS),
    )
    return Query(statement.group_by(history.c.customer_id))


@cache
def entry() -> Query:
    """The entry with the number `sequence`: customer, kind, fields."""
    statement = sa.select(history.c.customer_id, history.c.kind, history.c.fields)
    return Query(statement.where(of_account(history), history.c.sequence == number("sequence")))


@cache
def actors_of() -> Query:
    """The names of the actors of the entries `sequences`: number, name."""
    statement = sa.select(history.c.sequence, history.c.actor)
    return Query(statement.where(of_account(history), any_of(history.c.sequence, "sequences")))
