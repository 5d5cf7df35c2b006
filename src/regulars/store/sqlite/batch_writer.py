"""Loading and saving a batch on SQLite: a statement for each kind of change, run for each row."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain

import apsw
import sqlalchemy as sa

from regulars.store import saving, writes
from regulars.store.changes import Changes, State
from regulars.store.entities import Entities
from regulars.store.entity import BatchStatement, Row
from regulars.store.query import Query
from regulars.store.saving import TermsOfCustomers
from regulars.store.sqlite.reader import run_query
from regulars.store.sqlite.step_transaction import StepTransaction
from regulars.store.statement_times import statement_times
from regulars.store.tables import terms
from regulars.store.writer import Write

# Terms of one statement: a quarter less time than with a statement for each, and no less with more.
_TERMS_AT_ONCE = 32


def load(
    connection: apsw.Connection,
    entities: Entities,
    account_id: int,
    group: Sequence[Write],
    steps: StepTransaction | None = None,
) -> State:
    """Return the part of an account that a batch needs. `steps` is the transaction of a batch of
    steps."""
    keys = entities.merge(write.command.lookup_keys() for write in group)
    if steps and entities.reads_terms(keys):
        steps.insert_terms()
    parameters = entities.state_parameters(account_id, keys)
    rows = run_query(connection, entities.state_query(keys), parameters).fetchall()
    loads = [
        (load, run_query(connection, load.query(), parameters).fetchall())
        for load, parameters in entities.loads(account_id, keys)
    ]
    return entities.build_state(rows, loads)


def save(
    connection: apsw.Connection,
    entities: Entities,
    account_id: int,
    state: State,
    changes: Changes,
    steps: StepTransaction | None = None,
) -> None:
    """Save the changes of a batch, in the transaction that loaded its state."""
    parameters = saving.parameters(entities, account_id, state, changes)
    tables = [(entities.by_name[name], table) for name, table in changes.tables.items()]
    deletes = [entity for entity, table in tables if table.deleted]
    if steps and (deletes or changes.statements or changes.removed_terms):
        steps.insert_terms()
    for statement in saving.deletions(entities, deletes):
        run_query(connection, _query(statement), parameters)
    for entity, table in tables:
        for columns, rows in chain(table.released.items(), table.updated.items()):
            _run_for_each(connection, writes.update_row(entity.table, columns), rows)
    for statement in changes.statements:
        run_query(connection, _query(statement), parameters)
    for entity, table in tables:
        if table.inserted:
            _run_for_each(connection, writes.insert_one(entity.table), table.inserted)
    for removed in saving.sorted_terms(account_id, changes.removed_terms.items()):
        text = writes.remove_term().compiled("sqlite").text
        began = time.perf_counter()
        connection.executemany(text, removed)
        statement_times.record(text, began)
    if steps:
        steps.add_terms(account_id, changes.added_terms)
    else:
        insert_terms(connection, account_id, changes.added_terms.items())
    run_query(connection, _counters(entities), parameters)


@cache
def _query(statement: BatchStatement) -> Query:
    return Query(statement.build(sa.and_))


@cache
def _counters(entities: Entities) -> Query:
    return Query(saving.advance_revision(entities.counters))


def insert_terms(connection: apsw.Connection, account_id: int, added: TermsOfCustomers) -> None:
    """Insert terms of customers that do not have them, in the order of their index."""
    many, one = writes.insert_many(terms, _TERMS_AT_ONCE), writes.insert_one(terms)
    text = many.compiled("sqlite").text
    for rows in saving.sorted_terms(account_id, added):
        end = len(rows) - len(rows) % _TERMS_AT_ONCE
        starts = range(0, end, _TERMS_AT_ONCE)
        parts = (list(chain.from_iterable(rows[n : n + _TERMS_AT_ONCE])) for n in starts)
        began = time.perf_counter()
        connection.executemany(text, parts)
        connection.executemany(one.compiled("sqlite").text, rows[end:])
        statement_times.record(text, began)


def _run_for_each(connection: apsw.Connection, query: Query, rows: Iterable[Row]) -> None:
    compiled = query.compiled("sqlite")
    began = time.perf_counter()
    connection.executemany(compiled.text, compiled.of_rows(rows))
    statement_times.record(compiled.text, began)
