"""Measure fairness between accounts: the p99 latency of an ordinary account alone and with a noisy
neighbor, interleaved in one run of `make bench-scale`."""

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

from benchmarks.load import Sample, build_http_request, send
from benchmarks.servers import find_free_port
from regulars.accounts.accounts import Accounts
from regulars.cli.database import with_store
from regulars.settings import Settings
from regulars.store import Store

PATH = "/api/v2"
CUSTOMERS = 10_000
_RAMP_UP_SECONDS = 0.5

# The query of an ordinary shop: a page of its list.
ORDINARY = """{ customers(first: 25, query: "order_by:created_at") { edges { node { id full_name
    email avatar created_at expenses orders_count location } } pageInfo { hasNextPage } } }"""
# The most expensive request: customers with all relations, and a search without an index.
EXPENSIVE = """{ found: customers(first: 25, query: "zz OR -tag:vip order_by:email") { totalCount }
    many: customers(first: 250) { edges { node { id full_name email avatar location notes tags
    created_at updated_at expenses summary { visits orders { list { order { name total } } } }
    leads { subject message } changes(first: 5) { edges { node { kind at } } } } } } }"""
CREATE = "mutation($e: String!) { createCustomer(node: {email: $e}) { id } }"
# A search without an index, which reads every customer.
SEARCH = """{ customers(first: 5, query: "zz OR -custom.a:b -zx order_by:email") { totalCount
    edges { node { id } } } }"""
# A small search, of about 2 ms, which reads the customers of two indexes.
MATCHES = """{ customers(first: 25, query: "molly vip order_by:expenses") { edges { node { id
    full_name email expenses } } } }"""
QUERIES = {
    "ordinary": ORDINARY,
    "expensive": EXPENSIVE,
    "create": CREATE,
    "tokens": ORDINARY,
    "searches": SEARCH,
    "matches": MATCHES,
}
TOKEN_COUNT = 10_000
# The operations of the ordinary account, and the number of connections.
ORDINARY_CASES = (("read", 1), ("read", 4), ("create", 1))


@dataclass(frozen=True, slots=True)
class FairnessResult:
    """The p99 latency in seconds of an operation of the ordinary account, on a number of
    connections: alone, and with a noisy neighbor."""

    neighbor: str
    operation: str
    connections: int
    alone_seconds: float
    contended_seconds: float

    @property
    def ratio(self) -> float:
        return self.contended_seconds / self.alone_seconds


@dataclass(frozen=True, slots=True)
class TwoAccountServer:
    """A server with two accounts: its URL, its database, and the tokens of the ordinary and of the
    noisy account."""

    url: str
    database_url: str
    tokens: tuple[str, str]


def run_regulars(database_url: str, *arguments: str) -> str:
    """Runs a command of `regulars` and returns its output."""
    environment = {**os.environ, "REGULARS_DATABASE_URL": database_url}
    process = subprocess.run(
        [sys.executable, "-m", "regulars", *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return process.stdout.strip()


@contextlib.contextmanager
def run_server(database_url: str, *options: str) -> Iterator[str]:
    """Runs a server and yields its URL."""
    port = find_free_port()
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
def run_two_account_server(database_url: str) -> Iterator[TwoAccountServer]:
    """Runs a server with an ordinary account and a noisy one of as many customers."""
    run_regulars(database_url, "migrate")
    tokens = []
    for name in ("ordinary", "noisy"):
        run_regulars(database_url, "account", "create", name)
        run_regulars(database_url, "sample", "--account", name, "--customers", str(CUSTOMERS))
        tokens.append(run_regulars(database_url, "token", "create", "--account", name))
    with_store(Settings(database_url=database_url), _create_many_tokens)
    with run_server(database_url) as url:
        yield TwoAccountServer(url, database_url, (tokens[0], tokens[1]))


async def _create_many_tokens(store: Store) -> None:
    """Creates thousands of tokens for the noisy account."""
    accounts = Accounts(store)
    noisy_account = await accounts.resolve("noisy")
    for number in range(TOKEN_COUNT):
        await accounts.create_token(noisy_account, str(number), text=token_of_many(number))


def token_of_many(number: int) -> str:
    """Returns one of the thousands of tokens of the noisy account."""
    return f"benchmark-of-fairness-{number % TOKEN_COUNT}"


def build_request(
    url: str, query: str, token: str, headers: str = "", **variables: object
) -> bytes:
    """Returns the bytes of a request."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return build_http_request(url, body, token, headers)


@contextlib.contextmanager
def flood(server: TwoAccountServer, query: str, connections: int) -> Iterator[None]:
    """Lets the noisy account send requests continuously on several connections."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.scale.flood"),
            *(server.url, server.tokens[1], query, str(connections)),
        ]
    )
    try:
        time.sleep(_RAMP_UP_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def import_rows(server: TwoAccountServer) -> Iterator[None]:
    """Lets the noisy account import a million rows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "million.csv"
        with file.open("w") as csv_file:
            csv_file.write("email,first_name,last_name,tags\n")
            for number in range(1_000_000):
                csv_file.write(f"{number}@import.example.com,Ada,Lovelace,vip\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "regulars", "import", str(file), "--account", "noisy"],
            env={**os.environ, "REGULARS_DATABASE_URL": server.database_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(4 * _RAMP_UP_SECONDS)
            yield
        finally:
            process.kill()
            process.wait()


def neighbor_loads(
    server: TwoAccountServer,
) -> dict[str, Callable[[], contextlib.AbstractContextManager[None]]]:
    """Returns the kinds of load of the noisy account."""
    return {
        "floods with the most expensive queries": lambda: flood(server, "expensive", 32),
        "floods with pages of its list": lambda: flood(server, "ordinary", 64),
        "floods with creates": lambda: flood(server, "create", 64),
        f"floods with {TOKEN_COUNT:,} tokens": lambda: flood(server, "tokens", 64),
        "imports a million rows": lambda: import_rows(server),
    }


def send_ordinary(
    server: TwoAccountServer, seconds: float, operation: str = "read", connections: int = 4
) -> Sample:
    """Sends the requests of the ordinary account."""
    return send(server.url, _requests(server, operation), connections, seconds)


def _requests(server: TwoAccountServer, operation: str) -> Iterator[bytes]:
    url, token = server.url, server.tokens[0]
    if operation == "read":
        return itertools.repeat(build_request(url, ORDINARY, token))
    serial_numbers = itertools.count(time.monotonic_ns())
    return (
        build_request(url, CREATE, token, e=f"{n}@ordinary.example.com") for n in serial_numbers
    )


def measure(
    server: TwoAccountServer, rounds: int, seconds: float, progress: Callable[[str], None]
) -> list[FairnessResult]:
    """Measures the ordinary account with each kind of noisy neighbor, interleaved with the account
    alone, and returns the medians of the rounds."""
    results = []
    send_ordinary(server, seconds)
    for neighbor, start_load in neighbor_loads(server).items():
        progress(f"one account {neighbor}")
        alone: dict[tuple[str, int], list[float]] = {case: [] for case in ORDINARY_CASES}
        contended: dict[tuple[str, int], list[float]] = {case: [] for case in ORDINARY_CASES}
        for _ in range(rounds):
            for case in ORDINARY_CASES:
                alone[case].append(send_ordinary(server, seconds, *case).percentile(99))
            with start_load():
                for case in ORDINARY_CASES:
                    contended[case].append(send_ordinary(server, seconds, *case).percentile(99))
        results += [
            FairnessResult(neighbor, *case, median(alone[case]), median(contended[case]))
            for case in ORDINARY_CASES
        ]
    return results
