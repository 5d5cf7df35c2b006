"""The worker that rebuilds search terms in the background, after a setting has changed.

The position of a rebuild is in the database, and each batch moves it: a killed worker loses
nothing. Two workers that rebuild the same account do not disturb each other, because a batch is
refused if the position has moved.
"""

from __future__ import annotations

import asyncio
import logging
import time

from regulars.customers.rebuild import RebuildTerms
from regulars.store import Store, rebuilds

POLL_SECONDS = 5.0
_BATCH = 50
# After each batch, the worker waits as long as the batch took: clients come first.
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.001, 1.0

_log = logging.getLogger("regulars.search")


class RebuildWorker:
    """Rebuilds the search terms of all accounts whose settings have changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        """Run until it is cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.rebuild_all()
            except Exception as error:  # the next round tries again
                fields = {"fields": {"error": type(error).__name__}}
                _log.warning("Search terms could not be rebuilt.", extra=fields)

    async def rebuild_all(self) -> None:
        """Rebuild the terms of each account that needs it."""
        ids = await self._store.reachable_accounts()
        query = rebuilds.accounts_to_rebuild(ids is not None)
        for account_id, position in await self._store.fetch(query, {"ids": ids}):
            await self._rebuild(account_id, position)

    async def _rebuild(self, account_id: int, position: int | None) -> None:
        """Rebuild the terms of an account from a position on, unless another worker does."""
        while position:
            began = time.perf_counter()
            parameters = {"account_id": account_id, "start": position, "limit": _BATCH}
            rows = await self._store.fetch(rebuilds.customers_from(), parameters)
            numbers = tuple(row[0] for row in rows)
            command = RebuildTerms(position, numbers, is_last=len(numbers) < _BATCH)
            position = await self._store.write(account_id, command)
            pause = time.perf_counter() - began
            await asyncio.sleep(min(max(pause, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS))
