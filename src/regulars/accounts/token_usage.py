"""That tokens are used, and sessions: recorded whatever else goes on, for a database that takes no
writes must not keep anybody from reading."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any

from regulars.store import Store
from regulars.store.query import Query
from regulars.store.tokens import touch_tokens

# How often it is noted that a token is used.
USED_MS = 60_000
# What is used meanwhile is noted together: a transaction for each would keep writers waiting.
_NOTED_AFTER_SECONDS = 0.2
_NOTED_TOGETHER = 100
_MOST_NOTED = 100_000


class TokenUsage:
    """The uses of a database's tokens, as one process sees them."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        # Which tokens are used, and not noted yet; and when that was noted of others.
        self._used: dict[str, None] = {}
        self._noted: dict[str, int] = {}
        self._noting: set[asyncio.Task[None]] = set()
        self._settling = False

    def note(self, token_id: str) -> None:
        """Records that a token is used, unless that was recorded within a minute: soon, and with
        others that are used until then."""
        if self._clock() < self._noted.get(token_id, 0) + USED_MS:
            return
        if not self._used:
            self._do_beside(self._note())
        self._used[token_id] = None

    async def _note(self) -> None:
        try:
            while self._used:
                await asyncio.sleep(0 if self._settling else _NOTED_AFTER_SECONDS)
                now = self._clock()
                some = list(islice(self._used, _NOTED_TOGETHER))
                used = {"used_ids": some, "used_before": now - USED_MS, "used_at": now}
                await self._store.execute([(touch_tokens(), used)])
                if len(self._noted) > _MOST_NOTED:
                    self._noted.clear()
                for token_id in some:
                    self._noted[token_id] = now
                    del self._used[token_id]
        finally:
            self._used.clear()

    def in_passing(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> None:
        """Records a use of another kind."""
        self._do_beside(self._store.execute(statements))

    def _do_beside(self, work: Coroutine[Any, Any, object]) -> None:
        async def note() -> None:
            with contextlib.suppress(Exception):
                await work

        task = asyncio.create_task(note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def settled(self) -> None:
        """Records every use that is not recorded yet; nothing is asked any more."""
        self._settling = True
        if self._noting:
            await asyncio.wait(self._noting)
