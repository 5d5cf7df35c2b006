"""Running queries on a connection, and repeating transactions that PostgreSQL rolled back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, TypeVar

import asyncpg

from regulars.store.query import Query
from regulars.store.statement_times import statement_times

_MAX_RETRIES = 5
_MAX_PAUSE_SECONDS = 0.05

T = TypeVar("T")


class AccountMoved(Exception):
    """The account has moved to another node of Citus since it was loaded. Nothing was saved."""


_ROLLED_BACK = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, AccountMoved)


async def retry_rolled_back(transact: Callable[[], Awaitable[T]]) -> T:
    """Return what a transaction returns. Repeat it after a deadlock, which PostgreSQL resolves by
    rolling one transaction back. On Citus, writes to reference tables lock the nodes in any order,
    and an account may move."""
    for _ in range(_MAX_RETRIES):
        try:
            return await transact()
        except _ROLLED_BACK:
            await asyncio.sleep(random.uniform(0, _MAX_PAUSE_SECONDS))  # noqa: S311  # no secret
    return await transact()


async def fetch_rows(connection: Any, query: Query, parameters: Mapping[str, Any]) -> list[Any]:
    """Return the rows of a query."""
    compiled = query.compiled("postgresql")
    began = perf_counter()
    try:
        return list(await connection.fetch(compiled.text, *compiled.arguments(parameters)))
    finally:
        statement_times.record(compiled.text, began)


async def execute(connection: Any, query: Query, parameters: Mapping[str, Any]) -> str:
    """Run a query; return PostgreSQL's command tag, such as `INSERT 0 1`."""
    compiled = query.compiled("postgresql")
    began = perf_counter()
    try:
        return str(await connection.execute(compiled.text, *compiled.arguments(parameters)))
    finally:
        statement_times.record(compiled.text, began)
