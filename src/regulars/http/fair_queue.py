"""Whose turn it is: while several accounts ask, what reads is worked on by account and not by
arrival, so that one account's flood is its own.

Requests that wait are begun one at a time, and it is looked in between whether others have come.
The next is of the account whose requests have taken the least time so far (start-time fair
queueing: Goyal, Vin and Cheng, 1996). None has more than its part under way, and one that has
nothing under way can always begin.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from itertools import islice
from time import monotonic

# How many requests that read, and that write, are worked on at once. Those that read take fewer
# connections than there are to a database; those that write are saved together.
READS = 8
WRITES = 16
# A request that costs so many points takes one place more.
_POINTS_A_PLACE = 1_000
# For how long two accounts that asked are several, and how many of those that wait are compared.
_TOGETHER_SECONDS = 1.0
_COMPARED = 64


class ContentionDetector:
    """Whether several accounts ask."""

    def __init__(self) -> None:
        self._latest = 0
        self._several_until = 0.0

    def is_alone(self, account_id: int) -> bool:
        """Whether an account that asks now is the only one that has done so lately."""
        if account_id == self._latest:
            return monotonic() > self._several_until
        self._latest = account_id
        self._several_until = monotonic() + _TOGETHER_SECONDS
        return False


class FairQueue:
    """At most `places` taken at once, but always one request of each account. Where only one
    account asks, there is nothing to share, and nobody waits. In whose `company` accounts ask may
    be that of other turns, too: who reads delays who writes. Where it is None, there always are
    others, who are answered elsewhere."""

    def __init__(self, places: int, contention: ContentionDetector | None) -> None:
        self._places = places
        self._contention = contention
        self._running: dict[int, int] = {}
        self._waiting: dict[int, deque[tuple[asyncio.Future[None], int]]] = {}
        # How much time the requests of an account have taken that has something to do; one that
        # comes anew begins where those are who have had the least.
        self._taken: dict[int, float] = {}
        self._level = 0.0
        self._count = 0
        self._begun = False  # since it was last looked whether others have come

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._waiting.values()))

    def enter(self, account_id: int, cost: int) -> Awaitable[None] | None:
        """Begins a request: at once, or when it is awaited. Whoever enters is to `leave`."""
        size = 1 + cost // _POINTS_A_PLACE
        is_alone = self._contention is not None and self._contention.is_alone(account_id)
        if is_alone and not self._waiting:
            self._begin(account_id, size)
            return None
        if self._waiting or self._begun or not self._may(account_id, size):
            return self._wait(account_id, size)
        self._begin(account_id, size)
        self._look_later()
        return None

    def leave(self, account_id: int, cost: int, began: float) -> None:
        """Ends a request of that cost, which began at that moment of the monotonic clock."""
        size = 1 + cost // _POINTS_A_PLACE
        self._count -= size
        self._taken[account_id] += monotonic() - began
        running = self._running[account_id] - size
        if running:
            self._running[account_id] = running
        else:
            del self._running[account_id]
            self._forget(account_id)
        if self._waiting and not self._begun:
            self._look_later()

    def _may(self, account_id: int, size: int) -> bool:
        """Whether one more of the account's may begin."""
        running = self._running.get(account_id, 0)
        if not running:
            return True
        if self._count + size > self._places:
            return False
        return running + size <= self._places // len(self._taken)

    def _begin(self, account_id: int, size: int) -> None:
        self._count += size
        self._running[account_id] = self._running.get(account_id, 0) + size
        self._taken.setdefault(account_id, self._level)

    def _look_later(self) -> None:
        self._begun = True
        asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Has the next one begin; whoever has come meanwhile is among those who wait."""
        self._begun = False
        for account_id in sorted(islice(self._waiting, _COMPARED), key=self._taken.__getitem__):
            size = self._waiting[account_id][0][1]
            if self._may(account_id, size) and self._begin_one(account_id):
                self._look_later()
                return

    def _begin_one(self, account_id: int) -> bool:
        """Has an account's next one begin, if it still waits."""
        # Behind the others, where many accounts wait.
        queue = self._waiting.pop(account_id)
        while queue:
            turn, size = queue.popleft()
            if not turn.done():
                if queue:
                    self._waiting[account_id] = queue
                self._level = max(self._level, self._taken[account_id])
                self._begin(account_id, size)
                turn.set_result(None)
                return True
        self._forget(account_id)
        return False

    async def _wait(self, account_id: int, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account_id, deque()).append((turn, size))
        self._taken.setdefault(account_id, self._level)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn came at this very moment
                self.leave(account_id, (size - 1) * _POINTS_A_PLACE, monotonic())
            raise

    def _forget(self, account_id: int) -> None:
        """Forgets an account that has nothing to do."""
        if account_id not in self._running and account_id not in self._waiting:
            self._taken.pop(account_id, None)
