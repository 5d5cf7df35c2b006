"""Write many rows in the background, so that other users of the database stay fast."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from regulars.core.batch_pacer import ALONE_SECONDS, BatchPacer, pause_after
from regulars.core.commands import Command
from regulars.core.dry_run import DryRun
from regulars.core.errors import Rejected, is_too_much
from regulars.directory.directory import Directory
from regulars.store import Store

T = TypeVar("T")


class BackgroundThrottle:
    """Writes commands at full speed while no other client uses the database, and in short batches
    with pauses otherwise. `alone_seconds` is the time of a batch at full speed. `others` says
    whether another client used the database after the last command."""

    def __init__(self, store: Store, alone_seconds: float = ALONE_SECONDS) -> None:
        self._store = store
        self._directory = Directory(store)
        self._pacer = BatchPacer(alone_seconds)
        self.others = False

    def rows(self, max_rows: int) -> int:
        """Return how many rows the next command should have."""
        return self._pacer.rows(max_rows, self.others)

    async def write(
        self, account_id: int, command: Command, rows: int, is_dry_run: bool = False
    ) -> Any:
        """Run a command of some rows, pause if others use the database, and return the command's
        result. A dry run saves nothing. Raises Rejected."""
        start = monotonic()
        to_write = DryRun(command) if is_dry_run else command
        result = await self._directory.write(account_id, to_write)
        elapsed_seconds = monotonic() - start
        self._pacer.note(rows, elapsed_seconds)
        self.others = await self._store.has_concurrent_activity()
        if self.others:
            await asyncio.sleep(pause_after(elapsed_seconds))
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
