"""The bulkhead: requests that would delay other accounts run in a worker process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from regulars.http.bulkhead import PROGRAM
from regulars.http.noisy_neighbor import EXPENSIVE_COST, FAIR_SHARE, NoisyNeighborDetector
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    busy,
    eventually,
    figures,
    new_token,
    processes,
    running,
)

PAGE = "{ customers(first: 5) { totalCount edges { node { id email } } } }"
WHOLE = """{ customers(first: 250) { edges { node { id email full_name notes tags location avatar
    created_at updated_at expenses orders_count summary { visits } leads { subject }
    changes(first: 5) { edges { node { kind } } } } } } }"""
JSON = {"Content-Type": "application/json"}
SECONDS = 30


def test_an_account_alone_is_not_noisy() -> None:
    detector = NoisyNeighborDetector()
    assert not any(detector.is_noisy(1, EXPENSIVE_COST, 100) for _ in range(10))


def test_an_expensive_request_is_noisy_beside_another_account() -> None:
    detector = NoisyNeighborDetector()
    assert not detector.is_noisy(1, 1, 1)
    assert not detector.is_noisy(2, EXPENSIVE_COST - 1, 1)
    assert detector.is_noisy(2, EXPENSIVE_COST, 1)


def test_a_flood_stays_noisy_for_a_while() -> None:
    detector = NoisyNeighborDetector()
    assert not detector.is_noisy(1, 1, 1)
    assert not detector.is_noisy(2, 1, FAIR_SHARE)
    assert detector.is_noisy(2, 1, FAIR_SHARE + 1)
    assert detector.is_noisy(2, 1, 1)
    assert not detector.is_noisy(1, 1, FAIR_SHARE)


def test_floods_are_not_noisy_to_each_other() -> None:
    detector = NoisyNeighborDetector()
    assert not any(detector.is_noisy(n % 2, 1, FAIR_SHARE + 1) for n in range(10))


def workers(server: Server) -> list[psutil.Process]:
    """The worker processes of a server's bulkhead."""
    return processes(server.pid, PROGRAM)


def forwarded(server: Server) -> float:
    """How many requests the server has forwarded."""
    return figures(server.url).get("regulars_requests_passed_on_total", 0.0)


def read_slowly(client: Client) -> None:
    """Reads a page, with pauses."""
    client.data(PAGE)
    time.sleep(0.02)


@contextmanager
def flooded(url: str, *options: str) -> Iterator[tuple[Server, Client]]:
    """A server on which one account reads slowly, and another floods and is forwarded; and a client of
    the flooding account."""
    with running(url, *options) as server:
        token = new_token(server)
        with (
            busy(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            busy(server, lambda client: client.post(PAGE), token, FAIR_SHARE + 4),
            Client(server, token) as client,
        ):
            eventually(lambda: forwarded(server))
            yield server, client


@pytest.mark.slow
def test_forwarded_requests_have_the_usual_responses(new_database: str) -> None:
    """Reads, writes, errors and headers."""
    most = 10_000
    with flooded(new_database, "--max-body-bytes", str(most)) as (server, client):
        made = client.create("ada@example.com", "id email", tags=["vip"])
        assert client.emails("tag:vip") == ["ada@example.com"]
        assert client.node(made["id"], "... on Customer { email }") == {"email": "ada@example.com"}
        client.refused(
            "errors_dup_email",
            "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }",
            e="ada@example.com",
        )
        create = 'mutation { createCustomer(node: {email: "b@example.com"}) { email } }'
        first, again = (client.post(create, headers={"Idempotency-Key": "1"}) for _ in range(2))
        assert (
            first.json() == again.json() == {"data": {"createCustomer": {"email": "b@example.com"}}}
        )
        assert again.headers["idempotent-replayed"] == "true"
        answer = client.post(
            PAGE, headers={"Regulars-Cost": "1", "X-Request-Id": "mine", "Regulars-Change": "2"}
        )
        assert answer.headers["x-request-id"] == "mine"
        assert answer.headers["regulars-change"] == "2"
        assert answer.json()["extensions"]["cost"]["requested"] > 0
        assert client.post(PAGE, headers={"Regulars-Change": "x"}).status_code == 400
        text = "{ customers(first: 1) { nothing } }"
        media = "application/graphql-response+json"
        refused = client.post(text, headers={"Accept": media})
        assert refused.status_code == 400
        assert refused.headers["content-type"] == media
        deep: Any = 1
        for _ in range(300):
            deep = [deep]
        assert client.post(PAGE, {"unasked": deep}).status_code == 200
        filled = b'{"query":"{customers(first:1){totalCount}}%s"}'
        filled %= b" " * (most - len(filled) + 2)
        assert client.http.post("/api/v2", content=filled, headers=JSON).status_code == 200
        assert client.http.post("/api/v2", content=filled + b" ", headers=JSON).status_code == 413
        assert len(workers(server)) == 1


@pytest.mark.slow
def test_forwarded_requests_count_in_the_rate(new_database: str) -> None:
    """The cost is taken from the token's rate, and the response says what is left."""
    options = ("--rate-limit", "500", "--rate-burst", "20000")
    with flooded(new_database, *options) as (_, client):
        # Expensive enough to use up the rate soon, even if the flood is served slowly.
        answer = client.post(WHOLE, headers={"Regulars-Cost": "1"})
        while answer.status_code == 200:
            cost = answer.json()["extensions"]["cost"]
            assert cost["requested"] >= EXPENSIVE_COST
            assert 0 <= cost["remaining"] <= 20_000
            answer = client.post(WHOLE, headers={"Regulars-Cost": "1"})
        assert answer.status_code == 429


@pytest.mark.slow
def test_expensive_requests_are_forwarded(new_database: str) -> None:
    with running(new_database) as server:
        with (
            busy(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            Client(server, new_token(server)) as client,
        ):
            client.create("ada@example.com")

            def ask() -> float:
                assert len(client.data(WHOLE)["customers"]["edges"]) == 1
                return forwarded(server)

            eventually(ask)


@pytest.mark.slow
def test_the_bulkhead_can_be_switched_off(new_database: str) -> None:
    with running(new_database, "--no-bulkhead") as server:
        token = new_token(server)
        with busy(server, read_slowly, BOOTSTRAP_TOKEN, 1), Client(server, token) as client:
            for _ in range(20):
                client.data(WHOLE)
        assert forwarded(server) == 0
        assert workers(server) == []


@pytest.mark.slow
def test_a_killed_worker_loses_no_read_and_reports_writes(new_database: str) -> None:
    """The server repeats its reads, and answers 503 to a write that may have been made. Then another
    worker starts."""
    statuses: set[tuple[str, int]] = set()

    def ask(client: Client) -> None:
        statuses.add(("read", client.post(PAGE).status_code))

    def change(client: Client) -> None:
        visit = "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"
        answer = client.post(
            visit, {"e": f"{time.monotonic_ns()}@{threading.get_ident()}.example.com"}
        )
        statuses.add(("write", answer.status_code))
        if answer.status_code == 503:
            (error,) = answer.json()["errors"]
            assert error["key"] == "errors_unavailable"
            assert "Idempotency-Key" in error["message"]

    with flooded(new_database) as (server, client):
        with busy(server, ask, client.token, 4), busy(server, change, client.token, 4):
            (first,) = workers(server)
            time.sleep(0.5)
            os.kill(first.pid, signal.SIGKILL)
            eventually(lambda: {one.pid for one in workers(server)} - {first.pid})
            before = forwarded(server)
            eventually(lambda: forwarded(server) > before)
    assert {status for kind, status in statuses if kind == "read"} == {200}
    assert {status for kind, status in statuses if kind == "write"} <= {200, 503}


@pytest.mark.slow
def test_the_server_repeats_the_reads_of_a_paused_worker(new_database: str) -> None:
    """And forwards again once the worker continues."""
    with flooded(new_database) as (server, client):
        (process,) = workers(server)
        process.suspend()
        try:
            eventually(lambda: client.post(PAGE).status_code == 200)
            began, before = time.monotonic(), forwarded(server)
            for _ in range(20):
                assert client.post(PAGE).status_code == 200
            assert time.monotonic() - began < 5
            assert forwarded(server) == before
        finally:
            process.resume()
        eventually(lambda: forwarded(server) > before)
        assert client.post(PAGE).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_worker_stops_with_the_server(new_database: str, number: signal.Signals) -> None:
    status = -number if number == signal.SIGKILL else 0
    with running(new_database, status=status) as server:
        token = new_token(server)
        with busy(server, read_slowly, BOOTSTRAP_TOKEN, 1), Client(server, token) as client:
            eventually(lambda: client.data(WHOLE) and forwarded(server))
        (process,) = workers(server)
        server.end(number)
        process.wait(SECONDS)
