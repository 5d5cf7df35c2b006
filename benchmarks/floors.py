"""The floors: what the bare SQL of a piece of work costs, in a loop on the driver."""

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

# What L and N read, and in which order.
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

# Beyond every `_id` that an account gives: what the floor adds is known by it, and removed.
_FIRST = 2**30
_FORGET = "DELETE FROM customers WHERE customer_id >= 1073741824"
_serial = itertools.count(_FIRST)


def _statement(letter: str, dialect: str) -> tuple[Compiled, Callable[[int], dict[str, Any]]]:
    """The statement of a piece of work, and its parameters for a customer."""
    if letter == "L":
        page = queries.page("id", _LIST, False, True, False)
        return page.compiled(dialect), lambda number: {
            "account_id": 1,
            "limit": PAGE + 1,
            "after_value": number,
        }
    if letter == "N":
        one = queries.one_customer(_NODE)
        return one.compiled(dialect), lambda number: {"account_id": 1, "number": number}

    def row(_number: int) -> dict[str, Any]:
        number = next(_serial)
        email = f"floor.{number}@example.com"
        keys = {"account_id": 1, "customer_id": number}
        return {**new_row(1), **keys, "email": email, "email_key": email, "email_folded": email}

    return writes.insert_one(customers).compiled(dialect), row


def sqlite(path: Path, letter: str, seconds: float, most: int, apsw: bool) -> float:
    """The CPU seconds of one statement on SQLite, with Regulars' own settings, through APSW or
    Python's sqlite3; a create is committed by itself."""
    compiled, parameters = _statement(letter, "sqlite")
    rng = random.Random(letter)
    opened: Any = connect(path) if apsw else _sqlite3(path)
    with pinned([SERVER_CORE]), contextlib.closing(opened) as connection:

        def run() -> None:
            values = compiled.arguments(parameters(rng.randint(PAGE + 1, most)))
            connection.execute(compiled.text, values).fetchall()

        cpu = _timed(run, seconds)
        connection.execute(_FORGET)
        return cpu


def _sqlite3(path: Path) -> sqlite3.Connection:
    """A connection of Python's own driver with the settings of Regulars'."""
    names = ("synchronous", "foreign_keys", "cache_size", "wal_autocheckpoint")
    with contextlib.closing(connect(path)) as model:
        settings = {name: model.pragma(name) for name in names}
    connection = sqlite3.connect(path, isolation_level=None)
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}")
    return connection


def _timed(run: Callable[[], None], seconds: float) -> float:
    until = time.perf_counter() + seconds / 4
    while time.perf_counter() < until:
        run()
    began, until, count = time.process_time(), time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        run()
        count += 1
    return (time.process_time() - began) / count


def postgresql(dsn: str, letter: str, seconds: float, most: int) -> float:
    """The CPU seconds that one statement costs the client, on asyncpg; the server's are its own."""
    compiled, parameters = _statement(letter, "postgresql")
    rng = random.Random(letter)

    async def loop() -> float:
        connection = await asyncpg.connect(dsn)
        count = 0
        began, until = time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < until:
            values = compiled.arguments(parameters(rng.randint(PAGE + 1, most)))
            await connection.fetch(compiled.text, *values)
            count += 1
        taken = time.process_time() - began
        await connection.execute(_FORGET)
        await connection.close()
        return taken / count

    with pinned([SERVER_CORE]):
        return float(uvloop.run(loop()))
