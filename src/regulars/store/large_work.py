"""Large pieces of computation, kept off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

# Cleaning and indexing this much text takes some milliseconds; 2 MiB of it take seconds.
LARGE_CHARACTERS = 8_192
# The characters that any other value counts for.
_OTHER_VALUE = 4
# JSON of so many bytes is not large: each value has two bytes at least, with its comma.
SMALL_JSON_BYTES = LARGE_CHARACTERS * 2 // _OTHER_VALUE
_CONTAINERS = (dict, list, tuple)

T = TypeVar("T")

# One thread: several would compete with the event loop for Python's lock.
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="large-work")


def is_large(value: Any) -> bool:
    """Return whether JSON holds more text than the event loop may process."""
    return text_size(value, LARGE_CHARACTERS) > LARGE_CHARACTERS


def text_size(value: Any, max_characters: int) -> int:
    """Return how many characters JSON holds, and four for each value. Looks no further than
    `max_characters`."""
    # Every write is measured three times: only containers are kept for later.
    pending: list[Any] = [(value,)]
    characters = -_OTHER_VALUE
    for container in pending:
        items = container.values() if isinstance(container, dict) else container
        characters += _OTHER_VALUE * len(items)
        if characters > max_characters:
            break
        for item in items:
            if isinstance(item, str):
                characters += len(item)
            elif isinstance(item, _CONTAINERS):
                pending.append(item)
    return characters


async def run_large(work: Callable[[], T]) -> T:
    """Return what `work` returns. It runs in a thread, one at a time, while the event loop goes
    on."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
