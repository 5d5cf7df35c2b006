"""Single rows by their ids: reads that begin together share a statement."""

from __future__ import annotations

import asyncio
from typing import Any

from regulars.store.base import QueryExecutor
from regulars.store.loop_iteration import LoopIteration
from regulars.store.query import Query

_MAX_BATCH = 100

_Batch = list[tuple[int, asyncio.Future[Any]]]


class RowBatches:
    """Reads single rows. Those of an account that are requested in one iteration of the event loop
    share a statement, which begins after all of them were requested. A statement of its own takes
    half of the time of a small request. Fewer than `min_batch` reads take less time without this.
    """

    def __init__(self, store: QueryExecutor, min_batch: int = 1) -> None:
        self._store = store
        self._min_batch = min_batch
        self._iteration = LoopIteration() if min_batch > 1 else None
        self._batches: dict[tuple[Query, int], _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin_read(self) -> bool:
        """Count a read. Return whether so many begin together that they should share a statement,
        by `read`."""
        return self._iteration is None or self._iteration.count() >= self._min_batch

    async def read(self, query: Query, account_id: int, number: int) -> Any:
        """Return the row with an id, or None. `query` returns the rows with the ids `ids`, each
        after its id. Raises StoreError."""
        key = query, account_id
        batch = self._batches.get(key)
        if batch is None or len(batch) >= _MAX_BATCH:
            batch = self._batches[key] = []
            task = asyncio.create_task(self._run(key, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        row = asyncio.get_running_loop().create_future()
        batch.append((number, row))
        return await row

    async def _run(self, key: tuple[Query, int], batch: _Batch) -> None:
        if self._batches.get(key) is batch:
            del self._batches[key]
        query, account_id = key
        ids = list({number for number, _ in batch})
        try:
            rows = await self._store.fetch(query, {"account_id": account_id, "ids": ids})
        except Exception as error:
            for _, row in batch:
                if not row.done():  # its request may have been cancelled
                    row.set_exception(error)
            return
        rows_by_id = {row[0]: row[1:] for row in rows}
        for number, row in batch:
            if not row.done():
                row.set_result(rows_by_id.get(number))
