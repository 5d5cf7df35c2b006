"""`python -m tests.loop_probe serve …`: the real `regulars serve`, with a probe in its event loop.

A timer of the event loop records how late it is. It excludes the time in which its thread waited
for a processor (proc(5), schedstat), so that a busy machine does not look like a blocked event loop.
Where the system does not provide that time, only the processor time of the process counts.

The longest pause, in seconds, is the double at the beginning of the file REGULARS_TEST_PROBE. The
reader sets it to 0.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import regulars.app
from regulars.app import Application
from regulars.cli import main

INTERVAL_SECONDS = 0.002
PAUSE = struct.Struct("d")
FILE = "REGULARS_TEST_PROBE"


def wait_clock() -> Callable[[], float]:
    """Returns a function that returns how many seconds this thread has waited for a processor."""
    try:
        stat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        int(os.pread(stat, 100, 0).split()[1])
    except (OSError, IndexError, ValueError):
        return lambda: time.monotonic() - time.process_time()
    return lambda: int(os.pread(stat, 100, 0).split()[1]) / 1e9


class Probe:
    """Records the longest pause of the event loop in a file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), PAUSE.size)
        self._loop = asyncio.get_running_loop()
        self._waited_seconds = wait_clock()
        self._last_tick = time.monotonic()
        self._last_waited = self._waited_seconds()
        self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        now, waited = time.monotonic(), self._waited_seconds()
        pause = now - self._last_tick - (waited - self._last_waited) - INTERVAL_SECONDS
        self._last_tick, self._last_waited = now, waited
        if pause > PAUSE.unpack_from(self._shared)[0]:
            PAUSE.pack_into(self._shared, 0, pause)
        self._loop.call_later(INTERVAL_SECONDS, self._tick)


_probes: list[Probe] = []


def create(make: Callable[[], Application] = regulars.app.create) -> Application:
    """Returns the application. Adds a probe to its event loop."""
    _probes.append(Probe(Path(os.environ[FILE])))
    return make()


if __name__ == "__main__":
    regulars.app.create = create
    main()
