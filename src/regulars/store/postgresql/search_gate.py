"""A limit of the slow searches that an account runs at the same time on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

# An account with this many slow searches waits with its next search. Each one keeps a processor of
# the database busy, which other accounts need.
MAX_SLOW = 2
# A search is slow after this time. A small one takes about 1 ms.
_SLOW_SECONDS = 0.02


class SearchGate:
    """Delays the searches of an account that has slow ones in progress. Every `enter` needs a
    `leave`."""

    def __init__(self) -> None:
        # The start times of each account's searches in progress, the oldest first.
        self._started: dict[int, list[float]] = {}
        self._waiters: dict[int, deque[asyncio.Future[None]]] = {}

    async def enter(self, account_id: int) -> float:
        """Wait until the account may start a search; return the start time for `leave`."""
        if account_id in self._waiters or self._is_closed(account_id):
            waiter = asyncio.get_running_loop().create_future()
            waiters = self._waiters.setdefault(account_id, deque())
            waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():  # it was admitted at the same time
                    self._admit_next(account_id)
                raise
        started = monotonic()
        self._started.setdefault(account_id, []).append(started)
        return started

    def leave(self, account_id: int, started: float) -> None:
        """End a search."""
        times = self._started[account_id]
        times.remove(started)
        if not times:
            del self._started[account_id]
        if account_id in self._waiters and not self._is_closed(account_id):
            self._admit_next(account_id)

    def has_slow(self, account_id: int) -> bool:
        """Return whether the account has a slow search in progress."""
        times = self._started.get(account_id)
        return times is not None and times[0] < monotonic() - _SLOW_SECONDS

    def _is_closed(self, account_id: int) -> bool:
        times = self._started.get(account_id, ())
        if len(times) < MAX_SLOW:
            return False
        return times[MAX_SLOW - 1] < monotonic() - _SLOW_SECONDS

    def _admit_next(self, account_id: int) -> None:
        waiters = self._waiters.get(account_id)
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break
        if not waiters:
            self._waiters.pop(account_id, None)
