"""Measure watched segments on SQLite: `python -m benchmarks.segments`.

With 100,000 customers and 50 watched segments, it prints how long it takes until a new customer is
recorded in all matching segments, and the rate of creates with and without watched segments.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TOKEN = "benchmark-of-watched-segments-0123456789"
SEGMENTS = 50
CLIENTS = 4
_CREATE = "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }"
_SAVE = "mutation($n: SegmentInput!) { createSegment(node: $n) { id } }"
_UNWATCH = "mutation($i: ID!) { updateSegment(id: $i, node: {watched: false}) { id } }"
_READY = '{ segments(query: "watched:true", first: 50) { edges { node { id watched_since } } } }'
_ENTRIES = """query($id: ID!) { node(id: $id) { ... on Customer {
  changes(first: 100) { edges { node { kind } } } } } }"""


class Client:
    """Sends GraphQL requests to the server."""

    def __init__(self, url: str) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=60)

    def data(self, query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = self._http.post("/api/v2", json=body).json()
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer["data"]


@contextmanager
def run_server(database_url: str) -> Iterator[str]:
    variables = {
        **os.environ,
        "REGULARS_DATABASE_URL": database_url,
        "REGULARS_BOOTSTRAP_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "regulars", "serve", "--port", "0"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield next(word for word in line.split() if word.startswith("http")).rstrip(",")
        finally:
            process.terminate()


def fill(database_url: str, customers: int, folder: Path) -> None:
    file = folder / "customers.csv"
    with file.open("w", encoding="utf-8") as out:
        out.write("email,first_name,tags,country\n")
        for n in range(customers):
            country = ("FR", "MA", "US", "DE")[n % 4]
            out.write(f"u{n}@example.com,Ana{n % 97},t{n % 100},{country}\n")
    subprocess.run(
        [sys.executable, "-m", "regulars", "import", str(file), "--database-url", database_url],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def watch(client: Client) -> float:
    """Watch segments, half of which contain a customer with the tag `new`. Return the seconds of
    their first evaluation."""
    began = time.perf_counter()
    for n in range(SEGMENTS):
        query = f"tag:new OR tag:t{n}" if n % 2 else f"tag:t{n} country:FR updated_at:>-{n + 1}d"
        client.data(_SAVE, n={"name": f"s{n}", "query": query, "watched": True})
    while True:
        edges = client.data(_READY)["segments"]["edges"]
        if all(edge["node"]["watched_since"] for edge in edges):
            return time.perf_counter() - began
        time.sleep(0.1)


def delay(client: Client, number: int) -> float:
    """Create a customer; return the seconds until its entries are recorded."""
    node = {"email": f"new{number}@example.com", "tags": ["new"]}
    began = time.perf_counter()
    id_ = client.data(_CREATE, n=node)["createCustomer"]["id"]
    while True:
        edges = client.data(_ENTRIES, id=id_)["node"]["changes"]["edges"]
        if len(edges) == 1 + SEGMENTS // 2:
            return time.perf_counter() - began
        time.sleep(0.02)


def create_rate(url: str, name: str, seconds: float) -> float:
    """Return how many customers several clients create in a second."""

    def create(number: int) -> int:
        client, count, end = Client(url), 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            node = {"email": f"{name}-{number}-{count}@example.com", "tags": ["other"]}
            client.data(_CREATE, n=node)
            count += 1
        return count

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(create, range(CLIENTS))) / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regulars-segments-") as name:
        folder = Path(name)
        database_url = f"sqlite:///{folder / 'r.db'}"
        with run_server(database_url):
            pass
        fill(database_url, options.customers, folder)
        with run_server(database_url) as url:
            client = Client(url)
            first = create_rate(url, "a", options.seconds)
            print(f"Creates without watched segments: {first:,.0f}/s")
            print(f"First evaluation of {SEGMENTS} segments: {watch(client):.1f} s")
            delays = sorted(delay(client, n) for n in range(20))
            median, slowest = delays[len(delays) // 2], delays[-1]
            print(f"Create to {SEGMENTS // 2} entries: median {median:.2f} s, max {slowest:.2f} s")
            watched = create_rate(url, "b", options.seconds)
            print(f"Creates with watched segments: {watched:,.0f}/s")
            for edge in client.data(_READY)["segments"]["edges"]:
                client.data(_UNWATCH, i=edge["node"]["id"])
            last = create_rate(url, "c", options.seconds)
            print(f"Creates after the segments are no longer watched: {last:,.0f}/s")


if __name__ == "__main__":
    main()
