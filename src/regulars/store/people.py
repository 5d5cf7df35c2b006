"""The queries of people: of the tables `people` and `tokens`.

A change begins with `lock_account`, so that two changes at the same time cannot leave an account
without an owner. The parameter `owner` is the role of owners.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.auth_tables import accounts, people, sessions, tokens
from regulars.store.query import Query, number

PERSON_COLUMNS = (
    "person_id",
    "token_id",
    "name",
    "email",
    "role",
    "created_at",
    "last_seen_at",
    "removed_at",
)


def is_of_person(token_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Select the tokens of people."""
    rows: sa.Select[Any] = sa.select(sa.literal_column("1")).where(people.c.token_id == token_id)
    return rows.correlate(tokens).exists()


def _text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=people.c.name.type)


def _people() -> sa.Select[Any]:
    derived: dict[str, sa.ColumnElement[Any]] = {
        "last_seen_at": tokens.c.last_used_at,
        # An older program can revoke the token of a person.
        "removed_at": sa.func.coalesce(people.c.removed_at, tokens.c.revoked_at),
    }
    columns = [derived[name] if name in derived else people.c[name] for name in PERSON_COLUMNS]
    statement: sa.Select[Any] = sa.select(*columns)
    statement = statement.select_from(people.join(tokens, tokens.c.token_id == people.c.token_id))
    return statement.where(people.c.account_id == number("account_id"))


@cache
def people_of() -> Query:
    """An account's people, oldest first: `PERSON_COLUMNS`."""
    return Query(_people().order_by(people.c.created_at, people.c.person_id))


@cache
def person_by_token() -> Query:
    """The person of an account with a token: `PERSON_COLUMNS`."""
    return Query(_people().where(people.c.token_id == _text("token_id")))


@cache
def lock_account() -> Query:
    """Lock an account until the end of the transaction."""
    is_account = accounts.c.account_id == number("locked_account")
    return Query(accounts.update().where(is_account).values(name=accounts.c.name))


def _insert(table: sa.Table, selected: sa.Select[Any]) -> Query:
    return Query(table.insert().from_select([c.name for c in table.c], selected))


def _parameters_of(table: sa.Table, prefix: str) -> sa.Select[Any]:
    # Without a cast, PostgreSQL takes a selected parameter as text.
    casts: list[sa.ColumnElement[Any]] = []
    for column in table.c:
        is_text = isinstance(column.type, sa.Text)
        type_: Any = sa.Text() if is_text else column.type
        casts.append(sa.cast(sa.bindparam(f"{prefix}{column.name}", type_=column.type), type_))
    statement: sa.Select[Any] = sa.select(*casts)
    return statement


def _active(alias: sa.FromClause, owned: sa.FromClause) -> sa.Select[Any]:
    """The active people of the account `locked_account`, and their tokens."""
    return (
        sa.select(sa.literal_column("1"))
        .select_from(alias.join(owned, owned.c.token_id == alias.c.token_id))
        .where(
            alias.c.account_id == number("locked_account"),
            alias.c.removed_at.is_(None),
            owned.c.revoked_at.is_(None),
        )
    )


@cache
def insert_token_of_person() -> Query:
    """Insert the token of a new person, unless an active person of the account has the name
    `person_name`, or `max_people` are active. Each parameter has the prefix `token_`."""
    other, owned = people.alias(), tokens.alias()
    has_name = _active(other, owned).where(other.c.name == _text("person_name")).exists()
    count = _active(other, owned).with_only_columns(sa.func.count()).scalar_subquery()
    row = _parameters_of(tokens, "token_")
    return _insert(tokens, row.where(~has_name, count < number("max_people")))


@cache
def insert_person() -> Query:
    """Insert a person, if their token exists. Each parameter has the prefix `person_`."""
    row = _parameters_of(people, "person_").select_from(tokens)
    return _insert(people, row.where(tokens.c.token_id == _text("person_token_id")))


def _keeps_an_owner() -> sa.ColumnElement[bool]:
    """Select the people who are no owner, and all people if another owner has signed in."""
    other, owned = people.alias(), tokens.alias()
    others = _active(other, owned).where(
        other.c.person_id != people.c.person_id,
        other.c.role == _text("owner"),
        owned.c.last_used_at.is_not(None),
    )
    return sa.or_(people.c.role != _text("owner"), others.correlate(people).exists())


def _is_active_person() -> Sequence[sa.ColumnElement[bool]]:
    token: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        tokens.c.token_id == people.c.token_id, tokens.c.revoked_at.is_(None)
    )
    return (
        people.c.account_id == number("locked_account"),
        people.c.person_id == _text("changed_person"),
        people.c.removed_at.is_(None),
        token.correlate(people).exists(),
    )


@cache
def update_person() -> Query:
    """Change an active person, unless it takes the last owner or the name of another."""
    other, owned = people.alias(), tokens.alias()
    has_name = _active(other, owned).where(
        other.c.name == _text("new_name"), other.c.person_id != people.c.person_id
    )
    statement = people.update().where(
        *_is_active_person(),
        sa.or_(sa.cast(_text("new_role"), sa.Text()) == _text("owner"), _keeps_an_owner()),
        ~has_name.correlate(people).exists(),
    )
    new = {name: _text(f"new_{name}") for name in ("name", "email", "role")}
    return Query(statement.values(new))


def _token_of(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return tokens.c.token_id.in_(
        sa.select(people.c.token_id).where(
            people.c.account_id == number("locked_account"),
            people.c.person_id == _text("changed_person"),
            *conditions,
        )
    )


@cache
def update_token_of_person() -> Query:
    """Give the token of a person the name and the scopes of the person, if they were changed."""
    is_changed = [people.c[name] == _text(f"new_{name}") for name in ("name", "role")]
    statement = tokens.update().where(_token_of(*is_changed), tokens.c.revoked_at.is_(None))
    return Query(statement.values(name=_text("new_name"), scopes=_text("new_scopes")))


@cache
def remove_person() -> Query:
    """Remove an active person, unless it takes the last owner."""
    statement = people.update().where(*_is_active_person(), _keeps_an_owner())
    return Query(statement.values(removed_at=number("now")))


@cache
def revoke_token_of_person() -> Query:
    """Revoke the token of a person, if the person is removed."""
    statement = tokens.update().where(
        _token_of(people.c.removed_at.is_not(None)), tokens.c.revoked_at.is_(None)
    )
    return Query(statement.values(revoked_at=number("now")))


@cache
def delete_sign_ins() -> Query:
    """Delete the sign-ins of a kind of a token."""
    return Query(
        sessions.delete().where(
            sessions.c.token_id == _text("token_id"), sessions.c.kind == _text("kind")
        )
    )
