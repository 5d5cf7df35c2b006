"""The queries that list webhooks, deliveries and attempts, and that request a delivery."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import attempts, deliveries, webhooks
from regulars.webhooks.delivery_queries import (
    changes_to_deliver,
    is_enabled,
    of_delivery,
    of_webhook,
)

ATTEMPT_COLUMNS = tuple(str(column.name) for column in attempts.columns)


@cache
def webhooks_of() -> Query:
    """The account's webhooks, whole, oldest first."""
    statement = sa.select(*webhooks.columns).where(of_account(webhooks))
    return Query(statement.order_by(webhooks.c.webhook_id))


@cache
def webhook_by_id() -> Query:
    """A webhook, whole."""
    return Query(sa.select(*webhooks.columns).where(of_webhook(webhooks)))


@cache
def count_webhooks() -> Query:
    """The number of webhooks of each type, without those that a failure has disabled."""
    statement = sa.select(webhooks.c.type, sa.func.count()).where(
        of_account(webhooks), sa.or_(is_enabled(), webhooks.c.paused)
    )
    return Query(statement.group_by(webhooks.c.type))


@cache
def unfiltered_webhooks() -> Query:
    """At most `limit` webhooks of all accounts that have settings and no filters that apply:
    account, webhook, settings."""
    statement = sa.select(webhooks.c.account_id, webhooks.c.webhook_id, webhooks.c.settings)
    statement = statement.where(webhooks.c.filtered.is_(sa.false()), webhooks.c.settings != "{}")
    ordered = statement.order_by(webhooks.c.account_id, webhooks.c.webhook_id)
    return Query(ordered.limit(number("limit")))


@cache
def delivery_by_number() -> Query:
    """A delivery, whole."""
    return Query(sa.select(*deliveries.columns).where(of_delivery()))


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
def count_missed() -> Query:
    """The number of changes to deliver, and of pending deliveries; each at most `limit`."""
    constant: sa.ColumnElement[Any] = sa.literal_column("1").label("one")
    pending: sa.Select[Any] = sa.select(constant).where(
        of_webhook(deliveries), deliveries.c.due_at.is_not(None)
    )
    counts = [
        sa.select(sa.func.count())
        .select_from(rows.limit(number("limit")).subquery())
        .scalar_subquery()
        for rows in (changes_to_deliver(constant), pending)
    ]
    return Query(sa.select(*counts))


@cache
def retry_delivery() -> Query:
    """Make a delivery due at the time `now`: a row, if the delivery exists."""
    statement = deliveries.update().where(of_delivery())
    values = {"state": "pending", "tries": 0, "due_at": number("now"), "ended_at": sa.null()}
    return Query(statement.values(values).returning(deliveries.c.number))


@cache
def wake() -> Query:
    """Make a webhook due at the time `now`, so that a worker claims it."""
    return Query(webhooks.update().where(of_webhook(webhooks)).values(next_at=number("now")))
