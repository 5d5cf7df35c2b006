"""The position of an account in a database, to tell whether a replica has caught up."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from regulars.store.base import Store
from regulars.store.queries import position


class ReplicationPosition(NamedTuple):
    """The number of the last change in an account's history, and how many batches have changed the
    account. Both only grow."""

    change: int
    revision: int

    def reaches(self, other: ReplicationPosition) -> bool:
        """Return whether this position is at or after another one."""
        return self.change >= other.change and self.revision >= other.revision


class PositionReader:
    """Reads the positions of accounts. Concurrent reads of an account share one statement, which
    begins after all of them were requested."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_sqlite = store.dialect == "sqlite"  # reads there do not overlap
        self._next: dict[int, asyncio.Future[ReplicationPosition]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def read(self, account_id: int) -> ReplicationPosition:
        """Return the position of an account. Raises StoreError."""
        if self._is_sqlite:
            return await self._fetch(account_id)
        result = self._next.get(account_id)
        if result is None:
            result = asyncio.get_running_loop().create_future()
            self._next[account_id] = result
            if account_id not in self._tasks:
                self._tasks[account_id] = asyncio.create_task(self._resolve(account_id))
        return await asyncio.shield(result)

    async def _resolve(self, account_id: int) -> None:
        try:
            while (result := self._next.pop(account_id, None)) is not None:
                try:
                    result.set_result(await self._fetch(account_id))
                except Exception as error:
                    result.set_exception(error)
                    result.exception()  # the callers may be cancelled
        finally:
            del self._tasks[account_id]

    async def _fetch(self, account_id: int) -> ReplicationPosition:
        rows = await self._store.fetch(position(), {"account_id": account_id})
        return ReplicationPosition(*rows[0]) if rows else ReplicationPosition(0, 0)
