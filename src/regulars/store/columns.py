"""The column types of the tables, on both databases."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

# SQLite's STRICT tables have INTEGER, TEXT and BLOB. A PostgreSQL column needs the collation "C" to
# compare by code point, as SQLite does.
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Flag = sa.Boolean().with_variant(sa.Integer(), "sqlite")
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def table(
    name: str, *items: sa.Column[object] | sa.schema.SchemaItem, with_rowid: bool = True
) -> sa.Table:
    """Return a new table of `metadata`. On SQLite, one without a rowid is stored in the index of
    its key."""
    return sa.Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=with_rowid)


def number(name: str, **options: bool) -> sa.Column[int]:
    """Return a column of 64-bit integers, `nullable` or not."""
    return sa.Column(name, Number, nullable=options.get("nullable", False))


def text(name: str, **options: bool) -> sa.Column[str]:
    """Return a column of text that is compared by code point, `nullable` or not."""
    return sa.Column(name, Text, nullable=options.get("nullable", False))


def key(name: str) -> sa.Column[int]:
    """Return a number column of the primary key."""
    return sa.Column(name, Number, primary_key=True, autoincrement=False)


def flag(name: str, **options: Any) -> sa.Column[bool]:
    """Return a column of Boolean values."""
    return sa.Column(name, Flag, nullable=False, **options)


def derived(name: str) -> sa.Column[str]:
    """Return a column of text for the search, made of other columns."""
    return sa.Column(name, Text, nullable=False, server_default="")


def belongs_to(table: str, key: str) -> sa.ForeignKeyConstraint:
    """Return a foreign key to a table of the account: the rows are deleted with the row that they
    refer to."""
    columns = ["account_id", key]
    referenced = [f"{table}.{column}" for column in columns]
    return sa.ForeignKeyConstraint(columns, referenced, ondelete="CASCADE")
