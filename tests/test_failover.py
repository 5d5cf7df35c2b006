"""Failover: a former primary that does not know that it was replaced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from regulars.store.postgresql.connect import connect
from tests.postgres import PostgreSQL, ask, with_standby
from tests.support import BOOTSTRAP_TOKEN, Client, Server, run_server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.both_databases]
SECONDS = 60


def emails(server: PostgreSQL) -> set[str]:
    """Return the emails of all customers in a database."""
    return set(ask(server, "SELECT coalesce(array_agg(email), '{}') FROM customers"))


def create_customer(server: Server) -> str:
    """Create a customer; return its email."""
    with Client(server, BOOTSTRAP_TOKEN) as client:
        email = f"{uuid4().hex}@example.com"
        client.create(email)
    return email


def reaches(server: Server, server_with_row: PostgreSQL) -> bool:
    """Create a customer; return whether the database has it. False if the server refuses."""
    email = f"{uuid4().hex}@example.com"
    create = "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"
    with Client(server, BOOTSTRAP_TOKEN) as client:
        answer = client.post(create, {"e": email})
    assert answer.status_code in (200, 503)
    return answer.status_code == 200 and email in emails(server_with_row)


@pytest.fixture
def primary_and_standby() -> Iterator[tuple[PostgreSQL, PostgreSQL, str]]:
    """A primary, its standby, and the URL with both hosts."""
    with with_standby() as servers:
        yield servers


def test_former_primary_receives_no_queries(
    primary_and_standby: tuple[PostgreSQL, PostgreSQL, str],
) -> None:
    """Both servers take writes, as after a pause of the former primary."""
    old, new, url = primary_and_standby
    with run_server(url) as server:
        before = create_customer(server)
        wait_until(lambda: before in emails(new), SECONDS)
        new.promote()
        wait_until(lambda: reaches(server, new), SECONDS)
        last = emails(old)
        assert {create_customer(server) for _ in range(20)} <= emails(new)
        with run_server(url) as second:  # which has never met another
            wait_until(lambda: reaches(second, new), SECONDS)
            assert {create_customer(second) for _ in range(20)} <= emails(new)
        last_of_all = emails(old)
        assert last_of_all >= last
        # Rather nothing than what is old.
        new.stop()
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for _ in range(20):
                assert client.post("{ customers(first: 1) { totalCount } }").status_code == 503
        new.start()
        wait_until(lambda: reaches(server, new), SECONDS)
        assert emails(old) == last_of_all


def port_of(url: str) -> int:
    """Return the port of the server that a connection reaches."""

    async def run() -> int:
        connection = await connect(url)
        try:
            return int(await connection.fetchval("SHOW port"))
        finally:
            await connection.close()

    return asyncio.run(run())


def test_primary_with_the_newer_timeline_is_used(
    primary_and_standby: tuple[PostgreSQL, PostgreSQL, str],
) -> None:
    old, new, url = primary_and_standby
    assert port_of(url) == old.port
    new.promote()
    assert {port_of(url) for _ in range(20)} == {new.port}


def test_primary_that_answers_late_is_not_used(
    primary_and_standby: tuple[PostgreSQL, PostgreSQL, str],
) -> None:
    """The connection begins while the old primary is paused and the other is still a standby."""
    old, new, url = primary_and_standby
    with ThreadPoolExecutor() as pool:
        with old.paused():
            future = pool.submit(port_of, url)
            time.sleep(1)
            new.promote()
        assert future.result(SECONDS) == new.port
