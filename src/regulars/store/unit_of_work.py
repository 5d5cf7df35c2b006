"""The unit of work: the rows that a batch of commands loads, and the changes that it makes.

It knows every entity by its description, and no entity by name. Commands read and replace rows;
what was loaded is kept, and the difference is saved at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from regulars.store import queries
from regulars.store.entity import BatchStatement, Entity, Load, Row, Updates
from regulars.store.query import Query

# The search terms of customers, by the id of the customer.
Terms = Mapping[int, Collection[str]]


class LookupKeys(dict[str, frozenset[Any]]):
    """The rows that a command names, by the names of lookups: `LookupKeys(customer_ids=[1])`."""

    def __init__(self, **keys: Iterable[Any]) -> None:
        super().__init__({name: found for name, each in keys.items() if (found := frozenset(each))})


@dataclass(frozen=True, slots=True)
class State:
    """The part of an account that a batch names, as the database has it: the counters, whole rows
    by the name of their table, and how many batches have changed the account. A row may be there
    several times."""

    counters: Mapping[str, int]
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    revision: int = 0


class TableChanges(NamedTuple):
    """The changes of one table: rows to insert, rows to update by the columns to write, and the
    keys of rows to delete."""

    inserted: Sequence[Row] = ()
    updated: Mapping[tuple[str, ...], Sequence[Row]] = {}
    deleted: Sequence[Any] = ()


_UNCHANGED = TableChanges()
# Members of an Enum are slow to reach.
_CHANGED, _ASSIGNED = Updates.CHANGED, Updates.ASSIGNED


@dataclass(slots=True)
class Changes:
    """The changes that a batch makes: the counters after it, the changes of each table in the order
    of the entities, further statements with their parameters, and the search terms that customers
    get and lose (none is in both for one customer). `deleted_at` is the time at which customers
    were deleted, in milliseconds since 1970."""

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
        """The changes of a table."""
        return self.tables.get(table, _UNCHANGED)


# The outcome of each command, in order: its result, or the exception that refuses it. There are
# fewer outcomes than commands if the commands are too much work for one batch.
Outcomes = Sequence[Any]
Decide = Callable[[int, Sequence[Any], State], tuple[Outcomes, Changes]]


class Rows:
    """The rows of one table in a unit of work, each by its key: an identity map."""

    __slots__ = ("_assigned", "_by_columns", "_entity", "_indexes", "_key_of", "_loaded", "_rows")

    def __init__(self, entity: Entity, loaded: Sequence[Row] = ()) -> None:
        key_of = entity.key_of
        self._entity = entity
        self._key_of = key_of
        self._loaded = {key_of(row): row for row in loaded} if loaded else {}
        self._rows: dict[Any, Row | None] = dict(self._loaded)
        self._assigned: dict[Any, set[str]] = {}
        # The keys of rows by the value in unique columns.
        self._by_columns: dict[tuple[str, ...], dict[Any, Any]] = {
            columns: {value_of(row): key_of(row) for row in loaded} if loaded else {}
            for columns, value_of in entity.indexes
        }
        self._indexes = [
            (value_of, self._by_columns[columns]) for columns, value_of in entity.indexes
        ]

    def get(self, key: Any) -> Row | None:
        """The row of a key; None if there is none."""
        return self._rows.get(key)

    def find(self, columns: tuple[str, ...], value: Any) -> Any:
        """The key of the row that has a value in unique columns; None if there is none."""
        return self._by_columns[columns].get(value)

    def all(self) -> list[Row]:
        """All rows."""
        return [row for row in self._rows.values() if row is not None]

    def is_known(self, key: Any) -> bool:
        """Whether there is a row of that key, or one was deleted in this unit of work."""
        return key in self._rows

    def is_loaded(self, key: Any) -> bool:
        """Whether the database has a row of that key."""
        return key in self._loaded

    def put(self, row: Row, columns: Collection[str] = ()) -> None:
        """Adds a row or replaces the one of its key. `columns` are those that a command assigns,
        for an entity whose updates write assigned columns."""
        key = self._key_of(row)
        before = self._rows.get(key)
        for value_of, index in self._indexes:
            if before is not None and index.get(value := value_of(before)) == key:
                del index[value]
            index[value_of(row)] = key
        self._rows[key] = row
        if columns:
            self._assigned.setdefault(key, set()).update(columns)

    def delete(self, key: Any) -> None:
        """Deletes a row."""
        self._unindex(key)
        self._rows[key] = None

    def discard(self, keys: Iterable[Any]) -> None:
        """Removes rows that the database deletes by itself."""
        for key in keys:
            self._unindex(key)
            del self._rows[key]

    def assume_stored(self, row: Row) -> None:
        """Adds a row that a statement of the batch inserts."""
        self._loaded[self._key_of(row)] = row
        self.put(row)

    def assume_deleted(self, key: Any) -> None:
        """Removes a row that a statement of the batch deletes."""
        self._loaded.pop(key, None)
        self.discard([key] if key in self._rows else [])

    def differences(self) -> list[tuple[Any, Row | None, Row | None]]:
        """The key of each row that is not as it was loaded, the row before and the row now."""
        loaded = self._loaded.get
        return [
            (key, before, row)
            for key, row in self._rows.items()
            if row is not (before := loaded(key))
        ]

    def changes(self) -> TableChanges | None:
        """The difference between the rows that were loaded and those that are here now; None if
        there is none."""
        inserted, deleted = [], []
        updated: dict[tuple[str, ...], list[Row]] = {}
        for key, before, row in self.differences():
            if row is None:
                deleted.append(key)
            elif before is None:
                inserted.append(row)
            elif columns := self._columns_to_write(key, before, row):
                updated.setdefault(columns, []).append(row)
        changed = inserted or updated or deleted
        return TableChanges(inserted, updated, deleted) if changed else None

    def copy(self) -> Rows:
        """A copy to return to."""
        copied = Rows(self._entity)
        copied._loaded, copied._rows = dict(self._loaded), dict(self._rows)
        copied._assigned = {key: set(columns) for key, columns in self._assigned.items()}
        for columns, index in self._by_columns.items():
            copied._by_columns[columns].update(index)
        return copied

    def _columns_to_write(self, key: Any, before: Row, row: Row) -> tuple[str, ...]:
        updates = self._entity.updates
        if updates is _CHANGED:
            return tuple([name for name in row if row[name] != before[name]])
        if updates is _ASSIGNED:
            return tuple(sorted(self._assigned.get(key, ())))
        return self._entity.editable if row != before else ()

    def _unindex(self, key: Any) -> None:
        row = self._rows.get(key)
        if row is not None:
            for value_of, index in self._indexes:
                if index.get(value := value_of(row)) == key:
                    del index[value]


class Savepoint(NamedTuple):
    """A unit of work as it was at some point."""

    counters: Mapping[str, int]
    rows: Mapping[sa.Table, Rows]
    statements: Mapping[BatchStatement, Mapping[str, Any]]
    deleted_at: int
    work: int


class _RowsByTable(dict[sa.Table, Rows]):
    """The rows of each table that commands have asked for."""

    def __init__(self, entities: Entities, state: State) -> None:
        super().__init__()
        self._entities = entities
        self._state = state

    def __missing__(self, table: sa.Table) -> Rows:
        entity = self._entities.by_table[table]
        rows = self[table] = Rows(entity, self._state.rows.get(entity.name, ()))
        return rows

    def copies(self) -> dict[sa.Table, Rows]:
        return {table: rows.copy() for table, rows in self.items()}


class UnitOfWork:
    """An account as a batch leaves it so far: the rows that the batch names, and those that it
    makes. `work` counts how much of the search index the batch changes."""

    def __init__(self, account_id: int, state: State, entities: Entities) -> None:
        self.account_id = account_id
        self.counters = dict(state.counters)
        self.deleted_at = 0
        self.work = 0
        self.entities = entities
        self.state = state
        self.rows = _RowsByTable(entities, state)
        self._statements: dict[BatchStatement, dict[str, Any]] = {}

    def savepoint(self) -> Savepoint:
        """The unit of work as it is, to return to."""
        statements = {each: dict(parameters) for each, parameters in self._statements.items()}
        return Savepoint(
            dict(self.counters), self.rows.copies(), statements, self.deleted_at, self.work
        )

    def roll_back(self, savepoint: Savepoint) -> None:
        """Undoes everything since a savepoint, to which one can return again."""
        self.counters = dict(savepoint.counters)
        self.rows.clear()
        self.rows.update((table, rows.copy()) for table, rows in savepoint.rows.items())
        self._statements = {
            each: dict(parameters) for each, parameters in savepoint.statements.items()
        }
        self.deleted_at, self.work = savepoint.deleted_at, savepoint.work

    def run(self, statement: BatchStatement, **parameters: Any) -> None:
        """Adds a statement to the batch. Of several calls, lists are joined, and of numbers the
        greatest counts."""
        known = self._statements.setdefault(statement, parameters)
        if known is not parameters:
            for name, value in parameters.items():
                known[name] = (
                    known[name] + value if isinstance(value, list) else max(known[name], value)
                )

    def delete_customer(self, customer_id: int, at: int) -> None:
        """Deletes a customer at a time (milliseconds since 1970), and what belongs to it."""
        self.deleted_at = max(self.deleted_at, at)
        self.rows[self.entities.root.table].delete(customer_id)
        for entity in self.entities.of_customers:
            if entity.table not in self.rows and not self.state.rows.get(entity.name):
                continue
            rows = self.rows[entity.table]
            theirs = [row for row in rows.all() if row["customer_id"] == customer_id]
            assert entity.on_customer_delete is not None
            blanks = entity.on_customer_delete.blanks
            if blanks:
                for row in theirs:
                    rows.put({**row, blanks: None})
            else:
                rows.discard(map(entity.key_of, theirs))

    def changes(self) -> Changes:
        """The difference between what was loaded and what is here now."""
        tables = {}
        for table, entity in self.entities.by_table.items():
            if table in self.rows and (found := self.rows[table].changes()):
                tables[entity.name] = found
        return Changes(
            counters=self.counters if self.counters != self.state.counters else {},
            tables=tables,
            statements=self._statements,
            deleted_at=self.deleted_at,
        )


class Entities:
    """All entities, in an order in which each comes after those that it refers to, and what
    follows from them together. The first is the customer: others belong to it, and its rows are
    loaded together with the account's counters."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._entities = tuple(entities)
        self.root = self._entities[0]
        self.by_table = {entity.table: entity for entity in self._entities}
        self.by_name = {entity.name: entity for entity in self._entities}
        self.of_customers = [each for each in entities if each.on_customer_delete is not None]
        self.counters = tuple(each.counter for each in entities if each.counter)
        self._rules = {cls: rule for each in entities for cls, rule in each.rules.items()}
        self._loads = [load for each in entities[1:] for load in each.loads]
        names = [lookup.name for each in entities for lookup in each.lookups]
        self._lookups = frozenset(
            [*names, *(name for load in self._loads for name in load.lookups)]
        )
        self._via = [lookup.name for lookup in self.root.lookups if lookup.via]
        self._own = [lookup.name for lookup in self.root.lookups if not lookup.via]
        self._states: dict[bool, Query] = {}

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._entities)

    def rule(self, command: type) -> Callable[[Any, Any], Any]:
        """The function that decides commands of a class: of the unit of work and the command it
        makes the result. Raises LookupError."""
        rule = self._rules.get(command)
        if rule is not None:
            return rule
        for cls in command.__mro__:
            if cls in self._rules:
                return self._rules[cls]
        raise LookupError(f"No rule decides {command.__name__}.")

    def merge(self, each: Iterable[LookupKeys]) -> LookupKeys:
        """The keys of several commands together. Raises LookupError for the name of no lookup."""
        merged: dict[str, set[Any]] = {}
        for keys in each:
            for name, values in keys.items():
                merged.setdefault(name, set()).update(values)
        if not merged.keys() <= self._lookups:
            raise LookupError(f"No lookup is named {merged.keys() - self._lookups}.")
        return LookupKeys(**merged)

    def customers_named(self, keys: LookupKeys) -> int:
        """How many customers are named by their own columns."""
        return sum(len(keys.get(name, ())) for name in self._own)

    def state(self, keys: LookupKeys) -> Query:
        """Selects the account's revision and counters, and the customers that are named. Without
        any there is one row, with nulls."""
        has_via = any(name in keys for name in self._via)
        query = self._states.get(has_via)
        if query is None:
            lookups = [each for each in self.root.lookups if has_via or not each.via]
            query = queries.state(self.counters, self.root.named(lookups))
            self._states[has_via] = query
        return query

    def parameters(self, account_id: int, keys: LookupKeys) -> dict[str, Any]:
        """The parameters of `state`."""
        names = [*self._own, *self._via]
        return {"account_id": account_id, **{name: list(keys.get(name, ())) for name in names}}

    def loads(self, account_id: int, keys: LookupKeys) -> list[tuple[Load, dict[str, Any]]]:
        """The queries for all other rows that are named, with their parameters."""
        if not keys:
            return []
        return [
            (
                load,
                {
                    "account_id": account_id,
                    **{name: list(keys.get(name, ())) for name in load.parameters},
                },
            )
            for load in self._loads
            if any(name in keys for name in load.lookups)
        ]

    def loaded(self, rows: Sequence[Any], others: Iterable[tuple[Load, Sequence[Any]]]) -> State:
        """The state, from the rows of `state` and of `loads`."""
        width = len(self.counters) + 1
        revision, *last = rows[0][:width]
        columns = self.root.columns
        found: dict[str, Sequence[Row]] = {
            self.root.name: [
                dict(zip(columns, row[width:], strict=True))
                for row in rows
                if row[width] is not None
            ]
        }
        for load, each in others:
            found |= load.split(each)
        return State(dict(zip(self.counters, last, strict=True)), found, revision)


class Domain(NamedTuple):
    """What a store must know of the program to write: the entities, and the rules."""

    entities: Entities
    decide: Decide
