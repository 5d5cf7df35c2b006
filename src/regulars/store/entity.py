"""Descriptions of entities: what the writer must know of a table to load, change and save rows.

An entity is described once, as plain data. The unit of work and the statements loop over the
descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from regulars.store.queries import of_account
from regulars.store.query import Query, among, any_of, number

Row = Mapping[str, Any]
# The rows that a query returns, by the name of their table in the state.
LoadedRows = Mapping[str, Sequence[Row]]
# Returns the conditions of a statement, combined with those on which the batch is saved.
Where = Callable[..., sa.ColumnElement[bool]]
Change = sa.Insert | sa.Update | sa.Delete

# Parameters of the statements that save a batch. In SET and VALUES a column has its own name.
ACCOUNT = "batch_account_id"
DELETED_AT = "deleted_at"


def batch_account() -> sa.BindParameter[int]:
    """Return the parameter of the batch's account."""
    return number(ACCOUNT)


def deleted_keys_name(table: sa.Table) -> str:
    """Return the name of the parameter with the keys of deleted rows."""
    return f"deleted_{table.name}"


class Updates(Enum):
    """Which columns an update of a row writes."""

    EDITABLE = "all editable columns of the entity"
    CHANGED = "the columns that differ from the stored row, so that other indexes stay untouched"
    ASSIGNED = "the columns that commands set, because others write other columns of the row"


@dataclass(frozen=True)
class Lookup:
    """How commands name rows: by the values of a column, under a name of LookupKeys. With `via`,
    the column is compared with the values that this statement selects. With `further`, the keys
    also name the rows with the `further_column` that this statement selects in an account."""

    name: str
    column: sa.Column[Any]
    via: Callable[[], sa.Select[Any]] | None = None
    further: Callable[[sa.ColumnElement[int]], sa.Select[Any]] | None = None
    further_column: sa.Column[Any] | None = None

    def conditions(self, account: sa.ColumnElement[int]) -> Iterator[sa.ColumnElement[bool]]:
        """Yield conditions, of which each row that the lookup's keys name meets one. `account` is
        the parameter of the account."""
        yield among(self.column, self.via()) if self.via else any_of(self.column, self.name)
        if self.further and self.further_column is not None:
            yield among(self.further_column, self.further(account))


@dataclass(frozen=True)
class Load:
    """A query for rows that commands name. It runs if one of `lookups` has keys. `parameters` are
    the lookups whose keys it takes. `split` turns its rows into rows by table."""

    lookups: tuple[str, ...]
    query: Callable[[], Query]
    split: Callable[[Sequence[Sequence[Any]]], LoadedRows]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchStatement:
    """A statement of a batch that is no insert, update or delete of rows by key. With
    `needs_snapshot` it must see rows that others commit while the batch waits for a lock, or that
    earlier statements of the batch write, so it is never combined with other statements."""

    name: str
    build: Callable[[Where], Change]
    needs_snapshot: bool = False


@dataclass(frozen=True)
class OnCustomerDelete:
    """What the deletion of customers does to the rows of an entity: the statements that run before
    and after it, and the column that they set to null. Without `blank_column` the rows are deleted,
    by `after` or by a foreign key that cascades."""

    before: tuple[BatchStatement, ...] = ()
    after: tuple[BatchStatement, ...] = ()
    blank_column: str | None = None


# A foreign key deletes the rows.
CASCADE = OnCustomerDelete()


def blank(table: sa.Table, column: str) -> OnCustomerDelete:
    """Set a column to null in the rows of deleted customers."""

    def build(where: Where) -> Change:
        return (
            table.update()
            .where(where(*of_deleted_customers(table), table.c[column].is_not(None)))
            .values({column: sa.null()})
        )

    statement = BatchStatement(f"blanked_{table.name}", build)
    return OnCustomerDelete(after=(statement,), blank_column=column)


def delete_rows(table: sa.Table, *preceding: BatchStatement) -> OnCustomerDelete:
    """Delete the rows of deleted customers, after the `preceding` statements."""

    def build(where: Where) -> Change:
        return table.delete().where(where(*of_deleted_customers(table)))

    return OnCustomerDelete(after=(*preceding, BatchStatement(f"erased_{table.name}", build)))


def of_deleted_customers(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions that a row belongs to a deleted customer of the batch."""
    account = table.c.account_id == batch_account()
    return account, any_of(table.c.customer_id, "deleted_customers")


@dataclass(frozen=True, eq=False)
class WordIndex:
    """The words by which the rows of an entity are found. The column `column` has those of the
    column `source`, as `words` returns them. `table` has a row for each of the `terms` of the
    words; a foreign key deletes it with the row of the entity."""

    table: sa.Table
    source: str
    column: str
    words: Callable[[str], str]
    terms: Callable[[str], Collection[str]]

    def with_words(self, row: Row) -> dict[str, Any]:
        """Return a row with the words of its text."""
        return {**row, self.column: self.words(row[self.source])}

    def rows_of(self, row: Row) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table for a row with its words."""
        shared = {str(c.name): row[c.name] for c in self.table.c if c.name != "term"}
        for term in self.terms(row[self.column]):
            yield {**shared, "term": term}

    @property
    def changed_keys(self) -> str:
        """The parameter of `removal` with the keys of the rows of the entity."""
        return f"changed_{self.table.name}"

    @cached_property
    def removal(self) -> BatchStatement:
        """The statement that deletes the rows of the table for rows of the entity."""

        def build(where: Where) -> Change:
            account, key = list(self.table.primary_key.columns)[:2]
            is_changed = any_of(key, self.changed_keys)
            return self.table.delete().where(where(account == batch_account(), is_changed))

        return BatchStatement(self.changed_keys, build)


@dataclass(frozen=True, eq=False)
class Entity:
    """What the writer must know of a table.

    `counter` numbers the rows of an account; `more_counters` what is in them. `lookups` say how
    commands name rows; `load` replaces the query that is made of them, and `more_loads` are further
    queries. `unique` are the columns, besides the key, by which a unit of work finds rows.
    `editable` are the columns that `updates` may write. `rules` are the functions that decide
    commands, by the class of the command. `long_texts` are columns whose text takes long to index.
    `word_index` has the words of a text. No command reads the rows of a log (`is_log`).
    """

    table: sa.Table
    counter: str | None = None
    more_counters: tuple[str, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    load: Load | None = None
    more_loads: tuple[Load, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    updates: Updates = Updates.EDITABLE
    editable: tuple[str, ...] = ()
    on_customer_delete: OnCustomerDelete | None = None
    rules: Mapping[type, Callable[[Any, Any], Any]] = field(default_factory=dict)
    long_texts: tuple[str, ...] = ()
    word_index: WordIndex | None = None
    is_log: bool = False

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

    @property
    def blank_column(self) -> str | None:
        """The column that the deletion of a customer sets to null; None if it deletes the rows."""
        return self.on_customer_delete.blank_column if self.on_customer_delete else None

    @cached_property
    def goes_with_customer(self) -> bool:
        """Whether the deletion of a customer deletes its rows."""
        is_deleted = self.on_customer_delete is not None and self.blank_column is None
        return is_deleted and "customer_id" in self.columns

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """The queries for the rows that commands name, made of `lookups` unless `load` is set."""
        if self.load or not self.lookups:
            return (self.load, *self.more_loads) if self.load else self.more_loads
        names = tuple(lookup.name for lookup in self.lookups)
        query = Query(lambda: self.select(self.lookups))

        def split(rows: Sequence[Sequence[Any]]) -> LoadedRows:
            return {self.name: [dict(zip(self.columns, row, strict=True)) for row in rows]}

        return (Load(names, lambda: query, split, names), *self.more_loads)

    def select(self, lookups: Sequence[Lookup]) -> sa.SelectBase:
        """Return a statement that selects whole rows by lookups. It returns a row once for each
        condition that it meets: for an OR, SQLite would read the whole account."""
        rows = sa.select(*self.table.columns).where(of_account(self.table))
        account = number("account_id")
        selects = [rows.where(each) for lookup in lookups for each in lookup.conditions(account)]
        return selects[0] if len(selects) == 1 else sa.union_all(*selects)
