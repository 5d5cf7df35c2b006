"""A replica of a PostgreSQL database."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa

from regulars.store.base import QueryExecutor, Store
from regulars.store.errors import StatementTimeout, StoreError
from regulars.store.postgresql.store import PostgreSQLStore
from regulars.store.query import Query, Statement
from regulars.store.replication_position import PositionReader, ReplicationPosition
from regulars.store.unit_of_work import Domain
from regulars.store.writer import Command

_MAX_ACCOUNTS = 100_000

_REPLAY_POSITION = "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0')::int8"

# A replica cancels statements that conflict with the replay (PostgreSQL, section 26.4.2).
_RECOVERY_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

_log = logging.getLogger("regulars.replicas")


class Replica:
    """A replica as a store. Writes, and reads that fail here, go to the primary.

    After a failure it `is_failed` and everything goes to the primary. The server that comes back
    may have less data, so it is a new Replica.
    """

    dialect = "postgresql"
    min_shared_reads = 1

    def __init__(
        self,
        dsn: str,
        primary: Store,
        domain: Domain,
        statement_seconds: float,
        pool_size: int,
    ) -> None:
        self.dsn = dsn
        self._primary = primary
        self._store = PostgreSQLStore(dsn, domain, statement_seconds, pool_size)
        self._own_positions = PositionReader(self._store)
        self._positions_by_account: dict[int, ReplicationPosition] = {}
        self.positions = PositionReader(self)
        self.is_usable = self.is_failed = False

    async def open(self) -> None:
        """Do nothing: the first query connects."""

    async def close(self) -> None:
        await self._store.close()

    @property
    def pending_writes(self) -> int:
        return 0

    @property
    def connection_counts(self) -> tuple[int, int]:
        return self._store.connection_counts

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        if self.is_usable:
            try:
                return await self._store.fetch(query, parameters, is_long)
            except StatementTimeout:
                raise
            except StoreError as error:
                self.eject(str(error))
            except _RECOVERY_CONFLICTS:
                pass
        return await self._primary.fetch(query, parameters, is_long)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[QueryExecutor]:
        async with self._primary.snapshot() as snapshot:
            yield snapshot

    async def has_concurrent_activity(self) -> bool:
        return await self._primary.has_concurrent_activity()

    async def require_writable(self) -> None:
        await self._primary.require_writable()

    async def reachable_accounts(self) -> list[int] | None:
        return await self._primary.reachable_accounts()

    def last_written_sequence(self, account_id: int) -> int | None:
        return self._primary.last_written_sequence(account_id)

    def has_slow_search(self, account_id: int) -> bool:
        return self._primary.has_slow_search(account_id)

    async def write(self, account_id: int, command: Command) -> Any:
        return await self._primary.write(account_id, command)

    async def insert_rows(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        await self._primary.insert_rows(table, rows)

    async def run(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        return await self._primary.run(statements)

    async def execute(self, statements: Sequence[Statement]) -> int:
        return await self._primary.execute(statements)

    async def has_reached(self, account_id: int, needed: ReplicationPosition) -> bool:
        """Return whether it has replayed an account up to a position."""
        position = self._positions_by_account.get(account_id)
        if position is None or not position.reaches(needed):
            try:
                position = await self._own_positions.read(account_id)
            except StoreError as error:
                self.eject(str(error))
                return False
            except _RECOVERY_CONFLICTS:
                return False
            if len(self._positions_by_account) >= _MAX_ACCOUNTS:
                self._positions_by_account.clear()
            self._positions_by_account[account_id] = position
        return position.reaches(needed)

    def eject(self, reason: str) -> None:
        """Stop reading from it."""
        if self.is_usable:
            _log.warning("A replica was ejected.", extra={"fields": {"reason": reason}})
        self.is_usable, self.is_failed = False, True
        self._store.shut_down()

    def readmit(self) -> None:
        """Start reading from it."""
        if not self.is_usable:
            self.is_usable = True
            _log.info("A replica was readmitted.")

    async def replay_position(self) -> int | None:
        """Return how far it has replayed, in bytes of the WAL; None for a server that is not a
        replica. Raises StoreError."""
        ((is_replica, position),) = await self._store.fetch_text(_REPLAY_POSITION)
        return position if is_replica else None
