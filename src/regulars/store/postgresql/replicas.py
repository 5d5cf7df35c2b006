"""The replicas of a PostgreSQL database: which of them a request may read.

A replica is read only if it has replayed the account's row as far as the request needs. WAL is
replayed in order, so every later read is at least as new. A replica that does not answer, lags too
far behind or takes writes is ejected until it recovers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from regulars.store.background_task import BackgroundTask
from regulars.store.postgresql.replica import Replica
from regulars.store.postgresql.store import PostgreSQLStore
from regulars.store.replication_position import PositionReader, ReplicationPosition
from regulars.store.unit_of_work import Domain

INTERVAL_SECONDS = 0.5
# A replica that does not answer the check within this time is ejected.
TIMEOUT_SECONDS = 1.0

_WAL_POSITION = "SELECT (pg_current_wal_lsn() - '0/0')::int8"


class Replicas(BackgroundTask):
    """Checks the replicas of a primary. Those that lag at most `max_lag_seconds` behind are
    usable."""

    def __init__(
        self,
        primary: PostgreSQLStore,
        dsns: Sequence[str],
        domain: Domain,
        statement_seconds: float,
        max_lag_seconds: float,
    ) -> None:
        self._primary = primary
        self._positions = PositionReader(primary)
        self._domain = domain
        self._statement_seconds = statement_seconds
        self._max_lag_seconds = max_lag_seconds
        self._replicas = [self._create(dsn) for dsn in dsns]
        self._round_robin = itertools.count()
        # The primary's WAL positions with their times, newest last.
        self._wal_positions: deque[tuple[float, int]] = deque()

    def _create(self, dsn: str) -> Replica:
        return Replica(
            dsn, self._primary, self._domain, self._statement_seconds, self._primary.pool_size
        )

    @property
    def usable_count(self) -> int:
        """How many replicas are read from."""
        return sum(replica.is_usable for replica in self._replicas)

    async def find(self, account_id: int, change: int | None) -> Replica | None:
        """Return a replica that has an account's changes up to the number `change`; without it, all
        changes committed before this call. None if there is none."""
        usable = [replica for replica in self._replicas if replica.is_usable]
        if not usable:
            return None
        if change is None:
            needed = await self._positions.read(account_id)
        else:
            needed = ReplicationPosition(change, 0)
        first = next(self._round_robin)
        for offset in range(len(usable)):
            replica = usable[(first + offset) % len(usable)]
            if await replica.has_reached(account_id, needed):
                return replica
        return None

    async def close(self) -> None:
        """Close the connections."""
        for replica in self._replicas:
            await replica.close()

    async def _run(self) -> None:
        while True:
            self._replicas = [self._create(r.dsn) if r.is_failed else r for r in self._replicas]
            await asyncio.gather(self._check_primary(), *map(self._check, self._replicas))
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _check_primary(self) -> None:
        with contextlib.suppress(Exception):  # without a primary there is nothing to lag behind
            now = asyncio.get_running_loop().time()
            ((position,),) = await asyncio.wait_for(
                self._primary.fetch_text(_WAL_POSITION), TIMEOUT_SECONDS
            )
            self._wal_positions.append((now, position))
            oldest = now - 2 * self._max_lag_seconds
            while len(self._wal_positions) > 1 and self._wal_positions[1][0] < oldest:
                self._wal_positions.popleft()

    async def _check(self, replica: Replica) -> None:
        try:
            position = await asyncio.wait_for(replica.replay_position(), TIMEOUT_SECONDS)
        except Exception as error:
            return replica.eject(str(error) or "The replica does not respond.")
        if position is None:
            return replica.eject("The server is a primary, not a replica.")
        lag_seconds = self._lag_seconds(position)
        if lag_seconds > self._max_lag_seconds:
            return replica.eject(f"It is {lag_seconds:.1f} s behind.")
        return replica.readmit()

    def _lag_seconds(self, position: int) -> float:
        """How long the primary's WAL has been beyond a position; 0 if it is not."""
        later = [at for at, wal_position in self._wal_positions if wal_position > position]
        return asyncio.get_running_loop().time() - later[0] if later else 0.0


@asynccontextmanager
async def running_replicas(replicas: Replicas | None) -> AsyncIterator[None]:
    """Check replicas, if there are any, until the end of the block; then close them."""
    if replicas is None:
        yield
        return
    replicas.start()
    try:
        yield
    finally:
        await replicas.stop()
        await replicas.close()
