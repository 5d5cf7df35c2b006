"""Whoever writes many rows leaves others their time, if there are others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from regulars.accounts.accounts import Accounts
from regulars.customers.bulk import SetCustomers
from regulars.directory.database import store_for
from regulars.store import Store
from regulars.transfer.background_throttle import BackgroundThrottle

Work = Callable[[Store, Store], Awaitable[Any]]


@asynccontextmanager
async def opened(url: str, is_bulk: bool) -> AsyncIterator[Store]:
    store = store_for(url, is_bulk=is_bulk)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def with_two(url: str, is_bulk: bool, work: Work) -> Any:
    """Works with a store for many rows, and another one beside it that is `large` or not."""

    async def run() -> Any:
        async with opened(url, is_bulk=True) as mine, opened(url, is_bulk) as theirs:
            return await work(mine, theirs)

    return asyncio.run(run())


def nothing() -> SetCustomers:
    return SetCustomers((), 0)


def test_alone_it_takes_all_its_time(new_database: str) -> None:
    async def work(mine: Store, _theirs: Store) -> bool:
        account_id = (await Accounts(mine).create("one")).account_id
        beside = BackgroundThrottle(mine)
        for _ in range(3):
            await beside.write(account_id, nothing())
        return beside.others

    assert not with_two(new_database, is_bulk=False, work=work)


def test_it_rests_while_others_work(new_database: str) -> None:
    async def work(mine: Store, theirs: Store) -> bool:
        account_id = (await Accounts(mine).create("one")).account_id
        beside = BackgroundThrottle(mine)
        await beside.write(account_id, nothing())
        assert not beside.others
        # On SQLite it is seen what they wrote; on PostgreSQL, that they have something under way.
        await Accounts(theirs).create("two")
        async with theirs.snapshot():
            await beside.write(account_id, nothing())
        return beside.others

    assert with_two(new_database, is_bulk=False, work=work)


def test_those_in_the_background_do_not_wait_for_each_other(new_postgresql: str) -> None:
    async def work(mine: Store, theirs: Store) -> bool:
        account_id = (await Accounts(mine).create("one")).account_id
        beside = BackgroundThrottle(mine)
        async with theirs.snapshot():
            await beside.write(account_id, nothing())
        return beside.others

    assert not with_two(new_postgresql, is_bulk=True, work=work)


def test_the_rest_is_longer_than_the_work() -> None:
    class Slow:
        async def write(self, _account_id: int, _command: object) -> None:
            await asyncio.sleep(0.02)

        async def has_concurrent_activity(self) -> bool:
            return True

    async def work(store: Any) -> float:
        began = time.monotonic()
        await BackgroundThrottle(store).write(1, nothing())
        return time.monotonic() - began

    assert asyncio.run(work(Slow())) > 0.15
