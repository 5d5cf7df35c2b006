"""Events that came in and were not understood: the statements that keep and forget them."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, number
from regulars.store.tables import counters, inbox, inbox_keys

COLUMNS = tuple(str(column.name) for column in inbox.columns)


def _this_event() -> sa.ColumnElement[bool]:
    same = inbox.c.inbox_id == sa.bindparam("inbox_id", type_=sa.Text())
    return sa.and_(of_account(inbox), same)


@cache
def note_again() -> Query:
    """An event that is kept already came again, at the moment `received_at`."""
    values = {
        "problem": sa.bindparam("problem", type_=sa.Text()),
        "received_at": number("received_at"),
        "times": inbox.c.times + 1,
    }
    return Query(inbox.update().where(_this_event()).values(values))


@cache
def keep_event() -> Query:
    """An event that could not be understood, unless it is kept already: a parameter for each
    column, of its name."""
    there: sa.Select[Any] = sa.select(sa.literal_column("1")).where(_this_event())
    given = [sa.bindparam(c.name, type_=c.type) for c in inbox.c if c.name != "account_id"]
    # Beside the account's counters, whose row says on which node of Citus they are.
    row = sa.select(counters.c.account_id, *given).where(of_account(counters), ~sa.exists(there))
    return Query(inbox.insert().from_select([c.name for c in inbox.c], row))


@cache
def keep_key() -> Query:
    """A key of an event that is kept, unless it is there already: `inbox_id` and `key`."""
    given = {c.name: sa.bindparam(c.name, type_=c.type) for c in inbox_keys.c}
    there: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        of_account(inbox_keys),
        inbox_keys.c.key == given["key"],
        inbox_keys.c.inbox_id == given["inbox_id"],
    )
    columns = (counters.c.account_id, given["key"], given["inbox_id"])
    row = sa.select(*columns).where(of_account(counters), ~sa.exists(there))
    return Query(inbox_keys.insert().from_select([c.name for c in inbox_keys.c], row))


@cache
def forget_event() -> Query:
    """An event that has been understood after all, or is given up."""
    return Query(inbox.delete().where(_this_event()))


@cache
def forget_keys() -> Query:
    """The keys of the event `inbox_id`."""
    same = inbox_keys.c.inbox_id == sa.bindparam("inbox_id", type_=sa.Text())
    return Query(inbox_keys.delete().where(of_account(inbox_keys), same))


@cache
def forget_old_events() -> Query:
    """Events of any account that came last at the moment `before` or earlier."""
    return Query(inbox.delete().where(inbox.c.received_at <= number("before")))


@cache
def forget_old_keys() -> Query:
    """The keys, of any account, of events that are no longer kept."""
    same = (
        inbox.c.account_id == inbox_keys.c.account_id,
        inbox.c.inbox_id == inbox_keys.c.inbox_id,
    )
    there: sa.Select[Any] = sa.select(sa.literal_column("1")).where(*same)
    return Query(inbox_keys.delete().where(~there.correlate(inbox_keys).exists()))


@cache
def kept_events() -> Query:
    """The account's events that could not be understood, whole, oldest first."""
    statement = sa.select(*inbox.columns).where(of_account(inbox))
    return Query(statement.order_by(inbox.c.received_at, inbox.c.inbox_id))
