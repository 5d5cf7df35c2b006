"""The queries that delete an account: the rows of every table that belong to it.

They are built from all tables, so that they include every table that is added later.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa

from regulars.store.auth_tables import accounts, compatibility, tokens
from regulars.store.query import Query, Statement, number
from regulars.store.tables import counters, import_parts

_BATCH = 5_000
_PARTS = 20  # each is a piece of a file
_PARAMETER = "deleted_account"


# Their rows identify and lock an account: they are deleted last, in one transaction.
_LAST = (counters, tokens, accounts)


def batched_tables(tables: Sequence[sa.Table]) -> list[sa.Table]:
    """Return those of all tables whose rows are deleted in batches: those that refer to others
    first."""
    kept = (*_LAST, compatibility)
    return [table for table in reversed(tables) if table not in kept]


def batch_size(table: sa.Table) -> int:
    """Return how many rows of a table are deleted at once."""
    return _PARTS if table is import_parts else _BATCH


@cache
def delete_batch(table: sa.Table) -> Query:
    """Delete at most `limit` rows of the account `deleted_account`."""
    keys = list(table.primary_key.columns)
    batch = sa.select(*keys).where(_of_account(table)).limit(number("limit"))
    # On Citus the account must be named outside the subquery, too.
    return Query(table.delete().where(_of_account(table), sa.tuple_(*keys).in_(batch)))


def delete_rest(account_id: int, batched: Sequence[sa.Table]) -> list[Statement]:
    """Return the statements that delete the remaining rows of the tables `batched`, and the account
    itself, in one transaction. The counters come first: their row is the account's lock, so that a
    write that is in progress is either deleted or fails."""
    parameters = {_PARAMETER: account_id}
    tables = (counters, *batched, tokens, accounts)
    record = (_record_deleted_account(), parameters)
    return [record, *((_delete_all(table), parameters) for table in tables)]


def batch_parameters(table: sa.Table, account_id: int) -> dict[str, int]:
    """Return the parameters of `delete_batch`."""
    return {_PARAMETER: account_id, "limit": batch_size(table)}


@cache
def _delete_all(table: sa.Table) -> Query:
    return Query(table.delete().where(_of_account(table)))


@cache
def _record_deleted_account() -> Query:
    """Record the id of a deleted account, if it is the greatest."""
    last = compatibility.c.last_deleted_account
    is_greater = sa.or_(last.is_(None), last < number(_PARAMETER))
    return Query(
        compatibility.update().where(is_greater).values(last_deleted_account=number(_PARAMETER))
    )


def _of_account(table: sa.Table) -> sa.ColumnElement[bool]:
    """Select the rows of the account `deleted_account`: by their account, or by the row that they
    refer to, as sessions by their token."""
    if "account_id" in table.c:
        return table.c.account_id == number(_PARAMETER)
    (key,) = table.foreign_keys  # a table has a row for each account, or refers to one that has
    owner = key.column.table
    return key.parent.in_(sa.select(key.column).where(_of_account(owner)))
