"""Time slices: how long requests that arrive together are answered before others are looked at."""

from __future__ import annotations

import asyncio
from time import monotonic

_SLICE_SECONDS = 0.01


class TimeSlice:
    """The event loop runs all that is ready before it looks at its connections again. Where
    thousands of requests are ready at once, that takes a second. A request that finds the time
    slice used up waits until the event loop has looked."""

    def __init__(self) -> None:
        self._until = 0.0

    async def begin(self) -> None:
        """Returns when a request that found the time slice used up may begin."""
        used_up = True
        while used_up:
            await asyncio.sleep(0)
            used_up = self.is_used_up()

    def is_used_up(self) -> bool:
        """Whether a request has to wait. The first one after the event loop has looked at its
        connections opens the time slice."""
        now = monotonic()
        if self._until:
            return now > self._until
        self._until = now + _SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._end)
        return False

    def _end(self) -> None:
        self._until = 0.0
