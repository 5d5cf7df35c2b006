"""What `verify` expects of tokens, people and sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import sqlalchemy as sa

from regulars.core.roles import ROLES, scopes_of
from regulars.store import Row
from regulars.store.tables import compatibility, people, sessions, tokens


def problems_of_credentials(
    rows_of: Callable[[sa.Table], Iterable[Row]], account_ids: Collection[int]
) -> Iterator[str]:
    """Yield the problems of tokens, people, sessions and the only row of `compatibility`."""
    stored = {}
    for row in rows_of(tokens):
        stored[row["token_id"]] = row
        if row["account_id"] not in account_ids:
            yield f"token {row['token_id']}: the account {row['account_id']} is missing"
    for row in rows_of(people):
        token = stored.get(row["token_id"])
        for problem in _problems_of_person(row, token):
            yield f"person {row['person_id']}: {problem}"
    for row in rows_of(sessions):
        if row["token_id"] not in stored:
            yield f"session: the token {row['token_id']} is missing"
        if row["expires_at"] < row["created_at"]:
            yield f"session of the token {row['token_id']}: it ends before it starts"
    count = sum(1 for _ in rows_of(compatibility))
    if count != 1:
        yield f"compatibility: it has {count} rows, not 1"


def _problems_of_person(person: Row, token: Row | None) -> Iterator[str]:
    if token is None:
        yield f"the token {person['token_id']} is missing"
        return
    if token["account_id"] != person["account_id"]:
        yield "the token belongs to another account"
    if token["revoked_at"] is not None:
        return  # an older program can revoke the token of an active person
    if person["removed_at"] is not None:
        yield "the person is removed, but the token is valid"
    elif person["role"] in ROLES and token["scopes"] != scopes_of(person["role"]):
        yield "the token does not have the scopes of the role"
