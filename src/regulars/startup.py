"""The end of the start of a process: its garbage collection, and its late imports."""

from __future__ import annotations

import asyncio
import gc
import importlib

# Modules that some requests need and the start does not. They take 80 ms together.
LATE_MODULES = ("phonenumbers", "regulars.customers.email_syntax", "regulars.transfer.preview")
# Python's thresholds are 700, 10 and 10. A full collection visits every object of a large request,
# takes 100 ms, and frees almost nothing, because reference counts free the objects of a request. A
# batch of writes has some thousand objects at once: with 700, each batch is collected, which takes
# 4 µs of a write's 160.
_GC_THRESHOLDS = (5_000, 10, 100)


def keep_objects() -> None:
    """Has the garbage collector ignore the objects that exist now, and collect new ones. It does
    not look for garbage first: that takes 60 ms, and the start leaves at most 2 MB."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def import_late_modules() -> None:
    """Imports LATE_MODULES in a thread, so that no request waits for them."""
    for name in LATE_MODULES:
        await asyncio.to_thread(importlib.import_module, name)
    gc.freeze()
