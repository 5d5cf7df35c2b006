"""Batched writes of the delivery worker: a commit for each delivery would take most of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from regulars.store import Store
from regulars.store.query import Statement

# How long the first write of a batch waits for others, and how many writes a batch has at most.
_WAIT_SECONDS = 0.002
_MAX_WRITES = 200

_Write = tuple[Sequence[Statement], asyncio.Future[Any]]


class Ledger:
    """Collects writes into as few transactions as possible."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: asyncio.Queue[_Write | None] = asyncio.Queue()

    async def write(self, statements: Sequence[Statement]) -> Sequence[Any]:
        """Run statements in one transaction; return the rows of the last one. Raises Conflict."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((statements, future))
        rows: Sequence[Any] = await future
        return rows

    async def close(self) -> None:
        """End `run` when everything is written."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Write until `close`."""
        is_open = True
        while is_open:
            items = [await self._queue.get()]
            await asyncio.sleep(_WAIT_SECONDS)
            while len(items) < _MAX_WRITES and not self._queue.empty():
                items.append(self._queue.get_nowait())
            is_open = None not in items
            await self._write([item for item in items if item is not None])

    async def _write(self, writes: Sequence[_Write]) -> None:
        if not writes:
            return
        try:
            rows = await self._store.run(
                [statement for statements, _ in writes for statement in statements]
            )
        except Exception as error:
            if len(writes) == 1:
                _resolve(writes[0][1], error)
                return
            # Run each write alone, so that only the faulty write fails.
            for write in writes:
                await self._write([write])
            return
        end = 0
        for statements, future in writes:
            end += len(statements)
            _resolve(future, rows[end - 1])


def _resolve(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return  # its caller was cancelled
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
