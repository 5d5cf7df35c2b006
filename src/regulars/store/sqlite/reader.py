"""Read connections to a SQLite database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson

from regulars.store.errors import StatementTimeout
from regulars.store.query import Compiled, Query
from regulars.store.sqlite.file import connect, translate_error
from regulars.store.statement_times import statement_times

# How often the progress handler checks the time, in instructions of SQLite's virtual machine.
_INSTRUCTIONS_PER_CHECK = 10_000


class Reader:
    """A read connection, for one thread at a time. A query is interrupted after `seconds`, or, if
    that is None, by `interrupt`, and when `should_stop` returns true, which is called every
    millisecond or so."""

    def __init__(
        self, path: Path, seconds: float | None, should_stop: Callable[[], bool] | None = None
    ) -> None:
        self._connection = connect(path)
        self._seconds = seconds or 0.0
        self._connection.pragma("query_only", True)
        handler = should_stop if seconds is None else self._is_late
        if handler is not None:
            self._connection.set_progress_handler(handler, _INSTRUCTIONS_PER_CHECK)
        self._cursor = self._connection.cursor()
        self._deadline = 0.0

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows of a query. Raises StatementTimeout and Unreachable."""
        self._deadline = time.monotonic() + self._seconds
        compiled, began = query.compiled("sqlite"), time.perf_counter()
        try:
            return _run(self._cursor, compiled, parameters).fetchall()
        except apsw.InterruptError as error:
            raise StatementTimeout("A query exceeded its time limit.") from error
        except apsw.Error as error:
            raise translate_error(error) from error
        finally:
            statement_times.record(compiled.text, began)

    def interrupt(self) -> None:
        """Interrupt the current query. Safe to call from other threads."""
        self._connection.interrupt()

    def begin(self) -> None:
        """Begin a read transaction, which sees the present state from now on."""
        self._deadline = time.monotonic() + self._seconds
        # The SELECT takes the snapshot; BEGIN alone does not.
        self._connection.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Snapshot:
    """One state of the database, in a read transaction on its own connection. While it is open,
    SQLite cannot reuse pages of the WAL, which grows."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._reader = Reader(path, seconds)
        self._reader.begin()
        self._lock = threading.Lock()

    async def fetch(
        self,
        query: Query,
        parameters: Mapping[str, Any],
        is_long: bool = False,  # noqa: ARG002  # the connection has no other user
    ) -> Sequence[Any]:
        """Return the rows of a query. Raises StatementTimeout and Unreachable."""
        return await asyncio.to_thread(self._fetch, query, parameters)

    def _fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        with self._lock:
            return self._reader.fetch(query, parameters)

    def close(self) -> None:
        """End the transaction, and the query of a caller that was cancelled."""
        self._reader.interrupt()
        with self._lock:
            self._reader.close()


def run_query(
    connection: apsw.Connection | apsw.Cursor, query: Query, parameters: Mapping[str, Any]
) -> apsw.Cursor:
    """Run a query; return its cursor."""
    compiled, began = query.compiled("sqlite"), time.perf_counter()
    try:
        return _run(connection, compiled, parameters)
    finally:
        statement_times.record(compiled.text, began)


def _run(
    connection: apsw.Connection | apsw.Cursor, compiled: Compiled, parameters: Mapping[str, Any]
) -> apsw.Cursor:
    values = [
        orjson.dumps(value).decode() if type(value) is list else value
        for value in compiled.arguments(parameters)
    ]
    return connection.execute(compiled.text, values)
