"""`regulars copy`: copies a database to another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from regulars.accounts.accounts import Accounts
from regulars.cli.errors import UsageError
from regulars.core.counts import count_of
from regulars.directory.database import store_for, upgrade
from regulars.store import DatabaseUrl, NotMigrated, Store, parse_url
from regulars.store.schema_version import newest_version, require_usable, stored_version
from regulars.transfer.database_copy import Copy
from regulars.transfer.garbage_collector import collect_less

# A statement reads thousands of rows, of a database that others use.
_STATEMENT_SECONDS = 120.0


def run(source_url: str, target_url: str, is_resumed: bool) -> dict[str, Any]:
    """Copies a database and returns the counts of each table. Raises StoreError, UsageError."""
    source, target = parse_url(source_url), parse_url(target_url)
    if (source.path and source.path == target.path) or (source.dsn and source.dsn == target.dsn):
        raise UsageError("FROM and TO are the same database. Give two different URLs.")
    _require_same(source)
    if stored_version(target) is None:
        upgrade(target)
    _require_same(target)
    collect_less()
    start = time.monotonic()
    result = asyncio.run(_copy(source_url, target_url, is_resumed, target.redacted))
    return {"from": source.redacted, "to": target.redacted, **result, "seconds": _since(start)}


def _require_same(address: DatabaseUrl) -> None:
    """Raises NotMigrated unless the tables have the version of this program, which does not know
    all data of newer ones."""
    if require_usable(address).version != newest_version():
        raise NotMigrated(
            f"{address.redacted} has tables of a newer version of Regulars. Copy it with that "
            "version."
        )


async def _copy(source_url: str, target_url: str, is_resumed: bool, name: str) -> dict[str, Any]:
    async with _opened(source_url) as source, _opened(target_url) as target:
        if not is_resumed and await Accounts(target).has_any():
            raise UsageError(
                f"{name} already has accounts. Copy to an empty database. To continue or update an "
                "earlier copy, add --resume: it deletes the rows that exist only there."
            )
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
        )
        console = Console(stderr=True)
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as bar:
            task, rows = bar.add_task("Copying", total=None, text=""), 0

            def report(table: str, more: int) -> None:
                nonlocal rows
                rows += more
                bar.update(task, description=table, text=f"{count_of(rows, 'row')} read")

            result = await Copy(source, target, report).run()
    tables = {
        name: {
            "added": counts.added,
            "removed": counts.removed,
            "compared": counts.compared,
            "different": counts.different,
        }
        for name, counts in result.tables.items()
    }
    return {"different": result.different, "tables": tables}


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Store]:
    store = store_for(url, _STATEMENT_SECONDS, is_bulk=True)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _since(start: float) -> float:
    return round(time.monotonic() - start, 3)
