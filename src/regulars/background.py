"""Work that others go before, where the processor is scarce."""

from __future__ import annotations

import contextlib
import os

_NICENESS = 10


def step_back() -> None:
    """Has this process go behind others: it gets a tenth of what they do, and takes the processor
    from nobody who has it (sched(7), SCHED_BATCH). Alone it has all. Where the system does not
    allow it, or has no such thing, nothing changes."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
