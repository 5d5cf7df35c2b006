"""The store in a SQLite file: reads run in the caller's thread, writes in one writer thread.

The driver is APSW: a page takes it little more than half of the time of Python's sqlite3, and it
brings its own SQLite, so that every machine runs the same version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import sqlalchemy as sa

from regulars.store import writes
from regulars.store.base import STATEMENT_SECONDS
from regulars.store.errors import Conflict, Unreachable
from regulars.store.query import Query, Statement
from regulars.store.sqlite.file import FileGuard, translate_error
from regulars.store.sqlite.reader import Reader, Snapshot, run_query
from regulars.store.sqlite.search_lanes import SearchLanes
from regulars.store.sqlite.writer_thread import Transaction, WriterThread
from regulars.store.unit_of_work import Domain
from regulars.store.writer import Command, Write

T = TypeVar("T")


class SQLiteStore:
    """A store in a file; `domain` describes its entities and decides the writes. A store with
    `is_bulk` writes many rows: it has a larger cache, and leaves gaps for other writers."""

    dialect = "sqlite"
    min_shared_reads = 4

    def __init__(
        self,
        path: Path,
        domain: Domain,
        statement_seconds: float = STATEMENT_SECONDS,
        is_bulk: bool = False,
    ) -> None:
        self._path = path
        self._statement_seconds = statement_seconds
        self._writer = WriterThread(path, domain, is_bulk)
        self._file_guard: FileGuard | None = None
        self._reader: Reader | None = None
        self._search_lanes: SearchLanes | None = None

    @property
    def pending_writes(self) -> int:
        return self._writer.pending_writes

    @property
    def connection_counts(self) -> tuple[int, int]:
        return 0, 0

    async def open(self) -> None:
        self._reader = Reader(self._path, self._statement_seconds)
        self._search_lanes = SearchLanes(self._path, self._statement_seconds)
        self._file_guard = self._writer.start()

    async def close(self) -> None:
        await self._writer.close()
        if self._search_lanes:
            await self._search_lanes.close()
        if self._reader:
            self._reader.close()

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        if self._reader is None or self._search_lanes is None or self._file_guard is None:
            raise Unreachable("The database is not open.")
        self._file_guard.check_sometimes()
        if is_long:
            account_id = parameters.get("account_id", 0)
            return await self._search_lanes.fetch(account_id, query, parameters)
        return self._reader.fetch(query, parameters)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        snapshot = await asyncio.to_thread(Snapshot, self._path, self._statement_seconds)
        try:
            yield snapshot
        finally:
            await asyncio.to_thread(snapshot.close)

    async def has_concurrent_activity(self) -> bool:
        return time.monotonic() < self._writer.active_until

    async def require_writable(self) -> None:
        if self._file_guard is None:
            raise Unreachable("The database is not open.")
        self._file_guard.require_present()

    async def reachable_accounts(self) -> None:
        return None

    def last_written_sequence(self, account_id: int) -> int | None:
        return self._writer.last_written.of(account_id)

    def has_slow_search(self, account_id: int) -> bool:  # noqa: ARG002  # they have their own lane
        return False

    async def write(self, account_id: int, command: Command) -> Any:
        write = Write(account_id, command, asyncio.get_running_loop().create_future())
        self._writer.submit(write)
        return await write.answered

    async def run(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        def run(connection: apsw.Connection) -> list[Sequence[Any]]:
            with Transaction(connection):
                return [run_query(connection, *statement).fetchall() for statement in statements]

        return await self._call_in_writer(run)

    async def execute(self, statements: Sequence[Statement]) -> int:
        def run(connection: apsw.Connection) -> int:
            changed = 0
            with Transaction(connection):
                for query, parameters in statements:
                    run_query(connection, query, parameters)
                    changed = connection.changes()
            return changed

        return await self._call_in_writer(run)

    async def insert_rows(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        text = writes.insert_one(table).compiled("sqlite").text

        def run(connection: apsw.Connection) -> None:
            with Transaction(connection):
                connection.executemany(text, rows)

        await self._call_in_writer(run)

    async def _call_in_writer(self, function: Callable[[apsw.Connection], T]) -> T:
        """Return what a function returns in the writer thread."""
        try:
            return await asyncio.wrap_future(self._writer.call(function))
        except apsw.ConstraintError as error:
            raise Conflict(str(error)) from error
        except apsw.Error as error:
            raise translate_error(error) from error
