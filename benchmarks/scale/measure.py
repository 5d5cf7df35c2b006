"""Measure scaling: throughput and CPU time by accounts and processes, the first request of an
account, memory per account, and replicas."""

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
from benchmarks.scale.data import FilledDatabase
from benchmarks.scale.fairness import CREATE, ORDINARY, PATH, build_request
from benchmarks.servers import find_free_port

CONNECTIONS = 16
_SERVED_ACCOUNTS = 10_000
_FIRST_REQUESTS = 300
_WARM_UP_REQUESTS = 2_000
_DISK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """The result of a run: operation and deployment, responses per second, and per response the CPU
    seconds of the server, of PostgreSQL, of the load generator and of a replica, the flushes of the
    write-ahead log, and its bytes."""

    operation: str
    accounts: int
    processes: int
    rate: float
    server_seconds: float
    database_seconds: float
    load_seconds: float
    replica_seconds: float = 0.0
    flushes: float = 0.0
    wal_bytes: float = 0.0


class Server:
    """A server under test."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        self._process = process

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the processes of the server."""
        return sum(sum(p.cpu_times()[:2]) for p in _tree(self._process))

    def memory_bytes(self) -> int:
        """Returns the resident memory of the processes of the server."""
        return sum(int(p.memory_info().rss) for p in _tree(self._process))


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


async def _wal_of(dsn: str) -> tuple[int, int]:
    """Returns the number of flushes of the write-ahead log and its bytes, or zeros before
    PostgreSQL 18, which does not count them."""
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


def measure_flushes_per_second(folder: str) -> float:
    """Returns how many times per second one client can write and flush a page to disk."""
    page = bytes(8_192)
    with tempfile.TemporaryFile(dir=folder) as file:
        started_at, count = time.perf_counter(), 0
        while time.perf_counter() < started_at + _DISK_SECONDS:
            os.pwrite(file.fileno(), page, count % 1_000 * len(page))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - started_at)


@contextlib.contextmanager
def run_server(
    url: str, processes: int = 1, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """Runs a server on a database."""
    port = find_free_port()
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
    server_url = f"http://127.0.0.1:{port}{PATH}"
    try:
        time.sleep(2.0 if processes > 1 else 0.2)  # until all processes accept requests
        yield Server(server_url, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


def measure_point(
    server: Server,
    filled: FilledDatabase,
    operation: str,
    processes: int,
    seconds: float,
    replica: psutil.Process | None = None,
    headers: str = "",
) -> Point:
    """Measures one run of reads or creates, with all accounts in turn."""
    tokens = filled.tokens()
    serial_numbers = itertools.count(time.monotonic_ns())

    def requests() -> Iterator[bytes]:
        while True:
            token = next(tokens)
            if operation == "read":
                yield build_request(server.url, ORDINARY, token, headers)
            else:
                yield build_request(
                    server.url, CREATE, token, e=f"{next(serial_numbers)}@bench.example.com"
                )

    request_stream = requests()
    send(server.url, request_stream, CONNECTIONS, min(1.0, seconds))
    time.sleep(1.1)  # PostgreSQL publishes its statistics once per second
    wal_before = asyncio.run(_wal_of(filled.url))
    server_before, database_before, load_before = (
        server.cpu_seconds(),
        database_cpu(),
        time.process_time(),
    )
    sample = send(server.url, request_stream, CONNECTIONS, seconds)
    count = sample.request_count
    server_seconds = (server.cpu_seconds() - server_before) / count
    database = database_cpu_since(database_before)
    load_seconds = (time.process_time() - load_before) / count
    replica_pids = {p.pid for p in _tree(replica)} if replica is not None else set()
    time.sleep(1.1)
    wal = asyncio.run(_wal_of(filled.url))
    return Point(
        operation,
        filled.accounts,
        processes,
        sample.rate,
        server_seconds,
        sum(seconds for pid, seconds in database.items() if pid not in replica_pids) / count,
        load_seconds,
        sum(seconds for pid, seconds in database.items() if pid in replica_pids) / count,
        (wal[0] - wal_before[0]) / count,
        (wal[1] - wal_before[1]) / count,
    )


def database_cpu() -> dict[int, float]:
    """Returns the CPU seconds of each process of PostgreSQL on this machine."""
    cpu_seconds = {}
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            with contextlib.suppress(psutil.Error):
                cpu_seconds[process.pid] = sum(process.cpu_times()[:2])
    return cpu_seconds


def database_cpu_since(before: Mapping[int, float]) -> dict[int, float]:
    """Returns the CPU seconds of each process since then, without those that have exited."""
    return {pid: max(0.0, now - before.get(pid, 0.0)) for pid, now in database_cpu().items()}


def measure_by_processes(
    filled: FilledDatabase, processes: tuple[int, ...], rounds: int, seconds: float
) -> list[Point]:
    """Measures reads and creates with each number of processes, interleaved. Returns the run with
    the median rate of each."""
    runs: dict[tuple[str, int], list[Point]] = {}
    for _ in range(rounds):
        for count in processes:
            with run_server(filled.url, count) as server:
                _warm_up(server, filled, count)
                for operation in ("read", "create"):
                    run = measure_point(server, filled, operation, count, seconds)
                    runs.setdefault((operation, count), []).append(run)
    return [_median_run(points) for points in runs.values()]


def _warm_up(server: Server, filled: FilledDatabase, processes: int) -> None:
    """Sends enough requests that each process has served each account: first requests are measured
    separately."""
    tokens = filled.tokens()
    requests = (build_request(server.url, ORDINARY, next(tokens)) for _ in itertools.count())
    count = max(_WARM_UP_REQUESTS, filled.accounts) * processes
    send(server.url, requests, CONNECTIONS, 60.0, count)


def _median_run(points: list[Point]) -> Point:
    return sorted(points, key=lambda point: point.rate)[len(points) // 2]


def measure_first_requests(filled: FilledDatabase) -> tuple[float, float]:
    """Returns the median latency of the first request of an account and of its second, in
    seconds."""
    first: list[float] = []
    second: list[float] = []
    with run_server(filled.url) as server:
        warm = itertools.repeat(build_request(server.url, ORDINARY, filled.token(1)))
        send(server.url, warm, 1, 1.0)
        for number in range(2, min(_FIRST_REQUESTS, filled.accounts) + 1):
            request = build_request(server.url, ORDINARY, filled.token(number))
            for latencies in (first, second):
                latencies.append(
                    send(server.url, itertools.repeat(request), 1, 1.0, 1).latencies[0]
                )
    return (median(first), median(second)) if first else (0.0, 0.0)


def measure_bytes_per_account(filled: FilledDatabase) -> float:
    """Returns by how many bytes the memory of the server grows for each account that it serves."""
    count = min(_SERVED_ACCOUNTS, filled.accounts)
    with run_server(filled.url) as server:
        warm = itertools.repeat(build_request(server.url, ORDINARY, filled.token(1)))
        send(server.url, warm, CONNECTIONS, 3.0)
        bytes_before = server.memory_bytes()
        requests = (build_request(server.url, ORDINARY, filled.token(n + 1)) for n in range(count))
        send(server.url, itertools.chain(requests, warm), CONNECTIONS, 600.0, count)
        return (server.memory_bytes() - bytes_before) / count


def measure_with_replica(
    filled: FilledDatabase, dsn: str, process: psutil.Process, rounds: int, seconds: float
) -> dict[str, Point]:
    """Measures reads with the primary alone, and with a replica: without a header, and with the
    header of the last change. Interleaved; returns the run with the median rate of each."""
    variants = (
        ("the primary alone", "", ""),
        ("with a replica, no header", dsn, ""),
        ("with a replica, `Regulars-Change` sent", dsn, "Regulars-Change: 1\r\n"),
    )
    runs: dict[str, list[Point]] = {name: [] for name, _, _ in variants}
    for _ in range(rounds):
        for name, replica_dsn, header in variants:
            with run_server(filled.url, 1, {"REGULARS_READ_DATABASE_URL": replica_dsn}) as server:
                if replica_dsn:
                    time.sleep(1.5)  # until the replica is checked
                _warm_up(server, filled, 1)
                run = measure_point(server, filled, "read", 1, seconds, process, header)
                runs[name].append(run)
    return {name: _median_run(points) for name, points in runs.items()}
