"""The bulkhead: requests that would delay other accounts run in a worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
    background_load,
    create_token,
    find_processes,
    read_metrics,
    run_server,
    wait_until,
)

PAGE = "{ customers(first: 5) { totalCount edges { node { id email } } } }"
EXPENSIVE_PAGE = """{ customers(first: 250) { edges { node { id email full_name notes tags location avatar
    created_at updated_at expenses orders_count summary { visits } leads { subject }
    changes(first: 5) { edges { node { kind } } } } } } }"""
ORDERS = """{ customers(first: 250) { edges { node { id
    summary { orders { list { order { id customer { id } } } } } } } } }"""
FOUR_PAGES = f"{{ {' '.join(f'page{n}: {EXPENSIVE_PAGE[1:-1]}' for n in range(4))} }}"
FIFTY_WRITES = " ".join(
    f"""write{n}: createCustomer(node: {{email: "new-{n}@example.com"}}) {{ id orders_count expenses tags
    leads {{ subject }} summary {{ visits }} changes(first: 5) {{ edges {{ node {{ kind }} }} }} }}"""
    for n in range(50)
)
FIFTY_WRITES = f"mutation {{ {FIFTY_WRITES} }}"
JSON = {"Content-Type": "application/json"}
EXIT_SECONDS = 30


def test_an_account_alone_is_not_noisy() -> None:
    detector = NoisyNeighborDetector()
    assert not any(detector.is_noisy(1, EXPENSIVE_COST, 100) for _ in range(10))


def test_an_expensive_request_is_noisy_while_another_account_is_active() -> None:
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


def find_bulkhead_workers(server: Server) -> list[psutil.Process]:
    """Returns the worker processes of a server's bulkhead."""
    return find_processes(server.pid, PROGRAM)


def count_forwarded(server: Server) -> float:
    """Returns how many requests the server has forwarded."""
    return read_metrics(server.url).get("regulars_requests_forwarded_total", 0.0)


def read_slowly(client: Client) -> None:
    """Reads a page, with pauses."""
    client.data(PAGE)
    time.sleep(0.02)


@contextmanager
def run_flooded_server(
    url: str, *options: str, in_new_python: bool = False
) -> Iterator[tuple[Server, Client]]:
    """A server on which one account reads slowly and the requests of a flooding account are forwarded.
    Yields it with a client of the flooding account."""
    with run_server(url, *options, in_new_python=in_new_python) as server:
        token = create_token(server)
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            background_load(server, lambda client: client.post(PAGE), token, FAIR_SHARE + 4),
            Client(server, token) as client,
        ):
            wait_until(lambda: count_forwarded(server))
            yield server, client


@pytest.mark.slow
def test_forwarded_requests_have_the_usual_responses(new_database: str) -> None:
    """Covers reads, writes, errors and headers."""
    max_body_bytes = 10_000
    with run_flooded_server(new_database, "--max-body-bytes", str(max_body_bytes)) as (
        server,
        client,
    ):
        customer = client.create("ada@example.com", "id email", tags=["vip"])
        assert client.emails("tag:vip") == ["ada@example.com"]
        assert client.node(customer["id"], "... on Customer { email }") == {
            "email": "ada@example.com"
        }
        client.expect_error(
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
        error_response = client.post(text, headers={"Accept": media})
        assert error_response.status_code == 400
        assert error_response.headers["content-type"] == media
        deep: Any = 1
        for _ in range(300):
            deep = [deep]
        assert client.post(PAGE, {"unasked": deep}).status_code == 200
        padded_body = b'{"query":"{customers(first:1){totalCount}}%s"}'
        padded_body %= b" " * (max_body_bytes - len(padded_body) + 2)
        assert client.http.post("/api/v2", content=padded_body, headers=JSON).status_code == 200
        assert (
            client.http.post("/api/v2", content=padded_body + b" ", headers=JSON).status_code == 413
        )
        assert len(find_bulkhead_workers(server)) == 1


@pytest.mark.slow
def test_forwarded_requests_count_in_the_rate(new_database: str) -> None:
    """The cost is charged to the token, and the response has the remaining points."""
    options = ("--rate-limit", "500", "--rate-burst", "20000")
    with run_flooded_server(new_database, *options) as (_, client):
        # Expensive enough to use up the rate soon, even if the flood is served slowly.
        answer = client.post(EXPENSIVE_PAGE, headers={"Regulars-Cost": "1"})
        while answer.status_code == 200:
            cost = answer.json()["extensions"]["cost"]
            assert cost["requested"] >= EXPENSIVE_COST
            assert 0 <= cost["remaining"] <= 20_000
            answer = client.post(EXPENSIVE_PAGE, headers={"Regulars-Cost": "1"})
        assert answer.status_code == 429


@pytest.mark.slow
def test_a_forwarded_request_is_charged_for_its_surplus(new_database: str) -> None:
    """The token pays for objects of long lists beyond the estimate, and the next response shows it."""
    rate = 100
    options = ("--rate-limit", str(rate), "--rate-burst", "1000000")
    with run_server(new_database, *options) as server:
        token = create_token(server, scopes=("customers", "orders:write"))
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            Client(server, token) as client,
        ):
            for number in range(8):
                orders = (
                    f'a{index}: recordOrder(node: {{name: "{number}-{index}", total: 1, '
                    'email: "ada@example.com"}) { id }'
                    for index in range(50)
                )
                client.data(f"mutation {{ {' '.join(orders)} }}")
            wait_until(lambda: client.data(ORDERS) and count_forwarded(server))
            deadline = time.monotonic() + 60
            forwarded_count = 0.0
            while forwarded_count != 2:  # on a busy machine the server executes some itself
                assert time.monotonic() < deadline
                before, began = count_forwarded(server), time.monotonic()
                first, second = (
                    client.post(ORDERS, headers={"Regulars-Cost": "1"}).json()["extensions"]["cost"]
                    for _ in range(2)
                )
                refilled_points = rate * (time.monotonic() - began)
                forwarded_count = count_forwarded(server) - before
    surplus = second["actual"] - second["requested"]
    assert surplus > 300
    charged = first["remaining"] - second["remaining"]
    assert second["actual"] - refilled_points - 1 <= charged <= second["actual"]
    assert charged > second["requested"]


@pytest.mark.slow
def test_expensive_requests_are_forwarded(new_database: str) -> None:
    with run_server(new_database) as server:
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            Client(server, create_token(server)) as client,
        ):
            client.create("ada@example.com")

            def ask() -> float:
                assert len(client.data(EXPENSIVE_PAGE)["customers"]["edges"]) == 1
                return count_forwarded(server)

            wait_until(ask)


@pytest.mark.slow
def test_the_bulkhead_can_be_switched_off(new_database: str) -> None:
    with run_server(new_database, "--no-bulkhead") as server:
        token = create_token(server)
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            Client(server, token) as client,
        ):
            for _ in range(20):
                client.data(EXPENSIVE_PAGE)
        assert count_forwarded(server) == 0
        assert find_bulkhead_workers(server) == []


@pytest.mark.slow
def test_a_killed_worker_loses_no_read_and_reports_writes(new_database: str) -> None:
    """The server repeats the reads, and responds 503 to a write that may have been made. Then it starts
    another worker."""
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

    with run_flooded_server(new_database) as (server, client):
        with (
            background_load(server, ask, client.token, 4),
            background_load(server, change, client.token, 4),
        ):
            (first,) = find_bulkhead_workers(server)
            time.sleep(0.5)
            os.kill(first.pid, signal.SIGKILL)
            wait_until(
                lambda: {worker.pid for worker in find_bulkhead_workers(server)} - {first.pid}
            )
            before = count_forwarded(server)
            wait_until(lambda: count_forwarded(server) > before)
    assert {status for kind, status in statuses if kind == "read"} == {200}
    assert {status for kind, status in statuses if kind == "write"} <= {200, 503}


@pytest.mark.slow
def test_the_server_repeats_the_reads_of_a_paused_worker(new_database: str) -> None:
    """It forwards requests again when the worker continues."""
    with run_flooded_server(new_database, in_new_python=True) as (server, client):
        (process,) = find_bulkhead_workers(server)
        process.suspend()
        try:
            wait_until(lambda: client.post(PAGE).status_code == 200)
            began, before = time.monotonic(), count_forwarded(server)
            for _ in range(20):
                assert client.post(PAGE).status_code == 200
            assert time.monotonic() - began < 15
            assert count_forwarded(server) == before
        finally:
            process.resume()
        wait_until(lambda: count_forwarded(server) > before)
        assert client.post(PAGE).status_code == 200


@contextmanager
def busy_processors() -> Iterator[None]:
    """Other programs that keep all processors busy, four for each. They have a low priority, but a
    higher one than the worker."""
    program = "import os; os.nice(10)\nwhile True: pass"
    busy = [
        subprocess.Popen([sys.executable, "-c", program])
        for _ in range(4 * len(os.sched_getaffinity(0)))
    ]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


needs_idle_processes = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has processes that run when a processor is idle"
)


@pytest.mark.slow
@needs_idle_processes
def test_no_request_waits_long_for_a_worker_without_a_processor(new_database: str) -> None:
    """The server repeats its reads. It executes writes itself after one has waited: that one may have
    been made, so it is not repeated."""
    with run_server(new_database) as server:
        token = create_token(server, scopes=("customers",))
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            Client(server, token) as client,
        ):
            for number in range(100):
                client.create(f"{number}@example.com")
            wait_until(lambda: client.data(EXPENSIVE_PAGE) and count_forwarded(server))
            before = count_forwarded(server)
            with busy_processors():
                for _ in range(3):
                    assert len(client.data(FOUR_PAGES)) == 4
                assert count_forwarded(server) > before
                client.post(FIFTY_WRITES.replace("new", "first"))
                assert len(client.data(FIFTY_WRITES)) == 50


@pytest.mark.slow
@needs_idle_processes
def test_no_request_waits_long_for_a_worker_that_cannot_start(new_database: str) -> None:
    with run_server(new_database) as server:
        token = create_token(server)
        with busy_processors(), Client(server, token) as client:
            with (
                background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
                background_load(server, lambda each: each.data(PAGE), token, FAIR_SHARE + 4),
            ):
                for _ in range(20):
                    client.data(PAGE)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_worker_stops_with_the_server(new_database: str, number: signal.Signals) -> None:
    status = -number if number == signal.SIGKILL else 0
    with run_server(new_database, status=status) as server:
        token = create_token(server)
        with (
            background_load(server, read_slowly, BOOTSTRAP_TOKEN, 1),
            Client(server, token) as client,
        ):
            wait_until(lambda: client.data(EXPENSIVE_PAGE) and count_forwarded(server))
        (process,) = find_bulkhead_workers(server)
        server.end(number)
        process.wait(EXIT_SECONDS)
