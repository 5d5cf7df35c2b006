"""Searches on SQLite, outside the event loop's thread.

There are two lanes. A search starts in the quick lane. After some milliseconds it goes on in the
slow lane, where one search runs at a time and pauses while another account has its turn. So a quick
search waits only for other quick searches, and a search that is a little slow does not wait for
the slowest. In each lane an account has one search at a time, and the accounts take turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from regulars.store.errors import StatementTimeout
from regulars.store.query import Query
from regulars.store.sqlite.reader import Reader
from regulars.store.sqlite.time_slices import TimeShare, TimeSlices

# A small search takes less than 1 ms.
QUICK_SECONDS = 0.005
# The accounts that have a search in a lane at the same time.
_QUICK_ACCOUNTS = 2
_SLOW_ACCOUNTS = 4


class SearchLanes:
    """The quick lane and the slow lane. A statement may take `seconds`, without its pauses."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._quick, self._slow = _Lane(_QUICK_ACCOUNTS), _Lane(_SLOW_ACCOUNTS)
        self._slices = TimeSlices()
        self._workers: list[_Worker] = []
        self._idle_workers: list[_Worker] = []

    async def fetch(
        self, account_id: int, query: Query, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Return the rows of a query. Raises StatementTimeout and Unreachable."""
        search = _Search(account_id, self._quick, self._seconds)
        try:
            return await self._run(search, query, parameters)
        except StatementTimeout:
            if not search.is_displaced:
                raise
        return await self._run(_Search(account_id, self._slow, self._seconds), query, parameters)

    async def close(self) -> None:
        """Wait for the statements in progress, and disconnect."""
        for worker in self._workers:
            await asyncio.to_thread(worker.thread.shutdown)
            worker.reader.close()

    async def _run(
        self, search: _Search, query: Query, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        await search.lane.enter(search.share.account_id)
        try:
            worker = self._idle_workers.pop() if self._idle_workers else self._new_worker()
        except BaseException:
            search.leave()
            raise
        future = worker.thread.submit(worker.fetch, search, query, parameters)

        def release() -> None:
            self._idle_workers.append(worker)
            search.leave()

        # The worker is idle when its thread is: later than a cancelled caller returns.
        future.add_done_callback(lambda _: search.loop.call_soon_threadsafe(release))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            search.share.cancel()
            raise

    def _new_worker(self) -> _Worker:
        worker = _Worker(self._path, self)
        self._workers.append(worker)
        return worker

    def start(self, search: _Search) -> None:
        """Wait for a turn of the slow lane. Called in the search's thread, as `should_stop`."""
        if search.lane is self._slow:
            self._slices.begin(search.share)
        else:
            search.share.resume()

    def end(self, search: _Search) -> None:
        """End the turn."""
        if search.lane is self._slow:
            self._slices.end(search.share)

    def should_stop(self, search: _Search) -> bool:
        """Return whether to interrupt the search, which may pause here."""
        share = search.share
        if search.lane is self._slow:
            return self._slices.should_stop(share)
        if share.is_over():
            return True
        if share.seconds() < QUICK_SECONDS:
            return False
        if not self._slow.enter_now(share.account_id):
            search.is_displaced = True
            return True
        search.loop.call_soon_threadsafe(self._quick.leave, share.account_id)
        search.lane = self._slow
        share.pause()
        self._slices.begin(share)
        return share.is_cancelled


class _Search:
    """A statement of an account, in a lane. If the slow lane has no place for it, it is displaced:
    it waits for one and starts again."""

    def __init__(self, account_id: int, lane: _Lane, seconds: float) -> None:
        self.lane = lane
        self.share = TimeShare(account_id, seconds)
        self.loop = asyncio.get_running_loop()
        self.is_displaced = False

    def leave(self) -> None:
        """Leave the lane."""
        self.lane.leave(self.share.account_id)


class _Worker:
    """A thread and a connection, for one search at a time."""

    def __init__(self, path: Path, lanes: SearchLanes) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="regulars-searches")
        self.reader = Reader(path, None, self._should_stop)
        self._lanes = lanes
        self._search: _Search | None = None

    def fetch(self, search: _Search, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Run a search in the worker's thread; return its rows."""
        self._search = search
        self._lanes.start(search)
        try:
            return self.reader.fetch(query, parameters)
        finally:
            self._lanes.end(search)
            self._search = None

    def _should_stop(self) -> bool:
        return self._search is not None and self._lanes.should_stop(self._search)


class _Lane:
    """The turns of the accounts: at most `max_accounts` have a search in the lane, one each."""

    def __init__(self, max_accounts: int) -> None:
        self._max_accounts = max_accounts
        self._lock = threading.Lock()
        self._active_ids: set[int] = set()
        self._waiters: dict[int, deque[asyncio.Future[None]]] = {}

    async def enter(self, account_id: int) -> None:
        """Wait for a turn of the account."""
        if self.enter_now(account_id):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(account_id, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # it was woken at the same time
                self.leave(account_id)
            raise

    def enter_now(self, account_id: int) -> bool:
        """Take a turn of the account if there is one; return whether there is. Safe to call from
        other threads."""
        with self._lock:
            is_full = len(self._active_ids) >= self._max_accounts
            if is_full or account_id in self._active_ids:
                return False
            self._active_ids.add(account_id)
            return True

    def leave(self, account_id: int) -> None:
        """End a turn. Wake the accounts that have waited longest since their last turn."""
        with self._lock:
            self._active_ids.discard(account_id)
        for waiting_id in list(self._waiters):
            waiters = self._waiters[waiting_id]
            while waiters and waiters[0].done():
                waiters.popleft()
            if waiters and not self.enter_now(waiting_id):
                continue
            del self._waiters[waiting_id]
            if waiters:
                waiters.popleft().set_result(None)
            if waiters:
                self._waiters[waiting_id] = waiters
