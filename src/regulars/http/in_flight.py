"""Limits how many requests are in progress, and how long each may take.

One timer checks all requests, because a timer for each would cost as much as its parsing.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from time import monotonic
from typing import Any

from regulars.http.errors import overloaded, too_many_of_account

# A statement may take all of the time, and its task continues a little later.
_GRACE_SECONDS = 0.5
_CHECK_SECONDS = 0.25


class RequestTimedOut(Exception):
    """A request took longer than its limit."""


class InFlight:
    """The requests in progress: at most `max_requests`, at most half of them of one account, each
    for at most `seconds`."""

    def __init__(self, max_requests: int, seconds: float) -> None:
        self._max_requests = max_requests
        self._max_of_account = max(1, max_requests // 2)
        self._seconds = seconds + _GRACE_SECONDS
        self._began: dict[asyncio.Task[Any], float] = {}
        self._accounts: dict[asyncio.Task[Any], int] = {}
        self._counts: dict[int, int] = {}
        self._timed_out: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._began)

    def count(self, account_id: int) -> int:
        """Returns the number of requests in progress of an account."""
        return self._counts.get(account_id, 0)

    def enter(self) -> asyncio.Task[Any]:
        """Begins a request in the current task. Returns the task, for `leave`. Raises HTTPError
        (503) if too many requests are in progress."""
        if len(self._began) >= self._max_requests:
            raise overloaded(self._max_requests)
        task = current_task()
        assert task
        self._began[task] = monotonic()
        if self._timer is None:
            self._timer = task.get_loop().call_later(_CHECK_SECONDS, self._check)
        return task

    def set_account(self, task: asyncio.Task[Any], account_id: int) -> None:
        """Sets the account of a request, unless it is set. Raises HTTPError (503) if too many
        requests of the account are in progress."""
        if task in self._accounts:
            return
        count = self.count(account_id)
        if count >= self._max_of_account:
            raise too_many_of_account(self._max_of_account)
        self._counts[account_id] = count + 1
        self._accounts[task] = account_id

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Ends a request. Raises RequestTimedOut if the timer has cancelled its task."""
        del self._began[task]
        account_id = self._accounts.pop(task, None)
        if account_id is not None:
            count = self._counts.pop(account_id) - 1
            if count:
                self._counts[account_id] = count
        if self._timed_out and task in self._timed_out:
            self._timed_out.remove(task)
            task.uncancel()
            raise RequestTimedOut

    def _check(self) -> None:
        earliest = monotonic() - self._seconds
        for task, began in self._began.items():
            if began < earliest and task not in self._timed_out:
                self._timed_out.add(task)
                task.cancel()
        self._timer = None
        if self._began:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)
