"""`regulars copy`: a whole database, to another."""

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
from regulars.directory.database import store_for, upgrade
from regulars.store import DatabaseUrl, NotMigrated, Store, parse_url
from regulars.store.schema_version import newest_version, require_usable, stored_version
from regulars.transfer.database_copy import Copy
from regulars.transfer.garbage_collector import collect_less

# A statement reads thousands of rows, of a database that others use.
_STATEMENT_SECONDS = 120.0


def run(source_url: str, target_url: str, go_on: bool) -> dict[str, Any]:
    """Copies a database and returns the counts of each table. Raises StoreError, UsageError."""
    source, target = parse_url(source_url), parse_url(target_url)
    if (source.path and source.path == target.path) or (source.dsn and source.dsn == target.dsn):
        raise UsageError("FROM and TO are the same database.")
    _require_same(source)
    if stored_version(target) is None:
        upgrade(target)
    _require_same(target)
    collect_less()
    start = time.monotonic()
    result = asyncio.run(_copy(source_url, target_url, go_on, target.redacted))
    return {"from": source.redacted, "to": target.redacted, **result, "seconds": _since(start)}


def _require_same(address: DatabaseUrl) -> None:
    """Raises NotMigrated unless the tables are of this very version: of newer ones, this program
    does not know everything."""
    if require_usable(address).version != newest_version():
        raise NotMigrated(
            f"{address.redacted} has tables of a newer Regulars. Copy with that one, or with the "
            "older before the database is migrated."
        )


async def _copy(source_url: str, target_url: str, go_on: bool, name: str) -> dict[str, Any]:
    async with _opened(source_url) as source, _opened(target_url) as target:
        if not go_on and await Accounts(target).has_any():
            raise UsageError(
                f"{name} has accounts already. Copy into an empty database; or, to go on with a "
                "copy or bring it up to date, add --continue: what is only there is then deleted."
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
                bar.update(task, description=table, text=f"{rows:,} rows read")

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
