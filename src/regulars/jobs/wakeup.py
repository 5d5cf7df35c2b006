"""Waking the task of this process that runs jobs, when one was started or cancelled."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet


class WakeUp:
    """Calls a function when a job was started, for as long as this object exists."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        _wake_ups.add(self)

    def __call__(self) -> None:
        self._function()


_wake_ups: WeakSet[WakeUp] = WeakSet()


def wake() -> None:
    """Have jobs looked for now. Without it, they are found within two seconds."""
    for each in tuple(_wake_ups):
        each()
