"""Measure the requests of an ordinary account alone, and during the background work of another
account: `python -m benchmarks.scale.background_jobs DATABASE_URL` (--jobs edit,undo,import,country,
currency, --customers N, --seconds S).

Requests arrive at random times (Poisson), and a latency counts from then. So a request that arrives
while another one waits is late, too. The database needs no accounts; those of an earlier run are
used again. The target is a ratio of the p99 latencies of at most 2.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from statistics import quantiles
from typing import Any

from benchmarks.load import _Connection
from benchmarks.scale.fairness import CREATE, PATH, build_request, run_regulars, run_server

_LIST = "{ customers(first: 25) { edges { node { id full_name email tags } } } }"
_NODE = '{ customer(by: {id: "1"}) { id full_name email } }'
_RATE = 25.0  # requests per second of each kind
_ORDINARY_CUSTOMERS = 1_000
_EDIT = 'mutation($n: InputUpdateCustomer) { job: updateCustomers(query: "", node: $n) { id } }'
_UNDO = "mutation($id: ID!) { job: undoJob(id: $id) { id } }"
_CANCEL = "mutation($id: ID!) { job: cancelJob(id: $id) { id } }"
_JOB = "query($id: ID!) { job(id: $id) { done state } }"
_SETTINGS = "mutation($n: InputAccountSettings!) { updateAccountSettings(node: $n) { currency } }"


class Busy:
    """The account with the work. `start` starts work and returns a function for its progress."""

    def __init__(self, url: str, token: str, customers: int) -> None:
        self._url, self._token, self._customers = url, token, customers
        self._job: str | None = None

    def _post(self, url: str, body: bytes, content_type: str) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def _run(self, document: str, **variables: Any) -> Any:
        body = json.dumps({"query": document, "variables": variables}).encode()
        answer = self._post(self._url, body, "application/json")
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def start(self, job: str) -> None:
        """Start some work."""
        number = time.monotonic_ns()
        if job == "edit":
            started = self._run(
                _EDIT, n={"tags": ["vip", f"t{number % 1000}"], "notes": str(number)}
            )
        elif job == "undo":
            started = self._run(_UNDO, id=self._job)
        elif job == "import":
            rows = (f"{number}.{n}@import.example.com,Ada,Byron {n}" for n in range(100_000))
            content = "\n".join(("email,first_name,last_name", *rows)).encode()
            url = self._url.removesuffix(PATH) + "/import?name=a.csv"
            self._job = self._post(url, content, "text/csv")["data"]["id"]
            return
        else:
            settings = self._run("{ accountSettings { currency default_country } }")
            now = settings["accountSettings"]
            if job == "country":
                changed = {"default_country": "FR" if now["default_country"] == "DE" else "DE"}
            else:
                changed = {"currency": "USD" if now["currency"] == "EUR" else "EUR"}
            self._run(_SETTINGS, n=changed)
            self._job = None
            return
        self._job = started["job"]["id"]

    def done(self) -> int | None:
        """Return how many customers the job has done, or None if that is not known."""
        return None if self._job is None else int(self._run(_JOB, id=self._job)["job"]["done"])

    def cancel(self) -> None:
        """Stop the job."""
        if self._job is not None:
            self._run(_CANCEL, id=self._job)


def measure(url: str, token: str, seconds: float) -> dict[str, list[float]]:
    """Returns the latencies of each kind of request, in seconds, sorted."""
    serial_numbers = itertools.count(time.monotonic_ns())
    requests: dict[str, Iterator[bytes]] = {
        "create": (
            build_request(url, CREATE, token, e=f"{n}@small.example.com") for n in serial_numbers
        ),
        "list": itertools.repeat(build_request(url, _LIST, token)),
        "one": itertools.repeat(build_request(url, _NODE, token)),
    }
    latencies: dict[str, list[float]] = {}
    threads = [
        threading.Thread(target=_send, args=(url, kind, stream, seconds, latencies))
        for kind, stream in requests.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {kind: sorted(latencies[kind]) for kind in requests}


def _send(
    url: str,
    kind: str,
    requests: Iterator[bytes],
    seconds: float,
    latencies: dict[str, list[float]],
) -> None:
    host, _, port = url.split("/")[2].partition(":")
    connection = _Connection((host, int(port)))
    choose = random.Random(kind)  # not secret
    at, end, of_kind = time.perf_counter(), time.perf_counter() + seconds, list[float]()
    while (at := at + choose.expovariate(_RATE)) < end:
        time.sleep(max(0.0, at - time.perf_counter()))
        connection.send(next(requests))
        while connection.read() is None:
            pass
        of_kind.append(time.perf_counter() - at)
    connection.socket.close()
    latencies[kind] = of_kind


def _figures(latencies: list[float]) -> tuple[float, float, float]:
    """Returns the median, the p99 and the maximum, in milliseconds."""
    parts = quantiles(latencies, n=100)
    return 1e3 * parts[49], 1e3 * parts[98], 1e3 * latencies[-1]


@contextlib.contextmanager
def _server(database_url: str, customers: int) -> Iterator[tuple[str, str, Busy]]:
    """Runs a server with an ordinary account and a busy one of `customers`."""
    run_regulars(database_url, "migrate")
    tokens = []
    present = run_regulars(database_url, "account", "list")
    for name, count in (("ordinary", _ORDINARY_CUSTOMERS), ("busy", customers)):
        if name not in present:
            run_regulars(database_url, "account", "create", name)
            run_regulars(database_url, "sample", "--account", name, "--customers", str(count))
        scopes = ("--scope", "admin") if name == "busy" else ()
        tokens.append(run_regulars(database_url, "token", "create", "--account", name, *scopes))
    with run_server(database_url) as url:
        yield url, tokens[0], Busy(url, tokens[1], customers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database_url")
    parser.add_argument("--jobs", default="edit,undo,import,country,currency")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    with _server(options.database_url, options.customers) as (url, token, busy):
        measure(url, token, 2.0)
        for job in options.jobs.split(","):
            alone = measure(url, token, options.seconds)
            busy.start(job)
            time.sleep(3.0)  # until the process of a job has started
            began, before = time.perf_counter(), busy.done() or 0
            during = measure(url, token, options.seconds)
            done = busy.done()
            rate = (
                "" if done is None else f"{(done - before) / (time.perf_counter() - began):,.0f}/s"
            )
            for kind in alone:
                first, second = _figures(alone[kind]), _figures(during[kind])
                print(
                    f"{job:8} {rate:>8} {kind:6} p50 {first[0]:6.1f} → {second[0]:6.1f} ms, "
                    f"p99 {first[1]:6.1f} → {second[1]:6.1f} ms ({second[1] / first[1]:.1f}), "
                    f"max {first[2]:6.1f} → {second[2]:6.1f} ms",
                    flush=True,
                )
            busy.cancel()
            time.sleep(1.0)


if __name__ == "__main__":
    main()
