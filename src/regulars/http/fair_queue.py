"""A fair queue: while several accounts send requests, it serves them by account and not in the
order of arrival, so that the flood of one account delays only that account.

Waiting requests begin one at a time, and the event loop reads new requests in between. The next
request is from the account whose requests have taken the least time so far (start-time fair
queueing: Goyal, Vin and Cheng, 1996). No account has more than its share in progress, and an
account without requests in progress can always begin one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from itertools import islice
from time import monotonic

# Slots for requests that read, and that write. Reads take fewer connections than the pool has, and
# writes are saved in batches.
READ_SLOTS = 8
WRITE_SLOTS = 16
# A request takes one slot, and one more for each of these points of its cost.
_POINTS_PER_SLOT = 1_000
# Two accounts that sent requests within this time contend.
_CONTENTION_SECONDS = 1.0
# Waiting accounts that are compared to choose the next request.
_MAX_COMPARED = 64


class ContentionDetector:
    """Detects whether several accounts send requests."""

    def __init__(self) -> None:
        self._latest_account_id = 0
        self._contended_until = 0.0

    def is_alone(self, account_id: int) -> bool:
        """Records a request of an account. Returns whether no other account sent one within the
        last second."""
        if account_id == self._latest_account_id:
            return monotonic() > self._contended_until
        self._latest_account_id = account_id
        self._contended_until = monotonic() + _CONTENTION_SECONDS
        return False


class FairQueue:
    """Starts requests: at most `slots` are in use, but each account can always have one request in
    progress. Without contention, requests begin at once. Several queues can share a detector,
    because reads delay writes. Pass None for a queue that is always under contention."""

    def __init__(self, slots: int, contention: ContentionDetector | None) -> None:
        self._slots = slots
        self._contention = contention
        self._used_slots = 0
        self._used_by_account: dict[int, int] = {}
        self._waiting: dict[int, deque[tuple[asyncio.Future[None], int]]] = {}
        # The time that the requests of each active account have taken. A new account starts at the
        # level of the active account with the least.
        self._taken_seconds: dict[int, float] = {}
        self._level_seconds = 0.0
        self._is_scheduled = False  # `_begin_next` runs in the next iteration of the event loop

    @property
    def waiting_count(self) -> int:
        """The number of waiting requests."""
        return sum(map(len, self._waiting.values()))

    def enter(self, account_id: int, cost: int) -> Awaitable[None] | None:
        """Begins a request with a cost in points. Returns None if it begins at once, or an
        awaitable that is done when it begins. Call `leave` when the request ends."""
        slots = 1 + cost // _POINTS_PER_SLOT
        is_alone = self._contention is not None and self._contention.is_alone(account_id)
        if is_alone and self._waiting.keys() <= {account_id}:
            while self._waiting:  # since the contention; a client that never pauses would add more
                self._begin_first_of(account_id)
            self._begin(account_id, slots)
            return None
        if self._waiting or self._is_scheduled or not self._can_begin(account_id, slots):
            return self._wait(account_id, slots)
        self._begin(account_id, slots)
        self._schedule()
        return None

    def leave(self, account_id: int, cost: int, began: float) -> None:
        """Ends a request. `began` is the time of the monotonic clock, in seconds, when it began."""
        slots = 1 + cost // _POINTS_PER_SLOT
        self._used_slots -= slots
        self._taken_seconds[account_id] += monotonic() - began
        used = self._used_by_account[account_id] - slots
        if used:
            self._used_by_account[account_id] = used
        else:
            del self._used_by_account[account_id]
            self._forget_if_idle(account_id)
        if self._waiting and not self._is_scheduled:
            self._schedule()

    def _can_begin(self, account_id: int, slots: int) -> bool:
        """Returns whether a request fits into the free slots and into the share of the account."""
        used = self._used_by_account.get(account_id, 0)
        if not used:
            return True
        if self._used_slots + slots > self._slots:
            return False
        return used + slots <= self._slots // len(self._taken_seconds)

    def _begin(self, account_id: int, slots: int) -> None:
        self._used_slots += slots
        self._used_by_account[account_id] = self._used_by_account.get(account_id, 0) + slots
        self._taken_seconds.setdefault(account_id, self._level_seconds)

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._begin_next)

    def _begin_next(self) -> None:
        """Begins the next request. Considers requests that arrived in the meantime."""
        self._is_scheduled = False
        candidates = islice(self._waiting, _MAX_COMPARED)
        for account_id in sorted(candidates, key=self._taken_seconds.__getitem__):
            slots = self._waiting[account_id][0][1]
            if self._can_begin(account_id, slots) and self._begin_first_of(account_id):
                self._schedule()
                return

    def _begin_first_of(self, account_id: int) -> bool:
        """Begins the first request of the account that still waits. Returns False if all of them
        were cancelled."""
        # The account moves to the end, in case more accounts wait than are compared.
        queue = self._waiting.pop(account_id)
        while queue:
            turn, slots = queue.popleft()
            if not turn.done():
                if queue:
                    self._waiting[account_id] = queue
                self._level_seconds = max(self._level_seconds, self._taken_seconds[account_id])
                self._begin(account_id, slots)
                turn.set_result(None)
                return True
        self._forget_if_idle(account_id)
        return False

    async def _wait(self, account_id: int, slots: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account_id, deque()).append((turn, slots))
        self._taken_seconds.setdefault(account_id, self._level_seconds)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it began just before
                self.leave(account_id, (slots - 1) * _POINTS_PER_SLOT, monotonic())
            raise

    def _forget_if_idle(self, account_id: int) -> None:
        if account_id not in self._used_by_account and account_id not in self._waiting:
            self._taken_seconds.pop(account_id, None)
