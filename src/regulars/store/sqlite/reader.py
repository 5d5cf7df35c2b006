"""SQLite: connections that read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson

from regulars.store.errors import StatementTimeout
from regulars.store.query import Query
from regulars.store.sqlite.file import connect, translate_error

# How often the progress handler looks at the clock, in instructions of SQLite's machine.
_CLOCK_EVERY = 10_000


class Reader:
    """A connection that reads, for one thread at a time. A query that takes longer than `seconds`
    is ended; without `seconds`, a query ends when it is interrupted."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        self._connection = connect(path)
        self._seconds = seconds or 0.0
        self._connection.pragma("query_only", True)
        if seconds is not None:
            self._connection.set_progress_handler(self._too_late, _CLOCK_EVERY)
        self._cursor = self._connection.cursor()
        self._deadline = 0.0

    def _too_late(self) -> bool:
        return time.monotonic() > self._deadline

    def fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The rows of a query. Raises StatementTimeout and Unreachable."""
        self._deadline = time.monotonic() + self._seconds
        try:
            return run_query(self._cursor, query, parameters).fetchall()
        except apsw.InterruptError as error:
            raise StatementTimeout("A query took longer than it may.") from error
        except apsw.Error as error:
            raise translate_error(error) from error

    def interrupt(self) -> None:
        """Ends the query under way. Other threads may call it."""
        self._connection.interrupt()

    def begin(self) -> None:
        """Reads from now on what is there at this moment."""
        self._deadline = time.monotonic() + self._seconds
        self._connection.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


class Snapshot:
    """The database as it was at a moment, in one transaction on a connection of its own. Its pages
    cannot be overwritten while it is held: the file beside the database grows."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._reader = Reader(path, seconds)
        self._reader.begin()

    async def fetch(
        self,
        query: Query,
        parameters: Mapping[str, Any],
        is_long: bool = False,  # noqa: ARG002  # nobody waits for it
    ) -> Sequence[Any]:
        """The rows of a query. Raises StatementTimeout and Unreachable."""
        return await asyncio.to_thread(self._reader.fetch, query, parameters)

    def close(self) -> None:
        """Lets go of it."""
        self._reader.close()


def run_query(
    connection: apsw.Connection | apsw.Cursor, query: Query, parameters: Mapping[str, Any]
) -> apsw.Cursor:
    """The cursor of a query that is run."""
    compiled = query.compiled("sqlite")
    values = [
        orjson.dumps(value).decode() if type(value) is list else value
        for value in compiled.arguments(parameters)
    ]
    return connection.execute(compiled.text, values)
