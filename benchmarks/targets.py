"""What the comparison is for: the ratios that Regulars wants to reach."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks import contenders as who
from benchmarks.compare import SQL_SQLITE, Results, Round
from benchmarks.searches import ONE_KEY, TWO_WORDS, Searched, of


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio, what it should be, and what it is; None when it was not measured."""

    what: str
    wanted: float
    at_most: bool
    measured: float | None
    unit: str = "×"

    @property
    def reached(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def _rate(one: Round) -> float:
    return one.rate


def _cpu(one: Round) -> float:
    return one.cpu


# The work, ours, against whom, of what, and at least how much.
_RATES = (
    ("L", who.REGULARS_POSTGRESQL, who.STRAWBERRY, 15.0),
    ("L", who.REGULARS_POSTGRESQL, who.MERCURIUS_POSTGRESQL, 1.5),
    ("L", who.REGULARS_SQLITE, who.MERCURIUS_SQLITE, 2.5),
    ("N", who.REGULARS_SQLITE, who.FIXED_NODE, 0.5),
    ("C", who.REGULARS_SQLITE, who.MERCURIUS_SQLITE, 3.0),
    ("C", who.REGULARS_POSTGRESQL, who.MERCURIUS_POSTGRESQL, 1.2),
    ("D", who.REGULARS_POSTGRESQL, who.STRAWBERRY, 2.0),
)


def of_comparison(results: Results) -> Iterator[Target]:
    """The targets that the interleaved rounds answer."""
    for letter, ours, theirs, wanted in _RATES:
        ratio = results.ratio(letter, ours, [theirs], _rate)
        yield Target(f"{letter}: requests/s of {ours}, by {theirs}", wanted, False, ratio)
    floors = (who.FIXED_LIST, SQL_SQLITE)
    ratio = results.ratio("L", who.REGULARS_SQLITE, floors, _cpu)
    names = " + ".join(floors)
    yield Target(f"L: CPU a request of {who.REGULARS_SQLITE}, by {names}", 2.0, True, ratio)
    for ours in (who.REGULARS_SQLITE, who.REGULARS_POSTGRESQL):
        cost = results.median("D", ours, _cpu) * 1e3 if ("D", ours) in results.rounds else None
        yield Target(f"D: CPU a request of {ours}", 3.0, True, cost, " ms")


def of_searches(searched: list[Searched]) -> Iterator[Target]:
    """The targets of searches among a million customers: the median over kinds and orders, and the
    slowest."""
    for database in ("SQLite", "PostgreSQL"):
        for name, kinds in (("one key", ONE_KEY), ("two words", TWO_WORDS)):
            taken = of(searched, kinds, database)
            for which, figure in (("median", statistics.median), ("slowest", max)):
                what = f"S: {which} of the first pages of {name} among 1,000,000, {database}"
                yield Target(what, 20.0, True, figure(taken) if taken else None, " ms")


# Of the measurements beside the comparison: what, wanted, at most.
_EXTRAS: Mapping[str, tuple[str, float, bool, str]] = {
    "first page": ("L: CPU of the first page of 1,000,000 customers, by 10,000", 1.15, True, "×"),
    "last page": ("L: CPU of the last page of 1,000,000 customers, by 10,000", 1.15, True, "×"),
    "slow disk": ("C: with a commit of 2 ms, by one commit a write", 10.0, False, "×"),
    "two cpu": ("L: what two processes do by one, by their CPU a request", 1.7, False, "×"),
    "memory": ("M: resident memory after the run, by that after 1,000 requests", 1.1, True, "×"),
    who.REGULARS_SQLITE: ("start to first answer, SQLite", 1.0, True, " s"),
    who.REGULARS_POSTGRESQL: ("start to first answer, PostgreSQL", 1.0, True, " s"),
}


_TRANSFERS: Mapping[str, tuple[str, float, bool, str]] = {
    **{
        f"{name} {database}": (f"{what}, {database}", wanted, at_most, unit)
        for database in ("SQLite", "PostgreSQL")
        for name, what, wanted, at_most, unit in (
            ("import", "import of new customers, with their history", 25_000.0, False, " rows/s"),
            ("import by ORM", "the same, by a loop of SQLAlchemy's ORM", 5.0, False, "×"),
            ("unchanged", "import of the same file again", 50_000.0, False, " rows/s"),
            ("export", "export to CSV", 100_000.0, False, " rows/s"),
            ("transfer memory", "peak memory of these", 150.0, True, " MiB"),
        )
    },
    "import leaves": ("L: the rate while an import over HTTP runs, by alone", 0.5, False, "×"),
}


def of_transfers(measured: Mapping[str, float]) -> Iterator[Target]:
    """The targets of imports and exports."""
    for name, (what, wanted, at_most, unit) in _TRANSFERS.items():
        yield Target(what, wanted, at_most, measured.get(name), unit)


_PAGES: Mapping[str, tuple[str, float, bool, str]] = {
    "pages again": ("the list is seen, in a tab that is open", 200.0, True, " ms"),
    "pages first": ("the list is seen, in a browser that has not been here", 200.0, True, " ms"),
    "pages floor": ("the latter, by what a line of text takes there", 2.0, True, "×"),
    "pages size": ("what goes over the wire for it, headers included", 60.0, True, " KB"),
}


def of_pages(measured: Mapping[str, float]) -> Iterator[Target]:
    """The targets of the pages."""
    for name, (what, wanted, at_most, unit) in _PAGES.items():
        yield Target(what, wanted, at_most, measured.get(name), unit)


def of_extras(measured: Mapping[str, float]) -> Iterator[Target]:
    """The targets beside the comparison."""
    for name, (what, wanted, at_most, unit) in _EXTRAS.items():
        yield Target(what, wanted, at_most, measured.get(name), unit)
