"""Work that others go before, where the processor is scarce."""

from __future__ import annotations

import contextlib
import os

_NICENESS = 10


def lower_priority() -> None:
    """Has this process go behind others: it gets a tenth of what they do, and takes the processor
    from nobody who has it (sched(7), SCHED_BATCH). Alone it has all. Where the system does not
    allow it, or has no such thing, nothing changes."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def run_when_idle() -> None:
    """Has this process run where nobody else would (sched(7), SCHED_IDLE): whoever has something to
    do takes the processor from it at once. While others have something to do on every processor it
    hardly moves, so it must not keep what they wait for; with one processor it only steps back."""
    lower_priority()
    with contextlib.suppress(OSError, AttributeError):
        if len(os.sched_getaffinity(0)) > 1:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
