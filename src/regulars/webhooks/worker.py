"""The worker: claims webhooks with events to deliver, and starts their delivery.

A webhook is claimed before anything is sent to it, so that several workers on PostgreSQL never
deliver to one at the same time. Its events are sent one after another, in the order of the history.
A failed event is tried again later, and the next ones are sent. What is due follows from the
history and the database: a killed worker loses nothing, and its claims expire.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

from regulars.core.clock import now_ms
from regulars.store import Row, Store, queries
from regulars.webhooks import delivery_queries
from regulars.webhooks.deliverer import CLAIM_MS, Deliverer
from regulars.webhooks.deliveries import WebhookKey
from regulars.webhooks.ledger import Ledger
from regulars.webhooks.targets import TIMEOUT_SECONDS

POLL_SECONDS = 0.2
# Webhooks that are served at the same time, without slow receivers and with them.
MAX_QUICK = 200
MAX_OPEN = 4_000
RETENTION_MS = 30 * 86_400_000

_log = logging.getLogger("regulars.webhooks")


class Worker:
    """Delivers the events of all accounts.

    `allows_private` permits receivers outside the public internet. An event is tried for
    `retry_seconds`. `is_only` says that no other worker delivers from the database. `on_attempt` is
    called with the success of each attempt.
    """

    def __init__(
        self,
        store: Store,
        allows_private: bool,
        retry_seconds: float,
        is_only: bool,
        on_attempt: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._is_only = is_only
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._ledger = Ledger(store)
        self._tasks: dict[WebhookKey, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._deliverer = Deliverer(
            store,
            self._ledger,
            self._id,
            allows_private,
            retry_seconds,
            on_attempt,
            clock,
            self._stopping.is_set,
        )

    async def run(self) -> None:
        """Work until `stop`; then finish and record the attempts in progress."""
        if self._is_only:
            await self._try(self._store.execute([(delivery_queries.clear_claims(), {})]))
        ledger_task = asyncio.create_task(self._ledger.run())
        try:
            while not self._stopping.is_set():
                await self._try(self._claim())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=TIMEOUT_SECONDS + 2)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await self._ledger.close()
            await ledger_task

    @property
    def busy_count(self) -> int:
        """The number of webhooks that events are being sent to."""
        return len(self._tasks)

    def stop(self) -> None:
        """End `run` after the attempts in progress."""
        self._stopping.set()

    async def _try(self, work: Any) -> None:
        """Await a call that may fail while the database is unreachable; the caller repeats it."""
        try:
            await work
        except Exception as error:
            fields = {"fields": {"error": type(error).__name__}}
            _log.warning("The delivery worker could not use the database.", extra=fields)
            await asyncio.sleep(1)

    async def _claim(self) -> None:
        """Claim webhooks with events to deliver, up to the limits."""
        slow_count = self._deliverer.slow_count
        free_count = min(MAX_QUICK - (self.busy_count - slow_count), MAX_OPEN - self.busy_count)
        if free_count <= 0:
            return
        now = self._clock()
        ids = await self._store.reachable_accounts()
        query = delivery_queries.webhooks_with_work(ids is not None)
        parameters = {"now": now, "limit": free_count, "ids": ids}
        rows = await self._store.fetch(query, parameters, is_long=True)
        # In a fixed order, so that workers do not deadlock.
        keys = sorted(key for row in rows if (key := (row[0], row[1])) not in self._tasks)
        if not keys:
            return
        claim = {"worker_id": self._id, "now": now, "until": now + CLAIM_MS}
        claims = [
            (
                delivery_queries.claim_webhook(),
                {"account_id": key[0], "webhook_id": key[1], **claim},
            )
            for key in keys
        ]
        for rows in await self._store.run(claims):
            for row in rows:
                self._start(dict(zip(queries.WHOLE_WEBHOOK, row, strict=True)))

    def _start(self, webhook: Row) -> None:
        key = (webhook["account_id"], webhook["webhook_id"])
        task = asyncio.create_task(self._deliverer.serve(key, webhook))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))


async def delete_old(store: Store, now: int) -> None:
    """Delete the attempts and deliveries that are older than RETENTION_MS."""
    before = {"before": now - RETENTION_MS}
    await store.execute(
        [
            (delivery_queries.delete_old_attempts(), before),
            (delivery_queries.delete_old_deliveries(), before),
        ]
    )
