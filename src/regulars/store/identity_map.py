"""An identity map: the rows of one table in a unit of work, each by its key (Fowler, Patterns of
Enterprise Application Architecture, 2002)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from regulars.store.changes import TableChanges
from regulars.store.entity import Entity, Row, Updates

# Members of an Enum are slow to reach.
_CHANGED, _ASSIGNED = Updates.CHANGED, Updates.ASSIGNED
# Before the key of a row, where a unique value is released. No stored text has this character.
_RELEASED = "\x01"


class IdentityMap:
    """The rows of one table: those that were loaded, and the changes of a unit of work."""

    __slots__ = (
        *("_assigned", "_by_columns", "_by_customer", "_entity", "_indexes", "_key_of"),
        *("_loaded", "_rows"),
    )

    def __init__(self, entity: Entity, loaded: Sequence[Row] = ()) -> None:
        key_of = entity.key_of
        self._entity = entity
        self._key_of = key_of
        self._loaded = {key_of(row): row for row in loaded} if loaded else {}
        self._rows: dict[Any, Row | None] = dict(self._loaded)
        self._assigned: dict[Any, set[str]] = {}
        # The keys of rows by their customer, once they are needed. Keys of removed rows, and
        # of rows that another customer has taken, stay.
        self._by_customer: dict[Any, dict[Any, None]] | None = None
        # The keys of rows, by their value in unique columns.
        self._by_columns: dict[tuple[str, ...], dict[Any, Any]] = {}
        self._indexes: list[tuple[Callable[[Row], Any], dict[Any, Any]]] = []
        for columns, value_of in entity.indexes:
            index = {value_of(row): key_of(row) for row in loaded} if loaded else {}
            self._by_columns[columns] = index
            self._indexes.append((value_of, index))

    def get(self, key: Any) -> Row | None:
        """Return the row with a key; None if there is none."""
        return self._rows.get(key)

    def find(self, columns: tuple[str, ...], value: Any) -> Any:
        """Return the key of the row that has a value in unique columns; None if there is none."""
        return self._by_columns[columns].get(value)

    def all(self) -> list[Row]:
        """Return all rows."""
        return [row for row in self._rows.values() if row is not None]

    def of_customer(self, customer_id: int) -> list[Row]:
        """Return the rows of a customer, of a table with a `customer_id`."""
        if self._by_customer is None:
            self._by_customer = {}
            for key, row in self._rows.items():
                if row is not None:
                    self._by_customer.setdefault(row["customer_id"], {})[key] = None
        keys = self._by_customer.get(customer_id, ())
        found = [row for key in keys if (row := self._rows.get(key)) is not None]
        return [row for row in found if row["customer_id"] == customer_id]

    def is_known(self, key: Any) -> bool:
        """Return whether there is a row with a key, or one was deleted in this unit of work."""
        return key in self._rows

    def loaded(self, key: Any) -> Row | None:
        """Return the row with a key as the database has it; None if it has none."""
        return self._loaded.get(key)

    def is_loaded(self, key: Any) -> bool:
        """Return whether the database has a row with a key."""
        return key in self._loaded

    def put(self, row: Row, columns: Collection[str] = (), by_statement: bool = False) -> None:
        """Add a row, or replace the row with its key. `columns` are those that a command assigns,
        for an entity whose updates write assigned columns. With `by_statement`, a statement of the
        batch changes the row, if it is in the database."""
        key = self._key_of(row)
        if by_statement and key in self._loaded:
            self._loaded[key] = row
        if self._by_customer is not None:
            self._by_customer.setdefault(row["customer_id"], {})[key] = None
        before = self._rows.get(key)
        for value_of, index in self._indexes:
            if before is not None and index.get(value := value_of(before)) == key:
                del index[value]
            index[value_of(row)] = key
        self._rows[key] = row
        if columns:
            self._assigned.setdefault(key, set()).update(columns)

    def delete(self, key: Any) -> None:
        """Delete a row."""
        self._unindex(key)
        self._rows[key] = None

    def discard(self, keys: Iterable[Any]) -> None:
        """Remove rows that the database deletes by itself."""
        for key in keys:
            self._unindex(key)
            del self._rows[key]

    def assume_stored(self, row: Row) -> None:
        """Add a row that a statement of the batch inserts."""
        self._loaded[self._key_of(row)] = row
        self.put(row)

    def assume_deleted(self, key: Any) -> None:
        """Remove a row that a statement of the batch deletes."""
        self._loaded.pop(key, None)
        self.discard([key] if key in self._rows else [])

    def differences(self) -> list[tuple[Any, Row | None, Row | None]]:
        """Return the rows that differ from the loaded ones: the key, the loaded row, the row."""
        loaded = self._loaded.get
        return [
            (key, before, row)
            for key, row in self._rows.items()
            if row is not (before := loaded(key))
        ]

    def changes(self, deleted_customers: Collection[int] = ()) -> TableChanges | None:
        """Return the difference to the loaded rows; None if there is none. The batch deletes the
        rows of `deleted_customers`, so one that has the key of such a row is inserted."""
        inserted, deleted = [], []
        updated: dict[tuple[str, ...], list[Row]] = {}
        for key, before, row in self.differences():
            if row is None:
                deleted.append(key)
            elif before is None or (
                deleted_customers and before["customer_id"] in deleted_customers
            ):
                inserted.append(row)
            elif columns := self._columns_to_write(key, before, row):
                updated.setdefault(columns, []).append(row)
        if not (inserted or updated or deleted):
            return None
        released = self._released(updated) if updated else {}
        return TableChanges(inserted, updated, deleted, released)

    def _released(
        self, updated: Mapping[tuple[str, ...], Sequence[Row]]
    ) -> dict[tuple[str, ...], list[Row]]:
        """Return the updates that release the unique values which other updated rows take."""
        released: dict[tuple[str, ...], list[Row]] = {}
        for columns, value_of in self._entity.indexes:
            changed = [
                (row, before)
                for names, rows in updated.items()
                if not frozenset(columns).isdisjoint(names)
                for row in rows
                if value_of(row) != value_of(before := self._loaded[self._key_of(row)])
            ]
            if len(changed) < 2:
                continue
            taken = {value_of(row) for row, _ in changed}
            name = columns[-1]
            rows: list[Row] = [
                {**row, name: f"{_RELEASED}{self._key_of(row)}"}
                for row, before in changed
                if value_of(before) in taken
            ]
            if rows:
                released[name,] = rows
        return released

    def copy(self) -> IdentityMap:
        """Return an independent copy."""
        copy = IdentityMap(self._entity)
        copy._loaded, copy._rows = dict(self._loaded), dict(self._rows)
        copy._assigned = {key: set(columns) for key, columns in self._assigned.items()}
        for columns, index in self._by_columns.items():
            copy._by_columns[columns].update(index)
        return copy

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
