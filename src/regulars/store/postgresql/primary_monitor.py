"""Monitoring of the primary, if a DSN has several hosts.

A primary that is cut off or paused does not close its connections: a statement would wait for the
whole statement timeout. A former primary may not know that it was replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from regulars.store.background_task import BackgroundTask
from regulars.store.postgresql.connect import CONNECT_ERRORS, connect, split_hosts
from regulars.store.postgresql.connection import Connection
from regulars.store.postgresql.timeline_fence import TimelineFence

_INTERVAL_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0
# Rounds without a primary before `on_lost` is called.
_MAX_MISSED = 2

_log = logging.getLogger("regulars.postgresql")


class PrimaryMonitor(BackgroundTask):
    """Checks each host every second: whether it takes writes, and its timeline. Calls `on_lost` if
    no host is a primary. Does nothing for a DSN with a single host."""

    def __init__(
        self, dsn: str, timeline_fence: TimelineFence, on_lost: Callable[[], None]
    ) -> None:
        self._hosts = split_hosts(dsn)
        self._timeline_fence = timeline_fence
        self._on_lost = on_lost
        self._connections: dict[str, Connection] = {}

    def start(self) -> None:
        """Start, if there are several hosts."""
        if len(self._hosts) > 1:
            super().start()

    async def _run(self) -> None:
        missed_rounds = 0
        try:
            while True:
                await asyncio.sleep(_INTERVAL_SECONDS)
                has_primary = any(await asyncio.gather(*map(self._is_primary, self._hosts)))
                missed_rounds = 0 if has_primary else missed_rounds + 1
                if missed_rounds == _MAX_MISSED:
                    _log.warning("The primary does not respond, or is no longer a primary.")
                    self._on_lost()
        finally:
            for connection in self._connections.values():
                connection.terminate()

    async def _is_primary(self, host: str) -> bool:
        """Whether a host takes writes, and has the newest timeline."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                if host not in self._connections:
                    self._connections[host] = await connect(host)
                await self._timeline_fence.check(self._connections[host])
        except CONNECT_ERRORS:  # TimeoutError is an OSError
            if host in self._connections:
                self._connections.pop(host).terminate()
            return False
        return self._connections[host].timeline is not None
