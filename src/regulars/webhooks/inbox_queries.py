"""The queries of the inbox: events that could not be applied."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, number
from regulars.store.tables import counters, inbox, inbox_keys

COLUMNS = tuple(str(column.name) for column in inbox.columns)


def _of_event() -> sa.ColumnElement[bool]:
    return sa.and_(of_account(inbox), inbox.c.inbox_id == _inbox_id())


def _inbox_id() -> sa.BindParameter[str]:
    return sa.bindparam("inbox_id", type_=sa.Text())


@cache
def update_event() -> Query:
    """Record that a stored event came again at the time `received_at`."""
    values = {
        "problem": sa.bindparam("problem", type_=sa.Text()),
        "received_at": number("received_at"),
        "times": inbox.c.times + 1,
    }
    return Query(inbox.update().where(_of_event()).values(values))


@cache
def insert_event() -> Query:
    """Insert an event, unless it is stored: a parameter for each column."""
    exists = sa.exists(sa.select(sa.literal_column("1")).where(_of_event()))
    values = [sa.bindparam(c.name, type_=c.type) for c in inbox.c if c.name != "account_id"]
    # Selected with the account's counters, whose row tells Citus the node.
    row = sa.select(counters.c.account_id, *values).where(of_account(counters), ~exists)
    return Query(inbox.insert().from_select([c.name for c in inbox.c], row))


@cache
def insert_key() -> Query:
    """Insert the `key` of the event `inbox_id`, unless it is stored."""
    values = {c.name: sa.bindparam(c.name, type_=c.type) for c in inbox_keys.c}
    stored: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        of_account(inbox_keys),
        inbox_keys.c.key == values["key"],
        inbox_keys.c.inbox_id == values["inbox_id"],
    )
    columns = (counters.c.account_id, values["key"], values["inbox_id"])
    row = sa.select(*columns).where(of_account(counters), ~sa.exists(stored))
    return Query(inbox_keys.insert().from_select([c.name for c in inbox_keys.c], row))


@cache
def delete_event() -> Query:
    """Delete an event."""
    return Query(inbox.delete().where(_of_event()))


@cache
def delete_keys() -> Query:
    """Delete the keys of an event."""
    return Query(
        inbox_keys.delete().where(of_account(inbox_keys), inbox_keys.c.inbox_id == _inbox_id())
    )


@cache
def delete_old_events() -> Query:
    """Delete the events of all accounts that came last at the time `before` or earlier."""
    return Query(inbox.delete().where(inbox.c.received_at <= number("before")))


@cache
def delete_orphaned_keys() -> Query:
    """Delete the keys, of all accounts, whose events are deleted."""
    event: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        inbox.c.account_id == inbox_keys.c.account_id,
        inbox.c.inbox_id == inbox_keys.c.inbox_id,
    )
    return Query(inbox_keys.delete().where(~event.correlate(inbox_keys).exists()))


@cache
def events_of_account() -> Query:
    """The account's events, whole, oldest first."""
    statement = sa.select(*inbox.columns).where(of_account(inbox))
    return Query(statement.order_by(inbox.c.received_at, inbox.c.inbox_id))
