"""The requests that are being worked on: how many there may be, and how long each may take.

A timer for each request would cost as much as all of its parsing: there is one for all of them,
which looks every now and then.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from time import monotonic
from typing import Any

from regulars.http.errors import overloaded, too_many_of_account

# A statement has all of a request's time; whoever waits for it learns of its end a little later.
_GRACE_SECONDS = 0.5
_LOOK_EVERY = 0.25


class RequestTimedOut(Exception):
    """A request took longer than it may."""


class InFlight:
    """At most `most` requests at once, each for `seconds`. No account has more than half of
    them."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds + _GRACE_SECONDS
        self._most_of_one = max(1, most // 2)
        self._began: dict[asyncio.Task[Any], float] = {}
        self._accounts: dict[asyncio.Task[Any], int] = {}
        self._counts: dict[int, int] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._began)

    def count(self, account_id: int) -> int:
        """How many of them are an account's."""
        return self._counts.get(account_id, 0)

    def enter(self) -> asyncio.Task[Any]:
        """Begins a request in the current task, which is to `leave`. Raises HTTPError (503) where
        there are too many."""
        if len(self._began) >= self._most:
            raise overloaded(self._most)
        task = current_task()
        assert task
        self._began[task] = monotonic()
        if self._timer is None:
            self._timer = task.get_loop().call_later(_LOOK_EVERY, self._look)
        return task

    def of_account(self, task: asyncio.Task[Any], account_id: int) -> None:
        """Says whose a request is, unless that is known. Raises HTTPError (503) where the account
        has too many."""
        if task in self._accounts:
            return
        count = self.count(account_id)
        if count >= self._most_of_one:
            raise too_many_of_account(self._most_of_one)
        self._counts[account_id] = count + 1
        self._accounts[task] = account_id

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Ends it. Raises RequestTimedOut where it was ended because it took too long."""
        del self._began[task]
        account_id = self._accounts.pop(task, None)
        if account_id is not None:
            count = self._counts.pop(account_id) - 1
            if count:
                self._counts[account_id] = count
        if self._late and task in self._late:
            self._late.remove(task)
            task.uncancel()
            raise RequestTimedOut

    def _look(self) -> None:
        before = monotonic() - self._seconds
        for task, began in self._began.items():
            if began < before and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = None
        if self._began:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)
