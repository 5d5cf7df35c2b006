"""Gather the statistics by which PostgreSQL plans, for an account that grows fast.

Autovacuum gathers them about once a minute, if a tenth of a table has changed. Until then
PostgreSQL takes a new account for one with few customers, and reads all of them instead of an
index.
"""

from __future__ import annotations

import contextlib

import asyncpg

from regulars.store.changes import Changes, State
from regulars.store.errors import StoreError
from regulars.store.postgresql.cluster import Cluster

# The numbers of customers of an account at which they are gathered.
_MARKS = (1_000, 10_000, 100_000, 1_000_000)
# The first mark counts only in a table that had fewer customers: in a larger one, 1,000 are few,
# and a sample takes seconds. The table has -1 if it was never analyzed.
_IS_SMALL = "SELECT reltuples < 10000 FROM pg_class WHERE oid = 'customers'::regclass"
# A table that is being vacuumed is left out.
_ANALYZE = "ANALYZE (SKIP_LOCKED) customers, additional_emails, shop_ids, terms, history"


def passed_mark(state: State, changes: Changes) -> int | None:
    """Return the number of customers that an account reached by changes; None if it is not one at
    which statistics are gathered."""
    after = changes.counters.get("customers")
    if after is None:
        return None
    before = state.counters["customers"]
    return next((mark for mark in _MARKS if before < mark <= after), None)


async def gather_statistics(cluster: Cluster, mark: int) -> None:
    """Gather statistics after an account has reached a mark. If that fails, autovacuum gathers
    them: a role that does not own the tables may not."""
    with contextlib.suppress(StoreError, asyncpg.PostgresError):
        async with cluster.pool.acquire() as connection:
            if await cluster.is_distributed(connection):
                return  # a statement would reach all nodes
            if mark > _MARKS[0] or await connection.fetchval(_IS_SMALL):
                await connection.execute(_ANALYZE)
