"""What would keep other accounts waiting is worked on in a process of its own."""

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

from regulars.http.bulkhead import EXPENSIVE_COST, FAIR_SHARE, PROGRAM, NoisyNeighborDetector
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


def test_whoever_asks_alone_disturbs_nobody() -> None:
    asked = NoisyNeighborDetector()
    assert not any(asked.is_noisy(1, EXPENSIVE_COST, 100) for _ in range(10))


def test_what_is_dear_disturbs_another_account() -> None:
    asked = NoisyNeighborDetector()
    assert not asked.is_noisy(1, 1, 1)
    assert not asked.is_noisy(2, EXPENSIVE_COST - 1, 1)
    assert asked.is_noisy(2, EXPENSIVE_COST, 1)


def test_a_flood_disturbs_who_asks_for_little_and_is_known_for_a_while() -> None:
    asked = NoisyNeighborDetector()
    assert not asked.is_noisy(1, 1, 1)
    assert not asked.is_noisy(2, 1, FAIR_SHARE)
    assert asked.is_noisy(2, 1, FAIR_SHARE + 1)
    assert asked.is_noisy(2, 1, 1)
    assert not asked.is_noisy(1, 1, FAIR_SHARE)


def test_floods_do_not_disturb_each_other() -> None:
    asked = NoisyNeighborDetector()
    assert not any(asked.is_noisy(n % 2, 1, FAIR_SHARE + 1) for n in range(10))


def compartments(server: Server) -> list[psutil.Process]:
    """The processes that the server has begun for the bulkhead."""
    return processes(server.pid, PROGRAM)


def passed(server: Server) -> float:
    """How many requests have been passed on."""
    return figures(server.url).get("regulars_requests_passed_on_total", 0.0)


def read_little(client: Client) -> None:
    """What somebody asks who asks for little."""
    client.data(PAGE)
    time.sleep(0.02)


@contextmanager
def disturbed(url: str, *options: str) -> Iterator[tuple[Server, Client]]:
    """A server, where one account asks for little, and another floods it with its list and is
    passed on: a client of the latter."""
    with running(url, *options) as server:
        token = new_token(server)
        with (
            busy(server, read_little, BOOTSTRAP_TOKEN, 1),
            busy(server, lambda client: client.post(PAGE), token, FAIR_SHARE + 4),
            Client(server, token) as client,
        ):
            eventually(lambda: passed(server))
            yield server, client


@pytest.mark.slow
def test_what_is_passed_on_is_answered_as_ever(empty_database: str) -> None:
    """Reads, writes, refusals, headers: as they are answered otherwise."""
    most = 10_000
    with disturbed(empty_database, "--max-body-bytes", str(most)) as (server, client):
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
        assert len(compartments(server)) == 1


@pytest.mark.slow
def test_the_rate_is_that_of_all(empty_database: str) -> None:
    """What is passed on is taken from the token's rate, and told what is left of it."""
    options = ("--rate-limit", "500", "--rate-burst", "20000")
    with disturbed(empty_database, *options) as (_, client):
        # So dear that the rate is soon spent, however slowly a flood is worked on.
        answer = client.post(WHOLE, headers={"Regulars-Cost": "1"})
        while answer.status_code == 200:
            cost = answer.json()["extensions"]["cost"]
            assert cost["requested"] >= EXPENSIVE_COST
            assert 0 <= cost["remaining"] <= 20_000
            answer = client.post(WHOLE, headers={"Regulars-Cost": "1"})
        assert answer.status_code == 429


@pytest.mark.slow
def test_what_is_dear_is_passed_on(empty_database: str) -> None:
    with running(empty_database) as server:
        with (
            busy(server, read_little, BOOTSTRAP_TOKEN, 1),
            Client(server, new_token(server)) as client,
        ):
            client.create("ada@example.com")

            def ask() -> float:
                assert len(client.data(WHOLE)["customers"]["edges"]) == 1
                return passed(server)

            eventually(ask)


@pytest.mark.slow
def test_there_is_none_where_it_is_not_wanted(empty_database: str) -> None:
    with running(empty_database, "--no-bulkhead") as server:
        token = new_token(server)
        with busy(server, read_little, BOOTSTRAP_TOKEN, 1), Client(server, token) as client:
            for _ in range(20):
                client.data(WHOLE)
        assert passed(server) == 0
        assert compartments(server) == []


@pytest.mark.slow
def test_its_end_loses_no_read_and_tells_of_writes(empty_database: str) -> None:
    """It is killed: what it was reading is read by the server, and a write that it may have made is
    answered 503. Another is begun."""
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

    with disturbed(empty_database) as (server, client):
        with busy(server, ask, client.token, 4), busy(server, change, client.token, 4):
            (first,) = compartments(server)
            time.sleep(0.5)
            os.kill(first.pid, signal.SIGKILL)
            eventually(lambda: {one.pid for one in compartments(server)} - {first.pid})
            before = passed(server)
            eventually(lambda: passed(server) > before)
    assert {status for kind, status in statuses if kind == "read"} == {200}
    assert {status for kind, status in statuses if kind == "write"} <= {200, 503}


@pytest.mark.slow
def test_what_a_paused_one_was_reading_is_read_by_the_server(empty_database: str) -> None:
    """And it is passed on again once the process goes on."""
    with disturbed(empty_database) as (server, client):
        (process,) = compartments(server)
        process.suspend()
        try:
            eventually(lambda: client.post(PAGE).status_code == 200)
            began, before = time.monotonic(), passed(server)
            for _ in range(20):
                assert client.post(PAGE).status_code == 200
            assert time.monotonic() - began < 5
            assert passed(server) == before
        finally:
            process.resume()
        eventually(lambda: passed(server) > before)
        assert client.post(PAGE).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_server(empty_database: str, number: signal.Signals) -> None:
    status = -number if number == signal.SIGKILL else 0
    with running(empty_database, status=status) as server:
        token = new_token(server)
        with busy(server, read_little, BOOTSTRAP_TOKEN, 1), Client(server, token) as client:
            eventually(lambda: client.data(WHOLE) and passed(server))
        (process,) = compartments(server)
        os.kill(server.pid, number)
        process.wait(SECONDS)
