"""The queries of the delivery worker.

A worker claims a webhook for a limited time, and no other worker delivers to it meanwhile. Every
write of the worker is conditional on its claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import WHOLE_WEBHOOK, columns_named, of_account
from regulars.store.query import Query, Statement, any_of, number
from regulars.store.tables import attempts, counters, customers, deliveries, history, webhooks
from regulars.store.tokens import in_enabled_account
from regulars.store.writes import SKIPPED

DELIVERY_COLUMNS = tuple(str(column.name) for column in deliveries.columns)
CHANGE_COLUMNS = ("sequence", "kind", "at", "customer_id", "order_id", "fields", "actor", "cause")


def of_webhook(table: sa.Table) -> sa.ColumnElement[bool]:
    """Select the rows of the webhook `webhook_id`."""
    return sa.and_(of_account(table), table.c.webhook_id == number("webhook_id"))


def of_delivery() -> sa.ColumnElement[bool]:
    """Select the delivery `number` of the webhook `webhook_id`."""
    return sa.and_(of_webhook(deliveries), deliveries.c.number == number("number"))


def _is_claimed() -> sa.ColumnElement[bool]:
    """Select the webhook, if the worker `worker_id` still has its claim."""
    return sa.and_(of_webhook(webhooks), webhooks.c.claimed_by == _worker_id())


def _worker_id() -> sa.BindParameter[str]:
    return sa.bindparam("worker_id", type_=sa.Text())


def _is_unchanged() -> sa.ColumnElement[bool]:
    """Select the webhook, if the worker has its claim, it is enabled, and it has the `type`, the
    `settings` and the position `after` that the worker has read."""
    texts = (sa.bindparam(name, type_=webhooks.c[name].type) for name in ("type", "settings"))
    has_read_values = sa.and_(
        *(webhooks.c[text.key] == text for text in texts), webhooks.c.position == number("after")
    )
    return sa.and_(_is_claimed(), is_enabled(), has_read_values)


def is_enabled() -> sa.ColumnElement[bool]:
    """Select webhooks that are neither paused nor disabled."""
    disabled, enabled = webhooks.c.disabled_at, webhooks.c.enabled_at
    return sa.or_(disabled.is_(None), disabled <= enabled)


@cache
def webhooks_with_work(of_accounts: bool = False) -> Query:
    """At most `limit` webhooks of enabled accounts that have something to read or to send and that
    no worker has claimed at the time `now`: account, webhook. Those that have waited longest come
    first. With `of_accounts`, only of the accounts `ids`."""
    has_work = sa.or_(webhooks.c.position < counters.c.changes, webhooks.c.next_at <= number("now"))
    statement = (
        sa.select(webhooks.c.account_id, webhooks.c.webhook_id)
        .select_from(webhooks.join(counters, counters.c.account_id == webhooks.c.account_id))
        .where(webhooks.c.claimed_until <= number("now"), is_enabled(), has_work)
        .where(in_enabled_account(webhooks))
    )
    if of_accounts:
        # Citus asks only their nodes if the condition is on both tables.
        for table in (webhooks, counters):
            statement = statement.where(any_of(table.c.account_id, "ids"))
    return Query(statement.order_by(webhooks.c.claimed_until).limit(number("limit")))


@cache
def claim_webhook() -> Query:
    """Claim a webhook for the worker `worker_id` until `until`, unless it is claimed: the whole
    row, or none."""
    statement = (
        webhooks.update()
        .where(of_webhook(webhooks), webhooks.c.claimed_until <= number("now"), is_enabled())
        .where(in_enabled_account(webhooks))
        .values(claimed_by=_worker_id(), claimed_until=number("until"))
    )
    return Query(statement.returning(*columns_named(webhooks, WHOLE_WEBHOOK)))


@cache
def extend_claim(with_delivery: bool = False) -> Query:
    """Extend the worker's claim: the whole row as it is now, if the webhook is still claimed, and
    it and its account are enabled. With `with_delivery`, only if the delivery `number` is still to
    be sent."""
    statement = webhooks.update().where(_is_claimed(), is_enabled(), in_enabled_account(webhooks))
    if with_delivery:
        pending: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
            deliveries.c.account_id == webhooks.c.account_id,
            deliveries.c.webhook_id == webhooks.c.webhook_id,
            deliveries.c.number == number("number"),
            deliveries.c.due_at.is_not(None),
        )
        statement = statement.where(pending.correlate(webhooks).exists())
    extended = statement.values(claimed_until=number("until"))
    return Query(extended.returning(*columns_named(webhooks, WHOLE_WEBHOOK)))


def release_statements(parameters: Mapping[str, Any]) -> list[Statement]:
    """Return the statements that end a claim. The webhook is locked first: a PostgreSQL statement
    that waits for a row then sees only this row's latest version, and would miss a delivery that
    was just requested."""
    return [(lock_claimed(), parameters), (_release(), parameters)]


@cache
def _release() -> Query:
    """End a claim; `next_at` becomes the time of the next delivery."""
    due_at = (
        sa.select(sa.func.min(deliveries.c.due_at))
        .where(of_webhook(deliveries), deliveries.c.due_at.is_not(None))
        .scalar_subquery()
    )
    values = {"claimed_by": sa.null(), "claimed_until": number("now"), "next_at": due_at}
    return Query(webhooks.update().where(_is_claimed()).values(values))


@cache
def lock_claimed() -> Query:
    """Lock a claimed webhook, so that the next statements of the transaction see what others have
    committed."""
    return Query(sa.select(webhooks.c.webhook_id).where(_is_claimed()).with_for_update())


@cache
def clear_claims() -> Query:
    """End all claims: for the only worker of a database, at its start."""
    return Query(webhooks.update().values(claimed_by=sa.null(), claimed_until=0))


def changes_to_deliver(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Columns of the changes of the `kinds` after the number `after` and up to `last`, but for
    silent ones."""
    return sa.select(*columns).where(
        of_account(history),
        history.c.sequence > number("after"),
        history.c.sequence <= number("last"),
        any_of(history.c.kind, "kinds"),
        history.c.silent.is_(sa.false()),
    )


@cache
def new_changes(with_fields: bool = False) -> Query:
    """At most `limit` changes to deliver, in their order: number, customer; `with_fields`, also the
    kind, the changed fields and the cause."""
    names = ("sequence", "customer_id", *(("kind", "fields", "cause") if with_fields else ()))
    statement = changes_to_deliver(*columns_named(history, names))
    return Query(statement.order_by(history.c.sequence).limit(number("limit")))


@cache
def move_position() -> Query:
    """Move a webhook's position in the history: a row, if the webhook is unchanged. The new
    deliveries may be due: if the worker is killed now, the next one sends them."""
    statement = webhooks.update().where(_is_unchanged())
    moved = statement.values(position=number("position"), next_at=number("now"))
    return Query(moved.returning(webhooks.c.webhook_id))


@cache
def insert_delivery(if_unchanged: bool = False) -> Query:
    """Insert a delivery, unless it exists: a parameter for each column. With `if_unchanged`, under
    the conditions of `move_position`."""
    values = [sa.bindparam(c.name, type_=c.type) for c in deliveries.c if c.name != "account_id"]
    exists = sa.exists(sa.select(sa.literal_column("1")).where(of_delivery()))
    # Selected with the webhook, whose row tells Citus the node.
    row = sa.select(webhooks.c.account_id, *values).where(of_webhook(webhooks), ~exists)
    if if_unchanged:
        row = row.where(_is_unchanged())
    return Query(deliveries.insert().from_select([c.name for c in deliveries.c], row))


@cache
def due_deliveries() -> Query:
    """At most `limit` deliveries of a webhook that are due at the time `now`, whole, in the order
    of their changes."""
    statement = sa.select(*deliveries.columns).where(
        of_webhook(deliveries), deliveries.c.due_at <= number("now")
    )
    return Query(statement.order_by(deliveries.c.number).limit(number("limit")))


@cache
def insert_attempt() -> Query:
    """Insert an attempt; without its `exchange` if the customer has been deleted."""
    parameters = {c.name: sa.bindparam(c.name, type_=c.type) for c in attempts.c}
    has_customer = sa.exists(
        sa.select(sa.literal_column("1")).where(
            of_account(customers), customers.c.customer_id == number("customer_id")
        )
    )
    exchange: sa.ColumnElement[Any] = sa.case(
        (sa.or_(parameters["customer_id"].is_(None), has_customer), parameters["exchange"]),
        else_=sa.null(),
    )
    # Selected with the webhook, whose row tells Citus the node.
    values = {**parameters, "account_id": webhooks.c.account_id, "exchange": exchange}
    row = sa.select(*values.values()).where(of_webhook(webhooks))
    return Query(attempts.insert().from_select(list(values), row))


@cache
def update_delivery() -> Query:
    """Set the state of a delivery after an attempt. A delivery that was skipped meanwhile stays
    skipped, unless it was delivered."""
    names = ("state", "attempts", "tries", "due_at", "ended_at")
    values = {name: sa.bindparam(name, type_=deliveries.c[name].type) for name in names}
    stays_skipped = sa.and_(deliveries.c.state == SKIPPED, values["state"] != "delivered")
    statement = deliveries.update().where(of_delivery(), sa.not_(stays_skipped))
    return Query(statement.values(values))


@cache
def disable_webhook() -> Query:
    """Disable a claimed webhook, unless it was paused meanwhile."""
    reason = sa.bindparam("reason", type_=sa.Text())
    values = {"disabled_at": number("now"), "disabled_reason": reason, "paused": sa.false()}
    return Query(webhooks.update().where(_is_claimed(), is_enabled()).values(values))


@cache
def later_changes() -> Query:
    """The changes of a customer from a number on, newest first."""
    statement = sa.select(*columns_named(history, CHANGE_COLUMNS)).where(
        of_account(history),
        history.c.customer_id == number("customer_id"),
        history.c.sequence >= number("after"),
    )
    return Query(statement.order_by(history.c.sequence.desc()))


@cache
def delete_old_attempts() -> Query:
    """Delete the attempts made at the time `before` or earlier."""
    return Query(attempts.delete().where(attempts.c.at <= number("before")))


@cache
def delete_old_deliveries() -> Query:
    """Delete the deliveries that have ended and were created at the time `before` or earlier."""
    old = deliveries.c.created_at <= number("before")
    return Query(deliveries.delete().where(old, deliveries.c.due_at.is_(None)))
