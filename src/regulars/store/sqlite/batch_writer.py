"""Loads and saves a batch on SQLite: a statement for each kind of change, run for each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice

import apsw
import sqlalchemy as sa

from regulars.store import saving, writes
from regulars.store.changes import Changes, State, Terms
from regulars.store.entities import Entities
from regulars.store.entity import BatchStatement, Row
from regulars.store.query import Query
from regulars.store.sqlite.reader import run_query
from regulars.store.tables import terms
from regulars.store.writer import Write

# It takes some 20 ms to sort so many.
_SORTED_TERMS = 40_000


def load(
    connection: apsw.Connection, entities: Entities, account_id: int, group: Sequence[Write]
) -> State:
    """What a batch names of an account."""
    keys = entities.merge(write.command.lookup_keys() for write in group)
    parameters = entities.state_parameters(account_id, keys)
    rows = run_query(connection, entities.state_query(keys), parameters).fetchall()
    others = [
        (load, run_query(connection, load.query(), parameters).fetchall())
        for load, parameters in entities.loads(account_id, keys)
    ]
    return entities.build_state(rows, others)


def save(
    connection: apsw.Connection,
    entities: Entities,
    account_id: int,
    state: State,
    changes: Changes,
) -> None:
    """Saves what a batch changes, in the transaction that loaded it."""
    parameters = saving.parameters(entities, account_id, state, changes)
    tables = [(entities.by_name[name], each) for name, each in changes.tables.items()]
    for statement in saving.deletions(
        entities, [entity for entity, each in tables if each.deleted]
    ):
        run_query(connection, _query(statement), parameters)
    for entity, each in tables:
        for columns, rows in each.updated.items():
            _run_for_each(connection, writes.update_row(entity.table, columns), rows)
    for statement in changes.statements:
        run_query(connection, _query(statement), parameters)
    for entity, each in tables:
        if each.inserted:
            _run_for_each(connection, writes.insert_one(entity.table), each.inserted)
    _run_for_terms(connection, writes.remove_term(), account_id, changes.removed_terms)
    _run_for_terms(connection, writes.insert_one(terms), account_id, changes.added_terms)
    run_query(connection, _counters(entities), parameters)


@cache
def _query(statement: BatchStatement) -> Query:
    return Query(statement.build(sa.and_))


@cache
def _counters(entities: Entities) -> Query:
    return Query(saving.hold(entities.counters))


def _run_for_terms(
    connection: apsw.Connection, query: Query, account_id: int, found: Terms
) -> None:
    """A query whose parameters are the columns of the terms' table, in their order."""
    if not found:
        return
    by_term: dict[str, list[int]] = {}
    for customer_id, each in found.items():
        for term in each:
            by_term.setdefault(term, []).append(customer_id)
    # In the order of the table, so that each of its pages is looked for once. Python's lock is held
    # while they are sorted: not too many at once, for the event loop waits for it.
    text, every = query.compiled("sqlite").text, iter(by_term)
    while some := sorted(islice(every, _SORTED_TERMS)):
        rows = [(account_id, term, number) for term in some for number in by_term[term]]
        connection.executemany(text, rows)


def _run_for_each(connection: apsw.Connection, query: Query, rows: Iterable[Row]) -> None:
    compiled = query.compiled("sqlite")
    connection.executemany(compiled.text, compiled.of_rows(rows))
