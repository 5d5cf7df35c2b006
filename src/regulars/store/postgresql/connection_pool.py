"""Connections to PostgreSQL: kept open, and lent to one caller at a time.

asyncpg's own pool makes an object and a task each time a connection is lent: measured, 45 µs of a
query's 100. Here lending is taking one from a list. A connection is not reset when it comes back:
nothing here changes a session. One on which anything but PostgreSQL's own refusal went wrong is
not used again.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NoReturn

import asyncpg

from regulars.store.base import STATEMENT_SECONDS
from regulars.store.errors import NoRoom, SilentNode, Unreachable
from regulars.store.postgresql.connect import NOT_CONNECTED, connected, unreachable
from regulars.store.postgresql.timeline_fence import REPLACED, TimelineFence

# What PostgreSQL calls the connections of whoever writes many rows beside others.
BACKGROUND = "regulars in the background"
# Whoever has had a connection for so long waits for something.
_LONG_SECONDS = 0.5


class ConnectionPool:
    """At most `size` connections, made when they are needed. No statement takes longer than
    `statement_seconds`. `name` is what PostgreSQL calls them, if not what the DSN says.

    Whatever the server refuses is asyncpg's PostgresError; a server that cannot be reached, that
    goes away, or whose place another has, whether it still takes writes or not, is Unreachable.
    """

    def __init__(
        self,
        dsn: str,
        size: int,
        statement_seconds: float = STATEMENT_SECONDS,
        name: str | None = None,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self.timelines = TimelineFence(self.renew)
        self._size = size
        self._statement_seconds = statement_seconds
        self._made = 0
        self._free: list[asyncpg.Connection] = []
        # Which are lent, and since when (never, to who may keep one).
        self._lent: dict[asyncpg.Connection, float] = {}
        self._connecting: set[asyncio.Task[asyncpg.Connection]] = set()
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._closed = False

    @property
    def used_and_free(self) -> tuple[int, int]:
        """How many connections are lent, and how many are free."""
        return self._made - len(self._free), len(self._free)

    async def close(self) -> None:
        """Closes the connections that nobody holds, and every other when it comes back."""
        self._closed = True
        while self._free:
            await self._free.pop().close()

    def abandon(self) -> None:
        """Ends all connections at once, and makes no new ones: whoever has one, or waits for one,
        is told that the server cannot be reached."""
        self._closed = True
        self.renew()
        for task in self._connecting:
            task.cancel()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(Unreachable("The connection was given up."))

    def renew(self) -> None:
        """Ends all connections at once: whoever has one is told that the server cannot be reached,
        and the next ones are new."""
        for connection in (*self._free, *self._lent):
            connection.terminate()
        self._made -= len(self._free)
        self._free.clear()

    def give_up(self) -> None:
        """Ends the connections of whoever has had one for long, and may not keep it, as `renew`
        does."""
        before = monotonic() - _LONG_SECONDS
        for connection, since in self._lent.items():
            if since < before:
                connection.terminate()

    async def fetch(self, text: str, arguments: Sequence[Any]) -> list[Any]:
        """The rows of a statement."""
        connection = self._ready() or await self._take()
        try:
            rows: list[Any] = await connection.fetch(text, *arguments)
        except BaseException as error:
            self._give(connection, error)
            _raise(error)
        self._give(connection)
        return rows

    @asynccontextmanager
    async def one(self, kept: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A connection for several statements; to be `kept` for as long as they take."""
        connection = await self._take()
        if kept:
            self._lent[connection] = math.inf
        try:
            yield connection
        except BaseException as error:
            self._give(connection, error)
            _raise(error)
        self._give(connection)

    def _ready(self) -> asyncpg.Connection | None:
        """A connection that is open and free, if there is one."""
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                self._lent[connection] = monotonic()
                return connection
            self._made -= 1
        return None

    async def _take(self) -> asyncpg.Connection:
        while True:
            connection = self._ready()
            if connection is not None:
                return connection
            if self._made < self._size:
                return await self._connect()
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                handed = await waiter
            except asyncio.CancelledError:
                # What was handed over in the meantime goes on to the next.
                if not waiter.cancelled():
                    handed = waiter.result()
                    if handed is None:
                        self._wake()
                    else:
                        self._give(handed)
                raise
            if handed is not None:
                return handed

    async def _connect(self) -> asyncpg.Connection:
        self._made += 1
        try:
            connection = await self._connecting_to(self._dsn)
        except BaseException as error:
            self._made -= 1
            self._wake()
            if isinstance(error, NOT_CONNECTED):
                raise Unreachable(unreachable(error)) from error
            raise
        self._lent[connection] = monotonic()
        if self.timelines.is_old(connection):
            replaced = Unreachable(f"PostgreSQL cannot be reached: {REPLACED}.")
            self._give(connection, replaced)
            raise replaced
        return connection

    async def _connecting_to(self, dsn: str) -> asyncpg.Connection:
        task = asyncio.ensure_future(
            connected(dsn, self._statement_seconds, self._name, self.timelines)
        )
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        try:
            return await task
        except asyncio.CancelledError:
            task.add_done_callback(_let_go)
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise Unreachable("The connection was given up.") from None

    def _give(self, connection: asyncpg.Connection, error: BaseException | None = None) -> None:
        """Takes a connection back, and hands it to who has waited longest."""
        self._lent.pop(connection, None)
        if _breaks(error) or self._closed:
            connection.terminate()
        if connection.is_closed():
            self._made -= 1
            self._wake()
        elif not self._wake(connection):
            self._free.append(connection)

    def _wake(self, connection: asyncpg.Connection | None = None) -> bool:
        """Hands a connection, or the room for one, to who has waited longest, if anybody has."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                if connection is not None:
                    self._lent[connection] = monotonic()
                waiter.set_result(connection)
                return True
        return False


def _let_go(task: asyncio.Task[asyncpg.Connection]) -> None:
    """Ends a connection that nobody waits for any more, if it was made all the same."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


def _breaks(error: BaseException | None) -> bool:
    """Whether a connection is of no use after an error. One that PostgreSQL has refused something
    on is as good as before; but not one to a server that takes no writes: it is not the primary
    any more."""
    if isinstance(error, SilentNode):
        return False
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return True
    return error is not None and not isinstance(error, asyncpg.PostgresError)


_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that ended between two of its messages
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)


def _raise(error: BaseException) -> NoReturn:
    """Raises what an error of a statement is to the rest of Regulars."""
    if isinstance(error, asyncpg.DiskFullError):
        raise NoRoom("PostgreSQL has no room to write.") from error
    if isinstance(error, _AWAY):
        raise Unreachable(unreachable(error)) from error
    raise error
