"""The requests that are being worked on: how many there may be, and how long each may take.

A timer for each request would cost as much as all of its parsing: there is one for all of them,
which looks every now and then.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from regulars.http.errors import overloaded

# A statement has all of a request's time; whoever waits for it learns of its end a little later.
_GRACE_SECONDS = 0.5
_LOOK_EVERY = 0.25


class Late(Exception):
    """A request took longer than it may."""


class InFlight:
    """At most `most` requests at once, each for `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds + _GRACE_SECONDS
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._until)

    def __enter__(self) -> Self:
        """Begins a request in the current task. Raises HTTPError (503) where there are too many."""
        if len(self._until) >= self._most:
            raise overloaded(self._most)
        loop = asyncio.get_running_loop()
        self._until[_task()] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_EVERY, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Ends it. Raises Late where it was ended because it took too long."""
        task = _task()
        del self._until[task]
        if task in self._late:
            self._late.remove(task)
            task.uncancel()
            raise Late from error

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for task, until in self._until.items():
            if until < now and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = None
        if self._until:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task
    return task
