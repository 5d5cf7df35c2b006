"""A limit of the slow searches that an account runs at the same time on PostgreSQL, and a measure
of its small ones."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

# An account with this many slow searches waits with its next search. Each one keeps a processor of
# the database busy, which other accounts need.
MAX_SLOW = 2
# A search is slow after this time. A small one takes about 1 ms.
_SLOW_SECONDS = 0.02
# Small searches that keep more than one connection busy exceed it soon. They are as heavy as a slow
# one: eight clients with searches of 2 ms made the requests of another account take seven times as
# long.
_MAX_EXCESS_SECONDS = 0.1
# After so long without searches they are forgotten.
_MAX_MEMORY_SECONDS = 1.0
_MAX_IDLE_ACCOUNTS = 1_000


class SearchGate:
    """Delays the searches of an account that has slow ones in progress. Every `enter` needs a
    `leave`."""

    def __init__(self) -> None:
        # The start times of each account's searches in progress, the oldest first.
        self._started: dict[int, list[float]] = {}
        self._waiters: dict[int, deque[asyncio.Future[None]]] = {}
        # For each account, the seconds that its searches have taken beyond those of one connection,
        # and the time at which this was computed.
        self._excess: dict[int, tuple[float, float]] = {}

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
        now = monotonic()
        excess_seconds = self._excess_seconds(account_id, now) + now - started
        self._excess[account_id] = min(excess_seconds, _MAX_MEMORY_SECONDS), now
        if len(self._excess) > _MAX_IDLE_ACCOUNTS:
            self._forget_idle(now)
        times = self._started[account_id]
        times.remove(started)
        if not times:
            del self._started[account_id]
        if account_id in self._waiters and not self._is_closed(account_id):
            self._admit_next(account_id)

    def has_slow(self, account_id: int) -> bool:
        """Return whether the account has a slow search in progress, or small ones that keep more
        than one connection busy."""
        now = monotonic()
        times = self._started.get(account_id)
        if times is not None and times[0] < now - _SLOW_SECONDS:
            return True
        return self._excess_seconds(account_id, now) > _MAX_EXCESS_SECONDS

    def _excess_seconds(self, account_id: int, now: float) -> float:
        seconds, since = self._excess.get(account_id, (0.0, now))
        return max(0.0, seconds - (now - since))

    def _forget_idle(self, now: float) -> None:
        self._excess = {
            account_id: excess
            for account_id, excess in self._excess.items()
            if self._excess_seconds(account_id, now) > 0
        }

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
