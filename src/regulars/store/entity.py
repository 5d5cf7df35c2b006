"""Descriptions of entities: what the writer must know of a table to load, change and save rows.

An entity is described once, as plain data. The unit of work and the statements loop over the
descriptions in an explicit order: an entity comes after the entities that it refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, among, any_of, number

Row = Mapping[str, Any]
# The rows that a query returns, by the name under which the state holds them.
LoadedRows = Mapping[str, Sequence[Row]]
# Combines the conditions of a statement with those on which a batch is saved.
Where = Callable[..., sa.ColumnElement[bool]]
Change = sa.Insert | sa.Update | sa.Delete

# Parameters of the statements that save a batch. In SET and VALUES a column has its own name.
ACCOUNT = "batch_account_id"
DELETED_AT = "deleted_at"


def batch_account() -> sa.BindParameter[int]:
    """The account of the batch, as a parameter."""
    return number(ACCOUNT)


def deleted(table: sa.Table) -> str:
    """The name of the parameter that holds the keys of deleted rows."""
    return f"deleted_{table.name}"


class Updates(Enum):
    """Which columns an update of a row writes."""

    EDITABLE = "all editable columns of the entity"
    CHANGED = "the columns that differ from the stored row, so that other indexes stay untouched"
    ASSIGNED = "the columns that commands set, because others write other columns of the row"


@dataclass(frozen=True)
class Lookup:
    """How commands name rows: the values of a column, under a name of LookupKeys. With `via`, the
    column is compared with the values that this statement selects instead."""

    name: str
    column: sa.Column[Any]
    via: Callable[[], sa.Select[Any]] | None = None

    def condition(self) -> sa.ColumnElement[bool]:
        """Whether a row is named."""
        return among(self.column, self.via()) if self.via else any_of(self.column, self.name)


@dataclass(frozen=True)
class Load:
    """A query for what commands name: run when one of `lookups` has values. `parameters` are the
    names of all values that it takes. `split` turns its rows into rows by name."""

    lookups: tuple[str, ...]
    query: Callable[[], Query]
    split: Callable[[Sequence[Sequence[Any]]], LoadedRows]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchStatement:
    """A statement that is part of a batch, besides inserts, updates and deletes. With
    `needs_snapshot` it must see rows that others commit while the batch waits for a lock: it is
    never combined with other statements."""

    name: str
    build: Callable[[Where], Change]
    needs_snapshot: bool = False


@dataclass(frozen=True)
class OnCustomerDelete:
    """What the deletion of customers does to the rows of an entity: the statements that run before
    and after the customers are deleted, and the column that is set to null. Without `blanks`, the
    rows are deleted: by `after`, or by a foreign key that cascades."""

    before: tuple[BatchStatement, ...] = ()
    after: tuple[BatchStatement, ...] = ()
    blanks: str | None = None


# A foreign key deletes the rows.
CASCADE = OnCustomerDelete()


def blank(table: sa.Table, column: str) -> OnCustomerDelete:
    """Sets a column to null in the rows of deleted customers."""

    def build(where: Where) -> Change:
        return (
            table.update()
            .where(where(*of_deleted_customers(table), table.c[column].is_not(None)))
            .values({column: sa.null()})
        )

    return OnCustomerDelete(after=(BatchStatement(f"blanked_{table.name}", build),), blanks=column)


def delete_rows(table: sa.Table, *first: BatchStatement) -> OnCustomerDelete:
    """Deletes the rows of deleted customers, after the statements `first`."""

    def build(where: Where) -> Change:
        return table.delete().where(where(*of_deleted_customers(table)))

    return OnCustomerDelete(after=(*first, BatchStatement(f"erased_{table.name}", build)))


def of_deleted_customers(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions of rows that belong to deleted customers."""
    account = table.c.account_id == batch_account()
    return account, any_of(table.c.customer_id, "deleted_customers")


@dataclass(frozen=True, eq=False)
class Entity:
    """What the writer must know of a table.

    `counter` numbers the rows of an account. `lookups` say how commands name rows; `load` replaces
    the query that is made of them. `unique` are the columns, besides the key, by which a unit of
    work finds rows. `editable` are the columns that `updates` may write. `rules` are the functions
    that decide commands, by the class of the command. `long_texts` are columns whose length makes
    a decision slow.
    """

    table: sa.Table
    counter: str | None = None
    lookups: tuple[Lookup, ...] = ()
    load: Load | None = None
    unique: tuple[tuple[str, ...], ...] = ()
    updates: Updates = Updates.EDITABLE
    editable: tuple[str, ...] = ()
    on_customer_delete: OnCustomerDelete | None = None
    rules: Mapping[type, Callable[[Any, Any], Any]] = field(default_factory=dict)
    long_texts: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        """The name of the table."""
        return str(self.table.name)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, as plain strings."""
        return tuple(str(column.name) for column in self.table.columns)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key after the account."""
        names = [str(column.name) for column in self.table.primary_key.columns]
        return tuple(name for name in names if name != "account_id")

    @cached_property
    def key_of(self) -> Callable[[Row], Any]:
        """Returns the key of a row: one value, or a tuple."""
        return itemgetter(*self.key)

    @cached_property
    def indexes(self) -> tuple[tuple[tuple[str, ...], Callable[[Row], Any]], ...]:
        """The unique columns, each with a function that returns their value in a row."""
        return tuple((columns, itemgetter(*columns)) for columns in self.unique)

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """The queries for the rows that commands name."""
        if self.load or not self.lookups:
            return (self.load,) if self.load else ()
        names = tuple(lookup.name for lookup in self.lookups)
        query = Query(lambda: self.named(self.lookups))

        def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
            return {self.name: [dict(zip(self.columns, row, strict=True)) for row in rows]}

        return (Load(names, lambda: query, split, names),)

    def named(self, lookups: Sequence[Lookup]) -> sa.SelectBase:
        """Selects whole rows by lookups. A row that is named in several ways comes as often: SQLite
        reads the whole account for an OR."""
        rows = sa.select(*self.table.columns).where(of_account(self.table))
        each = [rows.where(lookup.condition()) for lookup in lookups]
        return each[0] if len(each) == 1 else sa.union_all(*each)
