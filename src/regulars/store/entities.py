"""All entities together: how a batch is loaded, and which rule decides a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy.sql.visitors import iterate

from regulars.store import queries
from regulars.store.changes import LookupKeys, State
from regulars.store.entity import Entity, Load, Row
from regulars.store.moving import load_blanked_rows, load_whole_rows
from regulars.store.query import Query
from regulars.store.tables import terms


class Entities:
    """All entities, in an order in which each comes after the entities that it refers to. The
    first, `root`, is the customer: its rows are loaded together with the account's counters."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._entities = tuple(entities)
        self.root = self._entities[0]
        self.by_table = {entity.table: entity for entity in self._entities}
        self.order_of = {entity.table: index for index, entity in enumerate(entities)}.__getitem__
        self.by_name = {entity.name: entity for entity in self._entities}
        self.of_customers = [e for e in entities if e.on_customer_delete is not None]
        # Those whose rows belong to a customer, and move to the trash with it.
        self.with_rows_of_customers = [e for e in self.of_customers if "customer_id" in e.columns]
        self.counters = tuple(
            counter
            for entity in entities
            for counter in (entity.counter, *entity.more_counters)
            if counter
        )
        self._rules = {cls: rule for entity in entities for cls, rule in entity.rules.items()}
        self._loads = [load for entity in entities[1:] for load in entity.loads]
        self._loads += map(load_whole_rows, self.with_rows_of_customers)
        self._loads += [load_blanked_rows(e) for e in self.with_rows_of_customers if e.blank_column]
        names = [lookup.name for entity in entities for lookup in entity.lookups]
        self.lookups = frozenset([*names, *(name for load in self._loads for name in load.lookups)])
        # The root's lookups: by its own columns, and by those of other tables.
        self._direct = [lookup.name for lookup in self.root.lookups if not lookup.via]
        self._direct_names = frozenset(self._direct)
        self._indirect = [lookup.name for lookup in self.root.lookups if lookup.via]
        self._state_queries: dict[bool, Query] = {}
        self._of_terms = frozenset(
            lookup.name
            for lookup in self.root.lookups
            if lookup.via and any(part is terms for part in iterate(lookup.via()))
        )

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._entities)

    def rule(self, command: type) -> Callable[[Any, Any], Any]:
        """Return the function that decides commands of a class: it takes the unit of work and the
        command, and returns the result. Raises LookupError."""
        rule = self._rules.get(command)
        if rule is not None:
            return rule
        for cls in command.__mro__:
            if cls in self._rules:
                return self._rules[cls]
        raise LookupError(f"No rule decides {command.__name__}.")

    def merge(self, lookup_keys: Iterable[LookupKeys]) -> LookupKeys:
        """Return the keys of several commands together. Raises LookupError for an unknown name."""
        merged: dict[str, set[Any]] = {}
        for keys in lookup_keys:
            for name, values in keys.items():
                merged.setdefault(name, set()).update(values)
        if not merged.keys() <= self.lookups:
            raise LookupError(f"No lookup is named {merged.keys() - self.lookups}.")
        return LookupKeys(**merged)

    def count_customers(self, keys: LookupKeys) -> int:
        """Return how many customers the keys name by columns of the customer itself."""
        return sum(len(keys.get(name, ())) for name in self._direct)

    def names_only_customers(self, keys: LookupKeys) -> bool:
        """Return whether there are keys, and all of them name customers by columns of the customer
        itself."""
        return bool(keys) and keys.keys() <= self._direct_names

    def reads_terms(self, keys: LookupKeys) -> bool:
        """Return whether keys name customers by search terms."""
        return not self._of_terms.isdisjoint(keys)

    def state_query(self, keys: LookupKeys) -> Query:
        """Return the query for the account's revision and counters, joined with the customers of
        the keys. Without customers it returns one row, with nulls."""
        has_indirect = any(name in keys for name in self._indirect)
        query = self._state_queries.get(has_indirect)
        if query is None:
            lookups = [lookup for lookup in self.root.lookups if has_indirect or not lookup.via]
            query = queries.state(self.counters, self.root.select(lookups))
            self._state_queries[has_indirect] = query
        return query

    def state_parameters(self, account_id: int, keys: LookupKeys) -> dict[str, Any]:
        """Return the parameters of `state_query`."""
        names = [*self._direct, *self._indirect]
        return {"account_id": account_id, **{name: list(keys.get(name, ())) for name in names}}

    def loads(self, account_id: int, keys: LookupKeys) -> list[tuple[Load, dict[str, Any]]]:
        """Return the loads of all other rows of the keys, with their parameters."""
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

    def build_state(
        self, rows: Sequence[Any], loads: Iterable[tuple[Load, Sequence[Any]]]
    ) -> State:
        """Return the state, from the rows of `state_query` and those of each of `loads`."""
        width = len(self.counters) + 1
        revision, *counters = rows[0][:width]
        columns = self.root.columns
        rows_by_table: dict[str, list[Row]] = {
            self.root.name: [
                dict(zip(columns, row[width:], strict=True))
                for row in rows
                if row[width] is not None
            ]
        }
        for load, loaded_rows in loads:
            for name, table_rows in load.split(loaded_rows).items():
                rows_by_table.setdefault(name, []).extend(table_rows)
        return State(dict(zip(self.counters, counters, strict=True)), rows_by_table, revision)
