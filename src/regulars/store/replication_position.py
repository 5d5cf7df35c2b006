"""How far an account has come in a database: what it takes to tell whether one that follows another
has caught up."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from regulars.store.base import Store
from regulars.store.queries import position


class Position(NamedTuple):
    """The number of the last change in an account's history, and how many batches have changed the
    account; both only grow."""

    change: int
    revision: int


class Positions:
    """Where the accounts of a database are. Whoever asks about an account while others do is
    answered with them, by one statement that began after all of them had asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._at_once = store.dialect == "sqlite"  # nobody waits there
        self._next: dict[int, asyncio.Future[Position]] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}

    async def of(self, account_id: int) -> Position:
        """Where an account is now. Raises StoreError."""
        if self._at_once:
            rows = await self._store.fetch(position(), {"account_id": account_id})
            return Position(*rows[0]) if rows else Position(0, 0)
        answer = self._next.get(account_id)
        if answer is None:
            answer = asyncio.get_running_loop().create_future()
            self._next[account_id] = answer
            if account_id not in self._asking:
                self._asking[account_id] = asyncio.create_task(self._ask(account_id))
        return await asyncio.shield(answer)

    async def _ask(self, account_id: int) -> None:
        try:
            while (answer := self._next.pop(account_id, None)) is not None:
                try:
                    rows = await self._store.fetch(position(), {"account_id": account_id})
                except Exception as error:
                    answer.set_exception(error)
                    answer.exception()  # those who asked may be gone
                else:
                    answer.set_result(Position(*rows[0]) if rows else Position(0, 0))
        finally:
            del self._asking[account_id]
