"""A transaction for several steps of an import.

Each row changes some pages of indexes that are larger than the cache, and a commit writes a changed
page to the log: 1,000,000 rows wrote 40 GB for a database of 1 GB. In one transaction, a page that
several steps change is written once. So the search terms, which most of the entries are for, are
inserted at its end, in the order of their index.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import apsw

from regulars.store.changes import Terms
from regulars.store.saving import TermsOfCustomers
from regulars.store.statement_times import statement_times

# A write of another process waits for the end of the transaction.
_SECONDS = 0.8
# Terms that are kept for the end: some 10 MB.
_MAX_TERMS = 80_000
# A checkpoint writes a page once, however many commits have changed it. While only steps are
# written, the log may have so many pages, which are 256 MB. A process with another limit, such as a
# server, checkpoints at its next commit.
STEP_CHECKPOINT_PAGES = 64_000

InsertTerms = Callable[[apsw.Connection, int, TermsOfCustomers], None]


def end_transaction(connection: apsw.Connection, statement: str) -> None:
    """Execute COMMIT or ROLLBACK, and note its time."""
    began = time.perf_counter()
    try:
        connection.execute(statement)
    finally:
        statement_times.record(statement, began)


class StepTransaction:
    """Saves steps. Each has a savepoint, and `commit` saves all of them. Steps that were lost are
    repeated by the work that they belong to (`Command.is_step`)."""

    def __init__(self, connection: apsw.Connection, insert_terms: InsertTerms) -> None:
        self._connection = connection
        self._insert_terms = insert_terms
        self._ends_at: float | None = None
        # Terms to insert, by account and customer, and those of the current step. As lines, they
        # take a fifth of the memory.
        self._kept: defaultdict[int, dict[int, str]] = defaultdict(dict)
        self._kept_count = 0
        self._new: list[tuple[int, Terms]] = []

    @property
    def seconds_left(self) -> float | None:
        """The time until `commit` should be called; None if no transaction is open."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    @property
    def is_due(self) -> bool:
        """Whether `commit` should be called now."""
        return self.seconds_left == 0.0 or self._kept_count > _MAX_TERMS

    @contextlib.contextmanager
    def step(self) -> Iterator[StepTransaction]:
        """Begins a transaction, unless one is open, and a savepoint in it. An exception undoes this
        step alone."""
        if self._ends_at is None:
            self._connection.execute("BEGIN IMMEDIATE")
            self._ends_at = time.monotonic() + _SECONDS
        kept, kept_count = self._kept, self._kept_count
        self._connection.execute("SAVEPOINT step")
        try:
            yield self
        except BaseException:
            self._new.clear()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO step; RELEASE step")
                self._kept, self._kept_count = kept, kept_count
            else:  # SQLite has rolled back, for example because the disk is full
                self._forget()
            raise
        self._connection.execute("RELEASE step")
        self._keep_new()

    def add_terms(self, account_id: int, added: Terms) -> None:
        """Adds terms of the current step. They are inserted by `insert_terms` or `commit`."""
        self._new.append((account_id, added))

    def insert_terms(self) -> None:
        """Inserts the terms of earlier steps. Call it before a statement that reads or deletes
        terms."""
        kept = self._kept
        self._kept, self._kept_count = defaultdict(dict), 0
        for account_id, lines in kept.items():
            terms = ((customer_id, text.split("\n")) for customer_id, text in lines.items())
            self._insert_terms(self._connection, account_id, terms)

    def commit(self) -> None:
        """Commits the steps, if there are any. Raises apsw.Error; then none of them is saved."""
        if self._ends_at is None:
            return
        try:
            self.insert_terms()
            end_transaction(self._connection, "COMMIT")
        finally:
            self._forget()

    def _keep_new(self) -> None:
        for account_id, added in self._new:
            kept = self._kept[account_id]
            for customer_id, terms in added.items():
                self._kept_count += len(terms)
                earlier = kept.get(customer_id)
                lines = "\n".join(terms)
                kept[customer_id] = lines if earlier is None else f"{earlier}\n{lines}"
        self._new.clear()

    def _forget(self) -> None:
        """Forgets a transaction that has ended; rolls it back if it has not."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._ends_at = None
        self._kept, self._kept_count = defaultdict(dict), 0
