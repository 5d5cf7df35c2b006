"""Replicas: which requests read from them, and that no request reads data that is too old."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from regulars.core.ids import encoder
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

pytestmark = pytest.mark.both_databases

COUNT = "{ customers(first: 1) { totalCount } }"
SECONDS = 60


class Pair(NamedTuple):
    """A primary, its replica, and two servers that use both."""

    primary: PostgreSQL
    replica: PostgreSQL
    servers: tuple[Server, Server]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with with_standby() as (primary, replica, _):
        env = {"REGULARS_READ_DATABASE_URL": replica.dsn, "REGULARS_REPLICA_SECONDS": "2"}
        with run_server(primary.dsn, env=env) as writer, run_server(primary.dsn, env=env) as reader:
            yield Pair(primary, replica, (writer, reader))


@pytest.fixture
def clients(pair: Pair) -> Iterator[tuple[Client, Client]]:
    """Two clients with the same token, one for each server; the servers read from the replica."""
    writer, reader = pair.servers
    wait_until(lambda: all(count_used_replicas(server) == 1 for server in pair.servers), SECONDS)
    with Client(writer, BOOTSTRAP_TOKEN) as first, Client(reader, BOOTSTRAP_TOKEN) as second:
        yield first, second
    ask(pair.replica, "SELECT pg_wal_replay_resume()")


def count(client: Client, **headers: str) -> tuple[int, int]:
    """Return the number of customers in a response, and the number of the last change."""
    http_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.post(COUNT, headers=http_headers)
    total: int = answer.json()["data"]["customers"]["totalCount"]
    return total, int(answer.headers["Regulars-Change"])


def test_response_has_the_number_of_the_last_change(client: Client) -> None:
    create = "mutation($e: String!) { createCustomer(node: {email: $e}) { _id } }"
    for number in (1, 2):
        answer = client.post(create, {"e": f"{number}@example.com"})
        assert answer.headers["Regulars-Change"] == str(number)
    assert count(client) == (2, 2)
    rejected = client.post(create, {"e": "1@example.com"})
    assert rejected.json()["errors"]
    assert rejected.headers["Regulars-Change"] == "2"
    node = "query($id: ID!) { node(id: $id) { ... on Customer { leads { _id } email } } }"
    for number, email in ((1, "1@example.com"), (9, None)):
        answer = client.post(node, {"id": encoder("Customer")([number])[0]})
        customer = answer.json()["data"]["node"]
        assert customer == (email and {"leads": [], "email": email})
        assert answer.headers["Regulars-Change"] == "2"


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "9" * 19])
def test_a_change_that_is_no_number_is_refused(client: Client, value: str) -> None:
    answer = client.post(COUNT, headers={"Regulars-Change": value})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["key"] == "errors_bad_request"
    assert "Regulars-Change" in error["message"]


@pytest.mark.slow
def test_client_reads_its_own_write_through_any_process(
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    """A replica that does not replay is read only by requests that need no newer changes. Other
    requests read the primary."""
    writer, reader = clients
    writer.create("before@example.com")
    segment = 'mutation { createSegment(node: {name: "moving", query: "tag:none"}) { id } }'
    segment_id = writer.data(segment)["createSegment"]["id"]
    before = count(writer)
    wait_until(lambda: count(reader, Regulars_Change=str(before[1])) == before, SECONDS)
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    writer.create("after@example.com")
    after = (before[0] + 1, before[1] + 1)
    # A client without the header reads every answered write, at once.
    assert count(reader) == count(writer) == after
    # A client with the header reads the change that it names; the replica has no later one.
    assert count(reader, Regulars_Change=str(before[1])) == before
    assert count(reader, Regulars_Change=str(after[1])) == after
    # The history does not number changes of segments. The next search has them nevertheless.
    update = 'mutation($id: ID!) { updateSegment(id: $id, node: {query: "before"}) { id } }'
    writer.data(update, id=segment_id)
    document = '{ customers(query: "segment:moving") { totalCount } }'
    answer = reader.post(document, headers={"Regulars-Change": str(before[1])})
    assert answer.json()["data"] == {"customers": {"totalCount": 1}}
    assert answer.headers["Regulars-Change"] == str(before[1])
    # What a mutation shows is the primary's, whatever it is sent with.
    again = writer.post(
        'mutation { createCustomer(node: {email: "after@example.com"}) { _id } }',
        headers={"Regulars-Change": str(before[1])},
    )
    assert [error["key"] for error in again.json()["errors"]] == ["errors_dup_email"]
    ask(pair.replica, "SELECT pg_wal_replay_resume()")
    wait_until(lambda: count(reader, Regulars_Change=str(before[1])) == after, SECONDS)


@pytest.mark.slow
def test_dry_run_is_decided_on_the_primary(pair: Pair, clients: tuple[Client, Client]) -> None:
    """A dry run sees the customers of the primary, also where a query may read a replica that lacks
    them, and announces the change that the write then makes."""
    writer, reader = clients
    old = writer.create("old@example.com")
    before = count(writer)
    headers = {"Regulars-Change": str(before[1])}
    wait_until(lambda: count(reader, Regulars_Change=str(before[1])) == before, SECONDS)
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    new = writer.create("new@example.com")
    writer.update(old["id"], first_name="Ana")
    after = (before[0] + 1, before[1] + 2)
    assert count(reader, Regulars_Change=str(before[1])) == before  # the replica has neither

    def run(call: str) -> dict[str, Any]:
        answer = reader.post(f"mutation {{ {call} }}", headers=headers)
        assert isinstance(answer.json(), dict)
        return dict(answer.json())

    create = 'createCustomer(node: {email: "new@example.com"}, dryRun: true) { id }'
    assert [error["key"] for error in run(create)["errors"]] == ["errors_dup_email"]
    update = 'updateCustomer(id: "%s", node: {last_name: "B"}%s) { version full_name }'
    assert run(update % (old["id"], ", dryRun: true"))["data"]["updateCustomer"] == {
        "version": 3,
        "full_name": "Ana B",
    }
    delete = f'deleteCustomers(items: ["{new["id"]}"], dryRun: true)'
    announced = run(delete)
    assert announced["data"]["deleteCustomers"] == [new["id"]]
    assert announced["extensions"]["dry_run"]
    assert count(writer) == count(reader) == after
    assert run(update % (old["id"], ""))["data"]["updateCustomer"]["full_name"] == "Ana B"


@pytest.mark.slow
def test_cursor_beyond_the_replica_is_read_from_the_primary(
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    writer, reader = clients
    feed = """query($after: String) { customerChanges(first: 100, after: $after) {
        edges { node { sequence } } pageInfo { endCursor } } }"""
    _, change = count(writer)
    wait_until(lambda: count(reader, Regulars_Change=str(change))[1] == change, SECONDS)
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    writer.create("feed@example.com")
    after = writer.data(feed)["customerChanges"]["pageInfo"]["endCursor"]
    answer = reader.post(feed, {"after": after}, {"Regulars-Change": str(change)})
    assert answer.json()["data"]["customerChanges"]["edges"] == []


@pytest.mark.slow
def test_lagging_replica_is_ejected_and_readmitted(
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    writer, reader = clients
    ask(pair.replica, "SELECT pg_wal_replay_pause()")
    end = time.monotonic() + 60
    number = 0
    while count_used_replicas(pair.servers[1]) and time.monotonic() < end:
        writer.create(f"behind{number}@example.com")
        number += 1
        time.sleep(0.2)
    assert count_used_replicas(pair.servers[1]) == 0
    # Even a client that needs no change reads the newest state.
    assert count(reader, Regulars_Change="0") == count(writer)
    ask(pair.replica, "SELECT pg_wal_replay_resume()")
    wait_until(lambda: count_used_replicas(pair.servers[1]) == 1, SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_lost_replica_fails_no_request(
    pair: Pair, clients: tuple[Client, Client], how: str
) -> None:
    writer, reader = clients
    with lost_server(pair.replica, how):
        end = time.monotonic() + 4
        number = 0
        while time.monotonic() < end:
            writer.create(f"{how}{number}@example.com")
            began = time.monotonic()
            assert count(reader) == count(writer)
            assert time.monotonic() - began < 8
            number += 1
        assert count_used_replicas(pair.servers[0]) == count_used_replicas(pair.servers[1]) == 0
    wait_until(lambda: all(count_used_replicas(server) == 1 for server in pair.servers), SECONDS)
    assert count(reader) == count(writer)


@contextmanager
def lost_server(server: PostgreSQL, how: str) -> Iterator[None]:
    """Kill or pause a server until the block ends."""
    if how == "stopped":
        with server.paused():
            yield
        return
    find_processes = server.first.children()
    server.kill()
    try:
        yield
    finally:
        (server.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        wait_until(lambda: not any(process.is_running() for process in find_processes), SECONDS)
        server.start()


def replica_of_doctor(url: str, replica: str) -> tuple[str, str]:
    """Return the state and the message of doctor about a replica."""
    command = ("doctor", "--json", "--database-url", url, "--read-database-url", replica)
    findings = json.loads(run_regulars(*command).stdout)
    (replica_finding,) = [finding for finding in findings if finding["what"] == "replica"]
    return replica_finding["state"], replica_finding["message"]


@pytest.mark.slow
def test_doctor_checks_replicas(pair: Pair) -> None:
    state, message = replica_of_doctor(pair.primary.dsn, pair.replica.dsn)
    assert (state, message.endswith(" s behind the primary.")) == ("ok", True)


@pytest.mark.slow
def test_doctor_reports_a_server_that_is_no_replica(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        state, message = replica_of_doctor(url, url)
        assert (state, "not a replica" in message) == ("warn", True)
        state, message = replica_of_doctor(url, "postgresql://127.0.0.1:1/x")
        assert (state, "cannot be reached" in message) == ("warn", True)


@pytest.mark.slow
def test_server_that_takes_writes_is_not_used_as_a_replica(postgresql: str) -> None:
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
def test_replicas_need_postgresql(tmp_path: Path, database: str, replicas: str) -> None:
    result = run_regulars(
        "serve", env={"REGULARS_DATABASE_URL": database, "REGULARS_READ_DATABASE_URL": replicas}
    )
    assert result.returncode == 2
    assert "REGULARS_READ_DATABASE_URL" in result.stderr
