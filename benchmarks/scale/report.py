"""Write the tables of `make bench-scale`, and compare the model with the measurements."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from benchmarks.scale.data import FilledDatabase
from benchmarks.scale.fairness import FairnessResult
from benchmarks.scale.measure import Point
from benchmarks.scale.model import Deployment, Operation, plan, storage, throughput
from benchmarks.servers import ROOT

PAGE = ROOT / "docs" / "benchmark" / "scale.md"
# The targets.
MAX_BYTES_PER_ACCOUNT = 2_048
MAX_P99_RATIO = 2.0
MAX_MODEL_ERROR = 0.20
# The reads and writes per second of the plans.
_RATES = ((1_000, 100), (10_000, 1_000), (50_000, 5_000))


@dataclass(slots=True)
class Measurements:
    """All results of a run with `customers` customers in total."""

    customers: int
    filled: list[FilledDatabase] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    first_and_second_seconds: tuple[float, float] = (0.0, 0.0)
    bytes_per_account: float = 0.0
    flushes_per_second: float = float("inf")
    replica: dict[str, Point] = field(default_factory=dict)
    tenth: FilledDatabase | None = None
    single: list[Point] = field(default_factory=list)
    citus: list[Point] = field(default_factory=list)
    fairness: dict[str, list[FairnessResult]] = field(default_factory=dict)


def operation_of(point: Point) -> Operation:
    """Returns the measured cost of one operation. Flushes during reads do not count: they belong to
    earlier writes."""
    is_write = point.operation == "create"
    wal = (point.flushes, point.wal_bytes) if is_write else (0.0, 0.0)
    is_one_account = is_write and point.accounts == 1
    return Operation(
        point.operation, point.server_seconds, point.database_seconds, *wal, is_one_account
    )


def predictions(measurements: Measurements) -> Iterator[tuple[str, float, float]]:
    """Yields predictions with the measured values: throughput from the runs with one process, and
    storage from a database of a tenth."""
    cores = float(os.cpu_count() or 1)
    single_process = {(p.operation, p.accounts): p for p in measurements.points if p.processes == 1}
    for point in measurements.points:
        base = single_process[point.operation, point.accounts]
        deployment = Deployment(
            point.processes,
            cores,
            flushes_per_second=measurements.flushes_per_second,
            other_seconds=base.load_seconds,
        )
        label = (
            f"{point.operation}s a second, {point.accounts:,} accounts, {point.processes} processes"
        )
        yield label, throughput(operation_of(base), deployment), point.rate
    if measurements.tenth is not None:
        bytes_per_customer = _bytes_per_customer(measurements.tenth)
        for filled in measurements.filled:
            count = filled.accounts * filled.customers_per_account
            label = f"MB of {count:,} customers in {filled.accounts:,} accounts"
            yield label, storage(count, bytes_per_customer) / 1e6, filled.size_bytes / 1e6


def _bytes_per_customer(database: FilledDatabase) -> float:
    return database.size_bytes / (database.accounts * database.customers_per_account)


def markdown(measurements: Measurements, command: str) -> str:
    """Returns the page."""
    return "\n".join(_lines(measurements, command)) + "\n"


def write(text: str) -> None:
    """Writes the page."""
    PAGE.write_text(text, encoding="utf-8")


def _lines(measurements: Measurements, command: str) -> Iterator[str]:
    cores = os.cpu_count()
    yield "# Measurements of scaling"
    yield ""
    yield f"Written by `{command}`, on {cores} cores ({platform.machine()}) that the servers,"
    yield "PostgreSQL and the load share. [Scale](../operate/scale.md) says what they mean."
    yield ""
    yield f"## {measurements.customers:,} customers in all"
    yield ""
    yield from _table(
        "accounts | processes | >operation | a second | server, µs | PostgreSQL, µs | load, µs "
        "| WAL flushes | WAL bytes",
        (
            f"{p.accounts:,} | {p.processes} | {p.operation} | {p.rate:,.0f} | {_cpu(p)} "
            f"| {p.load_seconds * 1e6:.0f} | {p.flushes:.2f} | {p.wal_bytes:,.0f}"
            for p in sorted(
                measurements.points, key=lambda p: (p.accounts, p.operation, p.processes)
            )
        ),
    )
    yield ""
    first, second = measurements.first_and_second_seconds
    yield from _table(
        ">what | wanted | measured",
        (
            f"the first request of a cold account | | {first * 1e3:.1f} ms",
            f"its second | | {second * 1e3:.1f} ms",
            f"memory for each account that is known | {MAX_BYTES_PER_ACCOUNT:,} B "
            f"| {measurements.bytes_per_account:,.0f} B",
            "flushes of a page a second that the disk takes | "
            f"| {measurements.flushes_per_second:,.0f}",
        ),
    )
    if measurements.replica:
        yield from _replica(measurements.replica)
    if measurements.citus:
        yield from _citus(measurements)
    for database, results in measurements.fairness.items():
        yield from _fairness(database, results)
    yield from _model(measurements)


def _table(headings: str, rows: Iterable[str]) -> Iterator[str]:
    """Yields a table of numbers. A column is text if its heading begins with `>`."""
    names = headings.split(" | ")
    yield "| " + " | ".join(name.removeprefix(">") for name in names) + " |"
    yield "| " + " | ".join("---" if name.startswith(">") else "---:" for name in names) + " |"
    for row in rows:
        yield f"| {row} |"


def _cpu(point: Point) -> str:
    return f"{point.server_seconds * 1e6:.0f} | {point.database_seconds * 1e6:.0f}"


def _replica(points: dict[str, Point]) -> Iterator[str]:
    yield ""
    yield "## With a replica"
    yield ""
    yield "Reads of all accounts, one process; the replica is on the same machine, whose cores it"
    yield "shares. The target metric is the processor time of the primary."
    yield ""
    yield from _table(
        ">reads | a second | server, µs | primary, µs | replica, µs",
        (
            f"{name} | {p.rate:,.0f} | {_cpu(p)} | {p.replica_seconds * 1e6:.0f}"
            for name, p in points.items()
        ),
    )


def _citus(measurements: Measurements) -> Iterator[str]:
    yield ""
    yield "## Citus against one PostgreSQL"
    yield ""
    yield "One process of Regulars; a coordinator and two workers on the same machine."
    yield ""
    yield from _table(
        ">operation | one PostgreSQL, a second | Citus, a second | ratio",
        (_compare(operation, measurements) for operation in ("read", "create")),
    )


def _compare(operation: str, measurements: Measurements) -> str:
    single, cluster = (
        median(p.rate for p in points if p.operation == operation)
        for points in (measurements.single, measurements.citus)
    )
    return f"{operation} | {single:,.0f} | {cluster:,.0f} | {cluster / single:.2f}"


def _fairness(database: str, results: list[FairnessResult]) -> Iterator[str]:
    yield ""
    yield f"## Next to an account that sends as many requests as possible: {database}"
    yield ""
    yield "An ordinary account reads, or creates, on so many connections, without a pause."
    yield ""
    yield from _table(
        ">the other account | > | p99 alone | p99 next to it | times (wanted: 2)",
        (
            f"{result.neighbor} | {result.operation}s, {result.connections} "
            f"| {result.alone_seconds * 1e3:.1f} ms "
            f"| {result.contended_seconds * 1e3:.1f} ms "
            f"| {_mark_miss(result.ratio, '.1f', MAX_P99_RATIO)}"
            for result in results
        ),
    )


def _mark_miss(value: float, number_format: str, maximum: float) -> str:
    """Returns a value, with a mark if it is larger than the target."""
    return f"{value:{number_format}}" + (", **not reached**" if abs(value) > maximum else "")


def _model(measurements: Measurements) -> Iterator[str]:
    yield ""
    yield "## The model"
    yield ""
    yield "`benchmarks/scale/model.py`, from the runs with one process and a database of a tenth."
    yield ""
    yield from _table(
        ">what | predicted | measured | off by (wanted: 20 %)",
        (
            f"{label} | {predicted:,.0f} | {measured:,.0f} "
            f"| {_mark_miss(predicted / measured - 1, '+.0%', MAX_MODEL_ERROR)}"
            for label, predicted, measured in predictions(measurements)
        ),
    )
    most_accounts = max(measurements.points, key=lambda p: p.accounts).accounts
    reads, writes = (
        next(
            operation_of(p)
            for p in measurements.points
            if (p.operation, p.processes, p.accounts) == (operation, 1, most_accounts)
        )
        for operation in ("read", "create")
    )
    if measurements.tenth is None:
        return
    bytes_per_customer = _bytes_per_customer(measurements.tenth)
    yield ""
    yield "10,000 accounts of 100,000 customers, on cores as fast as these, half of them free:"
    yield ""
    yield from _table(
        "reads a second | writes | cores, servers | cores, database | flushes a second "
        "| WAL, MB a second at most | GB, twice | a month",
        (_plan_row(reads, writes, rates, bytes_per_customer) for rates in _RATES),
    )
    yield ""
    yield "The first change of a page after a checkpoint logs the whole page. The table shows this"
    yield "greatest amount of WAL. A month's price is 25 for a core with its memory and 0.10 for a"
    yield "GB of disk. Change `Prices` to your prices."


def _plan_row(
    reads: Operation, writes: Operation, rates: tuple[int, int], bytes_per_customer: float
) -> str:
    resources = plan(reads, writes, rates, 1_000_000_000, bytes_per_customer)
    return (
        f"{rates[0]:,} | {rates[1]:,} | {resources.server_cores:.1f} "
        f"| {resources.database_cores:.1f} | {resources.flushes_per_second:,.0f} "
        f"| {resources.wal_megabytes:,.1f} | {resources.gigabytes:,.0f} "
        f"| {resources.monthly_cost:,.0f}"
    )
