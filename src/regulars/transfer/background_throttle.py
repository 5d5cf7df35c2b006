"""Write many rows in the background, so that other users of the database stay fast."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from regulars.core.commands import Command
from regulars.core.dry_run import DryRun
from regulars.core.errors import Rejected, is_too_much
from regulars.directory.directory import Directory
from regulars.store import Store

T = TypeVar("T")

# While others use the database, a pause is this many times as long as the batch before it. A batch
# then delays about one request in a hundred, so fewer and larger batches are better.
_PAUSE_FACTOR = 9
_MAX_PAUSE_SECONDS = 1.0


class BackgroundThrottle:
    """Writes commands at full speed while no other client uses the database, and for a tenth of
    the time otherwise. `others` says whether another client used it after the last command."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = Directory(store)
        self.others = False

    async def write(self, account_id: int, command: Command, is_dry_run: bool = False) -> Any:
        """Run a command, pause if others use the database, and return the command's result. A dry
        run saves nothing. Raises Rejected."""
        start = monotonic()
        to_write = DryRun(command) if is_dry_run else command
        result = await self._directory.write(account_id, to_write)
        elapsed_seconds = monotonic() - start
        self.others = await self._store.has_concurrent_activity()
        if self.others:
            await asyncio.sleep(min(_PAUSE_FACTOR * elapsed_seconds, _MAX_PAUSE_SECONDS))
        return result.result if is_dry_run else result


async def write_in_halves(
    batch: Sequence[T], write: Callable[[Sequence[T], bool], Awaitable[None]], is_last: bool = True
) -> None:
    """Write a batch, in halves if it is more work than one transaction may do.

    `write` takes a part of the batch, and whether this is its last part. It raises Rejected with
    TooMuchWork, and has then changed nothing.
    """
    try:
        await write(batch, is_last)
    except Rejected as rejection:
        if not is_too_much(rejection):
            raise
        half = len(batch) // 2
        await write_in_halves(batch[:half], write, is_last=False)
        await write_in_halves(batch[half:], write, is_last)
