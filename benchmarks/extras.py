"""What a comparison of requests does not show: large directories, slow disks, two processes, and
what a million requests leave in the memory."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import contenders, data, searches
from benchmarks.compare import CUSTOMERS, Databases, measured
from benchmarks.load import send
from benchmarks.servers import LOAD_CORE, SERVER_CORE, Contender, serving
from benchmarks.work import LIST, C, L, M, Work, page_body

Say = Callable[[str], None]

SMALL, LARGE = 10_000, 1_000_000


def _fixed_page(number: int) -> Work:
    """L at one place of the list."""

    def bodies(_rng: object, _customers: int) -> Iterator[bytes]:
        body = page_body(LIST, number)
        while True:
            yield body

    return Work("L", f"the page after {number}", bodies)


def among_a_million(
    rounds: int, seconds: float, say: Say
) -> tuple[dict[str, float], list[searches.Searched]]:
    """What is measured among a million customers: flatness, and searches."""
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        work = Path(folder)
        say(f"multiplying to {LARGE:,} customers")
        base = data.sqlite_with(CUSTOMERS, work)
        large = data.sqlite_multiplied(base, LARGE // CUSTOMERS, work)
        searched = searches.among_a_million(large, rounds, say)
        return flatness(large, work, rounds, seconds, say), searched


def flatness(large: Path, work: Path, rounds: int, seconds: float, say: Say) -> dict[str, float]:
    """The CPU a request of L's first and last page among a million customers, by that among ten
    thousand."""
    small = data.sqlite_with(SMALL, work)
    pages = {
        "small": (small, L, SMALL),
        "first page": (large, _fixed_page(LARGE + 1), LARGE),
        "last page": (large, _fixed_page(27), LARGE),
        "first page of the small": (small, _fixed_page(SMALL + 1), SMALL),
        "last page of the small": (small, _fixed_page(27), SMALL),
    }
    cpu: dict[str, list[float]] = {name: [] for name in pages}
    with (
        serving(_sqlite("small", small), page_body(LIST, SMALL)) as one,
        serving(_sqlite("large", large), page_body(LIST, SMALL)) as other,
    ):
        for number in range(rounds):
            for name, (path, page, _most) in pages.items():
                say(f"round {number + 1} of {rounds}: flatness, {name}")
                running = one if path == small else other
                cpu[name].append(measured(running, page, seconds, number)[0].cpu)

    return {
        name: statistics.median(
            ours / theirs
            for ours, theirs in zip(cpu[name], cpu[f"{name} of the small"], strict=True)
        )
        for name in ("first page", "last page")
    }


def _sqlite(name: str, path: Path) -> Contender:
    return contenders.regulars(f"Regulars, {name}", f"sqlite:///{path}")


def slow_disk(rounds: int, seconds: float, say: Say) -> float:
    """The rate of C with a commit that takes 2 ms, by that of one commit a write."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        path = data.sqlite_with(SMALL, Path(folder))
        for number in range(rounds):
            rates = {}
            for batch in ("", "1"):
                say(f"round {number + 1} of {rounds}: a slow disk, {batch or 'shared'} a commit")
                extra = {"COMMIT_MS": "2", **({"MAX_BATCH": batch} if batch else {})}
                made = contenders.regulars(
                    "slow disk", f"sqlite:///{path}", module="benchmarks.slow_disk"
                )
                slow = Contender(made.name, made.command, extra, made.path, made.token)
                with serving(slow, page_body(LIST, SMALL)) as running:
                    rates[batch] = measured(running, C, seconds, number)[0].rate
            ratios.append(rates[""] / rates["1"])
    return statistics.median(ratios)


def two_processes(
    databases: Databases, rounds: int, seconds: float, say: Say
) -> tuple[float, float]:
    """L on PostgreSQL with two server processes by one: the rate, where the load and PostgreSQL
    share the two cores with them; and what the rate would be on cores of their own, twice the CPU
    a request of one process by that of two."""
    one = contenders.regulars(contenders.REGULARS_POSTGRESQL, databases.own_postgresql)
    two = contenders.regulars(
        "Regulars, two processes",
        databases.own_postgresql,
        "--workers",
        "2",
        cores=(SERVER_CORE, LOAD_CORE),
    )
    body = page_body(LIST, CUSTOMERS)
    rates, costs = [], []
    with serving(one, body) as single, serving(two, body) as double:
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: two processes")
            alone = measured(single, L, seconds, number)[0]
            both = measured(double, L, seconds, number)[0]
            rates.append(both.rate / alone.rate)
            costs.append(2 * alone.cpu / both.cpu)
    return statistics.median(rates), statistics.median(costs)


def starts(databases: Databases, rounds: int, say: Say) -> dict[str, float]:
    """The median time from start to first answer of Regulars, in seconds."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for contender in list(databases.contenders())[:2]:
            say(f"starting {contender.name}")
            with serving(contender, page_body(LIST, CUSTOMERS)) as running:
                found.setdefault(contender.name, []).append(running.started_in)
    return {name: statistics.median(times) for name, times in found.items()}


def memory(path: Path, requests: int, say: Say) -> float:
    """Resident memory after so many requests of M on SQLite, by that after the first thousand."""
    with serving(_sqlite("memory", path), page_body(LIST, CUSTOMERS)) as running:
        wanted = M.requests(running.url, running.contender.token, 1, CUSTOMERS)
        send(running.url, wanted, M.connections, 600, most=1_000)
        early = running.memory()
        say(f"{requests:,} requests, for what they leave in the memory")
        send(running.url, wanted, M.connections, 3_600, most=requests - 1_000)
        return running.memory() / early
