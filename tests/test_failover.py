"""A primary whose place another has taken, and that does not know it."""

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

pytestmark = pytest.mark.slow
SECONDS = 10


def emails(server: PostgreSQL) -> set[str]:
    """Those of all customers that a server has."""
    return set(ask(server, "SELECT array_agg(email) FROM customers"))


def written(server: Server) -> str:
    """The address of a customer that a server was asked to create."""
    with Client(server, BOOTSTRAP_TOKEN) as client:
        email = f"{uuid4().hex}@example.com"
        client.create(email)
    return email


def arrives(server: Server, there: PostgreSQL) -> bool:
    """Whether what a server is asked to create is there; not, where it says to try again."""
    email = f"{uuid4().hex}@example.com"
    create = "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"
    with Client(server, BOOTSTRAP_TOKEN) as client:
        answer = client.post(create, {"e": email})
    assert answer.status_code in (200, 503)
    return answer.status_code == 200 and email in emails(there)


@pytest.fixture
def two() -> Iterator[tuple[PostgreSQL, PostgreSQL, str]]:
    """A primary, its standby, and the URL that names both."""
    with with_standby() as made:
        yield made


def test_a_primary_whose_place_another_has_is_not_asked(
    two: tuple[PostgreSQL, PostgreSQL, str],
) -> None:
    """Both say that they take writes, as when one comes back from a pause."""
    old, new, url = two
    with run_server(url) as server:
        before = written(server)
        wait_until(lambda: before in emails(new), SECONDS)
        new.promote()
        wait_until(lambda: arrives(server, new), SECONDS)
        last = emails(old)
        assert {written(server) for _ in range(20)} <= emails(new)
        with run_server(url) as second:  # which has never met another
            wait_until(lambda: arrives(second, new), SECONDS)
            assert {written(second) for _ in range(20)} <= emails(new)
        last_of_all = emails(old)
        assert last_of_all >= last
        # Rather nothing than what is old.
        new.stop()
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for _ in range(20):
                assert client.post("{ customers(first: 1) { totalCount } }").status_code == 503
        new.start()
        wait_until(lambda: arrives(server, new), SECONDS)
        assert emails(old) == last_of_all


def port_of(url: str) -> int:
    """The port of the server that is connected to."""

    async def run() -> int:
        connection = await connect(url)
        try:
            return int(await connection.fetchval("SHOW port"))
        finally:
            await connection.close()

    return asyncio.run(run())


def test_of_two_that_take_writes_the_newer_is_connected_to(
    two: tuple[PostgreSQL, PostgreSQL, str],
) -> None:
    old, new, url = two
    assert port_of(url) == old.port
    new.promote()
    assert {port_of(url) for _ in range(20)} == {new.port}


def test_one_that_says_late_that_it_takes_writes_is_not_believed(
    two: tuple[PostgreSQL, PostgreSQL, str],
) -> None:
    """It was asked while it stood still; the other was not the primary yet."""
    old, new, url = two
    with ThreadPoolExecutor() as pool:
        with old.paused():
            asked = pool.submit(port_of, url)
            time.sleep(1)
            new.promote()
        assert asked.result(SECONDS) == new.port
