"""SQLite: reads where they are called, writes in one thread.

The driver is APSW: a page takes it little more than half of what Python's own takes, and it brings
a SQLite of its own, so that every machine has the same.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import sqlalchemy as sa

from regulars.store import writes
from regulars.store.base import STATEMENT_SECONDS
from regulars.store.errors import Conflict, Unreachable
from regulars.store.query import Query
from regulars.store.sqlite.file import LARGE_CACHE_KIB, OpenFiles, connect, translate_error
from regulars.store.sqlite.reader import Reader, Snapshot, run_query
from regulars.store.sqlite.search_lanes import Lanes
from regulars.store.sqlite_writing import load, save
from regulars.store.writer import (
    MAX_BATCH,
    Changes,
    Command,
    Decide,
    LastWrittenSequence,
    Write,
    by_account,
)

T = TypeVar("T")

# SQLite has one writer at a time: whoever writes much leaves others a gap after each batch, in
# which they ask for their turn more than once.
_GAP_SECONDS = 0.002
# For how long others who wrote are expected to write again.
_OTHERS_SECONDS = 2.0


class _Job:
    """Something other than a write for the writer's thread."""

    def __init__(self, call: Callable[[apsw.Connection], Any]) -> None:
        self.call = call
        self.future: Future[Any] = Future()


class SQLiteStore:
    """A database in a file; `decide` decides what its writer does; `large` is for many rows,
    written beside others."""

    dialect = "sqlite"

    def __init__(
        self,
        path: Path,
        decide: Decide,
        statement_seconds: float = STATEMENT_SECONDS,
        is_bulk: bool = False,
    ) -> None:
        self._path = path
        self._decide = decide
        self._seconds = statement_seconds
        self._is_bulk = is_bulk
        self._under_way = 0
        # Of a store for many rows: what it knew of the database's last change, and until when it is
        # expected that others make the next.
        self._version = 0
        self._others_until = 0.0
        self._last_written = LastWrittenSequence()
        self._queue: queue.SimpleQueue[Write | _Job | None] = queue.SimpleQueue()
        self._files: OpenFiles | None = None
        self._reader: Reader | None = None
        self._searches: Lanes | None = None
        self._thread: threading.Thread | None = None

    @property
    def pending_writes(self) -> int:
        return self._under_way + self._queue.qsize()

    @property
    def connection_counts(self) -> tuple[int, int]:
        return 0, 0

    async def open(self) -> None:
        self._reader = Reader(self._path, self._seconds)
        self._searches = Lanes(self._path, self._seconds)
        writer = connect(self._path, LARGE_CACHE_KIB) if self._is_bulk else connect(self._path)
        self._files = OpenFiles(self._path)
        self._thread = threading.Thread(
            target=self._run, args=(writer,), name="regulars-writer", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        if self._thread:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._searches:
            await self._searches.close()
        if self._reader:
            self._reader.close()

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        if self._reader is None or self._searches is None or self._files is None:
            raise Unreachable("The database is not open.")
        self._files.look_now_and_then()
        if is_long:
            account_id = parameters.get("account_id", 0)
            return await self._searches.fetch(account_id, query, parameters)
        return self._reader.fetch(query, parameters)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        snapshot = await asyncio.to_thread(Snapshot, self._path, self._seconds)
        try:
            yield snapshot
        finally:
            await asyncio.to_thread(snapshot.close)

    async def has_concurrent_activity(self) -> bool:
        return time.monotonic() < self._others_until

    async def require_writable(self) -> None:
        if self._files is None:
            raise Unreachable("The database is not open.")
        self._files.require_present()

    async def reachable_accounts(self) -> None:
        return None

    def last_written_sequence(self, account_id: int) -> int | None:
        return self._last_written.of(account_id)

    def has_slow_search(self, account_id: int) -> bool:  # noqa: ARG002  # they have a lane of their own
        return False

    async def write(self, account_id: int, command: Command) -> Any:
        write = Write(account_id, command, asyncio.get_running_loop().create_future())
        self._queue.put(write)
        return await write.answered

    async def run(
        self, statements: Sequence[tuple[Query, Mapping[str, Any]]]
    ) -> list[Sequence[Any]]:
        def run(connection: apsw.Connection) -> list[Sequence[Any]]:
            with _Transaction(connection):
                return [run_query(connection, *statement).fetchall() for statement in statements]

        return await self._in_writer(run)

    async def execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        def run(connection: apsw.Connection) -> int:
            changed = 0
            with _Transaction(connection):
                for query, parameters in statements:
                    run_query(connection, query, parameters)
                    changed = connection.changes()
            return changed

        return await self._in_writer(run)

    async def insert_rows(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        text = writes.insert_one(table).compiled("sqlite").text

        def run(connection: apsw.Connection) -> None:
            with _Transaction(connection):
                connection.executemany(text, rows)

        await self._in_writer(run)

    async def _in_writer(self, call: Callable[[apsw.Connection], T]) -> T:
        """What a call answers in the writer's thread."""
        job = _Job(call)
        self._queue.put(job)
        try:
            result: T = await asyncio.wrap_future(job.future)
        except apsw.ConstraintError as error:
            raise Conflict(str(error)) from error
        except apsw.Error as error:
            raise translate_error(error) from error
        return result

    def _run(self, connection: apsw.Connection) -> None:
        """The writer's thread: takes what waits, until it is told to stop."""
        stop = False
        postponed: list[Write] = []
        while postponed or not stop:
            waiting = [] if postponed else [self._queue.get()]
            while len(waiting) < MAX_BATCH and not self._queue.empty():
                waiting.append(self._queue.get())
            stop |= None in waiting
            for job in waiting:
                if isinstance(job, _Job):
                    self._finish(job, connection)
            batch = [write for write in waiting if isinstance(write, Write)]
            large = postponed
            if postponed or len(batch) > 1:
                # Writes of little text do not wait for those of much.
                large = postponed + [write for write in batch if write.command.is_large]
                batch = [write for write in batch if not write.command.is_large]
            postponed = []
            for part in filter(None, (batch, large)):
                self._under_way = len(batch) + len(large)
                postponed += self._transact(connection, part)
                self._under_way = len(postponed)
                late = set(map(id, postponed))
                _answer([write for write in part if id(write) not in late])
                if self._is_bulk:
                    time.sleep(_GAP_SECONDS)
        connection.close()

    def _transact(self, connection: apsw.Connection, batch: Sequence[Write]) -> list[Write]:
        """Decides and commits a batch; returns the writes that are left for the next one. A batch
        that the database refuses as a whole is tried again write by write, so that only the write
        that caused it fails."""
        postponed: list[Write] = []
        made: list[tuple[int, Changes]] = []
        if self._is_bulk:
            self._look_for_others(connection)
        try:
            self._require_files()
            with _Transaction(connection):
                for account_id, group in by_account(batch).items():
                    if postponed:
                        postponed += group
                        continue
                    state = load(connection, account_id, group)
                    commands = [write.command for write in group]
                    outcomes, changes = self._decide(account_id, commands, state)
                    if changes:
                        save(connection, account_id, state, changes)
                    for write, outcome in zip(group, outcomes, strict=False):
                        write.outcome = outcome
                    postponed = group[len(outcomes) :]
                    made.append((account_id, changes))
            self._require_files()
            for account_id, changes in made:
                self._last_written.note(account_id, changes)
        except Exception as error:
            told = translate_error(error)
            if len(batch) == 1 or isinstance(told, Unreachable):
                for write in batch:
                    write.outcome = told
                return []
            for write in batch:
                self._transact(connection, [write])
            return []
        return postponed

    def _require_files(self) -> None:
        """Raises Unreachable where what is written would be lost, or was."""
        assert self._files is not None
        self._files.require_present()

    def _finish(self, job: _Job, connection: apsw.Connection) -> None:
        try:
            self._require_files()
            result = job.call(connection)
            self._require_files()
            job.future.set_result(result)
        except Exception as error:
            job.future.set_exception(error)

    def _look_for_others(self, connection: apsw.Connection) -> None:
        """Notes whether another connection has changed the database since this one looked."""
        version = int(connection.pragma("data_version"))
        if version != self._version and self._version:
            self._others_until = time.monotonic() + _OTHERS_SECONDS
        self._version = version


class _Transaction:
    """A write transaction: committed at the end, rolled back by any exception."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._connection.execute("ROLLBACK" if kind else "COMMIT")
        except apsw.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if kind is None:
                raise


def _answer(batch: Sequence[Write]) -> None:
    """Wakes the callers, with one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in batch:
        loops.setdefault(write.answered.get_loop(), []).append(write)
    for loop, group in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, group)
        except RuntimeError:  # the loop was closed: nobody waits any more
            continue


def _answer_all(writes: Sequence[Write]) -> None:
    for write in writes:
        write.answer()
