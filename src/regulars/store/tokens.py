"""The statements of accounts and tokens: what is asked before an account is known, and so of all of
them."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from regulars.store.query import Query, number
from regulars.store.tables import accounts, tokens

TOKEN_COLUMNS = (
    "token_id",
    "account_id",
    "name",
    "created_at",
    "expires_at",
    "revoked_at",
    "scopes",
    "last_used_at",
)


@cache
def token_by_hash() -> Query:
    """The token with a hash: the columns of `TOKEN_COLUMNS`."""
    columns = [tokens.c[name] for name in TOKEN_COLUMNS]
    return Query(sa.select(*columns).where(tokens.c.hash == sa.bindparam("hash")))


@cache
def all_tokens() -> Query:
    """Every token with its account's name, oldest first."""
    columns = [tokens.c[name] for name in TOKEN_COLUMNS]
    joined = tokens.join(accounts, accounts.c.account_id == tokens.c.account_id)
    statement = sa.select(*columns, accounts.c.name.label("account")).select_from(joined)
    return Query(statement.order_by(tokens.c.created_at, tokens.c.token_id))


@cache
def all_accounts() -> Query:
    """Every account, oldest first: id, name, moment of creation."""
    columns = (accounts.c.account_id, accounts.c.name, accounts.c.created_at)
    return Query(sa.select(*columns).order_by(accounts.c.account_id))


@cache
def use_token() -> Query:
    """Notes that a token is used, unless that was noted after `used_before`."""
    used = tokens.c.last_used_at
    statement = tokens.update().where(
        tokens.c.token_id == sa.bindparam("used_id"),
        sa.or_(used.is_(None), used < number("used_before")),
    )
    return Query(statement.values(last_used_at=number("used_at")))


@cache
def revoke_token() -> Query:
    """Marks a token as revoked, unless it was already."""
    statement = tokens.update().where(tokens.c.token_id == sa.bindparam("revoked_id"))
    unrevoked = statement.where(tokens.c.revoked_at.is_(None))
    return Query(unrevoked.values(revoked_at=number("revoked_at")))
