"""The queries of accounts, tokens and sessions, which run before the account is known."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.auth_tables import accounts, compatibility, people, sessions, tokens
from regulars.store.people import is_of_person
from regulars.store.query import Query, any_of, number

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
GRANT_COLUMNS = (*TOKEN_COLUMNS, "disabled_at", "settings")
SESSION_COLUMNS = (*GRANT_COLUMNS, "person_id")
# The columns of an account, in the order of `Account`.
_ACCOUNT_COLUMNS = ("account_id", "name", "created_at", "disabled_at")


def _grant_columns() -> list[sa.Column[Any]]:
    of_account = (accounts.c.disabled_at, accounts.c.settings)
    return [*(tokens.c[name] for name in TOKEN_COLUMNS), *of_account]


def _tokens_with_accounts() -> sa.Join:
    return tokens.join(accounts, accounts.c.account_id == tokens.c.account_id)


@cache
def token_by_hash() -> Query:
    """The token with a hash: the columns of `GRANT_COLUMNS`."""
    statement = sa.select(*_grant_columns()).select_from(_tokens_with_accounts())
    return Query(statement.where(tokens.c.hash == sa.bindparam("hash")))


def _tokens() -> sa.Select[Any]:
    columns = [tokens.c[name] for name in TOKEN_COLUMNS]
    statement = sa.select(*columns, accounts.c.name.label("account"))
    statement = statement.select_from(_tokens_with_accounts())
    return statement.order_by(tokens.c.created_at, tokens.c.token_id)


@cache
def all_tokens() -> Query:
    """Every token with its account's name, oldest first; not those of people."""
    return Query(_tokens().where(~is_of_person(tokens.c.token_id)))


@cache
def tokens_of() -> Query:
    """An account's tokens with its name, oldest first; not those of people."""
    is_of_account = tokens.c.account_id == number("account_id")
    return Query(_tokens().where(is_of_account, ~is_of_person(tokens.c.token_id)))


@cache
def token_by_id() -> Query:
    """A token of an account with its name, also that of a person."""
    is_of_account = tokens.c.account_id == number("account_id")
    return Query(_tokens().where(is_of_account, tokens.c.token_id == sa.bindparam("token_id")))


def _accounts() -> sa.Select[Any]:
    return sa.select(*(accounts.c[name] for name in _ACCOUNT_COLUMNS))


@cache
def all_accounts() -> Query:
    """Every account, oldest first."""
    return Query(_accounts().order_by(accounts.c.account_id))


@cache
def first_accounts() -> Query:
    """The oldest accounts, at most `limit`."""
    return Query(_accounts().order_by(accounts.c.account_id).limit(number("limit")))


@cache
def account_by_name() -> Query:
    """The account with a name."""
    name = sa.bindparam("name", type_=accounts.c.name.type)
    return Query(_accounts().where(accounts.c.name == name))


@cache
def last_account() -> Query:
    """The greatest id that an account has or had; null without accounts."""
    ids = sa.union_all(
        sa.select(accounts.c.account_id), sa.select(compatibility.c.last_deleted_account)
    ).subquery()
    return Query(sa.select(sa.func.max(ids.c.account_id)))


@cache
def account_by_id() -> Query:
    """An account by its id."""
    return Query(_accounts().where(accounts.c.account_id == number("account_id")))


@cache
def session_by_hash() -> Query:
    """The session of a kind with a hash, unless it has expired at the time `now`: its expiry time,
    and the columns of its token, as in `SESSION_COLUMNS`."""
    joined = sessions.join(tokens, tokens.c.token_id == sessions.c.token_id)
    joined = joined.join(accounts, accounts.c.account_id == tokens.c.account_id)
    joined = joined.outerjoin(people, people.c.token_id == tokens.c.token_id)
    until = sessions.c.expires_at.label("until")
    statement = sa.select(until, *_grant_columns(), people.c.person_id).select_from(joined)
    return Query(
        statement.where(
            sessions.c.hash == sa.bindparam("hash"),
            sessions.c.kind == sa.bindparam("kind"),
            sessions.c.expires_at > number("now"),
        )
    )


@cache
def session_counts() -> Query:
    """The tokens of an account that have sessions at the time `now`, with their number."""
    joined = sessions.join(tokens, tokens.c.token_id == sessions.c.token_id)
    statement = sa.select(sessions.c.token_id, sa.func.count()).select_from(joined)
    statement = statement.where(
        tokens.c.account_id == number("account_id"),
        sessions.c.kind == sa.bindparam("kind"),
        sessions.c.expires_at > number("now"),
    )
    return Query(statement.group_by(sessions.c.token_id))


@cache
def extend_session() -> Query:
    """Extend a session."""
    statement = sessions.update().where(sessions.c.hash == sa.bindparam("extended"))
    return Query(statement.values(expires_at=number("until")))


@cache
def end_session() -> Query:
    """Delete a session, or a sign-in link."""
    return Query(sessions.delete().where(sessions.c.hash == sa.bindparam("hash")))


@cache
def delete_expired_sessions() -> Query:
    """Delete the sessions that have expired at the time `now`."""
    return Query(sessions.delete().where(sessions.c.expires_at <= number("now")))


@cache
def touch_tokens() -> Query:
    """Record the use of the tokens `used_ids`, unless a use after `used_before` is recorded."""
    used = tokens.c.last_used_at
    statement = tokens.update().where(
        any_of(tokens.c.token_id, "used_ids"),
        sa.or_(used.is_(None), used < number("used_before")),
    )
    return Query(statement.values(last_used_at=number("used_at")))


@cache
def revoke_token() -> Query:
    """Revoke a token, unless it is revoked or a person's."""
    statement = tokens.update().where(tokens.c.token_id == sa.bindparam("revoked_id"))
    unrevoked = statement.where(tokens.c.revoked_at.is_(None), ~is_of_person(tokens.c.token_id))
    return Query(unrevoked.values(revoked_at=number("revoked_at")))


@cache
def rename_token() -> Query:
    """Rename a token, unless it is a person's."""
    is_token = tokens.c.token_id == sa.bindparam("renamed_id")
    statement = tokens.update().where(is_token, ~is_of_person(tokens.c.token_id))
    return Query(statement.values(name=sa.bindparam("new_name", type_=tokens.c.name.type)))


def _of_account() -> sa.ColumnElement[bool]:
    return accounts.c.account_id == number("changed_account")


@cache
def rename_account() -> Query:
    """Rename an account."""
    new_name = sa.bindparam("new_name", type_=accounts.c.name.type)
    return Query(accounts.update().where(_of_account()).values(name=new_name))


@cache
def disable_account() -> Query:
    """Disable an account, unless it is disabled."""
    statement = accounts.update().where(_of_account(), accounts.c.disabled_at.is_(None))
    return Query(statement.values(disabled_at=number("now")))


@cache
def enable_account() -> Query:
    """Enable an account, unless it is enabled."""
    statement = accounts.update().where(_of_account(), accounts.c.disabled_at.is_not(None))
    return Query(statement.values(disabled_at=sa.null()))


@cache
def account_settings_of() -> Query:
    """The settings of an account: the stored JSON object, or null."""
    return Query(
        sa.select(accounts.c.settings).where(accounts.c.account_id == number("account_id"))
    )


@cache
def replace_account_settings(recounts: bool = False) -> Query:
    """Replace the settings of an account, unless they have changed since they were read.
    `recounts` has the `expenses` of all customers counted again."""
    type_ = accounts.c.settings.type
    is_unchanged = accounts.c.settings.is_not_distinct_from(sa.bindparam("read", type_=type_))
    statement = accounts.update().where(_of_account(), is_unchanged)
    values: dict[str, Any] = {"settings": sa.bindparam("new_settings", type_=type_)}
    if recounts:
        values["recount_after"] = sa.literal_column("0")
    return Query(statement.values(values))


@cache
def spend_settings_of() -> Query:
    """The settings of an account, and the last version of the tables whose contract part is
    finished."""
    finished = sa.select(compatibility.c.finished).scalar_subquery()
    statement = sa.select(accounts.c.settings, finished)
    return Query(statement.where(accounts.c.account_id == number("account_id")))


@cache
def accounts_to_recount(of_accounts: bool = False) -> Query:
    """The accounts whose `expenses` must be counted again, at most `limit`: the account, the last
    customer that was counted, and the settings. With `of_accounts`, only of the accounts `ids`."""
    columns = (accounts.c.account_id, accounts.c.recount_after, accounts.c.settings)
    statement = sa.select(*columns).where(accounts.c.recount_after.is_not(None))
    if of_accounts:
        statement = statement.where(any_of(accounts.c.account_id, "ids"))
    return Query(statement.order_by(accounts.c.account_id).limit(number("limit")))


@cache
def advance_recount() -> Query:
    """Store the last customer that was counted, unless another process has, or the settings have
    changed. `after` is null after the last customer."""
    type_ = accounts.c.settings.type
    is_unchanged = (
        accounts.c.recount_after == number("before"),
        accounts.c.settings.is_not_distinct_from(sa.bindparam("read", type_=type_)),
    )
    return Query(
        accounts.update().where(_of_account(), *is_unchanged).values(recount_after=number("after"))
    )


def in_enabled_account(table: sa.Table) -> sa.ColumnElement[bool]:
    """Select the rows of a table whose account is not disabled."""
    disabled: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        accounts.c.account_id == table.c.account_id, accounts.c.disabled_at.is_not(None)
    )
    return ~disabled.correlate(table).exists()
