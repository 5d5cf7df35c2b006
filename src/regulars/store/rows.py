"""The queries that copy a database: whole rows of any table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.auth_tables import accounts, compatibility, people, sessions, tokens
from regulars.store.columns import Flag
from regulars.store.query import Query, number
from regulars.store.tables import counters, import_parts

# Referenced tables come first. On Citus an account's rows need its counters.
_FIRST = (accounts, tokens, people, sessions, counters)
# `compatibility` describes a database itself and is not copied.
_OWN = (*_FIRST, compatibility)

Key = tuple[Any, ...]

_PAGE = 5_000
_PARTS = 20  # each is a piece of a file


def copied_tables(tables: Iterable[sa.Table]) -> tuple[sa.Table, ...]:
    """Return the tables that are copied, in order, of all tables in the order of references."""
    return (*_FIRST, *(table for table in tables if table not in _OWN))


def has_account_key(table: sa.Table) -> bool:
    """Return whether the key of the table starts with `account_id`."""
    return "account_id" in table.primary_key.columns and table is not accounts


def page_size(table: sa.Table) -> int:
    """Return how many rows are read at once."""
    return _PARTS if table is import_parts else _PAGE


@cache
def key_columns(table: sa.Table) -> tuple[str, ...]:
    """Return the columns of the key, without the account."""
    names = [str(column.name) for column in table.primary_key.columns]
    return tuple(names[1:] if has_account_key(table) else names)


@cache
def key_indexes(table: sa.Table) -> tuple[int, ...]:
    """Return the indexes of the key columns in a row."""
    names = [str(column.name) for column in table.c]
    return tuple(names.index(name) for name in key_columns(table))


@cache
def flag_indexes(table: sa.Table) -> tuple[int, ...]:
    """Return the indexes of the Boolean columns in a row."""
    return tuple(index for index, column in enumerate(table.c) if column.type is Flag)


@cache
def accounts_with(table: sa.Table) -> Query:
    """The accounts that have rows in the table."""
    return Query(sa.select(table.c.account_id).distinct().order_by(table.c.account_id))


@cache
def rows_of(table: sa.Table, after: bool) -> Query:
    """At most `limit` whole rows of the account `account_id`, or of a table without accounts, in
    the order of their keys. With `after`, those after the key in the parameters `after_…`."""
    statement = sa.select(*table.c)
    if has_account_key(table):
        statement = statement.where(table.c.account_id == number("account_id"))
    keys = [table.c[name] for name in key_columns(table)]
    if after and keys:
        last = [sa.bindparam(f"after_{key.name}", type_=key.type) for key in keys]
        is_later: sa.ColumnElement[bool] = sa.tuple_(*keys) > sa.tuple_(*last)
        statement = statement.where(keys[0] > last[0] if len(keys) == 1 else is_later)
    return Query(statement.order_by(*keys).limit(number("limit")))


@cache
def delete_row(table: sa.Table) -> Query:
    """Delete a row: a parameter `key_…` for each column of its key."""
    keys = [c == sa.bindparam(f"key_{c.name}", type_=c.type) for c in table.primary_key.columns]
    return Query(table.delete().where(*keys))
