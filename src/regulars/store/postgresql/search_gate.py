"""How many slow searches an account has under way in a database that runs them side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

# While an account has so many slow searches under way, its next search waits. Each of them keeps a
# processor of the database busy, and other accounts need one, too.
SLOW_AT_ONCE = 2
# A search is slow after this time. A small one takes about 1 ms.
_SLOW_SECONDS = 0.02


class SearchGate:
    """Delays the searches of an account that has slow ones under way. Who enters must leave."""

    def __init__(self) -> None:
        # For each account when each search under way began, the oldest first.
        self._began: dict[int, list[float]] = {}
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    async def enter(self, account_id: int) -> float:
        """Begins a search when the account may. Returns what `leave` needs."""
        if account_id in self._waiting or self._is_closed(account_id):
            turn = asyncio.get_running_loop().create_future()
            turns = self._waiting.setdefault(account_id, deque())
            turns.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # the turn came at the same time
                    self._let_in(account_id)
                raise
        began = monotonic()
        self._began.setdefault(account_id, []).append(began)
        return began

    def leave(self, account_id: int, began: float) -> None:
        """Ends a search."""
        times = self._began[account_id]
        times.remove(began)
        if not times:
            del self._began[account_id]
        if account_id in self._waiting and not self._is_closed(account_id):
            self._let_in(account_id)

    def has_slow(self, account_id: int) -> bool:
        """Whether the account has a slow search under way."""
        times = self._began.get(account_id)
        return times is not None and times[0] < monotonic() - _SLOW_SECONDS

    def _is_closed(self, account_id: int) -> bool:
        times = self._began.get(account_id, ())
        if len(times) < SLOW_AT_ONCE:
            return False
        return times[SLOW_AT_ONCE - 1] < monotonic() - _SLOW_SECONDS

    def _let_in(self, account_id: int) -> None:
        turns = self._waiting.get(account_id)
        while turns:
            turn = turns.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if not turns:
            self._waiting.pop(account_id, None)
