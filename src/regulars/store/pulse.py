"""Whether a PostgreSQL server that another may take the place of still takes writes.

One that is cut off, or stands still, does not say that it is gone: whoever waits for it would wait
for as long as a statement may take.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from regulars.store.connections import NOT_CONNECTED, connect, several_hosts

# How often it is asked, how long it may take to answer, and how often it may fail to.
_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_MISSED = 2

_log = logging.getLogger("regulars.postgresql")


class Pulse:
    """Calls `lost` when the server of a DSN with several hosts does not answer, or has become a
    replica; of one with a single host, nothing."""

    def __init__(self, dsn: str, lost: Callable[[], None]) -> None:
        self._dsn = dsn
        self._lost = lost
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Looks from now on."""
        if several_hosts(self._dsn):
            self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        connection: Any = None
        missed = 0
        try:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                try:
                    connection = connection or await connect(self._dsn)
                    asked = connection.fetchval("SELECT pg_is_in_recovery()")
                    well = not await asyncio.wait_for(asked, _PATIENCE_SECONDS)
                except NOT_CONNECTED:
                    well = False
                missed = 0 if well else missed + 1
                if well:
                    continue
                if connection is not None:
                    connection.terminate()
                    connection = None
                if missed == _MISSED:
                    _log.warning("The primary does not answer, or is no primary any more.")
                    self._lost()
        finally:
            if connection is not None:
                connection.terminate()
