"""The priority of background processes, and how long they wait for a processor."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from time import monotonic

_NICENESS = 10


def lower_priority() -> None:
    """Lowers the priority of this process: on a busy machine it gets about a tenth of the processor
    time of another process, and preempts none (sched(7), SCHED_BATCH). Does nothing where the
    system does not support or permit it."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def run_when_idle() -> None:
    """Makes this thread, and those that it starts, run only when a processor is idle (sched(7),
    SCHED_IDLE). While all processors are busy, they hardly run, so they must hold no locks that
    other processes need. Does nothing on a single processor."""
    with contextlib.suppress(OSError, AttributeError):
        if len(os.sched_getaffinity(0)) > 1:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


class ProcessorWait:
    """Measures how long the threads of a process have waited for a processor. Linux counts it when
    a wait ends (`schedstat` of a thread in proc(5): its time on a processor, and its waits, in
    nanoseconds). The present wait of a thread begins with the first of the calls of `seconds`
    between which it was runnable but did not run."""

    def __init__(self, process_id: int) -> None:
        self._tasks = Path(f"/proc/{process_id}/task")
        # For each runnable thread its time on a processor, and since when it has not run.
        self._runnable: dict[str, tuple[str, float]] = {}

    def seconds(self) -> float:
        """Returns the sum for all threads, in seconds; 0 where the system does not count it."""
        now, seconds = monotonic(), 0.0
        runnable: dict[str, tuple[str, float]] = {}
        for thread in self._tasks.glob("*"):
            with contextlib.suppress(OSError, ValueError):  # the thread has ended
                processor_time, wait, _ = (thread / "schedstat").read_text().split()
                seconds += int(wait) / 1e9
                if (thread / "stat").read_text().rpartition(")")[2].split()[0] == "R":
                    before, since = self._runnable.get(thread.name, ("", now))
                    since = since if processor_time == before else now
                    runnable[thread.name] = processor_time, since
                    seconds += now - since
        self._runnable = runnable
        return seconds
