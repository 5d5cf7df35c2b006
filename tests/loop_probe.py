"""`python -m tests.loop_probe serve …`: the real `regulars serve`, with a probe in its event loop.

A timer of the event loop notes how late it is. The time that its thread waited for a processor does
not count (proc(5), schedstat: other processes were busy), so a busy machine does not look like a
blocked event loop. Where the system does not say it, the processor time of the process is the bound.

The longest pause, in seconds, is the double at the beginning of the file REGULARS_TEST_PROBE. Who
reads it sets it to 0.
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

EVERY_SECONDS = 0.002
PAUSE = struct.Struct("d")
FILE = "REGULARS_TEST_PROBE"


def waited() -> Callable[[], float]:
    """A function that returns for how many seconds this thread has waited for a processor."""
    try:
        stat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        int(os.pread(stat, 100, 0).split()[1])
    except (OSError, IndexError, ValueError):
        return lambda: time.monotonic() - time.process_time()
    return lambda: int(os.pread(stat, 100, 0).split()[1]) / 1e9


class Probe:
    """Notes the longest pause of the event loop in a file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), PAUSE.size)
        self._loop = asyncio.get_running_loop()
        self._waited = waited()
        self._then = time.monotonic()
        self._waited_then = self._waited()
        self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        now, waited = time.monotonic(), self._waited()
        pause = now - self._then - (waited - self._waited_then) - EVERY_SECONDS
        self._then, self._waited_then = now, waited
        if pause > PAUSE.unpack_from(self._shared)[0]:
            PAUSE.pack_into(self._shared, 0, pause)
        self._loop.call_later(EVERY_SECONDS, self._tick)


_probes: list[Probe] = []


def create(make: Callable[[], Application] = regulars.app.create) -> Application:
    """The application, and a probe in the event loop that it will run in."""
    _probes.append(Probe(Path(os.environ[FILE])))
    return make()


if __name__ == "__main__":
    regulars.app.create = create
    main()
