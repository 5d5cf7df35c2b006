"""Record the use of tokens and sessions in the background. A read succeeds even if the database
accepts no writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any

from regulars.store import Store
from regulars.store.query import Query
from regulars.store.tokens import touch_tokens

# The use of a token is recorded at most this often.
USE_INTERVAL_MS = 60_000
# Uses are recorded in batches: a transaction for each would block other writers.
_BATCH_DELAY_SECONDS = 0.2
_BATCH_SIZE = 100
_MAX_RECORDED = 100_000


class TokenUsage:
    """The uses of tokens in one process."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        # The tokens whose use is not recorded yet, and when the use of others was recorded (ms).
        self._pending: dict[str, None] = {}
        self._recorded: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def record(self, token_id: str) -> None:
        """Record the use of a token in the next batch, unless it was recorded within a minute."""
        if self._clock() < self._recorded.get(token_id, 0) + USE_INTERVAL_MS:
            return
        if not self._pending:
            self._run_in_background(self._write())
        self._pending[token_id] = None

    async def _write(self) -> None:
        try:
            while self._pending:
                await asyncio.sleep(0 if self._is_closing else _BATCH_DELAY_SECONDS)
                now = self._clock()
                token_ids = list(islice(self._pending, _BATCH_SIZE))
                parameters = {
                    "used_ids": token_ids,
                    "used_before": now - USE_INTERVAL_MS,
                    "used_at": now,
                }
                await self._store.execute([(touch_tokens(), parameters)])
                if len(self._recorded) > _MAX_RECORDED:
                    self._recorded.clear()
                for token_id in token_ids:
                    self._recorded[token_id] = now
                    del self._pending[token_id]
        finally:
            self._pending.clear()

    def execute_in_background(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> None:
        """Execute statements in the background, and ignore errors."""
        self._run_in_background(self._store.execute(statements))

    def _run_in_background(self, work: Coroutine[Any, Any, object]) -> None:
        async def run() -> None:
            with contextlib.suppress(Exception):
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Record all pending uses before shutdown."""
        self._is_closing = True
        if self._tasks:
            await asyncio.wait(self._tasks)
