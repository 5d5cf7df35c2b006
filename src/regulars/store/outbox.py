"""What is asked and noted when events are delivered: the statements of the worker.

A worker claims a webhook until a moment, and nobody else delivers to it meanwhile. Whatever it
notes says whose claim it stands on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import WHOLE_WEBHOOK, columns_named, of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import (
    attempts,
    counters,
    customers,
    deliveries,
    history,
    webhook_secrets,
    webhooks,
)
from regulars.store.writes import SKIPPED

DELIVERY_COLUMNS = tuple(str(column.name) for column in deliveries.columns)
CHANGE_COLUMNS = ("sequence", "kind", "at", "customer_id", "order_id", "fields")


def _this(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(of_account(table), table.c.webhook_id == number("webhook_id"))


def _mine() -> sa.ColumnElement[bool]:
    """The webhook, as long as the worker's claim of it stands."""
    return sa.and_(_this(webhooks), webhooks.c.claimed_by == sa.bindparam("me", type_=sa.Text()))


def _looked_at() -> sa.ColumnElement[bool]:
    """The webhook, as long as the worker may serve it and its type and position are those that it
    has looked at."""
    type_ = sa.bindparam("type", type_=webhooks.c.type.type)
    return sa.and_(
        _mine(), _enabled(), webhooks.c.type == type_, webhooks.c.position == number("after")
    )


def _enabled() -> sa.ColumnElement[bool]:
    disabled, enabled = webhooks.c.disabled_at, webhooks.c.enabled_at
    return sa.or_(disabled.is_(None), disabled <= enabled)


@cache
def with_work(some: bool = False) -> Query:
    """At most `limit` webhooks, of `some` accounts (`ids`) or of all, that have something to be
    looked at or sent, and that nobody has claimed at the moment `now`: account, webhook. Those that
    have waited longest come first."""
    waiting = sa.or_(webhooks.c.position < counters.c.changes, webhooks.c.next_at <= number("now"))
    statement = (
        sa.select(webhooks.c.account_id, webhooks.c.webhook_id)
        .select_from(webhooks.join(counters, counters.c.account_id == webhooks.c.account_id))
        .where(webhooks.c.claimed_until <= number("now"), _enabled(), waiting)
    )
    if some:
        statement = statement.where(any_of(webhooks.c.account_id, "ids"))
    return Query(statement.order_by(webhooks.c.claimed_until).limit(number("limit")))


@cache
def claim() -> Query:
    """Claims a webhook for the worker `me` until a moment, unless somebody has: the whole row, or
    none."""
    statement = (
        webhooks.update()
        .where(_this(webhooks), webhooks.c.claimed_until <= number("now"), _enabled())
        .values(claimed_by=sa.bindparam("me", type_=sa.Text()), claimed_until=number("until"))
    )
    return Query(statement.returning(*columns_named(webhooks, WHOLE_WEBHOOK)))


@cache
def keep_claim(delivery: bool = False) -> Query:
    """Claims a webhook for longer: the whole row as it is now, if it is still the worker's own and
    enabled; and, for a `delivery`, if its `number` is still to be sent."""
    statement = webhooks.update().where(_mine(), _enabled())
    if delivery:
        pending: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
            deliveries.c.account_id == webhooks.c.account_id,
            deliveries.c.webhook_id == webhooks.c.webhook_id,
            deliveries.c.number == number("number"),
            deliveries.c.due_at.is_not(None),
        )
        statement = statement.where(pending.correlate(webhooks).exists())
    kept = statement.values(claimed_until=number("until"))
    return Query(kept.returning(*columns_named(webhooks, WHOLE_WEBHOOK)))


@cache
def _release() -> Query:
    """Leaves a webhook to whoever claims it next."""
    due = (
        sa.select(sa.func.min(deliveries.c.due_at))
        .where(_this(deliveries), deliveries.c.due_at.is_not(None))
        .scalar_subquery()
    )
    values = {"claimed_by": sa.null(), "claimed_until": number("now"), "next_at": due}
    return Query(webhooks.update().where(_mine()).values(values))


def released(given: Mapping[str, Any]) -> list[tuple[Query, Mapping[str, Any]]]:
    """The statements by which a worker leaves a webhook. It is locked first: a statement that waits
    for a row of PostgreSQL's sees what is committed meanwhile of that row alone, and would not know
    of a delivery that was just asked for."""
    return [(lock(), given), (_release(), given)]


@cache
def lock() -> Query:
    """Has others wait who would change a webhook that the worker has claimed. What follows in the
    transaction sees what they committed before."""
    return Query(sa.select(webhooks.c.webhook_id).where(_mine()).with_for_update())


@cache
def forget_claims() -> Query:
    """Nothing is claimed: for the only worker of a database, when it starts."""
    return Query(webhooks.update().values(claimed_by=sa.null(), claimed_until=0))


@cache
def new_changes() -> Query:
    """At most `limit` changes of the `kinds` after the number `after` and up to `last`, but no
    silent ones: number, customer."""
    statement = sa.select(history.c.sequence, history.c.customer_id).where(
        of_account(history),
        history.c.sequence > number("after"),
        history.c.sequence <= number("last"),
        any_of(history.c.kind, "kinds"),
        history.c.silent.is_(sa.false()),
    )
    return Query(statement.order_by(history.c.sequence).limit(number("limit")))


@cache
def missed() -> Query:
    """How many changes of the `kinds`, at most `limit`, come after the number `after` and up to
    `last`, silent ones not counted, and how many deliveries wait besides, at most `limit`."""
    changes: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).where(
        of_account(history),
        history.c.sequence > number("after"),
        history.c.sequence <= number("last"),
        any_of(history.c.kind, "kinds"),
        history.c.silent.is_(sa.false()),
    )
    waiting: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).where(
        _this(deliveries), deliveries.c.due_at.is_not(None)
    )
    counts = [
        sa.select(sa.func.count())
        .select_from(rows.limit(number("limit")).subquery())
        .scalar_subquery()
        for rows in (changes, waiting)
    ]
    return Query(sa.select(*counts))


@cache
def move() -> Query:
    """Notes up to which change a webhook has been looked at: a row, if nothing was skipped
    meanwhile, and the worker may still serve it. Deliveries that were added may be due: if the
    worker is killed now, the next one sends them."""
    statement = webhooks.update().where(_looked_at())
    moved = statement.values(position=number("position"), next_at=number("now"))
    return Query(moved.returning(webhooks.c.webhook_id))


@cache
def due() -> Query:
    """At most `limit` deliveries of a webhook that are due at the moment `now`, whole, in the order
    of their changes."""
    statement = sa.select(*deliveries.columns).where(
        _this(deliveries), deliveries.c.due_at <= number("now")
    )
    return Query(statement.order_by(deliveries.c.number).limit(number("limit")))


@cache
def one_delivery() -> Query:
    """A delivery, whole."""
    statement = sa.select(*deliveries.columns)
    return Query(statement.where(_this(deliveries), deliveries.c.number == number("number")))


@cache
def note_attempt() -> Query:
    """An attempt, with what was sent and answered, unless the customer has been deleted since."""
    given = {c.name: sa.bindparam(c.name, type_=c.type) for c in attempts.c}
    there = sa.exists(
        sa.select(sa.literal_column("1")).where(
            of_account(customers), customers.c.customer_id == number("customer_id")
        )
    )
    kept: sa.ColumnElement[Any] = sa.case(
        (sa.or_(given["customer_id"].is_(None), there), given["exchange"]), else_=sa.null()
    )
    # Beside the webhook, whose row says on which node of Citus they are.
    values = {**given, "account_id": webhooks.c.account_id, "exchange": kept}
    row = sa.select(*values.values()).where(_this(webhooks))
    return Query(attempts.insert().from_select(list(values), row))


@cache
def note_delivery() -> Query:
    """How a delivery stands after an attempt. One that was skipped meanwhile stays so, unless it
    was delivered."""
    names = ("state", "attempts", "tries", "due_at", "ended_at")
    values = {name: sa.bindparam(name, type_=deliveries.c[name].type) for name in names}
    of_one = deliveries.update().where(_this(deliveries), deliveries.c.number == number("number"))
    stands = sa.and_(deliveries.c.state == SKIPPED, values["state"] != "delivered")
    return Query(of_one.where(sa.not_(stands)).values(values))


@cache
def disable() -> Query:
    """Nothing is sent to a webhook any more, unless it was paused meanwhile."""
    reason = sa.bindparam("reason", type_=sa.Text())
    values = {"disabled_at": number("now"), "disabled_reason": reason, "paused": sa.false()}
    return Query(webhooks.update().where(_mine(), _enabled()).values(values))


@cache
def ask_again() -> Query:
    """Has a delivery attempted again at the moment `now`: a row, if it is there."""
    of_one = deliveries.update().where(_this(deliveries), deliveries.c.number == number("number"))
    again = {"state": "pending", "tries": 0, "due_at": number("now"), "ended_at": sa.null()}
    return Query(of_one.values(again).returning(deliveries.c.number))


@cache
def call() -> Query:
    """Has a webhook looked at, at the moment `now`."""
    return Query(webhooks.update().where(_this(webhooks)).values(next_at=number("now")))


@cache
def later_changes() -> Query:
    """The changes of a customer that come after a number, newest first."""
    shown = columns_named(history, CHANGE_COLUMNS)
    statement = sa.select(*shown).where(
        of_account(history),
        history.c.customer_id == number("customer_id"),
        history.c.sequence >= number("after"),
    )
    return Query(statement.order_by(history.c.sequence.desc()))


@cache
def add_delivery(claimed: bool = False) -> Query:
    """A delivery, unless it is there: a parameter for each column, of its name. With `claimed` on
    the conditions of `move`."""
    given = [sa.bindparam(c.name, type_=c.type) for c in deliveries.c if c.name != "account_id"]
    there: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        _this(deliveries), deliveries.c.number == number("number")
    )
    # Beside the webhook, whose row says on which node of Citus they are.
    row = sa.select(webhooks.c.account_id, *given).where(_this(webhooks), ~sa.exists(there))
    if claimed:
        row = row.where(_looked_at())
    return Query(deliveries.insert().from_select([c.name for c in deliveries.c], row))


@cache
def webhooks_of() -> Query:
    """The account's webhooks, whole, oldest first."""
    statement = sa.select(*webhooks.columns).where(of_account(webhooks))
    return Query(statement.order_by(webhooks.c.webhook_id))


@cache
def one_webhook() -> Query:
    """A webhook, whole."""
    return Query(sa.select(*webhooks.columns).where(_this(webhooks)))


ATTEMPT_COLUMNS = tuple(str(column.name) for column in attempts.columns)


@cache
def attempts_of() -> Query:
    """The attempts of the deliveries `numbers` of the webhooks `ids`, oldest first, whole."""
    statement = sa.select(*attempts.columns).where(
        of_account(attempts),
        any_of(attempts.c.webhook_id, "ids"),
        any_of(attempts.c.number, "numbers"),
    )
    return Query(statement.order_by(attempts.c.webhook_id, attempts.c.number, attempts.c.attempt))


@cache
def forget_attempts() -> Query:
    """What was sent at the moment `before` or earlier."""
    return Query(attempts.delete().where(attempts.c.at <= number("before")))


@cache
def forget_deliveries() -> Query:
    """The deliveries that have ended, and were made at the moment `before` or earlier."""
    old = deliveries.c.created_at <= number("before")
    return Query(deliveries.delete().where(old, deliveries.c.due_at.is_(None)))


@cache
def secret_of() -> Query:
    """With what an account's events are signed: the secret, the one before it, since when, and with
    what its shop signs."""
    names = ("secret", "previous", "rotated_at", "inbound")
    statement = sa.select(*columns_named(webhook_secrets, names))
    return Query(statement.where(of_account(webhook_secrets)))


@cache
def rotate() -> Query:
    """Gives an account another secret."""
    statement = webhook_secrets.update().where(of_account(webhook_secrets))
    return Query(
        statement.values(
            previous=webhook_secrets.c.secret,
            secret=sa.bindparam("new_secret", type_=sa.Text()),
            rotated_at=number("now"),
        )
    )


@cache
def set_inbound() -> Query:
    """Notes with what an account's shop signs."""
    statement = webhook_secrets.update().where(of_account(webhook_secrets))
    return Query(statement.values(inbound=sa.bindparam("inbound", type_=sa.Text())))
