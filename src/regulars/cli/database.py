"""Database access of the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from regulars.directory.database import store_for
from regulars.settings import Settings
from regulars.store import STATEMENT_SECONDS, Store, parse_url
from regulars.store.schema_version import require_usable

T = TypeVar("T")


def with_store(
    settings: Settings,
    work: Callable[[Store], Awaitable[T]],
    is_bulk: bool = False,
    seconds: float = STATEMENT_SECONDS,
) -> T:
    """Opens a migrated database, calls `work`, and closes it. `is_bulk` is for many rows. A
    statement may take `seconds`. Raises StoreError."""
    require_usable(parse_url(settings.database_url))

    async def run() -> T:
        store = store_for(settings.database_url, seconds, is_bulk)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
