"""High availability: a real Patroni cluster whose primary is killed, cut off, paused and switched
over under load. Run by `make test-ha`."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest

from tests.load import Writer, audit, background_writes
from tests.patroni import TTL_SECONDS, Cluster, Node, cluster
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    count_used_replicas,
    run_regulars,
    run_server,
    wait_until,
)

pytestmark = pytest.mark.ha

VISIT = "mutation($id: ID!) { recordVisit(id: $id) { summary { visits } } }"
VISITS = "query($id: ID!) { node(id: $id) { ... on Customer { summary { visits } } } }"
# What a server says while there is no primary: it does not reach it, or waits for it too long.
AWAY = {"200", "503 errors_unavailable", "200 errors_timeout"}


@pytest.fixture(scope="module")
def patroni() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def servers(patroni: Cluster) -> Iterator[tuple[Server, Server]]:
    """Two servers on the cluster, which know every node, and read from those that are replicas."""
    patroni.wait_until_whole()
    env = {"REGULARS_READ_DATABASE_URL": " ".join(patroni.urls)}
    with run_server(patroni.url, env=env) as one, run_server(patroni.url, env=env) as two:
        yield one, two


class Visits:
    """Records visits of one customer. Each has its own idempotency key and is sent to either server
    until it is answered, so it must count once. A read afterwards must return all answered visits
    or an error; `unseen` counts the missing ones."""

    def __init__(self, servers: tuple[Server, Server]) -> None:
        with Client(servers[0], BOOTSTRAP_TOKEN) as client:
            self.id: str = client.create(f"visits{uuid4().hex}@example.com")["id"]
        self.made = self.repeated = self.unseen = 0
        self._servers = servers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Visits:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(s, BOOTSTRAP_TOKEN)) for s in self._servers]
            turn = 0
            while not self._stop.is_set():
                key = {"Idempotency-Key": uuid4().hex}
                while True:
                    turn += 1
                    try:
                        answer = clients[turn % 2].post(VISIT, {"id": self.id}, key)
                    except httpx.TransportError:
                        answer = None
                    if answer is not None and "errors" not in answer.json():
                        break
                    self.repeated += 1
                    time.sleep(0.05)
                # Once more, answered as it is: as a client does that did not get the answer.
                self.made += 1
                if self.made % 3 == 0:
                    with contextlib.suppress(httpx.TransportError):
                        clients[turn % 2].post(VISIT, {"id": self.id}, key)
                for client in clients:
                    with contextlib.suppress(httpx.TransportError):
                        answer = client.post(VISITS, {"id": self.id})
                        if "errors" not in (told := answer.json()):
                            seen = told["data"]["node"]["summary"]["visits"]
                            self.unseen += max(0, self.made - seen)


def count_answered(writers: list[list[Writer]]) -> int:
    return sum(writer.success_count for each in writers for writer in each)


def assert_survives(
    patroni: Cluster,
    servers: tuple[Server, Server],
    disturb: Callable[[Node], None],
    seconds: float,
    repair: Callable[[Node], None] = lambda _node: None,
) -> float:
    """Disturb the primary under load, and repair it when another node is the primary. Assert that
    writes succeed again within the limit in seconds, that every answered write is stored, and that
    none is stored twice. Return the seconds until writes succeed."""
    primary = patroni.wait_until_whole()
    with Visits(servers) as visits, contextlib.ExitStack() as stack:
        writers = [stack.enter_context(background_writes(s, BOOTSTRAP_TOKEN, 3)) for s in servers]
        time.sleep(2)
        before = count_answered(writers)
        assert before > 20
        began = time.monotonic()
        disturb(primary)
        patroni.primary(but=primary)
        start = count_answered(writers)
        while count_answered(writers) < start + 20:
            assert time.monotonic() < began + seconds, "writes do not go on"
            time.sleep(0.02)
        took = time.monotonic() - began
        start = count_answered(writers)
        repair(primary)
        time.sleep(3)
        assert count_answered(writers) > start + 20, "writes end when it comes back"
    patroni.wait_until_whole()
    with Client(servers[1], BOOTSTRAP_TOKEN) as client:
        for each in writers:
            assert {status for writer in each for status in writer.statuses} <= AWAY
            audit(client, each)
        found = client.node(visits.id, "... on Customer { summary { visits } }")
        assert (found["summary"]["visits"], visits.unseen) == (visits.made, 0)
    assert visits.made > 5
    wait_until(lambda: all(count_used_replicas(server) == 2 for server in servers), 30)
    result = run_regulars("verify", "--database-url", patroni.url)
    assert result.returncode == 0, result.stdout
    print(f"writes went on after {took:.1f} s; {visits.repeated} requests were sent again")
    return took


def test_the_primary_is_killed(patroni: Cluster, servers: tuple[Server, Server]) -> None:
    assert_survives(patroni, servers, lambda node: os.kill(node.postmaster, signal.SIGKILL), 20)


def test_switchover(patroni: Cluster, servers: tuple[Server, Server]) -> None:
    assert_survives(patroni, servers, patroni.switch_over, 20)


def test_the_network_of_the_primary_is_cut(
    patroni: Cluster, servers: tuple[Server, Server]
) -> None:
    """The node is cut off in both directions. A replica is promoted when its lease has ended, and it
    is a replica when it returns."""

    def cut(node: Node) -> None:
        for wire in node.wires:
            wire.cut()

    def repair(node: Node) -> None:
        for wire in node.wires:
            wire.repair()

    assert_survives(patroni, servers, cut, TTL_SECONDS + 25, repair)


def test_paused_primary_accepts_no_writes_afterwards(
    patroni: Cluster, servers: tuple[Server, Server]
) -> None:
    """The whole node is paused, replaced and resumed: first its server alone, which takes writes until
    Patroni demotes it."""

    def resume(node: Node) -> None:
        node.send(signal.SIGCONT, node.server())
        time.sleep(5)
        node.send(signal.SIGCONT)

    assert_survives(
        patroni, servers, lambda node: node.send(signal.SIGSTOP), TTL_SECONDS + 25, resume
    )
