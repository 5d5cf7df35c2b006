"""Deletes data that is stored for a limited time."""

from __future__ import annotations

import asyncio
import contextlib

from regulars.accounts.sessions import delete_expired as delete_expired_sessions
from regulars.core.clock import now_ms
from regulars.core.idempotency_records import RETENTION_MS
from regulars.segments.worker import delete_old as delete_old_memberships
from regulars.store import Store
from regulars.store.writes import (
    blank_late_attempts,
    forget_deleted_shop_ids,
    forget_idempotency_records,
)
from regulars.transfer.uploads import forget_old as forget_old_imports
from regulars.trash.purging import purge_due
from regulars.webhooks import inbox_queries
from regulars.webhooks.worker import delete_old as delete_old_deliveries

_INTERVAL_SECONDS = 600
# The first run does not delay the first requests of a server.
_START_DELAY_SECONDS = 5
# Longer than the interval, so that the next run finds an attempt that was recorded late.
_LATE_ATTEMPT_MS = 3_600_000
_DAY_MS = 86_400_000


class Housekeeping:
    """Deletes old data every ten minutes: idempotency records, deliveries, uploads, sessions,
    memberships of deleted customers, customers in the trash, and events in the inbox after
    `inbox_days`."""

    def __init__(self, store: Store, inbox_days: int) -> None:
        self._store = store
        self._inbox_ms = inbox_days * _DAY_MS

    async def run(self) -> None:
        """Runs until it is cancelled."""
        await asyncio.sleep(_START_DELAY_SECONDS)
        while True:
            with contextlib.suppress(Exception):  # the next run tries again
                await self._delete_old()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _delete_old(self) -> None:
        store = self._store
        records = {"idempotency_records_before": now_ms() - RETENTION_MS}
        await store.execute([(forget_idempotency_records(), records)])
        await delete_old_deliveries(store, now_ms())
        events = {"before": now_ms() - self._inbox_ms}
        await store.execute(
            [(inbox_queries.delete_old_events(), events), (forget_deleted_shop_ids(), events)]
        )
        await forget_old_imports(store, now_ms())
        await delete_expired_sessions(store, now_ms())
        await store.execute([(inbox_queries.delete_orphaned_keys(), {})])
        attempts = {"since": now_ms() - _LATE_ATTEMPT_MS}
        await store.execute([(blank_late_attempts(), attempts)])
        await delete_old_memberships(store, now_ms())
        await purge_due(store, now_ms())
