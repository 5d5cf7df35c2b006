"""Which server takes writes, where another may take its place.

One that is cut off, or stands still, does not say that it is gone: whoever waits for it would wait
for as long as a statement may take. And one whose place was taken need not know.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from regulars.store.postgresql.background_task import BackgroundTask
from regulars.store.postgresql.connect import NOT_CONNECTED, connect, hosts
from regulars.store.postgresql.connection import Connection
from regulars.store.postgresql.timeline_fence import TimelineFence

# How often each is asked, how long it may take to answer, and how often none may be the primary.
_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_MISSED = 2

_log = logging.getLogger("regulars.postgresql")


class PrimaryMonitor(BackgroundTask):
    """Asks each host of a DSN with several whether it takes writes, and on which timeline; calls
    `lost` when none does. Of a DSN with a single host, nothing."""

    def __init__(self, dsn: str, timelines: TimelineFence, lost: Callable[[], None]) -> None:
        self._hosts = hosts(dsn)
        self._timelines = timelines
        self._lost = lost
        self._kept: dict[str, Connection] = {}

    def start(self) -> None:
        """Looks from now on, if there are several."""
        if len(self._hosts) > 1:
            super().start()

    async def _run(self) -> None:
        missed = 0
        try:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                well = any(await asyncio.gather(*map(self._is_primary, self._hosts)))
                missed = 0 if well else missed + 1
                if missed == _MISSED:
                    _log.warning("The primary does not answer, or is no primary any more.")
                    self._lost()
        finally:
            for connection in self._kept.values():
                connection.terminate()

    async def _is_primary(self, host: str) -> bool:
        """Whether a host takes writes, and is on the newest timeline."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if host not in self._kept:
                    self._kept[host] = await connect(host)
                await self._timelines.note(self._kept[host])
        except NOT_CONNECTED:  # among them what took too long
            if host in self._kept:
                self._kept.pop(host).terminate()
            return False
        return self._kept[host].timeline is not None
