"""The connection pool: connections are shared, cancelled and replaced, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.store import Store, Unreachable
from regulars.store.postgresql.connection_pool import ConnectionPool
from regulars.store.query import Query
from regulars.store.tables import accounts
from tests.postgres import own_server
from tests.support import run_regulars, scratch_database, with_store


def with_connections(
    dsn: str, size: int, work: Callable[[ConnectionPool], Awaitable[Any]], seconds: float = 20
) -> Any:
    async def run() -> Any:
        connections = ConnectionPool(dsn, size)
        try:
            return await asyncio.wait_for(work(connections), seconds)
        finally:
            await connections.close()

    return asyncio.run(run())


async def backend(connections: ConnectionPool) -> int:
    """Return the process id of the PostgreSQL backend, after a short statement."""
    ((number, _),) = await connections.fetch("SELECT pg_backend_pid(), pg_sleep(0.01)", [])
    return int(number)


def test_many_callers_share_few_connections(postgresql: str) -> None:
    async def work(connections: ConnectionPool) -> set[int]:
        return set(await asyncio.gather(*[backend(connections) for _ in range(20)]))

    assert len(with_connections(postgresql, 2, work)) == 2


def test_connection_is_reused(postgresql: str) -> None:
    async def work(connections: ConnectionPool) -> set[int]:
        return {await backend(connections) for _ in range(5)}

    assert len(with_connections(postgresql, 5, work)) == 1


def test_cancelled_waiter_takes_no_connection(postgresql: str) -> None:
    async def work(connections: ConnectionPool) -> None:
        async with connections.acquire() as connection:
            waiters = [asyncio.create_task(backend(connections)) for _ in range(3)]
            await asyncio.sleep(0)
            waiters[0].cancel()
            await asyncio.sleep(0)
            number = await connection.fetchval("SELECT pg_backend_pid()")
        # At this moment the connection is on its way to the second.
        waiters[1].cancel()
        assert await waiters[2] == number
        assert await backend(connections) == number

    with_connections(postgresql, 1, work)


def test_cancelled_query_closes_only_its_connection(postgresql: str) -> None:
    async def work(connections: ConnectionPool) -> tuple[int, int]:
        before = await backend(connections)
        sleeping = asyncio.create_task(connections.fetch("SELECT pg_sleep(60)", []))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(backend(connections))
        await asyncio.sleep(0)
        sleeping.cancel()
        return before, await waiting

    before, after = with_connections(postgresql, 1, work)
    assert before != after


def test_a_connection_that_ended_is_replaced(postgresql: str) -> None:
    async def work(connections: ConnectionPool) -> None:
        before = await backend(connections)
        with pytest.raises(Unreachable):
            await connections.fetch("SELECT pg_terminate_backend(pg_backend_pid())", [])
        assert await backend(connections) != before

    with_connections(postgresql, 1, work)


def test_a_connection_that_is_terminated_between_two_messages_is_unreachable(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a former primary is found while statements are prepared."""
    prepare = asyncpg.Connection._get_statement

    async def prepare_and_terminate(connection: asyncpg.Connection, *args: Any, **more: Any) -> Any:
        statement = await prepare(connection, *args, **more)
        connection.terminate()
        return statement

    async def work(connections: ConnectionPool) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Connection, "_get_statement", prepare_and_terminate)
            with pytest.raises(Unreachable):
                await connections.fetch("SELECT 1", [])
        return await backend(connections)

    assert with_connections(postgresql, 1, work) > 0


def test_connection_is_kept_after_a_refused_statement(postgresql: str) -> None:
    async def work(connections: ConnectionPool) -> None:
        before = await backend(connections)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connections.fetch("SELECT 1 / 0", [])
        async with connections.acquire() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") == before

    with_connections(postgresql, 1, work)


def test_all_callers_get_unreachable_when_the_server_is_down() -> None:
    async def work() -> list[BaseException | list[Any]]:
        connections = ConnectionPool("postgresql://x@127.0.0.1:1/x", 1)
        queries = [connections.fetch("SELECT 1", []) for _ in range(3)]
        return await asyncio.wait_for(asyncio.gather(*queries, return_exceptions=True), 20)

    assert [type(outcome) for outcome in asyncio.run(work())] == [Unreachable] * 3


@pytest.mark.slow
def test_commit_that_waits_for_a_standby_is_not_cancelled() -> None:
    """PostgreSQL would commit the cancelled transaction, although only one machine has it."""

    async def work(dsn: str) -> None:
        looking = await asyncpg.connect(dsn)
        await looking.execute("CREATE TABLE seen (number int)")
        await looking.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await looking.execute("SELECT pg_reload_conf()")
        connections = ConnectionPool(dsn, 1, statement_seconds=0.2)
        for _ in range(5):
            with pytest.raises(Unreachable):
                await connections.fetch("INSERT INTO seen VALUES (1)", [])
            await asyncio.sleep(0.2)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        assert await looking.fetchval(waiting) == 5
        assert await looking.fetchval("SELECT count(*) FROM seen") == 0
        await connections.close()
        await looking.close()

    with own_server() as server:
        asyncio.run(work(server.dsn))


@pytest.mark.slow
def test_deadlocked_transaction_is_retried(postgresql: str) -> None:
    """PostgreSQL rolls one of the two transactions back."""
    pause = Query(sa.select(sa.func.pg_sleep(0.3)))

    def taking(name: str) -> Query:
        return Query(accounts.update().where(accounts.c.name == name).values(created_at=1))

    async def work(store: Store) -> list[int]:
        for name in ("one", "two"):
            await Accounts(store).create(name)
        circle = [("one", "two"), ("two", "one")]
        return await asyncio.gather(
            *(
                store.execute([(taking(first), {}), (pause, {}), (taking(then), {})])
                for first, then in circle
            )
        )

    with scratch_database(postgresql) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        assert with_store(url, work) == [1, 1]


def test_connection_does_not_query_array_types(postgresql: str) -> None:
    """On Citus such a query takes more than a second on each connection."""
    sent: dict[str, list[object]] = {
        "bigint[]": [1, -(2**63), None],
        "boolean[]": [True, False, None],
        "bytea[]": [b"", b"\x00", None],
        "text[]": ["", "a,b", None],
    }

    async def work(connections: ConnectionPool) -> list[str]:
        queries: list[str] = []
        async with connections.acquire() as connection:
            connection.add_query_logger(lambda query: queries.append(query.query))
            for kind, values in sent.items():
                assert await connection.fetchval(f"SELECT $1::{kind}", values) == values
            # Of what it does not know it asks.
            assert await connection.fetchval("SELECT $1::float8[]", [1.5]) == [1.5]
        return queries

    queries = with_connections(postgresql, 1, work)
    assert queries[: len(sent)] == [f"SELECT $1::{kind}" for kind in sent]
    assert "pg_type" in "".join(queries[len(sent) :])
