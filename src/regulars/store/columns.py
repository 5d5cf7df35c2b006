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


def table(name: str, *items: sa.Column[object] | sa.schema.SchemaItem) -> sa.Table:
    """A table of `metadata`."""
    return sa.Table(name, metadata, *items, sqlite_strict=True)


def number(name: str, **options: bool) -> sa.Column[int]:
    """A whole number of 64 bits; `nullable` or not."""
    return sa.Column(name, Number, nullable=options.get("nullable", False))


def text(name: str, **options: bool) -> sa.Column[str]:
    """Text that is compared by code point; `nullable` or not."""
    return sa.Column(name, Text, nullable=options.get("nullable", False))


def key(name: str) -> sa.Column[int]:
    """A number of the primary key."""
    return sa.Column(name, Number, primary_key=True, autoincrement=False)


def flag(name: str, **options: Any) -> sa.Column[bool]:
    """True or false."""
    return sa.Column(name, Flag, nullable=False, **options)


def derived(name: str) -> sa.Column[str]:
    """Text made of other columns, for the search."""
    return sa.Column(name, Text, nullable=False, server_default="")


def goes_with(table: str, key: str) -> sa.ForeignKeyConstraint:
    """What belongs to a customer, or to a webhook, goes with it."""
    columns = ["account_id", key]
    there = [f"{table}.{column}" for column in columns]
    return sa.ForeignKeyConstraint(columns, there, ondelete="CASCADE")
