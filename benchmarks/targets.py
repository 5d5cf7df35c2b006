"""The targets of the benchmark: the ratios and times that Regulars should reach."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks import contenders
from benchmarks.compare import SQL_SQLITE, Results, Round
from benchmarks.searches import ONE_KEY, TWO_WORDS, SearchLatency, latencies_of


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, its goal, and the measured value, which is None if it was not measured."""

    label: str
    goal: float
    is_upper_bound: bool
    measured: float | None
    unit: str = "×"

    @property
    def is_reached(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.goal if self.is_upper_bound else self.measured >= self.goal


def _rate(run: Round) -> float:
    return run.rate


def _cpu_seconds(run: Round) -> float:
    return run.cpu_seconds


# Workload, our server, the server to compare with, and the smallest ratio of their rates.
_RATES = (
    ("L", contenders.REGULARS_POSTGRESQL, contenders.STRAWBERRY, 15.0),
    ("L", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 1.5),
    ("L", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 2.5),
    ("N", contenders.REGULARS_SQLITE, contenders.FIXED_NODE, 0.5),
    ("C", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 3.0),
    ("C", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 1.2),
    ("D", contenders.REGULARS_POSTGRESQL, contenders.STRAWBERRY, 2.0),
)


def comparison_targets(results: Results) -> Iterator[Target]:
    """Yields the targets of the interleaved rounds."""
    for letter, ours, theirs, goal in _RATES:
        ratio = results.ratio(letter, ours, [theirs], _rate)
        yield Target(f"{letter}: requests/s of {ours}, by {theirs}", goal, False, ratio)
    floors = (contenders.FIXED_LIST, SQL_SQLITE)
    ratio = results.ratio("L", contenders.REGULARS_SQLITE, floors, _cpu_seconds)
    names = " + ".join(floors)
    yield Target(f"L: CPU a request of {contenders.REGULARS_SQLITE}, by {names}", 2.0, True, ratio)
    for ours in (contenders.REGULARS_SQLITE, contenders.REGULARS_POSTGRESQL):
        cost = (
            results.median("D", ours, _cpu_seconds) * 1e3 if ("D", ours) in results.rounds else None
        )
        yield Target(f"D: CPU a request of {ours}", 3.0, True, cost, " ms")


def search_targets(search_latencies: list[SearchLatency]) -> Iterator[Target]:
    """Yields the targets of searches with a million customers: the median over kinds and orders,
    and the slowest."""
    for database in ("SQLite", "PostgreSQL"):
        for name, kinds in (("one key", ONE_KEY), ("two words", TWO_WORDS)):
            latencies_ms = latencies_of(search_latencies, kinds, database)
            for which, figure in (("median", statistics.median), ("slowest", max)):
                label = f"S: {which} of the first pages of {name} among 1,000,000, {database}"
                yield Target(
                    label, 20.0, True, figure(latencies_ms) if latencies_ms else None, " ms"
                )


# By name of the extra measurement: label, goal, whether that is an upper bound, unit.
_EXTRAS: Mapping[str, tuple[str, float, bool, str]] = {
    "first page": ("L: CPU of the first page of 1,000,000 customers, by 10,000", 1.15, True, "×"),
    "last page": ("L: CPU of the last page of 1,000,000 customers, by 10,000", 1.15, True, "×"),
    "slow disk": ("C: with a commit of 2 ms, by one commit a write", 10.0, False, "×"),
    "two cpu": ("L: what two processes do by one, by their CPU a request", 1.7, False, "×"),
    "memory": ("M: resident memory after the run, by that after 1,000 requests", 1.1, True, "×"),
    contenders.REGULARS_SQLITE: ("start to first answer, SQLite", 1.0, True, " s"),
    contenders.REGULARS_POSTGRESQL: ("start to first answer, PostgreSQL", 1.0, True, " s"),
}


_TRANSFERS: Mapping[str, tuple[str, float, bool, str]] = {
    **{
        f"{name} {database}": (f"{label}, {database}", goal, is_upper_bound, unit)
        for database in ("SQLite", "PostgreSQL")
        for name, label, goal, is_upper_bound, unit in (
            ("import", "import of new customers, with their history", 15_000.0, False, " rows/s"),
            ("import by ORM", "the same, by a loop of SQLAlchemy's ORM", 5.0, False, "×"),
            ("unchanged", "import of the same file again", 50_000.0, False, " rows/s"),
            ("export", "export to CSV", 100_000.0, False, " rows/s"),
            ("transfer memory", "peak memory of these", 150.0, True, " MiB"),
        )
    },
    "import leaves": ("L: the rate while an import over HTTP runs, by alone", 0.5, False, "×"),
}


def transfer_targets(measured: Mapping[str, float]) -> Iterator[Target]:
    """Yields the targets of imports and exports."""
    for name, (label, goal, is_upper_bound, unit) in _TRANSFERS.items():
        yield Target(label, goal, is_upper_bound, measured.get(name), unit)


_PAGES: Mapping[str, tuple[str, float, bool, str]] = {
    "pages again": ("the list is seen, in a tab that is open", 200.0, True, " ms"),
    "pages first": ("the list is seen, in a browser that has not been here", 200.0, True, " ms"),
    "pages floor": ("the latter, by what a line of text takes there", 2.0, True, "×"),
    "pages size": ("what goes over the wire for it, headers included", 60.0, True, " KB"),
}


def page_targets(measured: Mapping[str, float]) -> Iterator[Target]:
    """Yields the targets of the pages in a browser."""
    for name, (label, goal, is_upper_bound, unit) in _PAGES.items():
        yield Target(label, goal, is_upper_bound, measured.get(name), unit)


def extra_targets(measured: Mapping[str, float]) -> Iterator[Target]:
    """Yields the targets of the extra measurements."""
    for name, (label, goal, is_upper_bound, unit) in _EXTRAS.items():
        yield Target(label, goal, is_upper_bound, measured.get(name), unit)
