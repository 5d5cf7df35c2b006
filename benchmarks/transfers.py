"""Measure imports and exports: rows per second, compared with SQLAlchemy's ORM; peak
memory; and the rate of other requests during an import."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import contenders, data
from benchmarks.compare import CUSTOMERS, measure_round
from benchmarks.servers import BUILD, LOAD_CORE, ROOT, SERVER_CORE, pinned, run_server
from benchmarks.work import LIST, L, page_body

Progress = Callable[[str], None]

# The ORM gets a tenth of the rows: its rate does not depend on their number.
_ORM_SHARE = 10
# Reading the memory of a process takes milliseconds.
_MEMORY_SECONDS = 0.5
# Enough rows that the import lasts longer than the measurement.
_IMPORT_ROWS = 300_000
_FIRST = "Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Kim Lena Max Nora Olga Paul".split()
_LAST = "Miller Smith Garcia Novak Rossi Silva Khan Meyer Dubois Jansen Nguyen Yilmaz".split()
COLUMNS = ("email", "first_name", "last_name", "phone", "accepts_marketing", "tags")


@dataclass(frozen=True, slots=True)
class CommandUsage:
    """The rows per second of a command from its start to its end, and its peak memory."""

    rate: float
    memory_bytes: int


def rows(count: int, seed: int = 1) -> Iterator[tuple[str, ...]]:
    """Yields customers like those of a mailing list: email, name, phone number and tags."""
    rng = random.Random(seed)
    for number in range(count):
        first, last = rng.choice(_FIRST), rng.choice(_LAST)
        yield (
            f"{first.lower()}.{last.lower()}.{number}@mail{rng.randrange(200)}.example.com",
            first,
            last,
            f"+4930{rng.randrange(10**6, 10**7)}",
            rng.choice(("true", "false")),
            rng.choice(("", "vip", "new, vip", "wholesale")),
        )


def write_csv(count: int, path: Path) -> Path:
    """Writes customers to a CSV file and returns its path."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows(count))
    return path


def measure(count: int, rounds: int, seconds: float, progress: Progress) -> dict[str, float]:
    """Measures imports and exports and returns the figures by name."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="regulars-") as name:
        folder = Path(name)
        file = write_csv(count, folder / "customers.csv")
        sqlite = f"sqlite:///{folder / 'transfers.db'}"
        figures |= _measure_database("SQLite", sqlite, file, count, folder, progress)
        with data.empty_postgresql() as dsn:
            figures |= _measure_database("PostgreSQL", dsn, file, count, folder, progress)
        figures["import leaves"] = _measure_rate_during_import(folder, rounds, seconds, progress)
    return figures


def _measure_database(
    database: str, url: str, file: Path, count: int, folder: Path, progress: Progress
) -> dict[str, float]:
    data.run_regulars("migrate", database_url=url)
    data.run_regulars("account", "create", "transfers", database_url=url)
    out = folder / "out.csv"
    figures: dict[str, float] = {}
    memory_bytes = 0
    for name, arguments in (
        ("import", ("import", str(file))),
        ("unchanged", ("import", str(file))),
        ("export", ("export", str(out))),
    ):
        progress(f"{name}, {count:,} rows, {database}")
        usage = run_command(("-m", "regulars", *arguments, "--json"), url, count)
        figures[f"{name} {database}"] = usage.rate
        memory_bytes = max(memory_bytes, usage.memory_bytes)
    figures[f"transfer memory {database}"] = memory_bytes / 2**20
    orm_count = count // _ORM_SHARE
    progress(f"a loop of SQLAlchemy's ORM, {orm_count:,} rows, {database}")
    orm = run_command(("-m", "benchmarks.orm", url, str(orm_count)), url, orm_count)
    figures[f"import by ORM {database}"] = figures[f"import {database}"] / orm.rate
    return figures


def run_command(arguments: tuple[str, ...], url: str, count: int) -> CommandUsage:
    """Runs a command of this Python on two cores, and adds up the memory of its processes (shared
    pages count once). Raises CalledProcessError if it fails."""
    environment = {**os.environ, "REGULARS_DATABASE_URL": url}
    started_at = time.perf_counter()
    with pinned([SERVER_CORE, LOAD_CORE]), (BUILD / "transfers.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=log, stderr=log, cwd=ROOT
        )
        memory_bytes = 0
        while process.poll() is None:
            memory_bytes = max(memory_bytes, _memory_bytes(psutil.Process(process.pid)))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_MEMORY_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return CommandUsage(count / (time.perf_counter() - started_at), memory_bytes)


def _memory_bytes(process: psutil.Process) -> int:
    """Returns the memory of a process and its children; 0 if it has ended."""
    try:
        tree = [process, *process.children(recursive=True)]
        return sum(one.memory_full_info().pss for one in tree)
    except psutil.Error:
        return 0


def _measure_rate_during_import(
    folder: Path, rounds: int, seconds: float, progress: Progress
) -> float:
    """Returns the rate of L during an import over HTTP, divided by that without one. The process of
    the import shares the core of the server."""
    path = data.sqlite_with(CUSTOMERS, folder)
    file = write_csv(_IMPORT_ROWS, folder / "while.csv")
    contender = contenders.regulars("Regulars, importing", f"sqlite:///{path}")
    ratios = []
    with run_server(contender, page_body(LIST, CUSTOMERS)) as server:
        base = server.url.removesuffix(contender.path)
        with httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {contender.token}"}, timeout=60
        ) as client:
            for number in range(rounds):
                progress(f"round {number + 1} of {rounds}: L while an import runs")
                alone = measure_round(server, L, seconds, number)[0].rate
                url = client.post("/import", content=file.read_bytes()).headers["location"]
                _wait_for_start(client, url)
                during_import = measure_round(server, L, seconds, number)[0].rate
                state = client.delete(url).json()["data"]
                if state["state"] != "cancelled":
                    raise RuntimeError("The import ended before the measurement did.")
                ratios.append(during_import / alone)
    return statistics.median(ratios)


def _wait_for_start(client: httpx.Client, url: str) -> None:
    """Waits until an import has read its first rows."""
    for _ in range(600):
        state: dict[str, Any] = client.get(url).json()["data"]
        if state["rows"]:
            return
        time.sleep(0.05)
    raise RuntimeError("The import did not begin.")
