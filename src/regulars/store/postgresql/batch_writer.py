"""The writer on PostgreSQL: each account has a queue, and its writes are saved in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import asyncpg

from regulars.store import queries, saving
from regulars.store.changes import Changes, LookupKeys, State
from regulars.store.entities import Entities
from regulars.store.errors import StatementTimeout, Unreachable
from regulars.store.large_work import LARGE_CHARACTERS, run_large
from regulars.store.postgresql.cluster import Cluster
from regulars.store.postgresql.planner_statistics import gather_statistics, passed_mark
from regulars.store.postgresql.transactions import (
    AccountMoved,
    execute,
    fetch_rows,
    retry_rolled_back,
)
from regulars.store.recently_seen import RecentlySeen
from regulars.store.unit_of_work import Domain, Outcomes
from regulars.store.writer import (
    MAX_BATCH,
    Command,
    LastWrittenSequence,
    PredictedStates,
    Write,
)

# A batch that names more customers takes milliseconds to decide.
_LARGE_BATCH = 50
# So many rows take some milliseconds, too.
_MANY_ROWS = 1_000
# A batch with more new rows is copied. A smaller one is one statement, with fewer round trips.
_MIN_COPIED = 1_000
_NONE_INSERTED = "INSERT 0 0"
# For how many seconds another process is expected to go on writing to an account.
_CONTENDED_SECONDS = 1.0


class BatchWriter:
    """Decides and saves the writes of this process, one batch per account at a time."""

    def __init__(self, cluster: Cluster, domain: Domain) -> None:
        self._cluster = cluster
        self._entities, self._decide = domain
        self._queues: dict[int, deque[Write]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_progress = 0
        self._contended = RecentlySeen(_CONTENDED_SECONDS)
        self._predictions = PredictedStates()
        self.last_written = LastWrittenSequence()

    @property
    def pending_writes(self) -> int:
        """How many writes wait, or are in progress."""
        return self._in_progress + sum(len(writes) for writes in self._queues.values())

    async def close(self) -> None:
        """Wait until all writes are saved."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def write(self, account_id: int, command: Command) -> Any:
        """Return the result of a command when it is durable. Raises the exception that refuses
        it, such as Rejected."""
        write = Write(account_id, command, asyncio.get_running_loop().create_future())
        pending = self._queues.get(account_id)
        if pending is None:
            self._queues[account_id] = deque([write])
            self._start(self._drain(account_id))
        else:
            pending.append(write)
        return await write.answered

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, account_id: int) -> None:
        """Save the writes of an account, batch by batch, until its queue is empty."""
        pending = self._queues[account_id]
        while pending:
            batch = [pending.popleft() for _ in range(min(len(pending), MAX_BATCH))]
            self._in_progress += len(batch)
            outcome_count = await self._transact(account_id, batch)
            self._in_progress -= len(batch)
            for write in batch[:outcome_count]:
                write.answer()
            pending.extendleft(reversed(batch[outcome_count:]))
        del self._queues[account_id]

    async def _transact(self, account_id: int, batch: Sequence[Write]) -> int:
        """Decide and commit a batch; return how many of its writes, the first, have an outcome.

        If the database refuses the batch, its halves are tried, so that only the faulty write
        fails. A batch whose connection ended or timed out is not repeated: it may be saved.
        """
        try:
            outcomes = await retry_rolled_back(lambda: self._decide_and_save(account_id, batch))
            for write, outcome in zip(batch, outcomes, strict=False):
                write.outcome = outcome
            return len(outcomes)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Unreachable | asyncpg.QueryCanceledError):
                middle = len(batch) // 2
                count = await self._transact(account_id, batch[:middle])
                if count < middle:
                    return count
                return middle + await self._transact(account_id, batch[middle:])
            is_timeout = isinstance(error, asyncpg.QueryCanceledError)
            outcome = StatementTimeout("A write exceeded its time limit.") if is_timeout else error
            for write in batch:
                write.outcome = outcome
            return len(batch)

    async def _decide_and_save(self, account_id: int, batch: Sequence[Write]) -> Outcomes:
        commands = [write.command for write in batch]
        keys = self._entities.merge(command.lookup_keys() for command in commands)
        to_save = (account_id, commands, keys)
        async with self._cluster.acquire([{"account_id": account_id}]) as connection:
            if account_id not in self._contended:
                predicted = await self._predict(connection, *to_save)
                if predicted is not None:
                    outcomes = await self._attempt(connection, *to_save, predicted)
                    if outcomes is not None:
                        return outcomes
                    self._predictions.suspend(account_id)
                # Two round trips, and no lock while the batch is decided: it is saved only if the
                # account's revision is still the loaded one.
                outcomes = await self._attempt(connection, *to_save)
                if outcomes is not None:
                    return outcomes
                self._contended.add(account_id)
            # Another process was faster. With the account's lock the processes take turns.
            async with connection.transaction():
                await fetch_rows(connection, queries.lock_account(), {"account_id": account_id})
                outcomes = await self._attempt(connection, *to_save)
        if outcomes is None:
            raise AccountMoved
        return outcomes

    async def _predict(
        self, connection: Any, account_id: int, commands: Sequence[Command], keys: LookupKeys
    ) -> State | None:
        """Return the state that a batch of new customers will probably load, so that it need not be
        loaded; None if it must be."""
        if (
            self._entities.names_only_customers(keys)
            and all(command.expects_no_rows for command in commands)
            and not await self._cluster.is_distributed(connection)
        ):
            return self._predictions.take(account_id)
        return None

    async def _attempt(
        self,
        connection: Any,
        account_id: int,
        commands: Sequence[Command],
        keys: LookupKeys,
        predicted: State | None = None,
    ) -> Outcomes | None:
        """Load, decide and save; return None, with nothing saved, if another process was faster, or
        if the predicted state is wrong."""
        entities = self._entities
        state = predicted or await _load(connection, entities, account_id, keys)
        # In a thread, so that other requests continue.
        row_count = sum(map(len, state.rows.values()))
        is_large = entities.count_customers(keys) > _LARGE_BATCH or row_count > _MANY_ROWS
        try:
            if is_large or _has_much_text(commands, entities, state):
                outcomes, changes = await run_large(
                    lambda: self._decide(account_id, commands, state)
                )
            else:
                outcomes, changes = self._decide(account_id, commands, state)
        except Exception:
            # Without the lock, rows that several statements read may be inconsistent: an order
            # without its customer.
            if connection.is_in_transaction():
                raise
            return None
        if not changes:  # nothing is saved, so nothing is compared with the database
            is_current = predicted is None and await self._is_current(
                connection, account_id, keys, state
            )
            return outcomes if is_current else None
        is_distributed = await self._cluster.is_distributed(connection)
        copies: Sequence[saving.Copy] = ()
        rest = changes
        if not is_distributed and _count_inserted(changes) >= _MIN_COPIED:
            rest, copies = saving.split_copies(entities, account_id, changes)
        shape = saving.shape_of(entities, rest, keys if predicted else ())
        to_save = (entities, account_id, state, rest)
        if is_large or _count_inserted(rest) > _MANY_ROWS:
            parameters = await asyncio.to_thread(saving.save_parameters, *to_save)
        else:
            parameters = saving.save_parameters(*to_save)
        if predicted:
            parameters |= saving.prediction_parameters(predicted, keys)
        # A single statement would not skip deliveries that a worker commits at the same time.
        if is_distributed or copies or shape.needs_snapshots:
            saved = await _save_in_steps(connection, shape, parameters, copies)
        else:
            ((saved,),) = await fetch_rows(connection, saving.save(shape), parameters)
        if not saved:
            return None
        if mark := passed_mark(state, changes):
            self._start(gather_statistics(self._cluster, mark))
        self.last_written.note(account_id, changes)
        self._predictions.note(account_id, state, changes)
        return outcomes

    async def _is_current(
        self, connection: Any, account_id: int, keys: LookupKeys, state: State
    ) -> bool:
        """Whether all rows of a state are of its revision. Another process may have written to the
        account between the statements that loaded them."""
        if connection.is_in_transaction() or not self._entities.loads(account_id, keys):
            return True
        current = await _load(connection, self._entities, account_id, LookupKeys())
        return current.revision == state.revision


def _has_much_text(commands: Sequence[Command], entities: Entities, state: State) -> bool:
    """Whether indexing a batch takes long: the text of new customers, and the stored text that is
    compared with it."""
    texts = entities.root.long_texts
    characters = sum([len(row[n]) for row in state.rows.get(entities.root.name, ()) for n in texts])
    return characters > LARGE_CHARACTERS or any(command.is_large for command in commands)


def _count_inserted(changes: Changes) -> int:
    """Return the number of new rows, without search terms."""
    return sum(len(table.inserted) for table in changes.tables.values())


async def _save_in_steps(
    connection: Any,
    shape: saving.Shape,
    parameters: Mapping[str, Any],
    copies: Sequence[saving.Copy],
) -> bool:
    """Save a batch statement by statement; return whether the revision was still the loaded
    one."""
    advance, steps = saving.save_in_steps(shape)
    async with connection.transaction():
        if not await fetch_rows(connection, advance, parameters):
            return False
        for step, must_insert in steps:
            status = await execute(connection, step, parameters)
            if must_insert and status == _NONE_INSERTED:
                raise AccountMoved
        if copies:
            await _copy(connection, copies)
    return True


async def _copy(connection: Any, copies: Sequence[saving.Copy]) -> None:
    """Copy new rows. Those of the other tables are made while the database takes the first."""
    first, *others = copies
    rows = await asyncio.to_thread(first.make_rows)
    making = asyncio.create_task(asyncio.to_thread(lambda: [copy.make_rows() for copy in others]))
    try:
        await connection.copy_records_to_table(first.table, records=rows, columns=first.columns)
    finally:
        rows_of_others = await making
    for copy, rows in zip(others, rows_of_others, strict=True):
        await connection.copy_records_to_table(copy.table, records=rows, columns=copy.columns)


async def _load(connection: Any, entities: Entities, account_id: int, keys: LookupKeys) -> State:
    # The revision is read first: a change after it is noticed when the batch is saved.
    parameters = entities.state_parameters(account_id, keys)
    rows = await fetch_rows(connection, entities.state_query(keys), parameters)
    loads = [
        (load, await fetch_rows(connection, load.query(), parameters))
        for load, parameters in entities.loads(account_id, keys)
    ]
    if sum(len(loaded) for _, loaded in loads) > _MANY_ROWS:
        return await run_large(lambda: entities.build_state(rows, loads))
    return entities.build_state(rows, loads)
