"""Replicas: what is read from them, and that nobody reads less than they must."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.postgres import PostgreSQL, ask, with_standby
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    count_used_replicas,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
)

COUNT = "{ customers(first: 1) { totalCount } }"
SECONDS = 15


class Pair(NamedTuple):
    """A primary, its replica, and two servers that use both."""

    primary: PostgreSQL
    replica: PostgreSQL
    servers: tuple[Server, Server]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with with_standby() as (primary, replica, _):
        env = {"REGULARS_READ_DATABASE_URL": replica.dsn, "REGULARS_REPLICA_SECONDS": "2"}
        with run_server(primary.dsn, env=env) as one, run_server(primary.dsn, env=env) as two:
            yield Pair(primary, replica, (one, two))


@pytest.fixture
def clients(pair: Pair) -> Iterator[tuple[Client, Client]]:
    """The same token at both servers, which read from the replica."""
    one, two = pair.servers
    wait_until(lambda: all(count_used_replicas(server) == 1 for server in pair.servers), SECONDS)
    with Client(one, BOOTSTRAP_TOKEN) as first, Client(two, BOOTSTRAP_TOKEN) as second:
        yield first, second
    ask(pair.replica, "SELECT pg_wal_replay_resume()")


def count(client: Client, **headers: str) -> tuple[int, int]:
    """How many customers an answer tells of, and the number of the last change it has."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.post(COUNT, headers=given)
    total: int = answer.json()["data"]["customers"]["totalCount"]
    return total, int(answer.headers["Regulars-Change"])


def test_every_answer_has_the_number_of_the_last_change(client: Client) -> None:
    create = "mutation($e: String!) { createCustomer(node: {email: $e}) { _id } }"
    for number in (1, 2):
        answer = client.post(create, {"e": f"{number}@example.com"})
        assert answer.headers["Regulars-Change"] == str(number)
    assert count(client) == (2, 2)
    refused = client.post(create, {"e": "1@example.com"})
    assert refused.json()["errors"]
    assert refused.headers["Regulars-Change"] == "2"


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "", "9" * 19])
def test_a_change_that_is_no_number_is_refused(client: Client, given: str) -> None:
    answer = client.post(COUNT, headers={"Regulars-Change": given})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["key"] == "errors_bad_request"
    assert "Regulars-Change" in error["message"]


@pytest.mark.slow
def test_whoever_writes_reads_it_through_whichever_process(
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    """A replica that stands still is passed over for the primary; and is read by whoever needs no
    more than it has."""
    one, two = clients
    one.create("before@example.com")
    before = count(one)
    wait_until(lambda: count(two, Regulars_Change=str(before[1])) == before, SECONDS)
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    one.create("after@example.com")
    after = (before[0] + 1, before[1] + 1)
    # Whoever says nothing reads what was answered before, at once.
    assert count(two) == count(one) == after
    # Whoever says what is needed reads that; the replica has no more than it.
    assert count(two, Regulars_Change=str(before[1])) == before
    assert count(two, Regulars_Change=str(after[1])) == after
    # What a mutation shows is the primary's, whatever it is sent with.
    again = one.post(
        'mutation { createCustomer(node: {email: "after@example.com"}) { _id } }',
        headers={"Regulars-Change": str(before[1])},
    )
    assert [error["key"] for error in again.json()["errors"]] == ["errors_dup_email"]
    ask(pair.replica, "SELECT pg_wal_replay_resume()")
    wait_until(lambda: count(two, Regulars_Change=str(before[1])) == after, SECONDS)


@pytest.mark.slow
def test_a_cursor_that_a_replica_has_not_come_to_is_asked_of_the_primary(
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    one, two = clients
    feed = """query($after: String) { customerChanges(first: 100, after: $after) {
        edges { node { sequence } } pageInfo { endCursor } } }"""
    _, change = count(one)
    wait_until(lambda: count(two, Regulars_Change=str(change))[1] == change, SECONDS)
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    one.create("feed@example.com")
    after = one.data(feed)["customerChanges"]["pageInfo"]["endCursor"]
    answer = two.post(feed, {"after": after}, {"Regulars-Change": str(change)})
    assert answer.json()["data"]["customerChanges"]["edges"] == []


@pytest.mark.slow
def test_a_replica_that_is_behind_is_left_out_and_comes_back(
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    one, two = clients
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    end = time.monotonic() + 15
    number = 0
    while count_used_replicas(pair.servers[1]) and time.monotonic() < end:
        one.create(f"behind{number}@example.com")
        number += 1
        time.sleep(0.2)
    assert count_used_replicas(pair.servers[1]) == 0
    # Even whoever needs nothing reads the newest.
    assert count(two, Regulars_Change="0") == count(one)
    ask(pair.replica, "SELECT pg_wal_replay_resume()")
    wait_until(lambda: count_used_replicas(pair.servers[1]) == 1, SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_replica_that_is_gone_costs_no_request(
    pair: Pair, clients: tuple[Client, Client], how: str
) -> None:
    one, two = clients
    with gone(pair.replica, how):
        end = time.monotonic() + 4
        number = 0
        while time.monotonic() < end:
            one.create(f"{how}{number}@example.com")
            began = time.monotonic()
            assert count(two) == count(one)
            assert time.monotonic() - began < 3
            number += 1
        assert count_used_replicas(pair.servers[0]) == count_used_replicas(pair.servers[1]) == 0
    wait_until(lambda: all(count_used_replicas(server) == 1 for server in pair.servers), SECONDS)
    assert count(two) == count(one)


@contextmanager
def gone(server: PostgreSQL, how: str) -> Iterator[None]:
    """It is killed, or stands still, until the block ends."""
    if how == "stopped":
        with server.paused():
            yield
        return
    processes = server.first.children()
    server.kill()
    try:
        yield
    finally:
        (server.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        wait_until(lambda: not any(one.is_running() for one in processes), SECONDS)
        server.start()


def replica_of_doctor(url: str, replica: str) -> tuple[str, str]:
    """What doctor finds of a replica."""
    command = ("doctor", "--json", "--database-url", url, "--read-database-url", replica)
    findings = json.loads(run_regulars(*command).stdout)
    (found,) = [finding for finding in findings if finding["what"] == "replica"]
    return found["state"], found["message"]


@pytest.mark.slow
def test_doctor_looks_at_replicas(pair: Pair) -> None:
    state, message = replica_of_doctor(pair.primary.dsn, pair.replica.dsn)
    assert (state, message.endswith(" s behind.")) == ("ok", True)


def test_doctor_tells_what_is_no_replica(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        state, message = replica_of_doctor(url, url)
        assert (state, "takes writes" in message) == ("warn", True)
        state, message = replica_of_doctor(url, "postgresql://127.0.0.1:1/x")
        assert (state, "cannot be reached" in message) == ("warn", True)


@pytest.mark.slow
def test_a_server_that_takes_writes_is_no_replica(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        with run_server(url, env={"REGULARS_READ_DATABASE_URL": url}) as server:
            time.sleep(1.5)
            assert count_used_replicas(server) == 0
            with Client(server, BOOTSTRAP_TOKEN) as client:
                client.create("a@example.com")
                assert count(client) == (1, 1)


@pytest.mark.parametrize(
    ("database", "replicas"),
    [
        ("sqlite:///x.db", "postgresql://127.0.0.1/x"),
        ("postgresql://127.0.0.1/x", "sqlite:///x.db"),
    ],
)
def test_replicas_are_postgresqls(tmp_path: Path, database: str, replicas: str) -> None:
    done = run_regulars(
        "serve", env={"REGULARS_DATABASE_URL": database, "REGULARS_READ_DATABASE_URL": replicas}
    )
    assert done.returncode == 2
    assert "REGULARS_READ_DATABASE_URL" in done.stderr
