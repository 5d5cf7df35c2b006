"""PostgreSQL: a pool of connections, and for each account a queue of writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from regulars.store import queries, writes
from regulars.store.errors import Conflict, Unreachable
from regulars.store.query import Query
from regulars.store.tables import customers, leads, orders
from regulars.store.writer import (
    MAX_BATCH,
    Changes,
    Command,
    Decide,
    Row,
    State,
    Write,
    all_names,
)

POOL_SIZE = 10
STATEMENT_SECONDS = 10.0
CONNECT_SECONDS = 10.0


async def _keep_session(_connection: object) -> None:
    """Resets nothing when a connection returns to the pool: nothing here changes a session, and
    the round trip of the default reset costs more than a query."""


class PostgreSQLStore:
    """A database on a server; `decide` decides what its writer does."""

    def __init__(self, dsn: str, decide: Decide, pool_size: int = POOL_SIZE) -> None:
        self._dsn = dsn
        self._decide = decide
        self._pool_size = pool_size
        self._pool: asyncpg.Pool | None = None
        self._waiting: dict[int, deque[Write]] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._pool_size,
                reset=_keep_session,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unreachable(unreachable(error)) from error

    async def close(self) -> None:
        if self._working:
            await asyncio.wait(self._working)
        if self._pool:
            await self._pool.close()

    def _connected(self) -> asyncpg.Pool:
        if self._pool is None:
            raise Unreachable("The database is not open.")
        return self._pool

    async def fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        compiled = query.compiled("postgresql")
        async with self._connected().acquire() as connection:
            rows = await connection.fetch(compiled.text, *compiled.arguments(parameters))
        return [tuple(row) for row in rows]

    async def execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        status = ""
        try:
            async with self._connected().acquire() as connection, connection.transaction():
                for query, parameters in statements:
                    status = await _run(connection, query, parameters)
        except asyncpg.UniqueViolationError as error:
            raise Conflict(str(error)) from error
        return int(status.rsplit(" ", 1)[-1])

    async def write(self, account_id: int, command: Command) -> Any:
        write = Write(account_id, command, asyncio.get_running_loop().create_future())
        waiting = self._waiting.get(account_id)
        if waiting is None:
            self._waiting[account_id] = deque([write])
            task = asyncio.create_task(self._work(account_id))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        else:
            waiting.append(write)
        return await write.answered

    async def _work(self, account_id: int) -> None:
        """Takes what waits for the account, batch by batch, until nothing does."""
        waiting = self._waiting[account_id]
        while waiting:
            batch = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH))]
            await self._transact(account_id, batch)
            for write in batch:
                write.answer()
        del self._waiting[account_id]

    async def _transact(self, account_id: int, batch: Sequence[Write]) -> None:
        """Decides and commits a batch. One that the database refuses as a whole is tried again
        write by write, so that the fault finds its author."""
        try:
            async with self._connected().acquire() as connection, connection.transaction():
                state = await _load(connection, account_id, batch)
                commands = [write.command for write in batch]
                outcomes, changes = self._decide(account_id, commands, state)
                await _save(connection, account_id, changes)
            for write, outcome in zip(batch, outcomes, strict=True):
                write.outcome = outcome
        except Exception as error:
            if len(batch) == 1:
                batch[0].outcome = error
                return
            for write in batch:
                await self._transact(account_id, [write])


async def _run(connection: Any, query: Query, parameters: Mapping[str, Any]) -> str:
    compiled = query.compiled("postgresql")
    # fetch keeps the statement prepared, execute with arguments does so too; only execute
    # answers the number of rows.
    return str(await connection.execute(compiled.text, *compiled.arguments(parameters)))


async def _rows(connection: Any, query: Query, parameters: Mapping[str, Any]) -> list[Any]:
    compiled = query.compiled("postgresql")
    return list(await connection.fetch(compiled.text, *compiled.arguments(parameters)))


async def _load(connection: Any, account_id: int, batch: Sequence[Write]) -> State:
    names = all_names(batch)
    # The lock comes first and alone: what is read after it has been granted is not stale.
    (locked,) = await _rows(connection, queries.lock_account(), {"account_id": account_id})
    rows = await _rows(
        connection,
        queries.named_customers(),
        {
            "account_id": account_id,
            "ids": list(names.customer_ids),
            "email_keys": list(names.email_keys),
        },
    )
    existing: frozenset[str] = frozenset()
    if names.order_names:
        parameters = {"account_id": account_id, "names": list(names.order_names)}
        taken = await _rows(connection, queries.named_orders(), parameters)
        existing = frozenset(row[0] for row in taken)
    return State(dict(locked), [dict(row) for row in rows], existing)


async def _save(connection: Any, account_id: int, changes: Changes) -> None:
    if changes.deleted_customers:
        parameters = {"account_id": account_id, "ids": list(changes.deleted_customers)}
        await _run(connection, writes.delete_customers(), parameters)
    for columns, updated in changes.updated_customers.items():
        arrays = {**_arrays(updated), "only_account": account_id}
        await _run(connection, writes.update_many(columns), arrays)
    for table, rows in (
        (customers, changes.inserted_customers),
        (orders, changes.inserted_orders),
        (leads, changes.inserted_leads),
    ):
        if rows:
            await _run(connection, writes.insert_many(table), _arrays(rows))
    if changes.counters:
        parameters = {"only_account": account_id, **changes.counters}
        await _run(connection, writes.set_counters(), parameters)


def _arrays(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Rows turned on their side: the values of each column."""
    listed = list(rows)
    return {name: [row[name] for row in listed] for name in listed[0]}


def unreachable(error: BaseException) -> str:
    """A sentence for the operator; the password is in none of the errors it quotes."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"PostgreSQL cannot be reached: {reason.rstrip('.')}."
