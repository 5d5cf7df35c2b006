"""The queries of the secrets that sign events."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.store.queries import columns_named, of_account
from regulars.store.query import Query, number
from regulars.store.tables import webhook_secrets


@cache
def secrets_of_account() -> Query:
    """The secrets of an account: the current one, the previous one, the time of the last rotation,
    and the one that the account's shop signs with."""
    names = ("secret", "previous", "rotated_at", "inbound")
    statement = sa.select(*columns_named(webhook_secrets, names))
    return Query(statement.where(of_account(webhook_secrets)))


@cache
def rotate_secret() -> Query:
    """Replace the secret of an account by `new_secret`."""
    statement = webhook_secrets.update().where(of_account(webhook_secrets))
    return Query(
        statement.values(
            previous=webhook_secrets.c.secret,
            secret=sa.bindparam("new_secret", type_=sa.Text()),
            rotated_at=number("now"),
        )
    )


@cache
def set_inbound_secret() -> Query:
    """Set the secret that the account's shop signs with."""
    statement = webhook_secrets.update().where(of_account(webhook_secrets))
    return Query(statement.values(inbound=sa.bindparam("inbound", type_=sa.Text())))
