"""The end of a server, without the loss of a request.

A server that is told to stop closes what it listens on, and every connection on which nothing is
going on; what is sent there at that moment is lost. Where it drains, it is first no longer ready
(a proxy sends no more to it), takes what comes all the same, and ends each connection with its
next answer.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Draining:
    """Whether the server drains; for `seconds`, from when it is told to stop. Who tells it twice
    has it stop at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[int, Any] = {}
        self.is_draining = False

    def begin(self) -> None:
        """From now on, in the event loop of the main thread, it takes the place of those who stop
        the server."""
        if not self._seconds:
            return
        loop = asyncio.get_running_loop()

        def told(number: int, frame: FrameType | None) -> None:
            stop: Callable[..., Any] = self._kept[number]
            if self.is_draining:
                stop(number, frame)
                return
            self.is_draining = True
            loop.call_soon_threadsafe(loop.call_later, self._seconds, stop, number, None)

        for one in _SIGNALS:
            before = signal.getsignal(one)
            if callable(before):
                self._kept[one] = before
                signal.signal(one, told)
