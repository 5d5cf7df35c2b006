"""Replicas of a PostgreSQL database: what is read there, and when.

A replica is read only where it has come as far as the reader needs, which is asked of the account's
own row there: its changes are replayed in order, so whatever is read after that is as new. One that
does not answer, is too far behind or takes writes is left out until it is well again, and what was
being read there is read from the primary.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa

from regulars.store.base import Fetches, Store
from regulars.store.errors import StoreError, TooSlow
from regulars.store.positions import Position, Positions
from regulars.store.postgresql import PostgreSQLStore
from regulars.store.query import Query
from regulars.store.unit_of_work import Domain
from regulars.store.writer import Command

WATCH_SECONDS = 0.5
# A replica that does not say how it is within this is left out.
PATIENCE_SECONDS = 1.0
_MAX_KNOWN = 100_000

_PRIMARY_AT = "SELECT (pg_current_wal_lsn() - '0/0')::int8"
_REPLICA_AT = "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0')::int8"

# A replica ends what is in the way of what it replays.
_IN_THE_WAY = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

_log = logging.getLogger("regulars.replicas")


class Replica:
    """One of them, as a store: what it cannot read the primary reads, and all that is written goes
    there. Once it has failed (`gone`), everything goes there: what comes back in its place may have
    less, and is another."""

    dialect = "postgresql"

    def __init__(self, dsn: str, primary: Store, domain: Domain, statement_seconds: float) -> None:
        self.dsn = dsn
        self._primary = primary
        self._store = PostgreSQLStore(dsn, domain, statement_seconds)
        self._there = Positions(self._store)
        self._known: dict[int, Position] = {}
        self.positions = Positions(self)
        self.usable = self.gone = False

    async def open(self) -> None:
        """It is connected to by whoever asks first."""

    async def close(self) -> None:
        await self._store.close()

    @property
    def waiting(self) -> int:
        return 0

    @property
    def connections(self) -> tuple[int, int]:
        return self._store.connections

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], long: bool = False
    ) -> Sequence[Any]:
        if self.usable:
            try:
                return await self._store.fetch(query, parameters, long)
            except TooSlow:
                raise
            except StoreError as error:
                self.leave_out(str(error))
            except _IN_THE_WAY:
                pass
        return await self._primary.fetch(query, parameters, long)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Fetches]:
        async with self._primary.snapshot() as snapshot:
            yield snapshot

    async def others_work(self) -> bool:
        return await self._primary.others_work()

    async def require_writable(self) -> None:
        await self._primary.require_writable()

    async def reachable(self) -> list[int] | None:
        return await self._primary.reachable()

    def last_made(self, account_id: int) -> int | None:
        return self._primary.last_made(account_id)

    def has_slow_search(self, account_id: int) -> bool:
        return self._primary.has_slow_search(account_id)

    async def write(self, account_id: int, command: Command) -> Any:
        return await self._primary.write(account_id, command)

    async def add(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        await self._primary.add(table, rows)

    async def run(
        self, statements: Sequence[tuple[Query, Mapping[str, Any]]]
    ) -> list[Sequence[Any]]:
        return await self._primary.run(statements)

    async def execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        return await self._primary.execute(statements)

    async def has(self, account_id: int, needed: Position) -> bool:
        """Whether it has come as far with an account as is needed."""
        known = self._known.get(account_id)
        if known is None or not _reaches(known, needed):
            try:
                known = await self._there.of(account_id)
            except StoreError as error:
                self.leave_out(str(error))
                return False
            except _IN_THE_WAY:
                return False
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[account_id] = known
        return _reaches(known, needed)

    def leave_out(self, reason: str) -> None:
        """Nothing is read from it any more."""
        if self.usable:
            _log.warning("A replica is left out.", extra={"fields": {"reason": reason}})
        self.usable, self.gone = False, True
        self._store.abandon()

    def take_up(self) -> None:
        """It is read from."""
        if not self.usable:
            self.usable = True
            _log.info("A replica is read from.")

    async def at(self) -> int | None:
        """How far it has replayed, in bytes of the log; None for a server that is no replica.
        Raises StoreError."""
        (row,) = await self._store.ask(_REPLICA_AT)
        return row[1] if row[0] else None


def _reaches(there: Position, needed: Position) -> bool:
    return there.change >= needed.change and there.revision >= needed.revision


class Replicas:
    """The replicas of a primary, of which those are read that are at most `most_behind` seconds
    behind."""

    def __init__(
        self,
        primary: PostgreSQLStore,
        dsns: Sequence[str],
        domain: Domain,
        statement_seconds: float,
        most_behind: float,
    ) -> None:
        self._primary = primary
        self._positions = Positions(primary)
        self._domain = domain
        self._seconds = statement_seconds
        self._most_behind = most_behind
        self._all = [self._made(dsn) for dsn in dsns]
        self._turn = itertools.count()
        # Where the primary's log was at which moment, newest last.
        self._passed: deque[tuple[float, int]] = deque()

    def _made(self, dsn: str) -> Replica:
        return Replica(dsn, self._primary, self._domain, self._seconds)

    @property
    def usable(self) -> int:
        """How many are read from."""
        return sum(replica.usable for replica in self._all)

    async def for_reading(self, account_id: int, change: int | None) -> Replica | None:
        """A replica that has all of an account up to a change; without one, all that was answered
        before it is asked for. None where there is none."""
        usable = [replica for replica in self._all if replica.usable]
        if not usable:
            return None
        if change is None:
            needed = await self._positions.of(account_id)
        else:
            needed = Position(change, 0)
        first = next(self._turn)
        for place in range(len(usable)):
            replica = usable[(first + place) % len(usable)]
            if await replica.has(account_id, needed):
                return replica
        return None

    async def watch(self) -> None:
        """Looks after them until it is cancelled."""
        while True:
            self._all = [self._made(one.dsn) if one.gone else one for one in self._all]
            await asyncio.gather(self._look_at_primary(), *map(self._look_at, self._all))
            await asyncio.sleep(WATCH_SECONDS)

    async def close(self) -> None:
        """Closes their connections."""
        for replica in self._all:
            await replica.close()

    async def _look_at_primary(self) -> None:
        with contextlib.suppress(Exception):  # it is away, and so is what is written: the next time
            began = asyncio.get_running_loop().time()
            (row,) = await asyncio.wait_for(self._primary.ask(_PRIMARY_AT), PATIENCE_SECONDS)
            self._passed.append((began, row[0]))
            while len(self._passed) > 1 and self._passed[1][0] < began - 2 * self._most_behind:
                self._passed.popleft()

    async def _look_at(self, replica: Replica) -> None:
        try:
            at = await asyncio.wait_for(replica.at(), PATIENCE_SECONDS)
        except Exception as error:
            return replica.leave_out(str(error) or "It does not answer.")
        if at is None:
            return replica.leave_out("It is no replica: it takes writes.")
        behind = self._behind(at)
        if behind > self._most_behind:
            return replica.leave_out(f"It is {behind:.1f} s behind.")
        return replica.take_up()

    def _behind(self, at: int) -> float:
        """For how many seconds the primary has been further than a replica is now; 0 for one that
        has caught up with what is known."""
        further = [moment for moment, passed in self._passed if passed > at]
        return asyncio.get_running_loop().time() - further[0] if further else 0.0


@asynccontextmanager
async def watched(replicas: Replicas | None) -> AsyncIterator[None]:
    """Looks after replicas meanwhile, if there are any, and closes them."""
    if replicas is None:
        yield
        return
    watching = asyncio.create_task(replicas.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await replicas.close()
