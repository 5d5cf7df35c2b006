"""The processes of `regulars serve --workers N`: each of them may end, or stand still."""

from __future__ import annotations

import os
import signal
import socket
import time
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.load import audit, writing
from tests.postgres import folders
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    eventually,
    get,
    running,
    workers,
)

pytestmark = pytest.mark.slow

TWO = ("--workers", "2")
READ = "{ customers(first: 1) { totalCount } }"


def begun(server: Server) -> list[int]:
    """The two processes, once requests are answered."""
    eventually(lambda: len(workers(server.pid)) == 2)
    for _ in range(20):
        assert get(f"{server.url}/readyz").status_code == 200
    return workers(server.pid)


def replaced(server: Server, one: int) -> bool:
    """Whether there are two processes beside one that ends."""
    return len({*workers(server.pid)} - {one}) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
def test_another_takes_the_place_of_each(new_postgresql: str, number: int) -> None:
    with running(new_postgresql, *TWO) as server:
        before = begun(server)
        with writing(server, BOOTSTRAP_TOKEN, 6) as writers:
            time.sleep(1)
            for one in before:
                os.kill(one, number)
                eventually(partial(replaced, server, one))
                time.sleep(1)
        with Client(server, BOOTSTRAP_TOKEN) as client:
            assert audit(client, writers) > 100
        # Whoever was being answered by it got no answer, and nobody got a wrong one.
        assert {status for writer in writers for status in writer.statuses} <= {"200", "nothing"}


def test_they_end_with_the_one_that_looks_after_them(new_postgresql: str) -> None:
    """They would keep the port from the next server."""
    with running(new_postgresql, *TWO, status=-signal.SIGKILL) as server:
        begun(server)
        port = urlsplit(server.url).port
        with writing(server, BOOTSTRAP_TOKEN, 4) as writers:
            time.sleep(1)
            os.kill(server.pid, signal.SIGKILL)

            def free() -> bool:
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) != 0

            eventually(free)
    with running(new_postgresql, *TWO, "--port", str(port)) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            assert audit(client, writers) > 100


def test_one_that_begins_without_the_database_stops_nobody() -> None:
    """A process ends while the database is away: another takes its place, and answers that
    it is."""
    with folders(1) as (primary,):
        primary.initialise()
        primary.start()
        with running(primary.dsn, *TWO) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            first, second = begun(server)
            primary.kill()
            os.kill(first, signal.SIGKILL)
            eventually(partial(replaced, server, first))
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert get(f"{server.url}/healthz").status_code == 200
                assert get(f"{server.url}/readyz").status_code == 503
            third = workers(server.pid)
            assert second in third
            assert client.post(READ).status_code == 503
            primary.start()
            for _ in range(20):
                eventually(lambda: get(f"{server.url}/readyz").status_code == 200)
            assert client.post(READ).is_success
            assert workers(server.pid) == third
