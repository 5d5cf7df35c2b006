"""A pool of PostgreSQL connections.

asyncpg's own pool makes an object and a task for each acquisition: measured, 45 µs of a query's
100. This one takes a connection from a list. A released connection is not reset: nothing in
Regulars changes a session. After any error but PostgreSQL's own refusal it is closed.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Any, NoReturn

import asyncpg

from regulars.store.base import STATEMENT_SECONDS
from regulars.store.errors import DiskFull, NodeUnreachable, Unreachable
from regulars.store.postgresql.connect import CONNECT_ERRORS, describe_error, open_connection
from regulars.store.postgresql.timeline_fence import REPLACED, TimelineFence
from regulars.store.statement_times import statement_times

# The application_name of bulk stores.
BACKGROUND = "regulars in the background"
# A connection in use for longer is probably waiting for a node.
_STALLED_SECONDS = 0.5


class ConnectionPool:
    """At most `size` connections, opened on demand. The server cancels a statement after
    `statement_seconds`. `name` is the application_name, if not the DSN's.

    Errors of the server are asyncpg's PostgresError. A server that cannot be reached, goes away or
    was replaced as the primary is Unreachable.
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
        self.timeline_fence = TimelineFence(self.close_all)
        self._size = size
        self._statement_seconds = statement_seconds
        self._open_count = 0
        self._idle: list[asyncpg.Connection] = []
        # The connections in use, and since when (infinity: never stalled).
        self._in_use: dict[asyncpg.Connection, float] = {}
        self._connecting: set[asyncio.Task[asyncpg.Connection]] = set()
        self._waiters: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._is_closed = False

    @property
    def counts(self) -> tuple[int, int]:
        """How many connections are in use, and how many are idle."""
        return self._open_count - len(self._idle), len(self._idle)

    async def close(self) -> None:
        """Close the idle connections, and every other one when it is released."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().close()

    def shut_down(self) -> None:
        """Close all connections at once and open no new ones. Their users, and those that wait for
        a connection, get Unreachable."""
        self._is_closed = True
        self.close_all()
        for task in self._connecting:
            task.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Unreachable("The connection was closed."))

    def close_all(self) -> None:
        """Close all connections at once. Their users get Unreachable; the next connections are
        new."""
        for connection in (*self._idle, *self._in_use):
            connection.terminate()
        self._open_count -= len(self._idle)
        self._idle.clear()

    def close_stalled(self, reason: str) -> None:
        """Close the connections that have been in use for long, but for those of snapshots. Their
        users get Unreachable with the reason."""
        limit = monotonic() - _STALLED_SECONDS
        for connection, since in self._in_use.items():
            if since < limit:
                connection.close_reason = reason
                connection.terminate()

    async def fetch(self, text: str, arguments: Sequence[Any]) -> list[Any]:
        """Return the rows of a statement."""
        connection = self._take_idle() or await self._acquire()
        began = perf_counter()
        try:
            rows: list[Any] = await connection.fetch(text, *arguments)
        except BaseException as error:
            statement_times.record(text, began)
            self._release(connection, error)
            _raise(error, connection)
        statement_times.record(text, began)
        self._release(connection)
        return rows

    @asynccontextmanager
    async def acquire(self, is_snapshot: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A connection for several statements. That of a snapshot may be in use for long."""
        connection = await self._acquire()
        if is_snapshot:
            self._in_use[connection] = math.inf
        try:
            yield connection
        except BaseException as error:
            self._release(connection, error)
            _raise(error, connection)
        self._release(connection)

    def _take_idle(self) -> asyncpg.Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                self._in_use[connection] = monotonic()
                return connection
            self._open_count -= 1
        return None

    async def _acquire(self) -> asyncpg.Connection:
        while True:
            connection = self._take_idle()
            if connection is not None:
                return connection
            if self._open_count < self._size:
                return await self._connect()
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                handed_over = await waiter
            except asyncio.CancelledError:
                # A connection that was handed over at the same time goes to the next waiter.
                if not waiter.cancelled():
                    handed_over = waiter.result()
                    if handed_over is None:
                        self._wake()
                    else:
                        self._release(handed_over)
                raise
            if handed_over is not None:
                return handed_over

    async def _connect(self) -> asyncpg.Connection:
        self._open_count += 1
        try:
            connection = await self._open_cancellable(self._dsn)
        except BaseException as error:
            self._open_count -= 1
            self._wake()
            if isinstance(error, CONNECT_ERRORS):
                raise Unreachable(describe_error(error)) from error
            raise
        self._in_use[connection] = monotonic()
        if self.timeline_fence.is_old(connection):
            replaced = Unreachable(f"PostgreSQL cannot be reached: {REPLACED}.")
            self._release(connection, replaced)
            raise replaced
        return connection

    async def _open_cancellable(self, dsn: str) -> asyncpg.Connection:
        task = asyncio.ensure_future(
            open_connection(dsn, self._statement_seconds, self._name, self.timeline_fence)
        )
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        try:
            return await task
        except asyncio.CancelledError:
            task.add_done_callback(_terminate_result)
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise Unreachable("The connection was closed.") from None

    def _release(self, connection: asyncpg.Connection, error: BaseException | None = None) -> None:
        """Take a connection back, and hand it to the first waiter."""
        self._in_use.pop(connection, None)
        if _is_fatal(error) or self._is_closed:
            connection.terminate()
        if connection.is_closed():
            self._open_count -= 1
            self._wake()
        elif not self._wake(connection):
            self._idle.append(connection)

    def _wake(self, connection: asyncpg.Connection | None = None) -> bool:
        """Hand a connection, or the right to open one, to the first waiter; return whether there
        is one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                if connection is not None:
                    self._in_use[connection] = monotonic()
                waiter.set_result(connection)
                return True
        return False


def _terminate_result(task: asyncio.Task[asyncpg.Connection]) -> None:
    """Close the connection of a task that completed after its caller was cancelled."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


def _is_fatal(error: BaseException | None) -> bool:
    """Whether a connection cannot be used again after an error. It can after an error of the
    server, unless the server is read-only: then it is not the primary any more."""
    if isinstance(error, NodeUnreachable):
        return False
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return True
    return error is not None and not isinstance(error, asyncpg.PostgresError)


_UNREACHABLE_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection ended between two of its messages
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)


def _raise(error: BaseException, connection: asyncpg.Connection) -> NoReturn:
    """Raise the StoreError of a connection's error, if there is one, or the error itself."""
    if isinstance(error, asyncpg.DiskFullError):
        raise DiskFull("The disk of PostgreSQL is full.") from error
    # asyncpg uses the protocol of a connection that was terminated between two of its messages.
    was_terminated = isinstance(error, AttributeError) and connection.is_closed()
    if was_terminated or isinstance(error, _UNREACHABLE_ERRORS):
        raise Unreachable(connection.close_reason or describe_error(error)) from error
    raise error
