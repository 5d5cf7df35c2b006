"""The part of an account that a batch reads, and the changes that the batch makes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from regulars.store.entity import BatchStatement, Row

# The search terms of customers, by the id of the customer.
Terms = Mapping[int, Collection[str]]


class LookupKeys(dict[str, frozenset[Any]]):
    """The keys of the rows that a command needs, by the name of the lookup:
    `LookupKeys(customer_ids=[1])`. Lookups without keys are left out."""

    def __init__(self, **lookups: Collection[Any]) -> None:
        # A command has most of them empty.
        for name, values in lookups.items():
            if values:
                self[name] = frozenset(values)


@dataclass(frozen=True, slots=True)
class State:
    """The part of an account that a batch needs, as it is in the database: the counters, whole rows
    by the name of their table, and the revision, which counts the batches that have changed the
    account. A row may occur several times."""

    counters: Mapping[str, int]
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    revision: int = 0


class TableChanges(NamedTuple):
    """The changes of one table: rows to insert, rows to update by the columns to write, and the
    keys of rows to delete. `released` are updates that come before: rows whose unique value another
    row takes have no value of it in between."""

    inserted: Sequence[Row] = ()
    updated: Mapping[tuple[str, ...], Sequence[Row]] = {}
    deleted: Sequence[Any] = ()
    released: Mapping[tuple[str, ...], Sequence[Row]] = {}


_UNCHANGED = TableChanges()


@dataclass(slots=True)
class Changes:
    """The changes that a batch makes: the counters after it, the changes of each table in the order
    of the entities, further statements with their parameters, and the search terms to add and to
    remove (for one customer, no term is in both). `deleted_at` is the time at which customers were
    deleted, in milliseconds since 1970."""

    counters: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, TableChanges] = field(default_factory=dict)
    statements: Mapping[BatchStatement, Mapping[str, Any]] = field(default_factory=dict)
    deleted_at: int = 0
    added_terms: Terms = field(default_factory=dict)
    removed_terms: Terms = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(
            self.counters
            or self.tables
            or self.statements
            or self.added_terms
            or self.removed_terms
        )

    def of(self, table: str) -> TableChanges:
        """Return the changes of a table."""
        return self.tables.get(table, _UNCHANGED)
