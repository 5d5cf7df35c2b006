"""Measure the floors: the CPU time of the bare SQL of a workload, in a loop on the driver."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from benchmarks.servers import SERVER_CORE, pinned
from benchmarks.work import PAGE
from regulars.customers.values import new_row
from regulars.store import queries, writes
from regulars.store.query import Compiled
from regulars.store.sqlite.file import connect
from regulars.store.tables import customers

# The columns that L and N read.
_LIST = (
    "customer_id",
    "email",
    "first_name",
    "last_name",
    "expenses",
    "orders_count",
    "updated_at",
    "created_at",
)
_NODE = ("customer_id", "first_name", "last_name", "email", "shipping_address")

# Larger than any `_id`, so that the rows that a floor adds can be deleted.
_FIRST_ID = 2**30
_CLEAN_UP = "DELETE FROM customers WHERE customer_id >= 1073741824"
_serial = itertools.count(_FIRST_ID)


def _statement(letter: str, dialect: str) -> tuple[Compiled, Callable[[int], dict[str, Any]]]:
    """Returns the statement of a workload, and its parameters for a customer."""
    if letter == "L":
        page = queries.page("id", _LIST, False, True, False)
        return page.compiled(dialect), lambda number: {
            "account_id": 1,
            "limit": PAGE + 1,
            "after_value": number,
        }
    if letter == "N":
        query = queries.one_customer(_NODE)
        return query.compiled(dialect), lambda number: {"account_id": 1, "number": number}

    def row(_number: int) -> dict[str, Any]:
        number = next(_serial)
        email = f"floor.{number}@example.com"
        keys = {"account_id": 1, "customer_id": number}
        return {**new_row(1), **keys, "email": email, "email_key": email, "email_folded": email}

    return writes.insert_one(customers).compiled(dialect), row


def sqlite(path: Path, letter: str, seconds: float, customer_count: int, apsw: bool) -> float:
    """Returns the CPU seconds of one statement on SQLite with the settings of Regulars, through
    APSW or the sqlite3 module. A create is its own transaction."""
    compiled, parameters = _statement(letter, "sqlite")
    rng = random.Random(letter)
    driver_connection: Any = connect(path) if apsw else _sqlite3(path)
    with pinned([SERVER_CORE]), contextlib.closing(driver_connection) as connection:

        def run() -> None:
            values = compiled.arguments(parameters(rng.randint(PAGE + 1, customer_count)))
            connection.execute(compiled.text, values).fetchall()

        cpu_seconds = _time(run, seconds)
        connection.execute(_CLEAN_UP)
        return cpu_seconds


def _sqlite3(path: Path) -> sqlite3.Connection:
    """Returns a connection of the sqlite3 module with the settings of Regulars."""
    names = ("synchronous", "foreign_keys", "cache_size", "wal_autocheckpoint")
    with contextlib.closing(connect(path)) as model:
        settings = {name: model.pragma(name) for name in names}
    connection = sqlite3.connect(path, isolation_level=None)
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}")
    return connection


def _time(run: Callable[[], None], seconds: float) -> float:
    """Returns the CPU seconds of one call, after a warm-up."""
    deadline = time.perf_counter() + seconds / 4
    while time.perf_counter() < deadline:
        run()
    cpu_start, deadline, count = time.process_time(), time.perf_counter() + seconds, 0
    while time.perf_counter() < deadline:
        run()
        count += 1
    return (time.process_time() - cpu_start) / count


def postgresql(dsn: str, letter: str, seconds: float, customer_count: int) -> float:
    """Returns the CPU seconds of one statement in asyncpg, without those of the server."""
    compiled, parameters = _statement(letter, "postgresql")
    rng = random.Random(letter)

    async def loop() -> float:
        connection = await asyncpg.connect(dsn)
        count = 0
        cpu_start, deadline = time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            values = compiled.arguments(parameters(rng.randint(PAGE + 1, customer_count)))
            await connection.fetch(compiled.text, *values)
            count += 1
        cpu_seconds_total = time.process_time() - cpu_start
        await connection.execute(_CLEAN_UP)
        await connection.close()
        return cpu_seconds_total / count

    with pinned([SERVER_CORE]):
        return float(uvloop.run(loop()))
