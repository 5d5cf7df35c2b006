"""Time slices: limit how long the event loop serves requests before it reads its connections."""

from __future__ import annotations

import asyncio
from time import monotonic

_SLICE_SECONDS = 0.01


class TimeSlice:
    """Delays requests that begin after the end of a time slice until the event loop has read its
    connections. Without it, the event loop runs all requests that are ready before it reads its
    connections again, which takes a second for thousands of requests."""

    def __init__(self) -> None:
        self._end_time = 0.0

    async def begin(self) -> None:
        """Waits until a request can begin. Call it if the time slice is used up."""
        is_used_up = True
        while is_used_up:
            await asyncio.sleep(0)
            is_used_up = self.is_used_up()

    def is_used_up(self) -> bool:
        """Returns whether a request must wait. The first call after the event loop has read its
        connections starts a time slice."""
        now = monotonic()
        if self._end_time:
            return now > self._end_time
        self._end_time = now + _SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._end)
        return False

    def _end(self) -> None:
        self._end_time = 0.0
