"""What the writer loads of a SQLite database and saves there: a statement for each kind of change,
run for each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import apsw

from regulars.store import queries, writes
from regulars.store.query import Query
from regulars.store.sqlite.reader import run_query
from regulars.store.tables import (
    customers,
    deleted_shop_ids,
    history,
    leads,
    orders,
    receipts,
    shop_ids,
    terms,
    webhooks,
)
from regulars.store.writer import (
    Changes,
    Row,
    State,
    Terms,
    Write,
    all_names,
    also_named,
    parameters_of,
    state_of,
)

# It takes some 20 ms to sort so many.
_SORTED_TERMS = 40_000


def load(connection: apsw.Connection, account_id: int, group: Sequence[Write]) -> State:
    """What a batch names of an account."""
    names = all_names(group)
    query = queries.state(bool(names.order_names or names.shop_ids))
    rows = run_query(connection, query, parameters_of(account_id, names)).fetchall()
    also = [
        list(run_query(connection, query, parameters)) if parameters else []
        for query, parameters in also_named(account_id, names)
    ]
    return state_of(rows, also)


def save(connection: apsw.Connection, account_id: int, state: State, changes: Changes) -> None:
    """Saves what a batch changes, in the transaction that loaded it."""
    if changes.deleted_customers:
        parameters = {
            "account_id": account_id,
            "ids": list(changes.deleted_customers),
            "deleted_at": changes.deleted_at,
        }
        for events in writes.INBOX:
            run_query(connection, writes.delete_inbox(events), parameters)
        run_query(connection, writes.delete_customers(), parameters)
        for table in writes.BLANKED:
            run_query(connection, writes.blank(table), parameters)
        run_query(connection, writes.note_deleted_shop_ids(), parameters)
        run_query(connection, writes.delete_shop_ids(), parameters)
    if changes.deleted_webhooks:
        parameters = {"account_id": account_id, "ids": list(changes.deleted_webhooks)}
        run_query(connection, writes.delete_webhooks(), parameters)
    for columns, rows in changes.updated_customers.items():
        keyed = [
            {**row, "only_account": account_id, "only_customer": row["customer_id"]} for row in rows
        ]
        _run_for_each(connection, writes.update_one(columns), keyed)
    _run_for_each(connection, writes.insert_one(customers), changes.inserted_customers)
    for table, columns, rows in writes.updated(changes):
        _run_for_each(connection, writes.update_row(table, columns), rows)
    if changes.skipped_webhooks:
        skipped = {"ids": list(changes.skipped_webhooks), "skipped_at": changes.skipped_at}
        run_query(connection, writes.skip_deliveries(), {"account_id": account_id, **skipped})
    _run_for_each(connection, writes.insert_one(orders), changes.inserted_orders)
    _run_for_each(connection, writes.insert_one(leads), changes.inserted_leads)
    if changes.inserted_receipts:
        replaced = writes.replaced_receipts(account_id, changes)
        run_query(connection, writes.delete_receipts(), replaced)
        _run_for_each(connection, writes.insert_one(receipts), changes.inserted_receipts)
    _run_for_each(connection, writes.insert_one(history), changes.inserted_changes)
    _run_for_each(connection, writes.insert_one(webhooks), changes.inserted_webhooks)
    _run_for_each(connection, writes.insert_one(shop_ids), changes.inserted_shop_ids)
    gone = changes.inserted_deleted_shop_ids
    _run_for_each(connection, writes.insert_one(deleted_shop_ids), gone)
    _run_for_terms(connection, writes.remove_term(), account_id, changes.removed_terms)
    _run_for_terms(connection, writes.insert_one(terms), account_id, changes.added_terms)
    run_query(connection, writes.set_counters(), writes.counters_after(account_id, state, changes))


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
