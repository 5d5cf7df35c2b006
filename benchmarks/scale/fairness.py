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
from regulars.accounts.accounts import Accounts
from regulars.cli.database import with_store
from regulars.settings import Settings
from regulars.store import Store

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
# No index serves it: every customer is read, to find few and to count them.
SEARCH = """{ customers(first: 5, query: "zz OR -custom.a:b -zx order_by:email") { totalCount
    edges { node { id } } } }"""
QUERIES = {
    "ordinary": ORDINARY,
    "dearest": DEAREST,
    "create": CREATE,
    "tokens": ORDINARY,
    "searches": SEARCH,
}
TOKENS = 10_000
# What the ordinary account does, and on how many connections.
ORDINARILY = (("read", 1), ("read", 4), ("create", 1))


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What an ordinary account's requests took at the 99th percentile, in seconds: alone, and
    beside one that does `what`; of which operation, and on how many connections."""

    what: str
    operation: str
    connections: int
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
    with_store(Settings(database_url=database_url), _many_tokens)
    with serving(database_url) as url:
        yield Served(url, database_url, (tokens[0], tokens[1]))


async def _many_tokens(store: Store) -> None:
    """Gives the greedy account thousands of tokens."""
    accounts = Accounts(store)
    greedy = await accounts.resolve("greedy")
    for number in range(TOKENS):
        await accounts.create_token(greedy, str(number), text=many_token(number))


def many_token(number: int) -> str:
    """One of the thousands of tokens."""
    return f"benchmark-of-fairness-{number % TOKENS}"


def ask(url: str, query: str, token: str, headers: str = "", **variables: object) -> bytes:
    """A request."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return http_request(url, body, token, headers)


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
        f"floods with {TOKENS:,} tokens": lambda: flooding(served, "tokens", 64),
        "imports a million rows": lambda: importing(served),
    }


def ordinary(
    served: Served, seconds: float, operation: str = "read", connections: int = 4
) -> Sample:
    """What the ordinary account asks."""
    return send(served.url, _requests(served, operation), connections, seconds)


def _requests(served: Served, operation: str) -> Iterator[bytes]:
    url, token = served.url, served.tokens[0]
    if operation == "read":
        return itertools.repeat(ask(url, ORDINARY, token))
    numbers = itertools.count(time.monotonic_ns())
    return (ask(url, CREATE, token, e=f"{n}@ordinary.example.com") for n in numbers)


def measure(
    served: Served, rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Disturbed]:
    """Each disturbance, interleaved with the account alone; medians of the rounds."""
    found = []
    ordinary(served, seconds)
    for what, disturb in disturbances(served).items():
        say(f"one account {what}")
        alone: dict[tuple[str, int], list[float]] = {one: [] for one in ORDINARILY}
        beside: dict[tuple[str, int], list[float]] = {one: [] for one in ORDINARILY}
        for _ in range(rounds):
            for one in ORDINARILY:
                alone[one].append(ordinary(served, seconds, *one).percentile(99))
            with disturb():
                for one in ORDINARILY:
                    beside[one].append(ordinary(served, seconds, *one).percentile(99))
        found += [
            Disturbed(what, *one, median(alone[one]), median(beside[one])) for one in ORDINARILY
        ]
    return found
