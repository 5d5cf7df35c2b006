"""The nodes of Citus: their accounts and sizes, and moving an account to another node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from regulars.store.citus.distribution import is_distributed
from regulars.store.citus.node_circuit_breaker import unreachable_nodes
from regulars.store.errors import StoreError, Unreachable
from regulars.store.postgresql.connect import CONNECT_ERRORS, connect_or_raise, describe_error
from regulars.store.tables import counters

_SHARDS = """SELECT n.nodename || ':' || n.nodeport AS node, p.shardid AS shard,
    s.shardminvalue = s.shardmaxvalue AS single
    FROM pg_dist_placement p JOIN pg_dist_node n USING (groupid)
    JOIN pg_dist_shard s USING (shardid) WHERE s.logicalrelid = $1::regclass"""
_SHARDS_OF_ACCOUNTS = """SELECT account_id, name,
    get_shard_id_for_distribution_column($1::regclass, account_id) AS shard
    FROM accounts ORDER BY account_id"""
_SIZES = """SELECT nodename || ':' || nodeport AS node, sum(shard_size)::int8 AS bytes
    FROM citus_shards WHERE citus_table_type = 'distributed' GROUP BY 1"""
_NODES = """SELECT nodename || ':' || nodeport AS node, shouldhaveshards
    FROM pg_dist_node WHERE noderole = 'primary' AND isactive ORDER BY groupid"""

# The transactions that write to a shard: Citus holds an advisory lock on the shard (its
# resource_lock.h), or on the colocation group once a shard was split.
_WRITERS = """SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 8
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objid::int8 = (SELECT colocationid FROM pg_dist_partition
        WHERE logicalrelid = $1::regclass)"""
_MAX_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
# How many more background workers each node can start (PostgreSQL, section 27.2.3, lists the other
# backend types). Without a free one, logical replication waits without end.
_FREE_WORKERS = """SELECT n.nodename || ':' || n.nodeport AS node, r.result::int AS left
    FROM run_command_on_all_nodes($$SELECT current_setting('max_worker_processes')::int - count(*)
        FROM pg_stat_activity WHERE backend_type NOT IN ('archiver', 'autovacuum launcher',
        'autovacuum worker', 'background writer', 'checkpointer', 'client backend', 'io worker',
        'slotsync worker', 'startup', 'walreceiver', 'walsender', 'walsummarizer', 'walwriter')$$)
    AS r JOIN pg_dist_node n USING (nodeid) WHERE r.success ORDER BY 1"""
_NEEDED_WORKERS = 2
# The transfer mode of Citus in which writers wait.
_BLOCK_WRITES = "block_writes"


class MoveError(StoreError):
    """An account cannot be moved; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Resident:
    """An account on a node; `has_own_shard` if its shard has no other account."""

    account_id: int
    name: str
    shard: int
    has_own_shard: bool


@dataclass(slots=True)
class Node:
    """A node: whether it is given more shards, whether it answers, its shards, and their size."""

    name: str
    takes_shards: bool
    is_reachable: bool = True
    shards: set[int] = field(default_factory=set)
    size_bytes: int = 0
    residents: list[Resident] = field(default_factory=list)


async def list_nodes(dsn: str) -> list[Node]:
    """Return the nodes of a database; none if its tables are not distributed. While a node does
    not answer, the sizes are 0. Raises Unreachable."""
    connection = await connect_or_raise(dsn)
    try:
        if not await is_distributed(connection):
            return []
        unreachable = await unreachable_nodes(dsn)
        nodes = await _list_nodes(connection, with_sizes=not unreachable)
        for node in nodes:
            node.is_reachable = node.name not in unreachable
        return nodes
    except CONNECT_ERRORS as error:
        raise Unreachable(describe_error(error)) from error
    finally:
        await connection.close()


async def _list_nodes(connection: Any, with_sizes: bool = False) -> list[Node]:
    nodes = {name: Node(name, takes) for name, takes in await connection.fetch(_NODES)}
    node_of_shard: dict[int, tuple[Node, bool]] = {}
    for name, shard, is_single in await connection.fetch(_SHARDS, counters.name):
        node = nodes.setdefault(name, Node(name, False))
        node.shards.add(shard)
        node_of_shard[shard] = node, is_single
    for account_id, name, shard in await connection.fetch(_SHARDS_OF_ACCOUNTS, counters.name):
        node, is_single = node_of_shard[shard]
        node.residents.append(Resident(account_id, name, shard, is_single))
    for name, size_bytes in await connection.fetch(_SIZES) if with_sizes else ():
        if name in nodes:
            nodes[name].size_bytes = size_bytes
    return list(nodes.values())


async def move_account(
    dsn: str, account: str, target: str, is_exclusive: bool, blocks_writes: bool
) -> list[str]:
    """Move an account to the node `target` (HOST:PORT); return what was done. With `is_exclusive`
    the node's other accounts are moved away.

    Reads and writes continue. Only writers of the account's former shard wait while it is split.
    With `blocks_writes` the account's writers wait for the whole move, which needs no logical
    replication. Raises MoveError and Unreachable.
    """
    connection = await connect_or_raise(dsn)
    try:
        if not await is_distributed(connection):
            raise MoveError("The database has no Citus nodes, so accounts cannot be moved.")
        mode = _BLOCK_WRITES if blocks_writes else "force_logical"
        if not blocks_writes:
            await _require_replication(connection)
        return await _move_account(connection, account, target, is_exclusive, mode)
    except asyncpg.PostgresError as error:
        raise MoveError(f"Citus refused it: {error}.") from error
    finally:
        await connection.close()


async def _require_replication(connection: Any) -> None:
    """Raise MoveError if a node cannot use logical replication now."""
    alternative = (
        "Alternatively, pass `--block-writes`: writes to the account wait during the move."
    )
    if await connection.fetchval("SHOW wal_level") != "logical":
        raise MoveError(
            "Citus moves accounts with logical replication. Set `wal_level = logical` on every "
            f"node and restart it. {alternative}"
        )
    for node, free in await connection.fetch(_FREE_WORKERS):
        if free < _NEEDED_WORKERS:
            raise MoveError(
                f"The node {node} has {max(free, 0)} free background workers; logical "
                f"replication needs {_NEEDED_WORKERS}. Raise `max_worker_processes` there and "
                f"restart the node. {alternative}"
            )


async def _move_account(
    connection: Any, account: str, target: str, is_exclusive: bool, mode: str
) -> list[str]:
    done: list[str] = []
    nodes = {node.name: node for node in await _list_nodes(connection)}
    if target not in nodes:
        raise MoveError(f"No node is named {target}. Nodes: {', '.join(nodes)}.")
    others = [node for node in nodes.values() if node.takes_shards and node.name != target]
    if is_exclusive and not others:
        raise MoveError("No other node exists for the accounts on this node. Add a node first.")
    _, resident = _find_account(nodes.values(), account)
    if not resident.has_own_shard:
        # Not by logical replication, which may wait without end while others write (Citus issue
        # 6790).
        await connection.execute(
            "SELECT isolate_tenant_to_new_shard($1::regclass, $2::int8, 'CASCADE', $3)",
            *(counters.name, resident.account_id, _BLOCK_WRITES),
        )
        await _wait_for_writers(connection)
        done.append(f"Moved {account} to a shard of its own.")
        nodes = {node.name: node for node in await _list_nodes(connection)}
    source, resident = _find_account(nodes.values(), account)
    if source.name != target:
        await _set_takes_shards(connection, target, True)
        await _move_shard(connection, resident.shard, source.name, target, mode)
        done.append(f"Moved {account} from {source.name} to {target}.")
    if is_exclusive:
        await _set_takes_shards(connection, target, False)
        others = [nodes[node.name] for node in others]
        for shard in sorted(nodes[target].shards - {resident.shard}):
            emptiest = min(others, key=lambda node: len(node.shards))
            await _move_shard(connection, shard, target, emptiest.name, mode)
            emptiest.shards.add(shard)
        done.append(f"{target} is reserved for {account}. New accounts are not placed there.")
    return done or [f"{account} is on {target} already."]


def _find_account(nodes: Iterable[Node], account: str) -> tuple[Node, Resident]:
    for node in nodes:
        for resident in node.residents:
            if resident.name == account:
                return node, resident
    raise MoveError(
        f"No account is named {account!r}. List the accounts with `regulars account list`."
    )


async def _wait_for_writers(connection: Any) -> None:
    """Wait until every transaction that writes now has ended. After a split Citus lets a waiting
    transaction go on in the new shard without a lock on it. A move that starts at once would copy
    only the rows written until then."""

    async def writers() -> set[str]:
        return {row[0] for row in await connection.fetch(_WRITERS, counters.name)}

    end = time.monotonic() + _MAX_WAIT_SECONDS
    remaining = await writers()
    while remaining and time.monotonic() < end:
        await asyncio.sleep(_PAUSE_SECONDS)
        remaining &= await writers()
    if remaining:
        raise MoveError(
            "The account has a shard of its own now, but was not moved: a transaction that was "
            f"writing did not end in {_MAX_WAIT_SECONDS:g} s. Try again."
        )


async def _set_takes_shards(connection: Any, node: str, takes_shards: bool) -> None:
    """Set whether Citus places new shards on a node."""
    text = "SELECT citus_set_node_property($1, $2, 'shouldhaveshards', $3)"
    await connection.execute(text, *_host_and_port(node), takes_shards)


async def _move_shard(connection: Any, shard: int, source: str, target: str, mode: str) -> None:
    """Move a shard, with those of all other tables that are colocated with it."""
    await connection.execute(
        "SELECT citus_move_shard_placement($1, $2, $3, $4, $5, $6)",
        *(shard, *_host_and_port(source), *_host_and_port(target), mode),
    )


def _host_and_port(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return host, int(port)
