"""Reads that begin together: in one iteration of the event loop."""

from __future__ import annotations

import asyncio


class LoopIteration:
    """Counts the reads of an iteration of the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._count = self._last_count = 0

    def count(self) -> int:
        """Count a read. Return how many begin together, as far as is known: those of this iteration
        so far, or those of the last iteration with reads, if they are more."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the former one may be closed
            self._loop = loop
            loop.call_soon(self._end)
        self._count += 1
        return max(self._count, self._last_count)

    def _end(self) -> None:
        self._last_count, self._count = self._count, 0
        self._loop = None
