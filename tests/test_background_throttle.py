"""The background throttle: bulk writes pause while others use the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.batch_pacer import BatchPacer, pause_after
from regulars.customers.bulk import SetCustomers
from regulars.directory.database import store_for
from regulars.store import Store
from regulars.transfer.background_throttle import BackgroundThrottle

pytestmark = pytest.mark.both_databases

Work = Callable[[Store, Store], Awaitable[Any]]


@asynccontextmanager
async def open_store(url: str, is_bulk: bool) -> AsyncIterator[Store]:
    store = store_for(url, is_bulk=is_bulk)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def run_with_two_stores(url: str, is_bulk: bool, work: Work) -> Any:
    """Runs work with a store for bulk writes and another store, which is for bulk writes or not."""

    async def run() -> Any:
        async with open_store(url, is_bulk=True) as store, open_store(url, is_bulk) as other_store:
            return await work(store, other_store)

    return asyncio.run(run())


def empty_write() -> SetCustomers:
    return SetCustomers((), 0)


def test_a_bulk_write_alone_is_not_paused(new_database: str) -> None:
    async def work(store: Store, _theirs: Store) -> bool:
        account_id = (await Accounts(store).create("one")).account_id
        await asyncio.sleep(0.05)  # the other store has connected
        throttle = BackgroundThrottle(store)
        for _ in range(3):
            await throttle.write(account_id, empty_write(), 0)
        return throttle.others

    assert not run_with_two_stores(new_database, is_bulk=False, work=work)


def test_a_bulk_write_pauses_while_others_work(new_database: str) -> None:
    async def work(store: Store, other_store: Store) -> bool:
        account_id = (await Accounts(store).create("one")).account_id
        await asyncio.sleep(0.05)  # the other store has connected
        throttle = BackgroundThrottle(store)
        await throttle.write(account_id, empty_write(), 0)
        assert not throttle.others
        # SQLite shows that others wrote, and PostgreSQL that they have a transaction open.
        await Accounts(other_store).create("two")
        async with other_store.snapshot():
            await throttle.write(account_id, empty_write(), 0)
        return throttle.others

    assert run_with_two_stores(new_database, is_bulk=False, work=work)


def test_short_statements_of_others_are_noticed_on_postgresql(new_postgresql: str) -> None:
    async def work(store: Store, other_store: Store) -> bool:
        account_id = (await Accounts(store).create("one")).account_id
        throttle = BackgroundThrottle(store)
        await Accounts(other_store).all()
        await throttle.write(account_id, empty_write(), 0)
        return throttle.others

    assert run_with_two_stores(new_postgresql, is_bulk=False, work=work)


def test_bulk_writes_do_not_pause_for_each_other(new_postgresql: str) -> None:
    async def work(store: Store, other_store: Store) -> bool:
        account_id = (await Accounts(store).create("one")).account_id
        throttle = BackgroundThrottle(store)
        async with other_store.snapshot():
            await throttle.write(account_id, empty_write(), 0)
        return throttle.others

    assert not run_with_two_stores(new_postgresql, is_bulk=True, work=work)


def test_the_pause_is_longer_than_the_work() -> None:
    class SlowStore:
        dialect = "sqlite"
        min_shared_reads = 2

        async def write(self, _account_id: int, _command: object) -> None:
            await asyncio.sleep(0.02)

        async def has_concurrent_activity(self) -> bool:
            return True

    async def work(store: Any) -> float:
        began = time.monotonic()
        await BackgroundThrottle(store).write(1, empty_write(), 0)
        return time.monotonic() - began

    assert asyncio.run(work(SlowStore())) > 0.1


def test_batches_have_a_size_by_time() -> None:
    pacer = BatchPacer()
    of_imports = BatchPacer(alone_seconds=0.2)
    for _ in range(20):
        pacer.note(1_000, 0.1)  # 10,000 rows per second
        of_imports.note(1_000, 0.1)
    assert pacer.rows(2_000) in range(95, 101)
    assert pacer.rows(2_000, is_shared=False) in range(950, 1_001)
    assert of_imports.rows(2_000) in range(95, 101)
    assert of_imports.rows(2_000, is_shared=False) in range(1_900, 2_001)
    assert pacer.rows(7) == 7
    for _ in range(20):
        pacer.note(10, 1.0)
    assert pacer.rows(1_000) == 50
    for _ in range(50):
        pacer.note(1_000, 0.001)
    assert pacer.rows(1_000) == 1_000
    pacer.note(0, 1.0)  # nothing was done
    assert pacer.rows(1_000) == 1_000


def test_pauses_have_a_minimum_and_a_maximum() -> None:
    assert (pause_after(0.0), pause_after(0.01), pause_after(10.0)) == (0.001, 0.05, 0.1)
