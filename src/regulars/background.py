"""Lowers the priority of background processes."""

from __future__ import annotations

import contextlib
import os

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
    """Makes this process run only when a processor is idle (sched(7), SCHED_IDLE). While all
    processors are busy, it hardly runs, so it must hold no locks that other processes need. On a
    single processor, only lowers the priority."""
    lower_priority()
    with contextlib.suppress(OSError, AttributeError):
        if len(os.sched_getaffinity(0)) > 1:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
