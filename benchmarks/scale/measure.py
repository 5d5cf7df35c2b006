"""What is measured: throughput and processor time by accounts and processes, the first request of
an account, the memory of one that is known, replicas, and Citus."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

import asyncpg
import psutil

from benchmarks.load import send
from benchmarks.scale.data import Filled
from benchmarks.scale.fairness import CREATE, ORDINARY, PATH, ask
from benchmarks.servers import free_port

CONNECTIONS = 16
_KNOWN = 10_000
_COLD = 300


@dataclass(frozen=True, slots=True)
class Point:
    """A measured point: what was asked of which deployment; answers a second; processor time of
    the server, of PostgreSQL and of the load for each, in seconds; and commits for each."""

    operation: str
    accounts: int
    processes: int
    rate: float
    server: float
    database: float
    load: float
    commits: float = 0.0


class Server:
    """A server under test."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        self._process = process

    def cpu(self) -> float:
        """The processor time of the server's processes, in seconds."""
        return sum(sum(p.cpu_times()[:2]) for p in _tree(self._process))

    def memory(self) -> int:
        """The resident memory of the server's processes, in bytes."""
        return sum(int(p.memory_info().rss) for p in _tree(self._process))


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


async def _value(dsn: str, question: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(question))
    finally:
        await connection.close()


@contextlib.contextmanager
def serving(
    url: str, processes: int = 1, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """A server on a database."""
    port = free_port()
    environment = {
        **os.environ,
        "REGULARS_DATABASE_URL": url,
        "REGULARS_LOG_REQUESTS": "false",
        **settings,
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "regulars", "serve", "--port", str(port)),
            *("--workers", str(processes), "--no-webhook-worker"),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    address = f"http://127.0.0.1:{port}{PATH}"
    try:
        time.sleep(2.0 if processes > 1 else 0.2)  # until each of them serves
        yield Server(address, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


def point(server: Server, filled: Filled, operation: str, processes: int, seconds: float) -> Point:
    """One run: reads, or creates, of all accounts in turn."""
    tokens = filled.tokens()
    numbers = itertools.count(time.monotonic_ns())

    def requests() -> Iterator[bytes]:
        while True:
            token = next(tokens)
            if operation == "read":
                yield ask(server.url, ORDINARY, token)
            else:
                yield ask(server.url, CREATE, token, e=f"{next(numbers)}@bench.example.com")

    given = requests()
    send(server.url, given, CONNECTIONS, min(1.0, seconds))
    commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    before = asyncio.run(_value(filled.url, commits))
    server_began, database_began, load_began = server.cpu(), database_cpu(), time.process_time()
    sample = send(server.url, given, CONNECTIONS, seconds)
    count = sample.requests
    server_each = (server.cpu() - server_began) / count
    database_each = database_cpu_since(database_began) / count
    load_each = (time.process_time() - load_began) / count
    time.sleep(1.1)  # PostgreSQL's figures are a second old
    commits_each = (asyncio.run(_value(filled.url, commits)) - before) / count
    return Point(
        operation,
        filled.accounts,
        processes,
        sample.rate,
        server_each,
        database_each,
        load_each,
        commits_each,
    )


def database_cpu() -> dict[int, float]:
    """The processor time of each of PostgreSQL's processes on this machine, in seconds."""
    found = {}
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with contextlib.suppress(psutil.Error):
                found[process.pid] = sum(process.cpu_times()[:2])
    return found


def database_cpu_since(before: Mapping[int, float]) -> float:
    """What they have taken since then, in seconds; without those that have ended."""
    return sum(max(0.0, now - before.get(pid, 0.0)) for pid, now in database_cpu().items())


def by_processes(
    filled: Filled, processes: tuple[int, ...], rounds: int, seconds: float
) -> list[Point]:
    """Reads and creates with so many processes, interleaved; of each the run of the median rate."""
    found: dict[tuple[str, int], list[Point]] = {}
    for _ in range(rounds):
        for count in processes:
            with serving(filled.url, count) as server:
                _get_to_know(server, filled, count)
                for operation in ("read", "create"):
                    one = point(server, filled, operation, count, seconds)
                    found.setdefault((operation, count), []).append(one)
    return [_middle(points) for points in found.values()]


def _get_to_know(server: Server, filled: Filled, processes: int) -> None:
    """Has each process be asked for about each account: what the first request of each takes is
    measured apart."""
    tokens = filled.tokens()
    requests = (ask(server.url, ORDINARY, next(tokens)) for _ in itertools.count())
    send(server.url, requests, CONNECTIONS, 60.0, max(CONNECTIONS, filled.accounts * processes))


def _middle(points: list[Point]) -> Point:
    return sorted(points, key=lambda one: one.rate)[len(points) // 2]


def cold(filled: Filled) -> tuple[float, float]:
    """How long the first request of an account takes that nobody asked before, and its second:
    medians, in seconds."""
    first: list[float] = []
    second: list[float] = []
    with serving(filled.url) as server:
        warm = itertools.repeat(ask(server.url, ORDINARY, filled.token(1)))
        send(server.url, warm, 1, 1.0)
        for number in range(2, min(_COLD, filled.accounts) + 1):
            request = ask(server.url, ORDINARY, filled.token(number))
            for found in (first, second):
                found.append(send(server.url, itertools.repeat(request), 1, 1.0, 1).latencies[0])
    return (median(first), median(second)) if first else (0.0, 0.0)


def memory_of_known(filled: Filled) -> float:
    """By how many bytes the server's memory grows for each account that was asked for once."""
    count = min(_KNOWN, filled.accounts)
    with serving(filled.url) as server:
        warm = itertools.repeat(ask(server.url, ORDINARY, filled.token(1)))
        send(server.url, warm, CONNECTIONS, 3.0)
        before = server.memory()
        requests = (ask(server.url, ORDINARY, filled.token(n + 1)) for n in range(count))
        send(server.url, itertools.chain(requests, warm), CONNECTIONS, 600.0, count)
        return (server.memory() - before) / count


def beside(
    filled: Filled, rounds: int, seconds: float, settings: Mapping[str, str]
) -> tuple[Point, Point]:
    """Reads without some settings, and with them: interleaved, medians."""
    without, having = [], []
    for _ in range(rounds):
        with serving(filled.url) as server:
            without.append(point(server, filled, "read", 1, seconds))
        with serving(filled.url, 1, settings) as server:
            time.sleep(1.5)  # until the replica is found to be well
            having.append(point(server, filled, "read", 1, seconds))
    return _middle(without), _middle(having)
