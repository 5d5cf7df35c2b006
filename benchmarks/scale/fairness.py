"""One account that takes all it can get, and what another still gets: its latency beside the other,
against its latency alone, in one run."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.load import Sample, http_request, send
from benchmarks.servers import free_port

PATH = "/api/v2"
CUSTOMERS = 10_000
_BEGUN_SECONDS = 0.5

# What an ordinary shop asks: its list, a page at a time.
ORDINARY = """{ customers(first: 25, query: "order_by:created_at") { edges { node { id full_name
    email avatar created_at expenses orders_count location } } pageInfo { hasNextPage } } }"""
# As dear as a request may be: whole customers with all they have, and a search of no index.
DEAREST = """{ found: customers(first: 25, query: "zz OR -tag:vip order_by:email") { totalCount }
    many: customers(first: 250) { edges { node { id full_name email avatar location notes tags
    created_at updated_at expenses summary { visits orders { list { order { name total } } } }
    leads { subject message } changes(first: 5) { edges { node { kind at } } } } } } }"""
CREATE = "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"
QUERIES = {"ordinary": ORDINARY, "dearest": DEAREST, "create": CREATE}


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What an ordinary account's requests took at the 99th percentile, in seconds: alone, and
    beside one that does `what`."""

    what: str
    alone: float
    beside: float

    @property
    def ratio(self) -> float:
        return self.beside / self.alone


@dataclass(frozen=True, slots=True)
class Served:
    """A server with two accounts of customers: its address, their tokens, and its database."""

    url: str
    database_url: str
    tokens: tuple[str, str]


def regulars(database_url: str, *arguments: str) -> str:
    """What a command prints."""
    environment = {**os.environ, "REGULARS_DATABASE_URL": database_url}
    done = subprocess.run(
        [sys.executable, "-m", "regulars", *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@contextlib.contextmanager
def serving(database_url: str, *options: str) -> Iterator[str]:
    """A server's address."""
    port = free_port()
    environment = {
        **os.environ,
        "REGULARS_DATABASE_URL": database_url,
        "REGULARS_LOG_REQUESTS": "false",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "serve", "--port", str(port), *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    try:
        yield f"http://127.0.0.1:{port}{PATH}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


@contextlib.contextmanager
def two_accounts(database_url: str) -> Iterator[Served]:
    """An ordinary account, and one that will take all it can get."""
    regulars(database_url, "migrate")
    tokens = []
    for name in ("ordinary", "greedy"):
        regulars(database_url, "account", "create", name)
        regulars(database_url, "sample", "--account", name, "--customers", str(CUSTOMERS))
        tokens.append(regulars(database_url, "token", "create", "--account", name))
    with serving(database_url) as url:
        yield Served(url, database_url, (tokens[0], tokens[1]))


def ask(url: str, query: str, token: str, **variables: object) -> bytes:
    """A request."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return http_request(url, body, token)


@contextlib.contextmanager
def flooding(served: Served, query: str, connections: int) -> Iterator[None]:
    """The greedy account asks all the time, on many connections."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.scale.flood"),
            *(served.url, served.tokens[1], query, str(connections)),
        ]
    )
    try:
        time.sleep(_BEGUN_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def importing(served: Served) -> Iterator[None]:
    """The greedy account has a million rows imported by the server."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "million.csv"
        with file.open("w") as rows:
            rows.write("email,first_name,last_name,tags\n")
            for number in range(1_000_000):
                rows.write(f"{number}@import.example.com,Ada,Lovelace,vip\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "regulars", "import", str(file), "--account", "greedy"],
            env={**os.environ, "REGULARS_DATABASE_URL": served.database_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(4 * _BEGUN_SECONDS)
            yield
        finally:
            process.kill()
            process.wait()


def disturbances(
    served: Served,
) -> dict[str, Callable[[], contextlib.AbstractContextManager[None]]]:
    """What the greedy account does."""
    return {
        "floods with its dearest queries": lambda: flooding(served, "dearest", 32),
        "floods with pages of its list": lambda: flooding(served, "ordinary", 64),
        "floods with creates": lambda: flooding(served, "create", 64),
        "imports a million rows": lambda: importing(served),
    }


def ordinary(served: Served, seconds: float) -> Sample:
    """What the ordinary account asks, on four connections."""
    requests = itertools.repeat(ask(served.url, ORDINARY, served.tokens[0]))
    return send(served.url, requests, 4, seconds)


def measure(
    served: Served, rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Disturbed]:
    """Each disturbance, interleaved with the account alone; medians of the rounds."""
    found = []
    ordinary(served, seconds)
    for what, disturb in disturbances(served).items():
        say(f"one account {what}")
        alone, beside = [], []
        for _ in range(rounds):
            alone.append(ordinary(served, seconds).percentile(99))
            with disturb():
                beside.append(ordinary(served, seconds).percentile(99))
        found.append(Disturbed(what, median(alone), median(beside)))
    return found
