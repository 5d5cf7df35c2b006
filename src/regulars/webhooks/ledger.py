"""Notes of many deliveries, written together: a commit for each would take most of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from regulars.store import Store
from regulars.store.query import Query

Statements = Sequence[tuple[Query, Mapping[str, Any]]]
# How long the first note waits for others, and how many are written at once.
_WAIT_SECONDS = 0.002
_MOST = 200


class Ledger:
    """Writes what is to be noted, whoever notes it, in as few transactions as possible."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: asyncio.Queue[tuple[Statements, asyncio.Future[Any]] | None] = asyncio.Queue()

    async def write(self, statements: Statements) -> Sequence[Any]:
        """Runs statements in one transaction, all or none; answers the rows of the last. Raises
        Conflict."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((statements, future))
        rows: Sequence[Any] = await future
        return rows

    async def close(self) -> None:
        """Has `run` end when everything is written."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Writes until it is closed."""
        going = True
        while going:
            waiting = [await self._queue.get()]
            await asyncio.sleep(_WAIT_SECONDS)
            while len(waiting) < _MOST and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            going = None not in waiting
            await self._write([one for one in waiting if one is not None])

    async def _write(self, notes: Sequence[tuple[Statements, asyncio.Future[Any]]]) -> None:
        if not notes:
            return
        try:
            rows = await self._store.run([one for statements, _ in notes for one in statements])
        except Exception as error:
            if len(notes) == 1:
                _end(notes[0][1], error)
                return
            # One by one, so that the fault finds its author.
            for note in notes:
                await self._write([note])
            return
        end = 0
        for statements, future in notes:
            end += len(statements)
            _end(future, rows[end - 1])


def _end(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return  # who noted it was cancelled
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
