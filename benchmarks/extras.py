"""Measure what the comparison does not: large directories, slow disks, two processes, and memory
after a million requests."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import contenders, data, searches
from benchmarks.compare import CUSTOMERS, Databases, measure_round
from benchmarks.load import send
from benchmarks.servers import LOAD_CORE, SERVER_CORE, Contender, run_server
from benchmarks.work import LIST, C, L, M, Workload, page_body

Progress = Callable[[str], None]

SMALL, LARGE = 10_000, 1_000_000


def _fixed_page(number: int) -> Workload:
    """Returns L with always the same page."""

    def bodies(_rng: object, _customers: int) -> Iterator[bytes]:
        body = page_body(LIST, number)
        while True:
            yield body

    return Workload("L", f"the page after {number}", bodies)


def measure_large_directory(
    rounds: int, seconds: float, progress: Progress
) -> tuple[dict[str, float], list[searches.SearchLatency]]:
    """Measures page times and searches with a million customers."""
    with tempfile.TemporaryDirectory(prefix="regulars-") as name:
        folder = Path(name)
        progress(f"multiplying to {LARGE:,} customers")
        base = data.sqlite_with(CUSTOMERS, folder)
        large = data.sqlite_multiplied(base, LARGE // CUSTOMERS, folder)
        search_latencies = searches.measure(large, rounds, progress)
        return measure_flatness(large, folder, rounds, seconds, progress), search_latencies


def measure_flatness(
    large: Path, folder: Path, rounds: int, seconds: float, progress: Progress
) -> dict[str, float]:
    """Returns the CPU per request of the first and last page of L with 1,000,000 customers, divided
    by that with 10,000."""
    small = data.sqlite_with(SMALL, folder)
    pages = {
        "small": (small, L),
        "first page": (large, _fixed_page(LARGE + 1)),
        "last page": (large, _fixed_page(27)),
        "first page of the small": (small, _fixed_page(SMALL + 1)),
        "last page of the small": (small, _fixed_page(27)),
    }
    cpu_seconds: dict[str, list[float]] = {name: [] for name in pages}
    with (
        run_server(_sqlite("small", small), page_body(LIST, SMALL)) as small_server,
        run_server(_sqlite("large", large), page_body(LIST, SMALL)) as large_server,
    ):
        for number in range(rounds):
            for name, (path, page) in pages.items():
                progress(f"round {number + 1} of {rounds}: flatness, {name}")
                server = small_server if path == small else large_server
                cpu_seconds[name].append(
                    measure_round(server, page, seconds, number)[0].cpu_seconds
                )

    return {
        name: statistics.median(
            ours / theirs
            for ours, theirs in zip(
                cpu_seconds[name], cpu_seconds[f"{name} of the small"], strict=True
            )
        )
        for name in ("first page", "last page")
    }


def _sqlite(name: str, path: Path) -> Contender:
    return contenders.regulars(f"Regulars, {name}", f"sqlite:///{path}")


def measure_slow_disk(rounds: int, seconds: float, progress: Progress) -> float:
    """Returns the rate of C when a commit takes 2 ms, divided by that with one commit per write."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        path = data.sqlite_with(SMALL, Path(folder))
        for number in range(rounds):
            rates = {}
            for batch in ("", "1"):
                progress(
                    f"round {number + 1} of {rounds}: a slow disk, {batch or 'shared'} a commit"
                )
                environment = {"COMMIT_MS": "2", **({"MAX_BATCH": batch} if batch else {})}
                base = contenders.regulars(
                    "slow disk", f"sqlite:///{path}", module="benchmarks.slow_disk"
                )
                slow = Contender(base.name, base.command, environment, base.path, base.token)
                with run_server(slow, page_body(LIST, SMALL)) as server:
                    rates[batch] = measure_round(server, C, seconds, number)[0].rate
            ratios.append(rates[""] / rates["1"])
    return statistics.median(ratios)


def measure_two_processes(
    databases: Databases, rounds: int, seconds: float, progress: Progress
) -> tuple[float, float]:
    """Compares L on PostgreSQL with two server processes and with one. Returns the ratio of the
    rates, with the load and PostgreSQL on the same two cores; and the ratio that separate cores
    would allow: twice the CPU per request of one process, divided by that of two."""
    single = contenders.regulars(contenders.REGULARS_POSTGRESQL, databases.own_postgresql)
    double = contenders.regulars(
        "Regulars, two processes",
        databases.own_postgresql,
        "--workers",
        "2",
        cores=(SERVER_CORE, LOAD_CORE),
    )
    body = page_body(LIST, CUSTOMERS)
    rates, costs = [], []
    with run_server(single, body) as one_process, run_server(double, body) as two_processes:
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}: two processes")
            run_of_one = measure_round(one_process, L, seconds, number)[0]
            run_of_two = measure_round(two_processes, L, seconds, number)[0]
            rates.append(run_of_two.rate / run_of_one.rate)
            costs.append(2 * run_of_one.cpu_seconds / run_of_two.cpu_seconds)
    return statistics.median(rates), statistics.median(costs)


def measure_starts(databases: Databases, rounds: int, progress: Progress) -> dict[str, float]:
    """Returns the median seconds from start to first response of Regulars."""
    start_seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for contender in list(databases.contenders())[:2]:
            progress(f"starting {contender.name}")
            with run_server(contender, page_body(LIST, CUSTOMERS)) as server:
                start_seconds.setdefault(contender.name, []).append(server.start_seconds)
    return {name: statistics.median(times) for name, times in start_seconds.items()}


def measure_memory(path: Path, requests: int, progress: Progress) -> float:
    """Returns the resident memory after `requests` requests of M on SQLite, divided by that after
    1,000."""
    with run_server(_sqlite("memory", path), page_body(LIST, CUSTOMERS)) as server:
        bodies = M.requests(server.url, server.contender.token, 1, CUSTOMERS)
        send(server.url, bodies, M.connections, 600, max_requests=1_000)
        early_bytes = server.memory_bytes()
        progress(f"{requests:,} requests, for what they leave in the memory")
        send(server.url, bodies, M.connections, 3_600, max_requests=requests - 1_000)
        return server.memory_bytes() / early_bytes
