"""The tables of `make bench-scale`, and the model held against what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from benchmarks.scale.data import Filled
from benchmarks.scale.fairness import Disturbed
from benchmarks.scale.measure import Point
from benchmarks.scale.model import Deployment, Operation, plan, storage, throughput
from benchmarks.servers import ROOT

PAGE = ROOT / "docs" / "benchmark" / "scale.md"
# What is to be reached.
KNOWN_BYTES = 2_048
TIMES_ALONE = 2.0
MODEL_OFF = 0.20
# Reads and writes a second that are planned for.
_RATES = ((1_000, 100), (10_000, 1_000), (50_000, 5_000))


@dataclass(slots=True)
class Found:
    """Everything that was measured, of so many customers in all."""

    customers: int
    filled: list[Filled] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    cold: tuple[float, float] = (0.0, 0.0)
    memory: float = 0.0
    flushes: float = float("inf")
    replica: dict[str, Point] = field(default_factory=dict)
    tenth: Filled | None = None
    single: list[Point] = field(default_factory=list)
    citus: list[Point] = field(default_factory=list)
    fairness: dict[str, list[Disturbed]] = field(default_factory=dict)


def operation_of(point: Point) -> Operation:
    """What one operation takes, as it was measured. What a read finds to flush is left of the
    writes before it."""
    writes = point.operation == "create"
    wal = (point.flushes, point.wal) if writes else (0.0, 0.0)
    one_account = writes and point.accounts == 1
    return Operation(point.operation, point.server, point.database, *wal, one_account)


def predictions(found: Found) -> Iterator[tuple[str, float, float]]:
    """What the model predicts, and what was measured: processes from the run with one, and
    storage from a tenth."""
    cores = float(os.cpu_count() or 1)
    ones = {(p.operation, p.accounts): p for p in found.points if p.processes == 1}
    for point in found.points:
        one = ones[point.operation, point.accounts]
        deployment = Deployment(point.processes, cores, flushes=found.flushes, other=one.load)
        what = (
            f"{point.operation}s a second, {point.accounts:,} accounts, {point.processes} processes"
        )
        yield what, throughput(operation_of(one), deployment), point.rate
    if found.tenth is not None:
        each = found.tenth.bytes / (found.tenth.accounts * found.tenth.each)
        for filled in found.filled:
            count = filled.accounts * filled.each
            what = f"MB of {count:,} customers in {filled.accounts:,} accounts"
            yield what, storage(count, each) / 1e6, filled.bytes / 1e6


def markdown(found: Found, command: str) -> str:
    """The page."""
    return "\n".join(_lines(found, command)) + "\n"


def write(text: str) -> None:
    """Writes the page."""
    PAGE.write_text(text, encoding="utf-8")


def _lines(found: Found, command: str) -> Iterator[str]:
    cores = os.cpu_count()
    yield "# How it scales: the figures"
    yield ""
    yield f"Written by `{command}`, on {cores} cores ({platform.machine()}) that the servers,"
    yield "PostgreSQL and the load share. [Scale](../scale.md) says what they mean."
    yield ""
    yield f"## {found.customers:,} customers in all"
    yield ""
    yield from _table(
        "accounts | processes | >operation | a second | server, µs | PostgreSQL, µs | load, µs "
        "| WAL flushes | WAL bytes",
        (
            f"{p.accounts:,} | {p.processes} | {p.operation} | {p.rate:,.0f} | {_cpu(p)} "
            f"| {p.load * 1e6:.0f} | {p.flushes:.2f} | {p.wal:,.0f}"
            for p in sorted(found.points, key=lambda p: (p.accounts, p.operation, p.processes))
        ),
    )
    yield ""
    first, second = found.cold
    yield from _table(
        ">what | wanted | measured",
        (
            f"the first request of a cold account | | {first * 1e3:.1f} ms",
            f"its second | | {second * 1e3:.1f} ms",
            f"memory for each account that is known | {KNOWN_BYTES:,} B | {found.memory:,.0f} B",
            f"flushes of a page a second that the disk takes | | {found.flushes:,.0f}",
        ),
    )
    if found.replica:
        yield from _replica(found.replica)
    if found.citus:
        yield from _citus(found)
    for name, each in found.fairness.items():
        yield from _fairness(name, each)
    yield from _model(found)


def _table(heads: str, rows: Iterable[str]) -> Iterator[str]:
    """A table of figures; what is under a head that begins with `>` is text."""
    names = heads.split(" | ")
    yield "| " + " | ".join(name.removeprefix(">") for name in names) + " |"
    yield "| " + " | ".join("---" if name.startswith(">") else "---:" for name in names) + " |"
    for row in rows:
        yield f"| {row} |"


def _cpu(point: Point) -> str:
    return f"{point.server * 1e6:.0f} | {point.database * 1e6:.0f}"


def _replica(each: dict[str, Point]) -> Iterator[str]:
    yield ""
    yield "## With a replica"
    yield ""
    yield "Reads of all accounts, one process; the replica is on the same machine, whose cores it"
    yield "shares: what counts is what the primary is spared."
    yield ""
    yield from _table(
        ">reads | a second | server, µs | primary, µs | replica, µs",
        (f"{name} | {p.rate:,.0f} | {_cpu(p)} | {p.replica * 1e6:.0f}" for name, p in each.items()),
    )


def _citus(found: Found) -> Iterator[str]:
    yield ""
    yield "## Citus against one PostgreSQL"
    yield ""
    yield "One process of Regulars; a coordinator and two workers on the same machine."
    yield ""
    yield from _table(
        ">operation | one PostgreSQL, a second | Citus, a second | ratio",
        (_compared(operation, found) for operation in ("read", "create")),
    )


def _compared(operation: str, found: Found) -> str:
    one, many = (
        median(p.rate for p in points if p.operation == operation)
        for points in (found.single, found.citus)
    )
    return f"{operation} | {one:,.0f} | {many:,.0f} | {many / one:.2f}"


def _fairness(name: str, each: list[Disturbed]) -> Iterator[str]:
    yield ""
    yield f"## Beside an account that takes all it can get: {name}"
    yield ""
    yield "An ordinary account reads, or creates, on so many connections, without a pause."
    yield ""
    yield from _table(
        ">the other account | > | p99 alone | p99 beside it | times (wanted: 2)",
        (
            f"{one.what} | {one.operation}s, {one.connections} | {one.alone * 1e3:.1f} ms "
            f"| {one.beside * 1e3:.1f} ms | {_reached(one.ratio, '.1f', TIMES_ALONE)}"
            for one in each
        ),
    )


def _reached(figure: float, form: str, most: float) -> str:
    """A figure, and whether it is more than it may be."""
    return f"{figure:{form}}" + (", **not reached**" if abs(figure) > most else "")


def _model(found: Found) -> Iterator[str]:
    yield ""
    yield "## The model"
    yield ""
    yield "`benchmarks/scale/model.py`, from the runs with one process and a database of a tenth."
    yield ""
    yield from _table(
        ">what | predicted | measured | off by (wanted: 20 %)",
        (
            f"{what} | {predicted:,.0f} | {measured:,.0f} "
            f"| {_reached(predicted / measured - 1, '+.0%', MODEL_OFF)}"
            for what, predicted, measured in predictions(found)
        ),
    )
    many = max(found.points, key=lambda p: p.accounts).accounts
    reads, writes = (
        next(
            operation_of(p)
            for p in found.points
            if (p.operation, p.processes, p.accounts) == (operation, 1, many)
        )
        for operation in ("read", "create")
    )
    if found.tenth is None:
        return
    each = found.tenth.bytes / (found.tenth.accounts * found.tenth.each)
    yield ""
    yield "10,000 accounts of 100,000 customers, on cores as fast as these, half of them free:"
    yield ""
    yield from _table(
        "reads a second | writes | cores, servers | cores, database | flushes a second "
        "| WAL, MB a second at most | GB, twice | a month",
        (_planned(reads, writes, rates, each) for rates in _RATES),
    )
    yield ""
    yield "What is changed first after a checkpoint is logged by the whole page: the WAL is what it"
    yield "comes to then. A month's price is 25 for a core with its memory and 0.10 for a GB of"
    yield "disk: put yours into `Prices`."


def _planned(reads: Operation, writes: Operation, rates: tuple[int, int], each: float) -> str:
    made = plan(reads, writes, rates, 1_000_000_000, each)
    return (
        f"{rates[0]:,} | {rates[1]:,} | {made.server_cores:.1f} | {made.database_cores:.1f} "
        f"| {made.flushes:,.0f} | {made.wal_megabytes:,.1f} | {made.gigabytes:,.0f} "
        f"| {made.cost:,.0f}"
    )
