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
from tests.load import background_writes
from tests.receiver import Received, receiving
from tests.support import BOOTSTRAP_TOKEN, Client, build_environment, run_server, scratch_database
from tests.test_history import read_feed
from tests.test_webhooks import hook

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
    """Every change of the account: its kind."""
    found: dict[int, str] = {}
    after = None
    while True:
        page = read_feed(client, after, 250)
        for edge in page["edges"]:
            found[edge["node"]["sequence"]] = edge["node"]["kind"]
        after = page["pageInfo"]["endCursor"] or after
        if not page["pageInfo"]["hasNextPage"]:
            return found


@pytest.mark.slow
def test_every_committed_change_arrives_whatever_is_killed(new_database: str) -> None:
    """Server and workers are killed in the middle of it, again and again; then every change of the
    history has arrived, at least once, at who asked for it."""
    times = int(os.environ.get("REGULARS_TEST_KILLS", "4"))
    workers = 0 if new_database.startswith("sqlite") else 2
    writers = None
    with receiving() as receiver:
        slow = itertools.cycle([0.0, 0.0, 0.05])
        receiver.answer = lambda _: (time.sleep(next(slow)) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
        for turn in range(times):
            with run_server(new_database, *OPEN, status=-signal.SIGKILL) as server:
                if turn == 0:
                    with Client(server, BOOTSTRAP_TOKEN) as client:
                        for kind, type_ in TYPES.items():
                            hook(client, type_, f"{receiver.url}/{kind}")
                with several(new_database, workers) as started:
                    with background_writes(server, BOOTSTRAP_TOKEN, 4, writers) as writers:
                        time.sleep(0.7)
                        for process in started:
                            process.kill()
                        os.kill(server.pid, signal.SIGKILL)
        with run_server(new_database, *OPEN) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            changes = history(client)
            assert len(changes) > 20 * times
            expected = {(f"/{kind}", number) for number, kind in changes.items()}
            deadline = time.monotonic() + 90
            while True:
                came = {(one.path, int(one.event.rsplit("-", 1)[1])) for one in receiver.requests}
                missing = expected - came
                if not missing:
                    break
                assert time.monotonic() < deadline, f"{len(missing)} of {len(expected)} are missing"
                time.sleep(0.1)
        assert came == expected


@contextmanager
def several(url: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    if not count:
        yield []
        return
    with worker(url, -signal.SIGKILL) as one, several(url, count - 1) as others:
        yield [one, *others]


@pytest.mark.slow
def test_several_workers_never_deliver_to_one_webhook_at_a_time(postgresql: str) -> None:
    busy: Counter[str] = Counter()
    together: list[str] = []
    lock = threading.Lock()

    def answer(received: Received) -> tuple[int, dict[str, str], bytes]:
        with lock:
            busy[received.path] += 1
            if busy[received.path] > 1:
                together.append(received.path)
        time.sleep(0.01)
        with lock:
            busy[received.path] -= 1
        return 200, {}, b""

    webhooks, customers = 12, 40
    with scratch_database(postgresql) as url, receiving() as receiver:
        receiver.answer = answer
        with run_server(url, "--no-webhook-worker", *OPEN) as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                for number in range(webhooks):
                    hook(client, "contact/signup", f"{receiver.url}/{number}")
                with worker(url), worker(url), worker(url):
                    for number in range(customers):
                        client.create(f"{number}@example.com")
                    receiver.wait(webhooks * customers, seconds=60)
                    time.sleep(1)
        assert together == []
        for number in range(webhooks):
            events = [one.event for one in receiver.at(f"/{number}")]
            assert events == [f"event-1-{n}" for n in range(1, customers + 1)]


@pytest.mark.slow
def test_dead_receivers_delay_no_other(new_database: str) -> None:
    """Half of many receivers never answer in time: more than a worker waits for at once, if they
    did not make room."""
    count = 450
    dead = range(0, count, 2)
    assert len(dead) > MAX_QUICK

    def answer(received: Received) -> tuple[int, dict[str, str], bytes]:
        if int(received.path[1:]) in dead:
            time.sleep(7)
        return 200, {}, b""

    document = """{ webhooks { deliveries(first: 1) { edges { node { state
        attempts { error } } } } } }"""
    with receiving() as receiver, run_server(new_database, *OPEN) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for number in range(count):
                hook(client, "contact/signup", f"{receiver.url}/{number}")
            client.create("one@example.com")
            usual = spread(receiver.wait(count, seconds=60))
            receiver.answer = answer
            client.create("two@example.com")
            with_dead = spread(receiver.wait(2 * count, seconds=60)[count : 2 * count])
            # Who had to wait for the dead would have waited until they were given up.
            assert with_dead < usual + TIMEOUT_SECONDS - 1
            deadline = time.monotonic() + 60
            while True:
                ended = [
                    webhook["deliveries"]["edges"][0]["node"]
                    for webhook in client.data(document)["webhooks"]
                ]
                if all(one["attempts"] for one in ended):
                    break
                assert time.monotonic() < deadline
                time.sleep(0.2)
            for number, one in enumerate(ended):
                if number in dead:
                    assert "No answer within 5 s" in one["attempts"][0]["error"]
                else:
                    assert one["state"] == "delivered"


def spread(requests: list[Received]) -> float:
    """How many seconds lie between the first and the last."""
    timestamps = [one.at for one in requests]
    return max(timestamps) - min(timestamps)


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_finishes_what_it_sends(new_database: str) -> None:
    with receiving() as receiver:
        receiver.answer = lambda _: (time.sleep(1) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
        with run_server(new_database, *OPEN) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            hook(client, "contact/signup", f"{receiver.url}/x")
            client.create("one@example.com")
            client.create("two@example.com")
            receiver.wait(1)
        # The second one is sent by the next server, at once; the first one is not sent again.
        with run_server(new_database, *OPEN) as server:
            receiver.wait(2)
            time.sleep(0.5)
        events = [one.event for one in receiver.requests]
        assert events == ["event-1-1", "event-1-2"]


def test_sqlite_has_one_worker(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "regulars", "worker"],
        env=build_environment({"REGULARS_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert "delivers webhooks itself" in done.stderr
