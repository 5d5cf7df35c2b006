"""Priorities of background processes, where the processor is scarce."""

from __future__ import annotations

import contextlib
import os

_NICENESS = 10


def lower_priority() -> None:
    """Gives this process a tenth of the processor time of others, if those need it, and no
    preemption (sched(7), SCHED_BATCH). Does nothing if the system does not allow or have that."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def run_when_idle() -> None:
    """Runs this process only when a processor is idle (sched(7), SCHED_IDLE). While all processors
    are busy it hardly runs, so it must not hold what others wait for. With a single processor, only
    lowers the priority."""
    lower_priority()
    with contextlib.suppress(OSError, AttributeError):
        if len(os.sched_getaffinity(0)) > 1:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
