"""PostgreSQL: reads on connections that are kept, and for each account a queue of writes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa

from regulars.store import citus, queries, saving
from regulars.store.base import STATEMENT_SECONDS
from regulars.store.connections import BACKGROUND, Connections
from regulars.store.errors import Conflict, TooSlow, Unreachable
from regulars.store.gate import SearchGate
from regulars.store.large_work import LARGE_CHARACTERS, run_large
from regulars.store.lately import Lately
from regulars.store.pulse import Pulse
from regulars.store.query import Query
from regulars.store.silent import SilentNodes
from regulars.store.unit_of_work import Domain, Entities, LookupKeys, Outcomes, State
from regulars.store.writer import MAX_BATCH, Command, LastWrittenSequence, Write

POOL_SIZE = 10
# A batch that names more customers takes milliseconds to decide.
_LARGE_BATCH = 50
_NONE_INSERTED = "INSERT 0 0"


class _NotHeld(Exception):
    """An account is not as it was held: it moved to another node meanwhile. Nothing is kept."""


# What was rolled back though nothing is wrong with it, and how often it is made again, after how
# long.
_ROLLED_BACK = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, _NotHeld)
_TRIES = 5
_PAUSE_SECONDS = 0.05
# For how long it is expected that another process goes on to write to an account.
_CONTENDED_SECONDS = 1.0

# Who is met at work, other than in the background; and for how long whoever was met is expected to
# go on. (PostgreSQL, section 27.2.3.)
# On for a standby, and where an administrator or a full disk's alarm has set it so.
_READ_ONLY = "SELECT current_setting('transaction_read_only')::bool"
_OTHERS = """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()
    AND application_name <> $1)"""
_OTHERS_SECONDS = 2.0

T = TypeVar("T")


class Snapshot:
    """The database as it was at a moment, in one transaction."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    async def fetch(
        self,
        query: Query,
        parameters: Mapping[str, Any],
        long: bool = False,  # noqa: ARG002  # nobody waits for it
    ) -> Sequence[Any]:
        """The rows of a query. Raises TooSlow."""
        try:
            return await _rows(self._connection, query, parameters)
        except asyncpg.QueryCanceledError as error:
            raise TooSlow(f"A statement took longer than {self._seconds:g} s.") from error


class PostgreSQLStore:
    """A database on a server.."""

    dialect = "postgresql"

    def __init__(
        self,
        dsn: str,
        domain: Domain,
        statement_seconds: float = STATEMENT_SECONDS,
        pool_size: int = POOL_SIZE,
        large: bool = False,
    ) -> None:
        self._entities, self._decide = domain
        self._statement_seconds = statement_seconds
        name = BACKGROUND if large else None
        self._connections = Connections(dsn, pool_size, statement_seconds, name)
        self._pulse = Pulse(dsn, self._connections.timelines, self._connections.renew)
        self._silent = SilentNodes(dsn, self._connections.give_up)
        self._waiting: dict[int, deque[Write]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._made = LastWrittenSequence()
        self._searches = SearchGate()
        self._contended = Lately(_CONTENDED_SECONDS)
        self._distributed: bool | None = None  # until it is asked
        self._others_until = 0.0

    @property
    def waiting(self) -> int:
        return self._under_way + sum(len(writes) for writes in self._waiting.values())

    @property
    def connections(self) -> tuple[int, int]:
        return self._connections.used_and_free

    async def open(self) -> None:
        async with self._connections.one() as connection:
            self._distributed = await citus.is_distributed(connection)
        self._pulse.begin()
        if self._distributed:
            self._silent.begin()

    async def close(self) -> None:
        if self._working:
            await asyncio.wait(self._working)
        await self._pulse.end()
        await self._silent.end()
        await self._connections.close()

    async def fetch(
        self,
        query: Query,
        parameters: Mapping[str, Any],
        long: bool = False,
    ) -> Sequence[Any]:
        if not long:
            return await self._fetch(query, parameters)
        account_id = parameters.get("account_id", 0)
        began = await self._searches.enter(account_id)
        try:
            return await self._fetch(query, parameters)
        finally:
            self._searches.leave(account_id, began)

    async def _fetch(self, query: Query, parameters: Mapping[str, Any]) -> Sequence[Any]:
        compiled = query.compiled("postgresql")
        try:
            if self._distributed:
                async with self._lent([parameters]) as connection:
                    return await _rows(connection, query, parameters)
            return await self._connections.fetch(compiled.text, compiled.arguments(parameters))
        except asyncpg.QueryCanceledError as error:
            raise TooSlow(f"A statement took longer than {self._statement_seconds:g} s.") from error

    @asynccontextmanager
    async def _lent(self, given: Iterable[Mapping[str, Any]]) -> AsyncIterator[Any]:
        """A connection for statements with such parameters. Raises SilentNode."""
        async with self._connections.one() as connection:
            for parameters in given:
                await self._silent.refuse(parameters.get("account_id"), connection)
            yield connection

    async def ask(self, text: str) -> list[Any]:
        """The rows of a statement about the server itself."""
        return await self._connections.fetch(text, ())

    def abandon(self) -> None:
        """Ends every connection at once, with whatever is going on there."""
        self._connections.abandon()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        async with self._connections.one(kept=True) as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield Snapshot(connection, self._statement_seconds)

    async def execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        return await self._in_turn(lambda: self._execute(statements))

    async def _execute(self, statements: Sequence[tuple[Query, Mapping[str, Any]]]) -> int:
        status = ""
        try:
            async with self._lent(p for _, p in statements) as connection, connection.transaction():
                for query, parameters in statements:
                    compiled = query.compiled("postgresql")
                    arguments = compiled.arguments(parameters)
                    status = str(await connection.execute(compiled.text, *arguments))
        except asyncpg.UniqueViolationError as error:
            raise Conflict(str(error)) from error
        return int(status.rsplit(" ", 1)[-1])

    async def add(self, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
        try:
            async with self._connections.one() as connection:
                names = [str(column.name) for column in table.c]
                await connection.copy_records_to_table(table.name, records=rows, columns=names)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Conflict(str(error)) from error

    async def run(
        self, statements: Sequence[tuple[Query, Mapping[str, Any]]]
    ) -> list[Sequence[Any]]:
        return await self._in_turn(lambda: self._run(statements))

    async def _run(
        self, statements: Sequence[tuple[Query, Mapping[str, Any]]]
    ) -> list[Sequence[Any]]:
        try:
            async with self._lent(p for _, p in statements) as connection, connection.transaction():
                return [await _rows(connection, *statement) for statement in statements]
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Conflict(str(error)) from error

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        """What a transaction answers. Of those that wait for each other in a circle PostgreSQL ends
        one, as if it had never been: it is made again. On Citus, what every node has is written on
        each of them, in an order that may not be another's; and an account may move meanwhile."""
        for _ in range(_TRIES):
            try:
                return await work()
            except _ROLLED_BACK:
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  # no secret
        return await work()

    async def others_work(self) -> bool:
        now = time.monotonic()
        if (await self._connections.fetch(_OTHERS, (BACKGROUND,)))[0][0]:
            self._others_until = now + _OTHERS_SECONDS
        return now < self._others_until

    async def require_writable(self) -> None:
        if (await self._connections.fetch(_READ_ONLY, ()))[0][0]:
            raise Unreachable(
                "PostgreSQL is read-only: a standby, or default_transaction_read_only."
            )

    async def reachable(self) -> list[int] | None:
        return await self._silent.others(self._connections.fetch)

    def last_made(self, account_id: int) -> int | None:
        return self._made.of(account_id)

    def has_slow_search(self, account_id: int) -> bool:
        return self._searches.has_slow(account_id)

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
            self._under_way += len(batch)
            done = await self._transact(account_id, batch)
            self._under_way -= len(batch)
            for write in batch[:done]:
                write.answer()
            waiting.extendleft(reversed(batch[done:]))
        del self._waiting[account_id]

    async def _transact(self, account_id: int, batch: Sequence[Write]) -> int:
        """Decides and commits a batch; returns how many of its writes, the first, have an outcome:
        the others are left for the next one. A batch that the database refuses as a whole is tried
        again write by write, so that only the write that caused it fails; but not when the database
        went away and may have saved it."""
        try:
            outcomes = await self._in_turn(lambda: self._decided(account_id, batch))
            for write, outcome in zip(batch, outcomes, strict=False):
                write.outcome = outcome
            return len(outcomes)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Unreachable | asyncpg.QueryCanceledError):
                for write in batch:
                    await self._transact(account_id, [write])
                return len(batch)
            late = isinstance(error, asyncpg.QueryCanceledError)
            told = TooSlow("A write took longer than it may.") if late else error
            for write in batch:
                write.outcome = told
            return len(batch)

    async def _decided(self, account_id: int, batch: Sequence[Write]) -> Outcomes:
        async with self._lent([{"account_id": account_id}]) as connection:
            if account_id not in self._contended:
                # Two round trips, and no lock while the batch is decided: it is saved only if the
                # account is still as it was loaded.
                outcomes = await self._attempt(connection, account_id, batch)
                if outcomes is not None:
                    return outcomes
                self._contended.note(account_id)
            # Another process was faster, and will be again. The account's lock makes them take
            # turns.
            async with connection.transaction():
                await _rows(connection, queries.lock_account(), {"account_id": account_id})
                outcomes = await self._attempt(connection, account_id, batch)
        if outcomes is None:
            raise _NotHeld
        return outcomes

    async def _attempt(
        self, connection: Any, account_id: int, batch: Sequence[Write]
    ) -> Outcomes | None:
        """Loads, decides and saves; None, and nothing done, if another was faster."""
        entities = self._entities
        keys = entities.merge(write.command.lookup_keys() for write in batch)
        state = await _load(connection, entities, account_id, keys)
        commands = [write.command for write in batch]
        # A thread leaves other requests their turn.
        large = entities.customers_named(keys) > _LARGE_BATCH
        try:
            if large or _is_large_batch(commands, entities, state):
                outcomes, changes = await run_large(
                    lambda: self._decide(account_id, commands, state)
                )
            else:
                outcomes, changes = self._decide(account_id, commands, state)
        except Exception:
            # What was read by several statements need not go together, unless the account is
            # locked: an order may be there whose customer was not yet.
            if connection.is_in_transaction():
                raise
            return None
        if not changes:
            return outcomes
        shape = saving.shape_of(entities, changes)
        to_save = (entities, account_id, state, changes)
        if large:
            parameters = await asyncio.to_thread(saving.save_parameters, *to_save)
        else:
            parameters = saving.save_parameters(*to_save)
        if self._distributed is None:
            self._distributed = await citus.is_distributed(connection)
        # A single statement would not skip the deliveries that a worker commits meanwhile.
        if self._distributed or shape.needs_snapshots:
            saved = await _save_in_steps(connection, shape, parameters)
        else:
            ((saved,),) = await _rows(connection, saving.save(shape), parameters)
        if not saved:
            return None
        self._made.note(account_id, changes)
        return outcomes


def _is_large_batch(commands: Sequence[Command], entities: Entities, state: State) -> bool:
    """Whether the words of a batch's customers take long to index: new ones, or those that are
    stored, which are compared with them."""
    texts = entities.root.long_texts
    stored = sum([len(row[n]) for row in state.rows[entities.root.name] for n in texts])
    return stored > LARGE_CHARACTERS or any(command.is_large for command in commands)


async def _save_in_steps(
    connection: Any, shape: saving.Shape, parameters: Mapping[str, Any]
) -> bool:
    """Saves a batch statement by statement; whether the account was still as it was loaded."""
    held, steps = saving.save_in_steps(shape)
    async with connection.transaction():
        if not await _rows(connection, held, parameters):
            return False
        for step, must_insert in steps:
            compiled = step.compiled("postgresql")
            status = await connection.execute(compiled.text, *compiled.arguments(parameters))
            if must_insert and status == _NONE_INSERTED:
                raise _NotHeld
    return True


async def _rows(connection: Any, query: Query, parameters: Mapping[str, Any]) -> list[Any]:
    compiled = query.compiled("postgresql")
    return list(await connection.fetch(compiled.text, *compiled.arguments(parameters)))


async def _load(connection: Any, entities: Entities, account_id: int, keys: LookupKeys) -> State:
    # The revision is read first: whatever changes after it is seen when the batch is saved.
    parameters = entities.parameters(account_id, keys)
    rows = await _rows(connection, entities.state(keys), parameters)
    others = [
        (load, await _rows(connection, load.query(), parameters))
        for load, parameters in entities.loads(account_id, keys)
    ]
    return entities.loaded(rows, others)
