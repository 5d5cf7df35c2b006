"""Deletes an account with everything that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from regulars.accounts.accounts import Account, Accounts
from regulars.accounts.grants import CACHE_SECONDS
from regulars.core.packages import all_tables
from regulars.store import Store
from regulars.store.account_deletion import (
    batch_parameters,
    batch_size,
    batched_tables,
    delete_batch,
    delete_rest,
)

# Servers check a token again after this time.
_WAIT_SECONDS = CACHE_SECONDS + 0.1

OnBatch = Callable[[str, int], None]


async def delete_account(
    store: Store, account: Account, on_batch: OnBatch = lambda _table, _rows: None
) -> dict[str, int]:
    """Delete an account and all of its rows; return how many rows of each table were deleted in
    batches.

    The account is disabled first, and the rows are deleted in batches, so that other accounts can
    write. `on_batch` is called with the table and the number of rows of each batch. A deletion that
    is stopped leaves the account disabled, and the next call continues it. Raises StoreError.
    """
    if await Accounts(store).disable(account):
        await asyncio.sleep(_WAIT_SECONDS)
    deleted: dict[str, int] = {}
    tables = batched_tables(all_tables())

    async def delete_rows() -> None:
        for table in tables:
            rows = batch_size(table)
            while rows == batch_size(table):
                parameters = batch_parameters(table, account.account_id)
                rows = await store.execute([(delete_batch(table), parameters)])
                deleted[table.name] = deleted.get(table.name, 0) + rows
                on_batch(table.name, rows)

    await delete_rows()
    await store.execute(delete_rest(account.account_id, tables))
    # A request that was in progress may have left rows that are written without the account's lock.
    await delete_rows()
    return deleted
