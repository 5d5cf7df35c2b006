"""The servers of a DSN: their connections, and the state of the primary and of the nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from regulars.store.citus.distribution import is_distributed
from regulars.store.citus.node_circuit_breaker import NodeCircuitBreaker
from regulars.store.postgresql.connection_pool import ConnectionPool
from regulars.store.postgresql.primary_monitor import PrimaryMonitor
from regulars.store.postgresql.transactions import fetch_rows
from regulars.store.query import Query


class Cluster:
    """A connection pool whose connections are closed when the primary or a Citus node stops
    answering."""

    def __init__(
        self, dsn: str, pool_size: int, statement_seconds: float, name: str | None
    ) -> None:
        self.pool = ConnectionPool(dsn, pool_size, statement_seconds, name)
        self._primary_monitor = PrimaryMonitor(dsn, self.pool.timeline_fence, self.pool.close_all)
        self._circuit_breaker = NodeCircuitBreaker(dsn, self.pool.close_stalled)
        # Whether Citus distributes the tables; None before the first answer.
        self._is_distributed: bool | None = None

    async def open(self) -> None:
        """Connect. Raises Unreachable."""
        async with self.pool.acquire() as connection:
            distributed = await self.is_distributed(connection)
        self._primary_monitor.start()
        if distributed:
            self._circuit_breaker.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._primary_monitor.stop()
        await self._circuit_breaker.stop()
        await self.pool.close()

    async def is_distributed(self, connection: Any) -> bool:
        """Return whether Citus distributes the tables."""
        if self._is_distributed is None:
            self._is_distributed = await is_distributed(connection)
        return self._is_distributed

    async def fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows of a query. Raises NodeUnreachable."""
        if self._is_distributed:
            async with self.acquire([parameters]) as connection:
                return await fetch_rows(connection, query, parameters)
        compiled = query.compiled("postgresql")
        return await self.pool.fetch(compiled.text, compiled.arguments(parameters))

    @asynccontextmanager
    async def acquire(self, parameters: Iterable[Mapping[str, Any]]) -> AsyncIterator[Any]:
        """A connection for statements with these parameters. Raises NodeUnreachable if the node of
        an account among them does not answer."""
        async with self.pool.acquire() as connection:
            for values in parameters:
                await self._circuit_breaker.check(values.get("account_id"), connection)
            yield connection

    async def reachable_accounts(self) -> list[int] | None:
        """Return the accounts on nodes that answer; None if all nodes do."""
        return await self._circuit_breaker.reachable_accounts(self.pool.fetch)
