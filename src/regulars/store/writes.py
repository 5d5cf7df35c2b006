"""What is written: one set-based statement for each kind of change.

On PostgreSQL a set of rows travels as one array for each column; on SQLite the same statement,
with a parameter for each column, is run for each row within the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from regulars.store.query import Query, any_of, number
from regulars.store.tables import counters, customers, tokens


@cache
def insert_one(table: sa.Table) -> Query:
    """One row; a parameter for each column, of its name."""
    return Query(
        table.insert().values({c.name: sa.bindparam(c.name, type_=c.type) for c in table.c})
    )


@cache
def insert_many(table: sa.Table) -> Query:
    """Rows; an array parameter for each column, of its name (PostgreSQL)."""
    rows = _arrays(table.c)
    return Query(table.insert().from_select([c.name for c in table.c], sa.select(*rows.columns)))


@lru_cache(maxsize=1_000)
def update_one(columns: tuple[str, ...]) -> Query:
    """Columns of one customer; a parameter for each, and for the keys, of its name."""
    statement = customers.update().where(
        customers.c.account_id == number("only_account"),
        customers.c.customer_id == number("only_customer"),
    )
    parameters = {name: sa.bindparam(name, type_=customers.c[name].type) for name in columns}
    return Query(statement.values(parameters))


@lru_cache(maxsize=1_000)
def update_many(columns: tuple[str, ...]) -> Query:
    """Columns of customers of the account `only_account`; an array parameter for `customer_id`
    and for each column (PostgreSQL)."""
    rows = _arrays([customers.c.customer_id, *(customers.c[name] for name in columns)])
    statement = customers.update().where(
        customers.c.account_id == number("only_account"),
        customers.c.customer_id == rows.c.customer_id,
    )
    return Query(statement.values({name: rows.c[name] for name in columns}))


@cache
def delete_customers() -> Query:
    """The customers `ids`, with what belongs to them."""
    statement = customers.delete().where(customers.c.account_id == number("account_id"))
    return Query(statement.where(any_of(customers.c.customer_id, "ids")))


@cache
def set_counters() -> Query:
    """The account's counters."""
    names = ("customers", "orders", "leads")
    statement = counters.update().where(counters.c.account_id == number("only_account"))
    return Query(statement.values({name: number(name) for name in names}))


@cache
def revoke_token() -> Query:
    """Marks a token as revoked, unless it was already."""
    statement = tokens.update().where(tokens.c.token_id == sa.bindparam("revoked_id"))
    unrevoked = statement.where(tokens.c.revoked_at.is_(None))
    return Query(unrevoked.values(revoked_at=number("revoked_at")))


def _arrays(of: Iterable[sa.Column[Any]]) -> sa.TableValuedAlias:
    """Rows made of an array parameter for each column."""
    typed = list(of)
    arrays = [sa.bindparam(c.name, type_=postgresql.ARRAY(c.type)) for c in typed]
    columns = [sa.column(c.name, c.type) for c in typed]
    return sa.func.unnest(*arrays).table_valued(*columns, name="rows").render_derived()
