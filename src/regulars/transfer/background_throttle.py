"""Writing many rows beside others, who go first."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from regulars.core.commands import Command
from regulars.directory.directory import Directory
from regulars.store import Store

# While others work with the database, whoever writes many rows rests after each batch for so many
# times as long as that took: one request in a hundred comes in its way, if any does. That is
# why batches are few then, and not as small as they might be.
_RESTS = 9
_MOST_SECONDS = 1.0


class BackgroundThrottle:
    """Hands commands to the writer of a store for many rows. Alone it takes all its time; while
    others work with the database it takes a tenth."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = Directory(store)
        self.others = False

    async def write(self, account_id: int, command: Command) -> Any:
        """What a command answers, or is refused with. Then it looks for `others`, and rests."""
        began = monotonic()
        result = await self._directory.write(account_id, command)
        took = monotonic() - began
        self.others = await self._store.has_concurrent_activity()
        if self.others:
            await asyncio.sleep(min(_RESTS * took, _MOST_SECONDS))
        return result
