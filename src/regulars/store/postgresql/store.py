"""The store on a PostgreSQL server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa

from regulars.store.base import STATEMENT_SECONDS
from regulars.store.errors import Conflict, StatementTimeout, Unreachable
from regulars.store.postgresql.batch_writer import BatchWriter
from regulars.store.postgresql.cluster import Cluster
from regulars.store.postgresql.connection_pool import BACKGROUND
from regulars.store.postgresql.search_gate import SearchGate
from regulars.store.postgresql.transactions import execute, fetch_rows, retry_rolled_back
from regulars.store.query import Query, Statement, dialect_of
from regulars.store.unit_of_work import Domain
from regulars.store.writer import Command

POOL_SIZE = 10

# On for a standby, and where an administrator or a full disk's alarm has set it.
_IS_READ_ONLY = "SELECT current_setting('transaction_read_only')::bool"
# Whether another session, but for those of bulk stores, runs a statement, or has ended one in the
# last 20 ms (PostgreSQL, section 27.2.3). Statements of clients often take less than 1 ms: without
# these 20 ms, most of 75 requests per second were missed. A server without clients has 1.6
# statements per second.
_HAS_ACTIVE_SESSION = """SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND application_name <> $1
    AND (state <> 'idle' OR state_change > clock_timestamp() - interval '20 ms'))"""
# For how many seconds activity is expected to go on.
_ACTIVITY_SECONDS = 0.5


class Snapshot:
    """One state of the database, in a read transaction."""

    def __init__(self, connection: Any, statement_seconds: float) -> None:
        self._connection = connection
        self._statement_seconds = statement_seconds

    async def fetch(
        self,
        query: Query,
        parameters: Mapping[str, Any],
        is_long: bool = False,  # noqa: ARG002  # the connection has no other user
    ) -> Sequence[Any]:
        """Return the rows of a query. Raises StatementTimeout."""
        try:
            return await fetch_rows(self._connection, query, parameters)
        except asyncpg.QueryCanceledError as error:
            raise _timeout(self._statement_seconds) from error


class PostgreSQLStore:
    """A store on a PostgreSQL server. A store with `is_bulk` does not count as activity for
    others."""

    dialect = "postgresql"
    min_shared_reads = 1

    def __init__(
        self,
        dsn: str,
        domain: Domain,
        statement_seconds: float = STATEMENT_SECONDS,
        pool_size: int = POOL_SIZE,
        is_bulk: bool = False,
    ) -> None:
        self._statement_seconds = statement_seconds
        self.pool_size = pool_size
        name = BACKGROUND if is_bulk else None
        self._cluster = Cluster(dsn, pool_size, statement_seconds, name)
        self._writer = BatchWriter(self._cluster, domain)
        self._search_gate = SearchGate()
        dialect_of(self.dialect)  # its import does not delay the first query
        self._active_until = 0.0

    @property
    def pending_writes(self) -> int:
        return self._writer.pending_writes

    @property
    def connection_counts(self) -> tuple[int, int]:
        return self._cluster.pool.counts

    async def open(self) -> None:
        await self._cluster.open()

    async def close(self) -> None:
        await self._writer.close()
        await self._cluster.close()

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        if not is_long:
            return await self._fetch(query, parameters)
        account_id = parameters.get("account_id", 0)
        started = await self._search_gate.enter(account_id)
        try:
            return await self._fetch(query, parameters)
        finally:
            self._search_gate.leave(account_id, started)

    async def _fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        try:
            return await self._cluster.fetch(query, parameters)
        except asyncpg.QueryCanceledError as error:
            raise _timeout(self._statement_seconds) from error

    async def fetch_text(self, text: str) -> list[Any]:
        """Return the rows of a statement about the server itself."""
        return await self._cluster.pool.fetch(text, ())

    def shut_down(self) -> None:
        """Close every connection at once, and open no new ones."""
        self._cluster.pool.shut_down()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        async with self._cluster.pool.acquire(is_snapshot=True) as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield Snapshot(connection, self._statement_seconds)

    async def execute(self, statements: Sequence[Statement]) -> int:
        return await retry_rolled_back(lambda: self._execute(statements))

    async def _execute(self, statements: Sequence[Statement]) -> int:
        status = ""
        try:
            async with self._transaction(statements) as connection:
                for statement in statements:
                    status = await execute(connection, *statement)
        except asyncpg.UniqueViolationError as error:
            raise Conflict(str(error)) from error
        return int(status.rsplit(" ", 1)[-1])

    async def insert_rows(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        try:
            async with self._cluster.pool.acquire() as connection:
                names = [str(column.name) for column in table.c]
                await connection.copy_records_to_table(table.name, records=rows, columns=names)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Conflict(str(error)) from error

    async def run(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        return await retry_rolled_back(lambda: self._run(statements))

    async def _run(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        try:
            async with self._transaction(statements) as connection:
                return [await fetch_rows(connection, *statement) for statement in statements]
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Conflict(str(error)) from error

    @asynccontextmanager
    async def _transaction(self, statements: Sequence[Statement]) -> AsyncIterator[Any]:
        """A connection in a transaction, for these statements."""
        async with (
            self._cluster.acquire(parameters for _, parameters in statements) as connection,
            connection.transaction(),
        ):
            yield connection

    async def has_concurrent_activity(self) -> bool:
        now = time.monotonic()
        if (await self._cluster.pool.fetch(_HAS_ACTIVE_SESSION, (BACKGROUND,)))[0][0]:
            self._active_until = now + _ACTIVITY_SECONDS
        return now < self._active_until

    async def require_writable(self) -> None:
        if (await self._cluster.pool.fetch(_IS_READ_ONLY, ()))[0][0]:
            raise Unreachable(
                "PostgreSQL is read-only: it is a standby, or `default_transaction_read_only` "
                "is on."
            )

    async def reachable_accounts(self) -> list[int] | None:
        return await self._cluster.reachable_accounts()

    def last_written_sequence(self, account_id: int) -> int | None:
        return self._writer.last_written.of(account_id)

    def has_slow_search(self, account_id: int) -> bool:
        return self._search_gate.has_slow(account_id)

    async def write(self, account_id: int, command: Command) -> Any:
        return await self._writer.write(account_id, command)


def _timeout(seconds: float) -> StatementTimeout:
    return StatementTimeout(f"A statement exceeded its time limit of {seconds:g} s.")
