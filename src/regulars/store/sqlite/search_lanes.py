"""SQLite: searches, which may read every customer, outside the event loop's thread.

There are two lanes, each with a thread and a connection. A search starts in the quick lane, where
it may take some milliseconds. A search that takes longer is interrupted there and starts again in
the slow lane. So a quick search waits for other quick searches only, and all slow searches together
use one thread. In each lane the accounts take turns.
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

# Small searches take less than 1 ms. A search that is interrupted has wasted so much, at most.
QUICK_SECONDS = 0.005
# An interrupt that comes before the statement has begun has no effect, so it is repeated.
_REPEAT_SECONDS = 0.005


class Lanes:
    """The quick lane and the slow lane. A statement of the slow lane may take `seconds`."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._quick = _Lane(path, min(QUICK_SECONDS, seconds))
        self._slow = _Lane(path, seconds)

    async def fetch(
        self, account_id: int, query: Query, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Returns the rows of a query. Raises StatementTimeout and Unreachable."""
        try:
            return await self._quick.fetch(account_id, query, parameters)
        except StatementTimeout:
            return await self._slow.fetch(account_id, query, parameters)

    async def close(self) -> None:
        """Waits for the statements under way, and disconnects."""
        await self._quick.close()
        await self._slow.close()


class _Lane:
    """A thread and a connection, for one statement at a time. The accounts that wait take turns."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._seconds = seconds
        self._reader = Reader(path, None)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="regulars-searches")
        self._busy = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    async def fetch(
        self, account_id: int, query: Query, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Returns the rows of a query, when it is the account's turn. Raises StatementTimeout and
        Unreachable."""
        if self._busy:
            await self._turn(account_id)
        self._busy = True
        loop = asyncio.get_running_loop()
        work = self._thread.submit(self._reader.fetch, query, parameters)
        # The lane is free when the thread is, which is later than a cancelled caller goes.
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._next))
        timer = loop.call_later(self._seconds, self._interrupt, work)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            self._interrupt(work)
            raise
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Waits for the statement under way, and disconnects."""
        await asyncio.to_thread(self._thread.shutdown)
        self._reader.close()

    async def _turn(self, account_id: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the turn came at the same time
                self._next()
            raise

    def _next(self) -> None:
        """Gives the lane to the account that has waited longest since its last turn."""
        self._busy = False
        while self._waiting and not self._busy:
            account_id, turns = next(iter(self._waiting.items()))
            del self._waiting[account_id]
            turn = turns.popleft()
            if turns:
                self._waiting[account_id] = turns
            if not turn.done():
                self._busy = True
                turn.set_result(None)

    def _interrupt(self, work: Future[Sequence[Any]]) -> None:
        if not work.done():
            self._reader.interrupt()
            asyncio.get_running_loop().call_later(_REPEAT_SECONDS, self._interrupt, work)
