"""The nodes of Citus: which accounts each has, how much of its disk they take, and how an account
is moved to another, or given one of its own, while it is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from regulars.store.citus import distribution
from regulars.store.citus.node_circuit_breaker import silent
from regulars.store.errors import StoreError, Unreachable
from regulars.store.postgresql.connect import NOT_CONNECTED, connect, unreachable
from regulars.store.tables import counters

_PLACES = """SELECT n.nodename || ':' || n.nodeport AS node, p.shardid AS shard,
    s.shardminvalue = s.shardmaxvalue AS single
    FROM pg_dist_placement p JOIN pg_dist_node n USING (groupid)
    JOIN pg_dist_shard s USING (shardid) WHERE s.logicalrelid = $1::regclass"""
_SHARDS = """SELECT account_id, name, get_shard_id_for_distribution_column($1::regclass, account_id)
    AS shard FROM accounts ORDER BY account_id"""
_BYTES = """SELECT nodename || ':' || nodeport AS node, sum(shard_size)::int8 AS bytes
    FROM citus_shards WHERE citus_table_type = 'distributed' GROUP BY 1"""
_NODES = """SELECT nodename || ':' || nodeport AS node, shouldhaveshards AS taking
    FROM pg_dist_node WHERE noderole = 'primary' AND isactive ORDER BY groupid"""


# Who writes to a part: Citus holds parts by such a lock (its resource_lock.h), which another number
# stands for once one of them has been split.
_WRITING = """SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 8
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objid::int8 = (SELECT colocationid FROM pg_dist_partition
        WHERE logicalrelid = $1::regclass)"""
_LET_GO_SECONDS = 60.0
# How many more background workers each node could begin (PostgreSQL, section 27.2.3, tells the
# other processes by name). One that has none left for logical replication would be waited for
# without end.
_WORKERS_LEFT = """SELECT n.nodename || ':' || n.nodeport AS node, r.result::int AS left
    FROM run_command_on_all_nodes($$SELECT current_setting('max_worker_processes')::int - count(*)
        FROM pg_stat_activity WHERE backend_type NOT IN ('archiver', 'autovacuum launcher',
        'autovacuum worker', 'background writer', 'checkpointer', 'client backend', 'io worker',
        'slotsync worker', 'startup', 'walreceiver', 'walsender', 'walsummarizer', 'walwriter')$$)
    AS r JOIN pg_dist_node n USING (nodeid) WHERE r.success ORDER BY 1"""
_WORKERS_NEEDED = 2
_PAUSE_SECONDS = 0.05
# How Citus has those wait who write to what is split or moved.
_BLOCKING = "block_writes"


class MoveError(StoreError):
    """An account cannot be moved; the message says why."""


@dataclass(frozen=True, slots=True)
class Resident:
    """An account on a node; `alone` says that its part of the tables takes no other."""

    account_id: int
    name: str
    shard: int
    alone: bool


@dataclass(slots=True)
class Node:
    """A node: the size of its parts of the accounts' tables in bytes, whether it is given more of
    them, and whether it answers."""

    name: str
    taking: bool
    answers: bool = True
    shards: set[int] = field(default_factory=set)
    bytes: int = 0
    residents: list[Resident] = field(default_factory=list)


async def nodes(dsn: str) -> list[Node]:
    """The nodes of a database; none where its tables are not distributed. While one of them does
    not answer, their sizes are not known. Raises Unreachable."""
    connection = await _connected(dsn)
    try:
        if not await distribution.is_distributed(connection):
            return []
        away = await silent(dsn)
        found = await _nodes(connection, sized=not away)
        for node in found:
            node.answers = node.name not in away
        return found
    except NOT_CONNECTED as error:
        raise Unreachable(unreachable(error)) from error
    finally:
        await connection.close()


async def _nodes(connection: Any, sized: bool = False) -> list[Node]:
    found = {node: Node(node, taking) for node, taking in await connection.fetch(_NODES)}
    where: dict[int, tuple[Node, bool]] = {}
    for name, shard, single in await connection.fetch(_PLACES, counters.name):
        node = found.setdefault(name, Node(name, False))
        node.shards.add(shard)
        where[shard] = node, single
    for account_id, name, shard in await connection.fetch(_SHARDS, counters.name):
        node, single = where[shard]
        node.residents.append(Resident(account_id, name, shard, single))
    for name, size in await connection.fetch(_BYTES) if sized else ():
        if name in found:
            found[name].bytes = size
    return list(found.values())


async def move(dsn: str, account: str, to: str, alone: bool, block: bool) -> list[str]:
    """Moves an account to the node `to` (HOST:PORT), where it is then the only one if it is to be
    `alone`. Reads and writes go on, but for writers of the part of the tables that it shares with
    others, who wait while that is split; `block` has those wait that write meanwhile, too, which
    needs no logical replication. Answers what was done. Raises MoveError and Unreachable."""
    connection = await _connected(dsn)
    try:
        if not await distribution.is_distributed(connection):
            raise MoveError("The database has no nodes: accounts are moved between those of Citus.")
        mode = _BLOCKING if block else "force_logical"
        if not block:
            await _require_replication(connection)
        return await _move(connection, account, to, alone, mode)
    except asyncpg.PostgresError as error:
        raise MoveError(f"Citus refused it: {error}.") from error
    finally:
        await connection.close()


async def _require_replication(connection: Any) -> None:
    """Raises MoveError where nodes cannot have logical replication now."""
    or_else = "Or add --block-writes: whoever writes then waits meanwhile."
    if await connection.fetchval("SHOW wal_level") != "logical":
        raise MoveError(
            "Citus moves an account by logical replication: set wal_level = logical on every node "
            f"and restart it. {or_else}"
        )
    for node, left in await connection.fetch(_WORKERS_LEFT):
        if left < _WORKERS_NEEDED:
            raise MoveError(
                f"The node {node} has too few background workers left for logical replication "
                f"({max(left, 0)} of {_WORKERS_NEEDED}): raise max_worker_processes there and "
                f"restart it. {or_else}"
            )


async def _move(connection: Any, account: str, to: str, alone: bool, mode: str) -> list[str]:
    done: list[str] = []
    here = {node.name: node for node in await _nodes(connection)}
    if to not in here:
        raise MoveError(f"There is no node {to}. The nodes are {', '.join(here)}.")
    others = [node for node in here.values() if node.taking and node.name != to]
    if alone and not others:
        raise MoveError("There is no other node for those who are there: add one first.")
    _, resident = _found(here.values(), account)
    if not resident.alone:
        # Not by logical replication: with others writing, that may wait without end (Citus's issue
        # 6790).
        await connection.execute(
            "SELECT isolate_tenant_to_new_shard($1::regclass, $2::int8, 'CASCADE', $3)",
            *(counters.name, resident.account_id, _BLOCKING),
        )
        await _let_go(connection)
        done.append(f"Gave {account} a part of the tables of its own.")
        here = {node.name: node for node in await _nodes(connection)}
    home, resident = _found(here.values(), account)
    if home.name != to:
        await _let_take(connection, to, True)
        await _move_shard(connection, resident.shard, home.name, to, mode)
        done.append(f"Moved {account} from {home.name} to {to}.")
    if alone:
        await _let_take(connection, to, False)
        others = [here[node.name] for node in others]
        for shard in sorted(here[to].shards - {resident.shard}):
            emptiest = min(others, key=lambda node: len(node.shards))
            await _move_shard(connection, shard, to, emptiest.name, mode)
            emptiest.shards.add(shard)
        done.append(f"{to} is for {account} alone now, and is given nobody else.")
    return done or [f"{account} is on {to} already."]


def _found(here: Iterable[Node], account: str) -> tuple[Node, Resident]:
    for node in here:
        for resident in node.residents:
            if resident.name == account:
                return node, resident
    raise MoveError(f"There is no account named {account!r}. See: regulars account list")


async def _let_go(connection: Any) -> None:
    """Waits until every transaction has ended that writes now. Citus lets one that has waited for a
    split go on in the new part, but does not hold that for it: moved away at once, the part would
    take along only what the transaction has written until then."""

    async def writing() -> set[str]:
        return {each[0] for each in await connection.fetch(_WRITING, counters.name)}

    end = time.monotonic() + _LET_GO_SECONDS
    left = await writing()
    while left and time.monotonic() < end:
        await asyncio.sleep(_PAUSE_SECONDS)
        left &= await writing()
    if left:
        raise MoveError(
            "The account has a part of the tables of its own now, but is not moved: a transaction "
            f"that was writing then has not ended in {_LET_GO_SECONDS:g} s. Try again."
        )


async def _let_take(connection: Any, node: str, taking: bool) -> None:
    """Says whether a node is given parts of the tables."""
    text = "SELECT citus_set_node_property($1, $2, 'shouldhaveshards', $3)"
    await connection.execute(text, *_split(node), taking)


async def _move_shard(connection: Any, shard: int, source: str, to: str, mode: str) -> None:
    """Moves a part of all tables."""
    await connection.execute(
        "SELECT citus_move_shard_placement($1, $2, $3, $4, $5, $6)",
        *(shard, *_split(source), *_split(to), mode),
    )


def _split(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return host, int(port)


async def _connected(dsn: str) -> Any:
    try:
        return await connect(dsn)
    except NOT_CONNECTED as error:
        raise Unreachable(unreachable(error)) from error
