"""Database access of the commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from regulars.settings import Settings

if TYPE_CHECKING:
    from regulars.store import Store

T = TypeVar("T")


def with_store(
    settings: Settings,
    work: Callable[[Store], Awaitable[T]],
    is_bulk: bool = False,
    seconds: float | None = None,
) -> T:
    """Opens a migrated database, calls `work`, and closes it. `is_bulk` is for many rows. A
    statement may take `seconds`. Raises StoreError."""
    import asyncio

    from regulars.directory.database import store_for
    from regulars.store import STATEMENT_SECONDS, parse_url
    from regulars.store.schema_version import require_usable

    require_usable(parse_url(settings.database_url))

    async def run() -> T:
        store = store_for(
            settings.database_url,
            STATEMENT_SECONDS if seconds is None else seconds,
            is_bulk,
            pool_size=settings.pool_size,
        )
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
