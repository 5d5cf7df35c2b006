"""The writer thread of a SQLite database: every write of the process goes through it, in
batches."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import apsw

from regulars.store.changes import Changes
from regulars.store.errors import Unreachable
from regulars.store.sqlite.batch_writer import insert_terms, load, save
from regulars.store.sqlite.file import (
    BULK_CACHE_KIB,
    CHECKPOINT_PAGES,
    FileGuard,
    connect,
    translate_error,
)
from regulars.store.sqlite.step_transaction import (
    STEP_CHECKPOINT_PAGES,
    StepTransaction,
    end_transaction,
)
from regulars.store.unit_of_work import Domain
from regulars.store.writer import (
    MAX_BATCH,
    LastWrittenSequence,
    Write,
    by_account,
)

T = TypeVar("T")

# SQLite has one writer at a time. A bulk store pauses after each batch, so that the busy handlers
# of other processes find the database free.
_GAP_SECONDS = 0.002
# For how many seconds another writer's activity is expected to go on.
_ACTIVITY_SECONDS = 2.0
# Steps are saved in one transaction if no other process has written for so long. A shop that writes
# every few seconds would wait for it each time.
_QUIET_SECONDS = 8.0


class _Call:
    """A function for the writer thread, and the future of its result."""

    def __init__(self, function: Callable[[apsw.Connection], Any]) -> None:
        self.function = function
        self.future: Future[Any] = Future()


class WriterThread:
    """Decides and saves writes in a thread, a batch at a time."""

    def __init__(self, path: Path, domain: Domain, is_bulk: bool) -> None:
        self._path = path
        self._entities, self._decide = domain
        self._is_bulk = is_bulk
        self._in_progress = 0
        # For a bulk store: SQLite's data_version, and until when others are expected to write.
        self._data_version = 0
        self.active_until = 0.0
        self._quiet_from = time.monotonic() + _QUIET_SECONDS
        self._lost_commit: Exception | None = None
        self.last_written = LastWrittenSequence()
        self._queue: queue.SimpleQueue[Write | _Call | None] = queue.SimpleQueue()
        self._file_guard: FileGuard | None = None
        self._thread: threading.Thread | None = None

    @property
    def pending_writes(self) -> int:
        """How many writes wait, or are in progress."""
        return self._in_progress + self._queue.qsize()

    def start(self) -> FileGuard:
        """Connect and start the thread. Raises Unreachable."""
        connection = connect(self._path, BULK_CACHE_KIB) if self._is_bulk else connect(self._path)
        self._file_guard = FileGuard(self._path)
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="regulars-writer", daemon=True
        )
        self._thread.start()
        return self._file_guard

    async def close(self) -> None:
        """Save what is queued, and end the thread. Raises StoreError if steps cannot be saved."""
        if self._thread:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._raise_lost_commit()

    def submit(self, write: Write) -> None:
        """Queue a write; `write.answered` gets the outcome."""
        self._queue.put(write)

    def call(self, function: Callable[[apsw.Connection], T]) -> Future[T]:
        """Queue a function that uses the connection; return the future of its result."""
        call = _Call(function)
        self._queue.put(call)
        return call.future

    def _run(self, connection: apsw.Connection) -> None:
        is_stopping = False
        postponed: list[Write] = []
        steps = StepTransaction(connection, insert_terms)
        while postponed or not is_stopping:
            items = [] if postponed else [self._next_item(steps)]
            while len(items) < MAX_BATCH and not self._queue.empty():
                items.append(self._queue.get())
            is_stopping |= None in items
            for item in items:
                if isinstance(item, _Call):
                    self._execute(item, connection, steps)
            batch = [write for write in items if isinstance(write, Write)]
            large = postponed
            if postponed or len(batch) > 1:
                # Writes with little text do not wait for those with much.
                large = postponed + [write for write in batch if write.command.is_large]
                batch = [write for write in batch if not write.command.is_large]
            postponed = []
            for part in filter(None, (batch, large)):
                self._in_progress = len(batch) + len(large)
                postponed += self._transact(connection, part, steps)
                self._in_progress = len(postponed)
                postponed_ids = set(map(id, postponed))
                _answer([write for write in part if id(write) not in postponed_ids])
                if steps.is_due:
                    self._commit_late(steps)
                if self._is_bulk and steps.seconds_left is None:
                    time.sleep(_GAP_SECONDS)
        self._commit_late(steps)
        connection.close()

    def _next_item(self, steps: StepTransaction) -> Write | _Call | None:
        """Return the next item of the queue; commit open steps if none comes in time."""
        try:
            return self._queue.get(timeout=steps.seconds_left)
        except queue.Empty:
            self._commit_late(steps)
            return self._queue.get()

    def _commit_late(self, steps: StepTransaction) -> None:
        """Commit steps, whose callers no longer wait. The next call gets an error."""
        try:
            steps.commit()
        except Exception as error:
            self._lost_commit = translate_error(error)

    def _raise_lost_commit(self) -> None:
        error, self._lost_commit = self._lost_commit, None
        if error is not None:
            raise error

    def _are_steps(self, batch: Sequence[Write]) -> bool:
        """Return whether a batch may be saved in a transaction with others."""
        if not self._is_bulk or time.monotonic() < self._quiet_from:
            return False
        return all(write.command.is_step for write in batch)

    def _transact(
        self, connection: apsw.Connection, batch: Sequence[Write], steps: StepTransaction
    ) -> list[Write]:
        """Decide and commit a batch; return the writes that are left for the next one. If the
        database refuses the batch, its halves are tried, so that only the faulty write fails."""
        postponed: list[Write] = []
        saved: list[tuple[int, Changes]] = []
        if self._is_bulk and steps.seconds_left is None:
            self._detect_other_writers(connection)
        are_steps = self._are_steps(batch)
        if not are_steps:
            self._commit_late(steps)
        if self._lost_commit is not None:
            for write in batch:
                write.outcome = self._lost_commit
            self._lost_commit = None
            return []
        connection.wal_autocheckpoint(STEP_CHECKPOINT_PAGES if are_steps else CHECKPOINT_PAGES)
        try:
            self._require_files()
            with steps.step() if are_steps else Transaction(connection) as open_steps:
                for account_id, group in by_account(batch).items():
                    if postponed:
                        postponed += group
                        continue
                    state = load(connection, self._entities, account_id, group, open_steps)
                    commands = [write.command for write in group]
                    outcomes, changes = self._decide(account_id, commands, state)
                    if changes:
                        save(connection, self._entities, account_id, state, changes, open_steps)
                    for write, outcome in zip(group, outcomes, strict=False):
                        write.outcome = outcome
                    postponed = group[len(outcomes) :]
                    if open_steps is None:  # a process that imports serves no requests
                        saved.append((account_id, changes))
            self._require_files()
            for account_id, changes in saved:
                self.last_written.note(account_id, changes)
        except Exception as error:
            translated = translate_error(error)
            if len(batch) == 1 or isinstance(translated, Unreachable):
                for write in batch:
                    write.outcome = translated
                return []
            middle = len(batch) // 2
            if postponed := self._transact(connection, batch[:middle], steps):
                return [*postponed, *batch[middle:]]
            return self._transact(connection, batch[middle:], steps)
        return postponed

    def _require_files(self) -> None:
        """Raise Unreachable if the files are gone: writes would be lost."""
        assert self._file_guard is not None
        self._file_guard.require_present()

    def _execute(self, call: _Call, connection: apsw.Connection, steps: StepTransaction) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            self._commit_late(steps)
            self._raise_lost_commit()
            self._require_files()
            result = call.function(connection)
            self._require_files()
            call.future.set_result(result)
        except Exception as error:
            call.future.set_exception(error)

    def _detect_other_writers(self, connection: apsw.Connection) -> None:
        """Note whether another connection has changed the database since the last call."""
        version = int(connection.pragma("data_version"))
        if version != self._data_version and self._data_version:
            self.active_until = time.monotonic() + _ACTIVITY_SECONDS
            self._quiet_from = time.monotonic() + _QUIET_SECONDS
        self._data_version = version


class Transaction:
    """A write transaction: committed at the end, rolled back by any exception."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            end_transaction(self._connection, "ROLLBACK" if kind else "COMMIT")
        except apsw.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if kind is None:
                raise


def _answer(batch: Sequence[Write]) -> None:
    """Set the outcomes of writes, with one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in batch:
        loops.setdefault(write.answered.get_loop(), []).append(write)
    for loop, group in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, group)
        except RuntimeError:  # the loop is closed, with its callers
            continue


def _answer_all(writes: Sequence[Write]) -> None:
    for write in writes:
        write.answer()
