"""The targets of the benchmark: the ratios and times that Regulars should reach."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from benchmarks import contenders
from benchmarks.compare import SQL_SQLITE, Results, Round
from benchmarks.searches import ONE_KEY, TWO_WORDS, SearchLatency, latencies_of


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, its goal, the measured value, which is None if it was not measured, and what limits
    it, for the report on goals that are not reached."""

    label: str
    goal: float
    is_upper_bound: bool
    measured: float | None = None
    unit: str = "×"
    limit: str = ""

    @property
    def is_reached(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.goal if self.is_upper_bound else self.measured >= self.goal


def _rate(run: Round) -> float:
    return run.rate


def _cpu_seconds(run: Round) -> float:
    return run.cpu_seconds


_FLOOR = (
    "The floor reads no token, no document and no database, and has no limits, metrics and fair "
    "queue."
)
_INSERT = (
    "A create stores a customer with 11 indexes, 11 search terms and an entry of the history. The "
    "peer inserts one row into a table with two indexes."
)
_RENDERER = "Regulars renders in Python, Mercurius by compiled JavaScript."
_REQUEST = (
    "Regulars reads the request, its token and its variables, and applies limits, the fair queue, "
    "metrics and the log in Python. The statement and the rendering take a quarter of the time."
)
_NEW_DOCUMENT = "Regulars parses a new document in Python, Mercurius in compiled JavaScript."
_LITERALS = "The literals of the document are found, coerced and bound to the plan."

# Workload, our server, the server to compare with, the smallest ratio of their rates, and what
# limits it.
_RATES = (
    ("L", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 2.0, _RENDERER),
    ("L", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 2.0, _RENDERER),
    ("L", contenders.REGULARS_POSTGRESQL, contenders.STRAWBERRY, 15.0, _RENDERER),
    ("N", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 1.0, _REQUEST),
    ("N", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 1.0, _REQUEST),
    ("N", contenders.REGULARS_SQLITE, contenders.FIXED_NODE, 0.4, _FLOOR),
    ("N", contenders.REGULARS_POSTGRESQL, contenders.FIXED_NODE, 0.4, _FLOOR),
    ("C", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 3.0, _INSERT),
    ("C", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 1.1, _INSERT),
    ("D", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 1.0, _NEW_DOCUMENT),
    ("D", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 1.0, _NEW_DOCUMENT),
    ("D", contenders.REGULARS_POSTGRESQL, contenders.STRAWBERRY, 4.0, _NEW_DOCUMENT),
    ("A", contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE, 3.0, _RENDERER),
    ("A", contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL, 3.0, _RENDERER),
)


def comparison_targets(results: Results) -> Iterator[Target]:
    """Yields the targets of the interleaved rounds."""
    for letter, ours, theirs, goal, limit in _RATES:
        ratio = results.ratio(letter, ours, [theirs], _rate)
        label = f"{letter}: requests/s of {ours}, divided by those of {theirs}"
        yield Target(label, goal, False, ratio, limit=limit)
    floors = (contenders.FIXED_LIST, SQL_SQLITE)
    ratio = results.ratio("L", contenders.REGULARS_SQLITE, floors, _cpu_seconds)
    label = f"L: CPU of {contenders.REGULARS_SQLITE}, divided by that of {' + '.join(floors)}"
    yield Target(label, 2.0, True, ratio, limit=_FLOOR)
    for ours in (contenders.REGULARS_SQLITE, contenders.REGULARS_POSTGRESQL):
        ratio = results.ratio_of_works("A", "L", ours, _cpu_seconds)
        label = f"A: CPU of {ours}, divided by that of L"
        yield Target(label, 1.3, True, ratio, limit=_LITERALS)


_SEARCH = "The matches are read and sorted before the first page is known."


def search_targets(search_latencies: list[SearchLatency]) -> Iterator[Target]:
    """Yields the targets of searches with a million customers: the median over kinds and orders,
    and the slowest."""
    for database in ("SQLite", "PostgreSQL"):
        for name, kinds in (("one key", ONE_KEY), ("two words", TWO_WORDS)):
            latencies_ms = latencies_of(search_latencies, kinds, database)
            for which, figure in (("median", statistics.median), ("slowest", max)):
                label = f"S: {which} of the first pages of {name} among 1,000,000, {database}"
                measured = figure(latencies_ms) if latencies_ms else None
                yield Target(label, 20.0, True, measured, " ms", _SEARCH)


# By name of the measurement.
EXTRAS: Mapping[str, Target] = {
    "first page": Target(
        "L: CPU of the first page of 1,000,000 customers, divided by that of 10,000", 1.15, True
    ),
    "last page": Target(
        "L: CPU of the last page of 1,000,000 customers, divided by that of 10,000", 1.15, True
    ),
    "slow disk": Target(
        "C: requests/s with a commit of 2 ms, divided by those with one commit for each write",
        10.0,
        False,
        limit="At 64 connections, a commit has at most 64 writes, and the CPU limits the rest.",
    ),
    "two cpu": Target(
        "L: twice the CPU of one process, divided by that of two",
        1.7,
        False,
        limit="The two processes share the two cores with the load generator and PostgreSQL.",
    ),
    "memory": Target(
        "M: resident memory after the run, divided by that after 1,000 requests", 1.1, True
    ),
    **{
        name: Target(
            f"start to first answer, {database}",
            0.6,
            True,
            unit=" s",
            limit="The imports of SQLAlchemy and graphql-core take most of it.",
        )
        for name, database in (
            (contenders.REGULARS_SQLITE, "SQLite"),
            (contenders.REGULARS_POSTGRESQL, "PostgreSQL"),
        )
    },
}

_SQLITE_WRITER = "One process writes, and SQLite inserts each row into 11 indexes and its terms."
_THREE_PROCESSES = "The parser, the writer and PostgreSQL share two cores."
_TWO_HALVES = "One process parses a row while the other compares the one before it: 20 µs each."
_ONE_THREAD = "One thread writes the text: 9 µs for a row of 39 columns."
_PLAIN = "The ORM writes a table with one index, without a history and a search."

TRANSFERS: Mapping[str, Target] = {
    **{
        f"{name} {database}": Target(
            f"{label}, {database}", goal, is_upper_bound, unit=unit, limit=limit
        )
        for database, import_limit in (("SQLite", _SQLITE_WRITER), ("PostgreSQL", _THREE_PROCESSES))
        for name, label, goal, is_upper_bound, unit, limit in (
            (
                *("import", "import of new customers, with their history"),
                *(15_000.0, False, " rows/s", import_limit),
            ),
            ("import by ORM", "the same, by a loop of SQLAlchemy's ORM", 5.0, False, "×", _PLAIN),
            ("unchanged", "import of the same file again", 50_000.0, False, " rows/s", _TWO_HALVES),
            ("export", "export to CSV", 100_000.0, False, " rows/s", _ONE_THREAD),
            ("transfer memory", "peak memory of these", 150.0, True, " MiB", ""),
        )
    },
    "import leaves": Target("L: the rate while an import over HTTP runs, by alone", 0.5, False),
}

_PAGE = "The page loads styles and modules, runs them and requests the rows. The text is one reply."

PAGES: Mapping[str, Target] = {
    name: Target(label, goal, True, unit=unit, limit=limit)
    for name, label, goal, unit, limit in (
        ("pages again", "the list is seen, in a tab that is open", 200.0, " ms", ""),
        ("pages first", "the list is seen, in a browser that has not been here", 200.0, " ms", ""),
        ("pages floor", "the latter, by what a line of text takes there", 2.0, "×", _PAGE),
        ("pages size", "what goes over the wire for it, headers included", 60.0, " KB", ""),
    )
}


def measured_targets(
    targets: Mapping[str, Target], measured: Mapping[str, float]
) -> Iterator[Target]:
    """Yields the targets with what was measured, by the name of the measurement."""
    for name, target in targets.items():
        yield replace(target, measured=measured.get(name))
