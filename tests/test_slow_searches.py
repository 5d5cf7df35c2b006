"""Searches without an index: they are cancelled in time, and do not delay others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.api.context import Context
from regulars.api.schema import engine
from regulars.customers.commands import CreateCustomer
from regulars.directory.database import store_for
from regulars.directory.directory import Directory
from regulars.store import StatementTimeout, Store
from regulars.store.query import Query
from tests.support import run_regulars

pytestmark = pytest.mark.both_databases

# Some ten million steps: a second, more or less.
COUNT_FAR = Query(
    sa.text(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) "
        "SELECT count(*) FROM n"
    )
)
COUNT = Query(
    sa.text(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) "
        "SELECT count(*) FROM n"
    )
)
SLEEP = Query(sa.text("SELECT pg_sleep(61)"))
NAP = Query(sa.text("SELECT pg_sleep(0.01)"))
ONE = Query(sa.text("SELECT 1"))


@pytest.fixture
def migrated_database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'slow.db'}"
    for command in ("migrate", "account create one", "sample --customers 1000"):
        assert run_regulars(*command.split(), "--database-url", url).returncode == 0
    return url


@pytest.mark.slow
def test_long_read_does_not_delay_others_on_sqlite(migrated_database: str) -> None:
    async def run() -> None:
        store = store_for(migrated_database)
        await store.open()
        long = asyncio.create_task(store.fetch(COUNT_FAR, {}, is_long=True))
        await asyncio.sleep(0)
        assert (await store.fetch(ONE, {}))[0][0] == 1
        directory = Directory(store)
        account = await Accounts(store).resolve(None)
        await directory.write(
            account.account_id, CreateCustomer.from_node({"email": "meanwhile@example.com"}, 1)
        )
        assert not long.done()
        assert (await long)[0][0] == 5_000_000
        await store.close()

    asyncio.run(run())


@pytest.mark.slow
def test_a_quick_search_is_not_delayed_by_slow_ones_of_another_account(
    migrated_database: str,
) -> None:
    async def run() -> None:
        store = store_for(migrated_database)
        await store.open()
        slow = [
            asyncio.create_task(store.fetch(COUNT, {"account_id": 1}, is_long=True))
            for _ in range(8)
        ]
        await asyncio.sleep(0.1)  # the first of them is under way in the slow lane
        rows = await store.fetch(ONE, {"account_id": 2}, is_long=True)
        assert rows[0][0] == 1
        assert not any(task.done() for task in slow)
        for task in slow[1:]:
            task.cancel()
        assert (await slow[0])[0][0] == 1_000_000
        await asyncio.gather(*slow[1:], return_exceptions=True)
        # A cancelled search is interrupted, and leaves the lane to the next one.
        assert (await store.fetch(COUNT, {"account_id": 2}, is_long=True))[0][0] == 1_000_000
        await store.close()

    asyncio.run(run())


@pytest.mark.slow
def test_a_slow_search_pauses_for_a_shorter_one_of_another_account(migrated_database: str) -> None:
    async def run() -> None:
        store = store_for(migrated_database)
        await store.open()
        greedy = [
            asyncio.create_task(store.fetch(COUNT_FAR, {"account_id": 1}, is_long=True))
            for _ in range(3)
        ]
        await asyncio.sleep(0.1)  # the first of them is under way in the slow lane
        for account_id in (2, 3):
            rows = await store.fetch(COUNT, {"account_id": account_id}, is_long=True)
            assert rows[0][0] == 1_000_000
        assert not any(task.done() for task in greedy)
        greedy[1].cancel()
        assert (await greedy[0])[0][0] == (await greedy[2])[0][0] == 5_000_000
        await store.close()

    asyncio.run(run())


@pytest.mark.slow
def test_slow_searches_of_many_accounts_take_turns_on_sqlite(migrated_database: str) -> None:
    """More accounts than the slow lane holds; a search that is cancelled while it is paused ends."""

    async def run() -> None:
        store = store_for(migrated_database)
        await store.open()
        searches = [
            asyncio.create_task(store.fetch(COUNT, {"account_id": 1 + n % 7}, is_long=True))
            for n in range(14)
        ]
        await asyncio.sleep(0.1)
        for task in searches[1:5]:
            task.cancel()
        rows = await asyncio.gather(*searches, return_exceptions=True)
        assert [row[0][0] for row in rows if not isinstance(row, BaseException)] == [1_000_000] * 10
        assert (await store.fetch(ONE, {"account_id": 2}, is_long=True))[0][0] == 1
        await store.close()

    asyncio.run(run())


def test_a_search_that_takes_too_long_is_refused(
    migrated_database: str,
) -> None:
    terms = " ".join(f"-molly{number}" for number in range(50))

    async def run(store: Store) -> Any:
        api = engine()
        context = Context(1, Directory(store), "test", 0)
        document = f'{{ customers(query: "{terms}") {{ totalCount }} }}'
        answer = await api.run(api.get_operation(document), {}, context)
        await store.close()
        return answer.to_response()

    async def open_store() -> Any:
        store = store_for(migrated_database, 0.001)
        await store.open()
        return await run(store)

    (error,) = asyncio.run(open_store())["errors"]
    assert error["key"] == "errors_invalid_query"
    assert "takes too long" in error["message"]
    assert error["extensions"]["expected"] == "a term that matches few customers"


def test_statement_beyond_the_timeout_is_cancelled_on_postgresql(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        store = store_for(postgresql, 0.2)
        await store.open()
        with pytest.raises(StatementTimeout):
            await store.fetch(SLEEP, {}, is_long=True)
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sl' || 'eep(61)%'"
        active_query = Query(sa.text(f"{active} AND state = 'active'"))
        for _ in range(50):
            if (await store.fetch(active_query, {}))[0][0] == 0:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the statement goes on in the database")
        await store.close()

    asyncio.run(run())


@pytest.mark.slow
def test_account_runs_at_most_two_slow_searches_on_postgresql(postgresql: str) -> None:
    nap = Query(sa.text("SELECT pg_sleep(0.4) AS nap_of_the_test"))
    active = Query(
        sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
            "AND query LIKE '%nap_of_' || 'the_test%'"
        )
    )

    async def run() -> None:
        store = store_for(postgresql)
        await store.open()

        def search(account_id: int) -> asyncio.Task[Any]:
            return asyncio.create_task(store.fetch(nap, {"account_id": account_id}, is_long=True))

        first = [search(1), search(1)]
        await asyncio.sleep(0.1)  # by now they are slow
        more = [search(1) for _ in range(4)]
        more[1].cancel()
        assert (await store.fetch(ONE, {"account_id": 2}, is_long=True))[0][0] == 1
        counts = []
        while not all(task.done() for task in (*first, *more)):
            counts.append((await store.fetch(active, {}))[0][0])
            await asyncio.sleep(0.02)
        assert max(counts) == 2
        assert [task.cancelled() for task in more] == [False, True, False, False]
        await store.close()

    asyncio.run(run())


@pytest.mark.slow
def test_small_searches_of_several_clients_count_as_slow_on_postgresql(postgresql: str) -> None:
    async def run() -> None:
        store = store_for(postgresql)
        await store.open()

        async def search(account_id: int, seconds: float) -> None:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                await store.fetch(NAP, {"account_id": account_id}, is_long=True)

        await asyncio.gather(search(1, 0.5), *(search(2, 0.5) for _ in range(4)))
        assert not store.has_slow_search(1)  # one client, however long
        assert store.has_slow_search(2)
        await asyncio.sleep(1.2)
        assert not store.has_slow_search(2)
        await store.close()

    asyncio.run(run())
