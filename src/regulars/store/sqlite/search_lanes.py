"""Searches on SQLite, outside the event loop's thread.

There are two lanes, each with a thread and a connection. A search starts in the quick lane, where
it may take some milliseconds. If it takes longer, it is interrupted and starts again in the slow
lane. So a quick search waits only for other quick searches, and all slow searches share one thread.
In each lane the accounts take turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from regulars.store.errors import StatementTimeout
from regulars.store.query import Query
from regulars.store.sqlite.reader import Reader

# A small search takes less than 1 ms. An interrupted search has wasted at most this time.
QUICK_SECONDS = 0.005
# An interrupt before the statement has begun has no effect, so it is repeated.
_REPEAT_SECONDS = 0.005


class SearchLanes:
    """The quick lane and the slow lane. A statement in the slow lane may take `seconds`."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._quick = _Lane(path, min(QUICK_SECONDS, seconds))
        self._slow = _Lane(path, seconds)

    async def fetch(
        self, account_id: int, query: Query, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Return the rows of a query. Raises StatementTimeout and Unreachable."""
        try:
            return await self._quick.fetch(account_id, query, parameters)
        except StatementTimeout:
            return await self._slow.fetch(account_id, query, parameters)

    async def close(self) -> None:
        """Wait for the statements in progress, and disconnect."""
        await self._quick.close()
        await self._slow.close()


class _Lane:
    """A thread and a connection, for one statement at a time. Waiting accounts take turns."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._seconds = seconds
        self._reader = Reader(path, None)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="regulars-searches")
        self._is_busy = False
        self._waiters: dict[int, deque[asyncio.Future[None]]] = {}

    async def fetch(
        self, account_id: int, query: Query, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Return the rows of a query, when it is the account's turn. Raises StatementTimeout and
        Unreachable."""
        if self._is_busy:
            await self._wait_for_turn(account_id)
        self._is_busy = True
        loop = asyncio.get_running_loop()
        future = self._thread.submit(self._reader.fetch, query, parameters)
        # The lane is free when the thread is: later than a cancelled caller returns.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._start_next))
        timer = loop.call_later(self._seconds, self._interrupt, future)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._interrupt(future)
            raise
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Wait for the statement in progress, and disconnect."""
        await asyncio.to_thread(self._thread.shutdown)
        self._reader.close()

    async def _wait_for_turn(self, account_id: int) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(account_id, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # it was woken at the same time
                self._start_next()
            raise

    def _start_next(self) -> None:
        """Give the lane to the account that has waited longest since its last turn."""
        self._is_busy = False
        while self._waiters and not self._is_busy:
            account_id, waiters = next(iter(self._waiters.items()))
            del self._waiters[account_id]
            waiter = waiters.popleft()
            if waiters:
                self._waiters[account_id] = waiters
            if not waiter.done():
                self._is_busy = True
                waiter.set_result(None)

    def _interrupt(self, future: Future[Sequence[Any]]) -> None:
        if not future.done():
            self._reader.interrupt()
            asyncio.get_running_loop().call_later(_REPEAT_SECONDS, self._interrupt, future)
