"""The loop of workers that do the stored work of accounts in the background, step by step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from regulars.core.batch_pacer import BatchPacer, pause_after
from regulars.store import Store
from regulars.store.query import Query

_MAX_ACCOUNTS = 100


class AccountWorker(ABC):
    """Does the stored work of all accounts in the background, a step of each in turn. Steps are
    short and have pauses: the requests of clients come first.

    The progress of an account is in the database: a killed worker loses nothing. Several processes
    can do the work of an account at the same time.
    """

    poll_seconds: ClassVar[float]
    log: ClassVar[logging.Logger]
    # What is logged if a step fails. The next round tries again.
    failure: ClassVar[str]
    # The rows of a step at most.
    max_rows: ClassVar[int]

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pacer = BatchPacer()
        self._stopping = asyncio.Event()

    @abstractmethod
    def _accounts_with_work(self, of_accounts: bool) -> Query:
        """Return the query for at most `limit` accounts with work: the id, and the other columns
        of the row that `_step` takes. With `of_accounts`, only of the accounts `ids`."""

    @abstractmethod
    async def _step(self, row: Sequence[Any], limit: int) -> int:
        """Do a step of the work of an account, at most `limit` rows, and store the progress.
        Return the number of rows."""

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            await self._pause(self.poll_seconds)
            try:
                await self.do_all()
            except Exception as error:
                self._warn(error)

    def stop(self) -> None:
        """End `run` after the step in progress."""
        self._stopping.set()

    async def do_all(self) -> None:
        """Do the steps of all accounts until none has work. An account whose step fails waits for
        the next call."""
        failed_ids: set[int] = set()
        while not self._stopping.is_set():
            rows = [row for row in await self._read_accounts() if row[0] not in failed_ids]
            if not rows:
                return
            for row in rows:
                start = time.perf_counter()
                try:
                    count = await self._step(row, self._pacer.rows(self.max_rows))
                    self._pacer.note(count, time.perf_counter() - start)
                except Exception as error:
                    failed_ids.add(row[0])
                    self._warn(error, account=row[0])
                elapsed_seconds = time.perf_counter() - start
                await self._pause(pause_after(elapsed_seconds))
                if self._stopping.is_set():
                    return

    async def _read_accounts(self) -> Sequence[Sequence[Any]]:
        ids = await self._store.reachable_accounts()
        query = self._accounts_with_work(ids is not None)
        return await self._store.fetch(query, {"ids": ids, "limit": _MAX_ACCOUNTS})

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _warn(self, error: Exception, **fields: Any) -> None:
        self.log.warning(self.failure, extra={"fields": {"error": type(error).__name__, **fields}})
