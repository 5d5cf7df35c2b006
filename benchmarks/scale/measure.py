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
import tempfile
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
_WARM = 2_000
_DISK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """A measured point: what was asked of which deployment; answers a second; and for each of
    them the processor time, in seconds, of the server, of PostgreSQL (of a replica apart) and of
    the load; how often the write-ahead log was flushed to disk; and the bytes of it."""

    operation: str
    accounts: int
    processes: int
    rate: float
    server: float
    database: float
    load: float
    replica: float = 0.0
    flushes: float = 0.0
    wal: float = 0.0


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


async def _wal_of(dsn: str) -> tuple[int, int]:
    """How often a server has flushed its write-ahead log, and the bytes of it. Since version 18 it
    tells; others are said to have none."""
    connection = await asyncpg.connect(dsn)
    try:
        if connection.get_server_version().major < 18:
            return 0, 0
        row = await connection.fetchrow(
            """SELECT (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')::int8,
                (SELECT wal_bytes FROM pg_stat_wal)::int8"""
        )
        return row[0], row[1]
    finally:
        await connection.close()


def disk(folder: str) -> float:
    """How often a second a disk takes a page that is flushed at once, by one who waits for each."""
    page = bytes(8_192)
    with tempfile.TemporaryFile(dir=folder) as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() < began + _DISK_SECONDS:
            os.pwrite(file.fileno(), page, count % 1_000 * len(page))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


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


def point(
    server: Server,
    filled: Filled,
    operation: str,
    processes: int,
    seconds: float,
    replica: psutil.Process | None = None,
    headers: str = "",
) -> Point:
    """One run: reads, or creates, of all accounts in turn."""
    tokens = filled.tokens()
    numbers = itertools.count(time.monotonic_ns())

    def requests() -> Iterator[bytes]:
        while True:
            token = next(tokens)
            if operation == "read":
                yield ask(server.url, ORDINARY, token, headers)
            else:
                yield ask(server.url, CREATE, token, e=f"{next(numbers)}@bench.example.com")

    given = requests()
    send(server.url, given, CONNECTIONS, min(1.0, seconds))
    time.sleep(1.1)  # PostgreSQL's figures are a second old
    wal_began = asyncio.run(_wal_of(filled.url))
    server_began, database_began, load_began = server.cpu(), database_cpu(), time.process_time()
    sample = send(server.url, given, CONNECTIONS, seconds)
    count = sample.requests
    server_each = (server.cpu() - server_began) / count
    database = database_cpu_since(database_began)
    load_each = (time.process_time() - load_began) / count
    apart = {one.pid for one in _tree(replica)} if replica is not None else set()
    time.sleep(1.1)
    wal = asyncio.run(_wal_of(filled.url))
    return Point(
        operation,
        filled.accounts,
        processes,
        sample.rate,
        server_each,
        sum(spent for pid, spent in database.items() if pid not in apart) / count,
        load_each,
        sum(spent for pid, spent in database.items() if pid in apart) / count,
        (wal[0] - wal_began[0]) / count,
        (wal[1] - wal_began[1]) / count,
    )


def database_cpu() -> dict[int, float]:
    """The processor time of each of PostgreSQL's processes on this machine, in seconds."""
    found = {}
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with contextlib.suppress(psutil.Error):
                found[process.pid] = sum(process.cpu_times()[:2])
    return found


def database_cpu_since(before: Mapping[int, float]) -> dict[int, float]:
    """What each of them has taken since then, in seconds; without those that have ended."""
    return {pid: max(0.0, now - before.get(pid, 0.0)) for pid, now in database_cpu().items()}


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
    """Has each process be asked for about each account, and for much else: what the first request
    of each takes is measured apart."""
    tokens = filled.tokens()
    requests = (ask(server.url, ORDINARY, next(tokens)) for _ in itertools.count())
    count = max(_WARM, filled.accounts) * processes
    send(server.url, requests, CONNECTIONS, 60.0, count)


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


def with_replica(
    filled: Filled, dsn: str, process: psutil.Process, rounds: int, seconds: float
) -> dict[str, Point]:
    """Reads of the primary alone, and with a replica: without a header, and with one that says
    which change is needed. Interleaved, medians."""
    ways = (
        ("the primary alone", "", ""),
        ("with a replica, no header", dsn, ""),
        ("with a replica, `Regulars-Change` sent", dsn, "Regulars-Change: 1\r\n"),
    )
    found: dict[str, list[Point]] = {name: [] for name, _, _ in ways}
    for _ in range(rounds):
        for name, read, header in ways:
            with serving(filled.url, 1, {"REGULARS_READ_DATABASE_URL": read}) as server:
                if read:
                    time.sleep(1.5)  # until the replica is found to be well
                _get_to_know(server, filled, 1)
                one = point(server, filled, "read", 1, seconds, process, header)
                found[name].append(one)
    return {name: _middle(points) for name, points in found.items()}
