"""Killed servers, several servers, and concurrent writers record each entry and exit once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import httpx
import pytest

from regulars.directory.verify import verify
from regulars.store import parse_url
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
)
from tests.test_watched_segments import create_segment, feed

pytestmark = [pytest.mark.both_databases, pytest.mark.slow]

KILLS = 6
COUNT = 20
QUERIES = ("tag:a", "-tag:a", "tag:b", "tag:a tag:b", "segment:s0 -tag:b")


def change_at_random(server: Server, seed: int, seconds: float = 60) -> None:
    """Change the tags of customers until the server is gone."""
    choose = random.Random(seed)  # no secret
    end = time.monotonic() + seconds
    with suppress(httpx.TransportError), Client(server, BOOTSTRAP_TOKEN) as client:
        while time.monotonic() < end:
            number = choose.randint(1, COUNT)
            client.update(str(number), tags=sorted(choose.sample("abc", choose.randint(0, 3))))


def fill(client: Client) -> None:
    for n in range(COUNT):
        client.create(f"u{n}@example.com", tags=["a"])
    for n, query in enumerate(QUERIES):
        create_segment(client, f"s{n}", announce=True, query=query)


def assert_replayed(client: Client) -> None:
    """Check that the entries and exits, replayed, give the customers of each segment. An entry that
    is missing or doubled does not fit."""
    replayed: dict[str, set[int]] = {}
    for change in feed(client):
        members = replayed.setdefault(change["actor"]["name"], set())
        if change["kind"] == "segment_entered":
            assert change["customer"]["_id"] not in members
            members.add(change["customer"]["_id"])
        elif change["kind"] == "segment_left":
            members.remove(change["customer"]["_id"])
    for n in range(len(QUERIES)):
        page = client.page("_id", query=f"segment:s{n}", first=COUNT)
        assert replayed.get(f"s{n}", set()) == {edge["node"]["_id"] for edge in page["edges"]}


def wait_until_replayed(client: Client) -> None:
    """Wait until all changes are evaluated. A second look would find a late double entry."""

    def is_replayed() -> bool:
        with suppress(AssertionError):
            assert_replayed(client)
            return True
        return False

    wait_until(is_replayed)
    time.sleep(1)
    assert_replayed(client)


def run_threads(servers: Sequence[Server], seconds: float = 60) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=change_at_random, args=(server, 10 * index + n, seconds))
        for index, server in enumerate(servers)
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    return threads


def test_a_kill_loses_and_doubles_no_entry(new_database: str) -> None:
    with run_server(new_database) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        fill(client)
    for seed in range(KILLS):
        with run_server(new_database, status=-signal.SIGKILL) as server:
            threads = run_threads([server])
            time.sleep(0.7 + random.Random(seed).random())  # no secret
            os.kill(server.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
    # On PostgreSQL, the claim of the killed server ends first.
    with run_server(new_database) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        wait_until_replayed(client)
    assert verify(parse_url(new_database)).problems == []


@pytest.mark.one_server
def test_several_servers_share_the_segments(postgresql: str) -> None:
    with scratch_database(postgresql) as url, ExitStack() as stack:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        servers = [stack.enter_context(run_server(url)) for _ in range(3)]
        client = stack.enter_context(Client(servers[0], BOOTSTRAP_TOKEN))
        fill(client)
        for thread in run_threads(servers, seconds=4):
            thread.join()
        wait_until_replayed(client)
        assert verify(parse_url(url)).problems == []
