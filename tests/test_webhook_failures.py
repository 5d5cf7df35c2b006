"""Webhooks when things fail: processes killed, receivers dead, several workers at once."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from regulars.webhooks.targets import TIMEOUT_SECONDS
from regulars.webhooks.worker import MAX_QUICK
from tests.load import background_writes, wait_for_writes
from tests.receiver import ReceivedRequest, run_receiver
from tests.support import BOOTSTRAP_TOKEN, Client, build_environment, run_server, scratch_database
from tests.test_history import read_feed
from tests.test_webhooks import create_webhook

OPEN = ("--webhook-private-targets", "--webhook-retry-seconds", "20")
TYPES = {"created": "contact/signup", "updated": "contact/updated", "deleted": "contact/deleted"}


@contextmanager
def worker(url: str, status: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A `regulars worker`, ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "worker", *OPEN],
        env=build_environment({"REGULARS_DATABASE_URL": url}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert "Delivering" in process.stdout.readline()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(30)
        process.stdout.close()
    assert ended == status, f"the worker ended with {ended}"


def history(client: Client) -> dict[int, str]:
    """Return the kind of every change of the account, by sequence number."""
    kinds: dict[int, str] = {}
    after = None
    while True:
        page = read_feed(client, after, 250)
        for edge in page["edges"]:
            kinds[edge["node"]["sequence"]] = edge["node"]["kind"]
        after = page["pageInfo"]["endCursor"] or after
        if not page["pageInfo"]["hasNextPage"]:
            return kinds


@pytest.mark.slow
def test_every_committed_change_arrives_after_kills(new_database: str) -> None:
    """Server and workers are killed repeatedly. Then every change of the history has arrived at
    its webhook at least once."""
    kill_count = int(os.environ.get("REGULARS_TEST_KILLS", "4"))
    workers = 0 if new_database.startswith("sqlite") else 2
    writers = None
    with run_receiver() as receiver:
        delays_seconds = itertools.cycle([0.0, 0.0, 0.05])
        receiver.respond = lambda _: (time.sleep(next(delays_seconds)) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
        for round_number in range(kill_count):
            with run_server(new_database, *OPEN, status=-signal.SIGKILL) as server:
                if round_number == 0:
                    with Client(server, BOOTSTRAP_TOKEN) as client:
                        for kind, type_ in TYPES.items():
                            create_webhook(client, type_, f"{receiver.url}/{kind}")
                with run_workers(new_database, workers) as started:
                    with background_writes(server, BOOTSTRAP_TOKEN, 4, writers) as writers:
                        wait_for_writes(writers, 30)
                        for process in started:
                            process.kill()
                        os.kill(server.pid, signal.SIGKILL)
        with run_server(new_database, *OPEN) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            changes = history(client)
            assert len(changes) > 20 * kill_count
            expected = {(f"/{kind}", number) for number, kind in changes.items()}
            deadline = time.monotonic() + 90
            while True:
                received = {
                    (request.path, int(request.event_id.rsplit("-", 1)[1]))
                    for request in receiver.requests
                }
                missing = expected - received
                if not missing:
                    break
                assert time.monotonic() < deadline, f"{len(missing)} of {len(expected)} are missing"
                time.sleep(0.1)
        assert received == expected


@contextmanager
def run_workers(url: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Run workers that the test kills."""
    if not count:
        yield []
        return
    with worker(url, -signal.SIGKILL) as first, run_workers(url, count - 1) as others:
        yield [first, *others]


@pytest.mark.slow
def test_workers_never_deliver_to_a_webhook_concurrently(postgresql: str) -> None:
    busy: Counter[str] = Counter()
    concurrent_paths: list[str] = []
    lock = threading.Lock()

    def respond(received: ReceivedRequest) -> tuple[int, dict[str, str], bytes]:
        with lock:
            busy[received.path] += 1
            if busy[received.path] > 1:
                concurrent_paths.append(received.path)
        time.sleep(0.01)
        with lock:
            busy[received.path] -= 1
        return 200, {}, b""

    webhooks, customers = 12, 40
    with scratch_database(postgresql) as url, run_receiver() as receiver:
        receiver.respond = respond
        with run_server(url, "--no-webhook-worker", *OPEN) as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                for number in range(webhooks):
                    create_webhook(client, "contact/signup", f"{receiver.url}/{number}")
                with worker(url), worker(url), worker(url):
                    for number in range(customers):
                        client.create(f"{number}@example.com")
                    receiver.wait(webhooks * customers, seconds=120)
                    time.sleep(1)
        assert concurrent_paths == []
        for number in range(webhooks):
            events = [request.event_id for request in receiver.requests_to(f"/{number}")]
            assert events == [f"event-1-{n}" for n in range(1, customers + 1)]


@pytest.mark.slow
def test_unresponsive_receivers_do_not_delay_others(new_database: str) -> None:
    """Half of the receivers never respond in time: more than MAX_QUICK, so that they would block
    the others if slow receivers counted."""
    count = 450
    unresponsive = range(0, count, 2)
    assert len(unresponsive) > MAX_QUICK

    def respond(received: ReceivedRequest) -> tuple[int, dict[str, str], bytes]:
        if int(received.path[1:]) in unresponsive:
            time.sleep(7)
        return 200, {}, b""

    document = """{ webhooks { deliveries(first: 1) { edges { node { state
        attempts { error } } } } } }"""
    with run_receiver() as receiver, run_server(new_database, *OPEN) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for number in range(count):
                create_webhook(client, "contact/signup", f"{receiver.url}/{number}")
            client.create("one@example.com")
            usual_seconds = spread_seconds(receiver.wait(count, seconds=120))
            receiver.respond = respond
            client.create("two@example.com")
            seconds_with_unresponsive = spread_seconds(
                receiver.wait(2 * count, seconds=120)[count : 2 * count]
            )
            # A receiver behind an unresponsive one would wait for its timeout.
            assert seconds_with_unresponsive < usual_seconds + TIMEOUT_SECONDS - 1
            deadline = time.monotonic() + 60
            while True:
                newest = [
                    webhook["deliveries"]["edges"][0]["node"]
                    for webhook in client.data(document)["webhooks"]
                ]
                if all(delivery["attempts"] for delivery in newest):
                    break
                assert time.monotonic() < deadline
                time.sleep(0.2)
            for number, delivery in enumerate(newest):
                if number in unresponsive:
                    assert "No answer within 5 s" in delivery["attempts"][0]["error"]
                else:
                    assert delivery["state"] == "delivered"


def spread_seconds(requests: list[ReceivedRequest]) -> float:
    """Return the seconds between the first and the last request."""
    timestamps = [request.at_seconds for request in requests]
    return max(timestamps) - min(timestamps)


@pytest.mark.slow
def test_a_stopping_server_finishes_its_attempts(new_database: str) -> None:
    with run_receiver() as receiver:
        receiver.respond = lambda _: (time.sleep(1) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
        with run_server(new_database, *OPEN) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            create_webhook(client, "contact/signup", f"{receiver.url}/x")
            client.create("one@example.com")
            client.create("two@example.com")
            receiver.wait(1)
        # The second one is sent by the next server, at once; the first one is not sent again.
        with run_server(new_database, *OPEN) as server:
            receiver.wait(2)
            time.sleep(0.5)
        events = [request.event_id for request in receiver.requests]
        assert events == ["event-1-1", "event-1-2"]


@pytest.mark.slow
def test_sqlite_has_one_worker(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "regulars", "worker"],
        env=build_environment({"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert "the server delivers webhooks" in done.stderr
