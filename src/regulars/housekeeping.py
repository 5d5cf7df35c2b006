"""Deletes data that is stored for a limited time."""

from __future__ import annotations

import asyncio
import contextlib

from regulars.accounts.accounts import now_ms
from regulars.accounts.sessions import delete_expired as delete_expired_sessions
from regulars.core.idempotency_records import KEPT_MS
from regulars.store import Store
from regulars.store.writes import (
    blank_late_attempts,
    forget_deleted_shop_ids,
    forget_idempotency_records,
)
from regulars.transfer.uploads import forget_old as forget_old_imports
from regulars.webhooks import inbox_queries
from regulars.webhooks.worker import delete_old as delete_old_deliveries

_INTERVAL_SECONDS = 600
# The first requests of a server come first.
_START_SECONDS = 5
# Longer than the interval: an attempt that was recorded late is found in the next run.
_LATE_ATTEMPT_MS = 3_600_000
_DAY_MS = 86_400_000


class Housekeeping:
    """Deletes old data every ten minutes. Events of shops that could not be parsed are deleted
    after `inbox_days`."""

    def __init__(self, store: Store, inbox_days: int) -> None:
        self._store = store
        self._inbox_ms = inbox_days * _DAY_MS

    async def run(self) -> None:
        """Runs until it is cancelled."""
        await asyncio.sleep(_START_SECONDS)
        while True:
            idempotency_records = {"idempotency_records_before": now_ms() - KEPT_MS}
            with contextlib.suppress(
                Exception
            ):  # the database is unreachable; it is tried again the next time
                await self._store.execute([(forget_idempotency_records(), idempotency_records)])
                await delete_old_deliveries(self._store, now_ms())
                events = {"before": now_ms() - self._inbox_ms}
                await self._store.execute(
                    [
                        (inbox_queries.delete_old_events(), events),
                        (forget_deleted_shop_ids(), events),
                    ]
                )
                await forget_old_imports(self._store, now_ms())
                await delete_expired_sessions(self._store, now_ms())
                await self._store.execute([(inbox_queries.delete_orphaned_keys(), {})])
                attempts = {"since": now_ms() - _LATE_ATTEMPT_MS}
                await self._store.execute([(blank_late_attempts(), attempts)])
            await asyncio.sleep(_INTERVAL_SECONDS)
