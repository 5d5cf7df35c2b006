"""The unit of work: the rows that a batch of commands reads and replaces.

It loops over the descriptions of entities and names none of them. At the end the difference to the
loaded rows is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.store.changes import Changes, State, TableChanges
from regulars.store.entities import Entities
from regulars.store.entity import BatchStatement, Entity, Row, WordIndex
from regulars.store.identity_map import IdentityMap

# The outcome of each command, in order: its result, or the exception that refuses it. There are
# fewer outcomes than commands if the commands are too much work for one batch.
Outcomes = Sequence[Any]
Decide = Callable[[int, Sequence[Any], State], tuple[Outcomes, Changes]]


class Domain(NamedTuple):
    """What a store needs to write: the entities, and the function that decides commands."""

    entities: Entities
    decide: Decide


class Savepoint(NamedTuple):
    """A copy of the changes of a unit of work."""

    counters: Mapping[str, int]
    rows: Mapping[sa.Table, IdentityMap]
    statements: Mapping[BatchStatement, Mapping[str, Any]]
    deleted_at: int
    work: int


class _IdentityMaps(dict[sa.Table, IdentityMap]):
    """The identity map of each table, created on first use."""

    def __init__(self, entities: Entities, state: State) -> None:
        super().__init__()
        self._entities = entities
        self._state = state

    def __missing__(self, table: sa.Table) -> IdentityMap:
        entity = self._entities.by_table[table]
        rows = self[table] = IdentityMap(entity, self._state.rows.get(entity.name, ()))
        return rows

    def copies(self) -> dict[sa.Table, IdentityMap]:
        return {table: rows.copy() for table, rows in self.items()}


class UnitOfWork:
    """An account with the changes of a batch so far. `rows` has an identity map for each table.
    `work` counts how much of the search index the batch changes."""

    def __init__(self, account_id: int, state: State, entities: Entities) -> None:
        self.account_id = account_id
        self.counters = dict(state.counters)
        self.deleted_at = 0
        self.work = 0
        self.entities = entities
        self.state = state
        self.rows = _IdentityMaps(entities, state)
        self._statements: dict[BatchStatement, dict[str, Any]] = {}

    def savepoint(self) -> Savepoint:
        """Return a savepoint for `roll_back`."""
        statements = {
            statement: dict(parameters) for statement, parameters in self._statements.items()
        }
        return Savepoint(
            dict(self.counters), self.rows.copies(), statements, self.deleted_at, self.work
        )

    def roll_back(self, savepoint: Savepoint) -> None:
        """Undo everything since a savepoint, which can be used again."""
        self.counters = dict(savepoint.counters)
        self.rows.clear()
        self.rows.update((table, rows.copy()) for table, rows in savepoint.rows.items())
        self._statements = {
            statement: dict(parameters) for statement, parameters in savepoint.statements.items()
        }
        self.deleted_at, self.work = savepoint.deleted_at, savepoint.work

    @property
    def statements(self) -> Mapping[BatchStatement, Mapping[str, Any]]:
        """The statements of `run`, with their parameters."""
        return self._statements

    def run(self, statement: BatchStatement, **parameters: Any) -> None:
        """Add a statement to the batch. Parameters of several calls are merged: lists are
        concatenated, and the greatest number is used."""
        merged = self._statements.setdefault(statement, parameters)
        if merged is not parameters:
            for name, value in parameters.items():
                merged[name] = (
                    merged[name] + value if isinstance(value, list) else max(merged[name], value)
                )

    def delete_customer(self, customer_id: int, at: int) -> None:
        """Delete a customer at a time (milliseconds since 1970). For each entity, do what its
        `on_customer_delete` says."""
        self.deleted_at = max(self.deleted_at, at)
        self.rows[self.entities.root.table].delete(customer_id)
        for entity in self.entities.of_customers:
            if entity.table not in self.rows and not self.state.rows.get(entity.name):
                continue
            rows = self.rows[entity.table]
            of_customer = rows.of_customer(customer_id)
            if entity.blank_column:
                for row in of_customer:
                    rows.put({**row, entity.blank_column: None}, by_statement=True)
            else:
                rows.discard(map(entity.key_of, of_customer))

    def changes(self) -> Changes:
        """Return the difference to the loaded rows and counters."""
        tables: dict[str, TableChanges] = {}
        statements: dict[BatchStatement, Mapping[str, Any]] = {**self._statements}
        deleted: Collection[int] = ()
        for table in sorted(self.rows, key=self.entities.order_of):
            entity = self.entities.by_table[table]
            gone = deleted if deleted and entity.goes_with_customer else ()
            if changes := self.rows[table].changes(gone):
                if entity is self.entities.root:  # it comes first
                    deleted = changes.deleted
                tables[table.name] = changes
                if index := entity.word_index:
                    changed = self._with_changed_words(entity, index, changes)
                    if changed:
                        keys = [entity.key_of(row) for row in changed]
                        statements[index.removal] = {index.changed_keys: keys}
                    rows = (*changes.inserted, *changed)
                    entries = [each for row in rows for each in index.rows_of(row)]
                    if entries:
                        tables[index.table.name] = TableChanges(entries)
        return Changes(
            counters=self.counters if self.counters != self.state.counters else {},
            tables=tables,
            statements=statements,
            deleted_at=self.deleted_at,
        )

    def _with_changed_words(
        self, entity: Entity, index: WordIndex, changes: TableChanges
    ) -> list[Row]:
        """Return the updated rows whose words differ from those of the loaded ones."""
        loaded = self.rows[entity.table].loaded
        updated = [row for rows in changes.updated.values() for row in rows]
        pairs = [(row, loaded(entity.key_of(row))) for row in updated]
        return [row for row, old in pairs if old and row[index.column] != old[index.column]]
