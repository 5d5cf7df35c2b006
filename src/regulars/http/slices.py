"""Time slices: how long the event loop serves the requests that arrived together, before it reads
others."""

from __future__ import annotations

import asyncio
from time import monotonic

_SLICE_SECONDS = 0.01


class TimeSlice:
    """The event loop runs everything that is ready before it reads its connections again. If
    thousands of requests are ready, that takes a second. A request that begins after the end of the
    time slice waits until the event loop has read its connections."""

    def __init__(self) -> None:
        self._until = 0.0

    async def begin(self) -> None:
        """Returns when a request can begin that found the time slice used up."""
        used_up = True
        while used_up:
            await asyncio.sleep(0)
            used_up = self.is_used_up()

    def is_used_up(self) -> bool:
        """Returns whether a request has to wait. The first request after the event loop has read
        its connections starts the time slice."""
        now = monotonic()
        if self._until:
            return now > self._until
        self._until = now + _SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._end)
        return False

    def _end(self) -> None:
        self._until = 0.0
