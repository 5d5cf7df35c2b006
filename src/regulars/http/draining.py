"""Shuts a server down without losing a request.

A server that stops at once closes its listening socket and every idle connection, and loses a
request that is sent at that moment. A server that drains reports that it is not ready, so that a
proxy sends no more requests. It still serves requests, and closes each connection after the next
response.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Draining:
    """Delays the shutdown by `seconds`, during which `is_draining` is true. A second signal stops
    the server at once. With 0 seconds, the server does not drain."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stop_handlers: dict[int, Any] = {}
        self.is_draining = False

    def install(self) -> None:
        """Replaces the signal handlers. Call it in the event loop of the main thread."""
        if not self._seconds:
            return
        loop = asyncio.get_running_loop()

        def drain(number: int, frame: FrameType | None) -> None:
            stop: Callable[..., Any] = self._stop_handlers[number]
            if self.is_draining:
                stop(number, frame)
                return
            self.is_draining = True
            loop.call_soon_threadsafe(loop.call_later, self._seconds, stop, number, None)

        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._stop_handlers[number] = handler
                signal.signal(number, drain)
