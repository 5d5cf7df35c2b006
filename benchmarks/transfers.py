"""Customers in and out: rows a second on one core, beside a loop of SQLAlchemy's ORM; the memory;
and what an import leaves of the rate of others."""

from __future__ import annotations

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

from benchmarks import contenders, data
from benchmarks.compare import CUSTOMERS, measured
from benchmarks.servers import BUILD, ROOT, SERVER_CORE, pinned, serving
from benchmarks.work import LIST, L, page_body

Say = Callable[[str], None]

# What the ORM is given, of the rows that Regulars imports: its rate does not depend on it.
_ORM_SHARE = 10
# Rows of an import that is still under way when it is cancelled.
_WHILE = 300_000
_FIRST = "Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Kim Lena Max Nora Olga Paul".split()
_LAST = "Miller Smith Garcia Novak Rossi Silva Khan Meyer Dubois Jansen Nguyen Yilmaz".split()
COLUMNS = ("email", "first_name", "last_name", "phone", "accepts_marketing", "tags")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a command took: rows a second from its start to its end, and its peak memory in
    bytes."""

    rate: float
    memory: int


def rows(count: int, seed: int = 1) -> Iterator[tuple[str, ...]]:
    """Customers as a mailing list has them: an email, a name, a phone number, and tags."""
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


def written(count: int, path: Path) -> Path:
    """A CSV file of customers."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows(count))
    return path


def measure(count: int, rounds: int, seconds: float, say: Say) -> dict[str, float]:
    """Every figure of the transfers, by its name."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="regulars-") as name:
        folder = Path(name)
        file = written(count, folder / "customers.csv")
        sqlite = f"sqlite:///{folder / 'transfers.db'}"
        found |= _of_database("SQLite", sqlite, file, count, folder, say)
        with data.empty_postgresql() as dsn:
            found |= _of_database("PostgreSQL", dsn, file, count, folder, say)
        found["import leaves"] = _what_is_left(folder, rounds, seconds, say)
    return found


def _of_database(
    database: str, url: str, file: Path, count: int, folder: Path, say: Say
) -> dict[str, float]:
    data.regulars("migrate", database_url=url)
    data.regulars("account", "create", "transfers", database_url=url)
    out = folder / "out.csv"
    found: dict[str, float] = {}
    memory = 0
    for what, arguments in (
        ("import", ("import", str(file))),
        ("unchanged", ("import", str(file))),
        ("export", ("export", str(out))),
    ):
        say(f"{what}, {count:,} rows, {database}")
        taken = command(("-m", "regulars", *arguments, "--json"), url, count)
        found[f"{what} {database}"] = taken.rate
        memory = max(memory, taken.memory)
    found[f"transfer memory {database}"] = memory / 2**20
    few = count // _ORM_SHARE
    say(f"a loop of SQLAlchemy's ORM, {few:,} rows, {database}")
    orm = command(("-m", "benchmarks.orm", url, str(few)), url, few)
    found[f"import by ORM {database}"] = found[f"import {database}"] / orm.rate
    return found


def command(arguments: tuple[str, ...], url: str, count: int) -> Taken:
    """Runs a command of this Python on one core. Raises CalledProcessError."""
    environment = {**os.environ, "REGULARS_DATABASE_URL": url}
    began = time.perf_counter()
    with pinned([SERVER_CORE]), (BUILD / "transfers.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=log, stderr=log, cwd=ROOT
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Taken(count / (time.perf_counter() - began), used.ru_maxrss * 1024)


def _what_is_left(folder: Path, rounds: int, seconds: float, say: Say) -> float:
    """The rate of L while an import over HTTP runs, by that without one. The import's process has
    the server's core."""
    path = data.sqlite_with(CUSTOMERS, folder)
    file = written(_WHILE, folder / "while.csv")
    contender = contenders.regulars("Regulars, importing", f"sqlite:///{path}")
    ratios = []
    with serving(contender, page_body(LIST, CUSTOMERS)) as running:
        base = running.url.removesuffix(contender.path)
        with httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {contender.token}"}, timeout=60
        ) as client:
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}: L while an import runs")
                alone = measured(running, L, seconds, number)[0].rate
                place = client.post("/import", content=file.read_bytes()).headers["location"]
                _await(client, place)
                both = measured(running, L, seconds, number)[0].rate
                state = client.delete(place).json()["data"]
                if state["state"] != "cancelled":
                    raise RuntimeError("The import ended before the measurement did.")
                ratios.append(both / alone)
    return statistics.median(ratios)


def _await(client: httpx.Client, place: str) -> None:
    """Waits until an import has begun."""
    for _ in range(600):
        told: dict[str, Any] = client.get(place).json()["data"]
        if told["rows"]:
            return
        time.sleep(0.05)
    raise RuntimeError("The import did not begin.")
