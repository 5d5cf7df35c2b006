"""The worker that evaluates watched segments in the background.

It claims the segments of an account, so that several servers share the accounts. What is to be
evaluated follows from the history and the database: a killed worker loses nothing, and its claims
expire.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import Any

from regulars.core.clock import now_ms
from regulars.segments import evaluation_queries, queries
from regulars.segments.conditions import ConditionCache
from regulars.segments.evaluator import ClaimLost, Evaluator
from regulars.store import Conflict, Store

POLL_SECONDS = 0.5
CLAIM_MS = 15_000
# A claim is extended when half of it is over.
_EXTEND_MS = CLAIM_MS // 2
# How long a pass evaluates changes before the segments and their queries are read again.
_PASS_MS = 5_000
# When a segment is tried again whose query cannot be read, or takes too long.
RETRY_MS, SLOW_RETRY_MS = 5_000, 300_000
# After each step, a worker waits as long as the step took, so that it uses at most half of the time
# of the process and of the database: the requests of clients come first.
_MAX_PAUSE_SECONDS = 1.0
# Accounts that are evaluated at the same time.
MAX_ACCOUNTS = 4
_MAX_CANDIDATES = 100
# How long the memberships of deleted customers are stored.
RETENTION_MS = 30 * 86_400_000
# Segments whose memberships are deleted in a pass, and memberships that are deleted by a write.
_MAX_ORPHANS, DELETED_AT_ONCE = 500, 1_000

_log = logging.getLogger("regulars.segments")


class SegmentWorker:
    """Evaluates the watched segments of all accounts. Conditions that depend on the time are
    evaluated for all customers every `sweep_seconds`. `is_only` says that no other worker uses the
    database."""

    def __init__(
        self,
        store: Store,
        sweep_seconds: float,
        is_only: bool,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._sweep_ms = round(sweep_seconds * 1000)
        self._is_only = is_only
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._cache = ConditionCache()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop`; then end the evaluations in progress."""
        if self._is_only:
            await self._try(self._store.execute([(evaluation_queries.clear_claims(), {})]))
        try:
            while not self._stopping.is_set():
                await self._try(self._claim())
                await self._pause(POLL_SECONDS)
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=CLAIM_MS / 1000)
        finally:
            for task in self._tasks.values():
                task.cancel()

    def stop(self) -> None:
        """End `run` after the steps in progress."""
        self._stopping.set()

    async def evaluate_account(self, account_id: int) -> None:
        """Claim the segments of an account, evaluate them, and release them."""
        now = self._clock()
        parameters: dict[str, Any] = {"account_id": account_id, "worker_id": self._id}
        claim = {**parameters, "now": now, "until": now + CLAIM_MS}
        (claimed,) = await self._store.run([(evaluation_queries.claim(), claim)])
        if not claimed:
            return
        rows = [dict(zip(queries.COLUMNS, row, strict=True)) for row in claimed]
        settings = (self._sweep_ms, self._clock, self._cache)
        evaluator = Evaluator(self._store, account_id, self._id, rows, *settings)
        ids = {row["segment_id"] for row in rows}
        try:
            await self._evaluate_claimed(evaluator, parameters, len(rows), now)
        except ClaimLost:
            pass
        except Exception:
            evaluator.failed_ids |= ids
            raise
        finally:
            await self._release(evaluator, parameters, ids)

    async def _evaluate_claimed(
        self, evaluator: Evaluator, parameters: Mapping[str, Any], count: int, now: int
    ) -> None:
        """Evaluate `count` segments that were claimed at `now`. Raises ClaimLost."""
        await evaluator.prepare()
        extended_at, ends_at = now, now + _PASS_MS
        while not self._stopping.is_set():
            began = time.perf_counter()
            if not await evaluator.step():
                break
            await self._pause(min(time.perf_counter() - began, _MAX_PAUSE_SECONDS))
            now = self._clock()
            if now >= ends_at and not evaluator.has_sweeps:
                break  # the next claim has the segments that are watched since
            if now >= extended_at + _EXTEND_MS:
                extended_at = now
                extension = {**parameters, "until": now + CLAIM_MS}
                statement = (evaluation_queries.extend_claim(), extension)
                if await self._store.execute([statement]) < count:
                    raise ClaimLost

    async def _release(
        self, evaluator: Evaluator, parameters: Mapping[str, Any], ids: Set[int]
    ) -> None:
        """End the claim of segments. Those that failed are tried again later."""
        now, failed_ids, slow_ids = self._clock(), evaluator.failed_ids, evaluator.slow_ids
        await self._store.execute(
            [
                (
                    evaluation_queries.release(),
                    {**parameters, "segment_ids": sorted(part), "until": until},
                )
                for part, until in (
                    (failed_ids, now + RETRY_MS),
                    (slow_ids, now + SLOW_RETRY_MS),
                    (ids - failed_ids - slow_ids, 0),
                )
            ]
        )

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _try(self, work: Any) -> None:
        """Await a call that may fail while the database is unreachable; the caller repeats it."""
        try:
            await work
        except Exception as error:
            fields = {"fields": {"error": type(error).__name__}}
            _log.warning("The segment worker could not use the database.", extra=fields)
            await asyncio.sleep(1)

    async def _claim(self) -> None:
        """Start the evaluation of accounts with work, up to the limit."""
        free_count = MAX_ACCOUNTS - len(self._tasks)
        if free_count <= 0:
            return
        ids = await self._store.reachable_accounts()
        query = evaluation_queries.accounts_with_work(ids is not None)
        parameters = {"now": self._clock(), "limit": _MAX_CANDIDATES, "ids": ids}
        rows = await self._store.fetch(query, parameters, is_long=True)
        candidates = [row[0] for row in rows if row[0] not in self._tasks]
        random.shuffle(candidates)
        for account_id in candidates[:free_count]:
            task = asyncio.create_task(self._evaluate(account_id))
            self._tasks[account_id] = task
            task.add_done_callback(partial(self._forget, account_id))

    def _forget(self, account_id: int, _task: asyncio.Task[None]) -> None:
        self._tasks.pop(account_id, None)

    async def _evaluate(self, account_id: int) -> None:
        try:
            await self.evaluate_account(account_id)
        except Conflict:
            return  # another worker claims the same segments
        except Exception as error:
            fields = {"fields": {"error": type(error).__name__, "account": account_id}}
            _log.warning("Segments could not be evaluated.", extra=fields, exc_info=error)
            await asyncio.sleep(1)


async def delete_old(store: Store, now: int) -> None:
    """Delete the memberships of customers that were deleted more than RETENTION_MS ago, and those
    of segments that are not watched any more. Only a read looks at all memberships, and a write
    deletes a few: it would delay those of clients."""
    before = {"before": now - RETENTION_MS}
    await store.execute([(queries.delete_old_memberships(), before)])
    limit = {"limit": _MAX_ORPHANS}
    for row in await store.fetch(queries.orphaned_segments(), limit, is_long=True):
        segment = dict(zip(("account_id", "segment_id"), row, strict=True))
        statement = (queries.delete_orphaned_memberships(), {**segment, "limit": DELETED_AT_ONCE})
        while await store.execute([statement]) == DELETED_AT_ONCE:
            pass
