"""A circuit breaker for the nodes of Citus (Nygard, Release It!, 2007).

A statement to a node that is paused or cut off waits for the whole statement timeout and keeps its
connection: soon the pool has none left for other accounts. So each node is checked every second,
and statements to a node that does not answer fail at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from regulars.store.background_task import BackgroundTask
from regulars.store.errors import NodeUnreachable
from regulars.store.postgresql.connect import CONNECT_ERRORS, describe_nodes, open_connection
from regulars.store.tables import counters

_INTERVAL_SECONDS = 1.0
_TIMEOUT_SECONDS = 1.5
# Failed checks before the circuit opens.
_MAX_MISSED = 2

_COORDINATOR = 0
_NODES = """SELECT groupid, nodename, nodeport FROM pg_dist_node
    WHERE noderole = 'primary' AND isactive AND groupid <> 0"""
_CHECK = "SELECT citus_check_connection_to_node($1, $2)"
_NODE_OF_ACCOUNT = """SELECT groupid FROM pg_dist_placement
    WHERE shardid = get_shard_id_for_distribution_column($1::regclass, $2::int8)"""
_ACCOUNTS_OF_OTHER_NODES = """SELECT account_id FROM accounts JOIN pg_dist_placement
    ON shardid = get_shard_id_for_distribution_column($1::regclass, account_id)
    WHERE groupid <> ALL ($2::bigint[])"""

Fetch = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]

_log = logging.getLogger("regulars.citus")


async def unreachable_nodes(dsn: str) -> set[str]:
    """Return the names (host:port) of the nodes that do not answer the coordinator. Raises
    CONNECT_ERRORS if the coordinator does not answer."""
    names = set()
    connection = await open_connection(dsn, _TIMEOUT_SECONDS)
    try:
        for _, name, port in await connection.fetch(_NODES):
            if await _is_reachable(connection, name, port) is False:
                names.add(f"{name}:{port}")
    finally:
        connection.terminate()
    return names


async def _is_reachable(connection: asyncpg.Connection, name: str, port: int) -> bool | None:
    """Whether the coordinator reaches a node; None if the coordinator cannot tell."""
    try:
        return bool(await connection.fetchval(_CHECK, name, port))
    except asyncpg.QueryCanceledError:
        return False
    except TimeoutError:
        connection.terminate()  # its next statement would wait for the cancelled one
        return False
    except CONNECT_ERRORS:
        return None


class NodeCircuitBreaker(BackgroundTask):
    """Knows which nodes do not answer the coordinator of a DSN; `on_open` is called with the reason
    when a node stops answering, to end the statements that wait for it."""

    def __init__(self, dsn: str, on_open: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._on_open = on_open
        # The names of the nodes that do not answer, by their group id.
        self._open: dict[int, str] = {}
        self._missed: dict[int, int] = {}
        # The node of each account, while any node does not answer.
        self._node_of_account: dict[int, int] = {}
        self._opened_last_round = False
        self._connections: dict[int, asyncpg.Connection] = {}

    async def check(self, account_id: int | None, connection: asyncpg.Connection) -> None:
        """Raise NodeUnreachable if the account's node does not answer. Call it after a connection
        is acquired: a caller that waited for one may have begun before the node failed."""
        if not self._open or account_id is None:
            return
        node = self._node_of_account.get(account_id)
        if node is None:
            node = await connection.fetchval(_NODE_OF_ACCOUNT, counters.name, account_id)
            self._node_of_account[account_id] = node
        if node in self._open:
            raise NodeUnreachable(describe_nodes([self._open[node]]))

    async def reachable_accounts(self, fetch: Fetch) -> list[int] | None:
        """Return the accounts on nodes that answer; None if all nodes do."""
        if not self._open:
            return None
        arguments = (counters.name, list(self._open))
        return [row[0] for row in await fetch(_ACCOUNTS_OF_OTHER_NODES, arguments)]

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(_INTERVAL_SECONDS)
                await self._check_nodes()
        finally:
            for connection in self._connections.values():
                connection.terminate()

    async def _check_nodes(self) -> None:
        try:
            nodes = await (await self._connection(_COORDINATOR)).fetch(_NODES)
        except CONNECT_ERRORS:
            return  # only the coordinator knows
        results = await asyncio.gather(*(self._check_node(*node) for node in nodes))
        before = set(self._open)
        for removed in before - {node[0] for node in nodes}:
            del self._open[removed]
        for (node, name, port), is_reachable in zip(nodes, results, strict=True):
            if is_reachable is not None:
                self._record(node, f"{name}:{port}", is_reachable)
        if set(self._open) != before:
            self._node_of_account.clear()
        has_opened = bool(set(self._open) - before)
        # Again in the next round, for statements that began just before the circuit opened.
        if has_opened or self._opened_last_round:
            self._on_open(describe_nodes(list(self._open.values())))
        self._opened_last_round = has_opened

    def _record(self, node: int, name: str, is_reachable: bool) -> None:
        """Record the result of a check."""
        self._missed[node] = 0 if is_reachable else self._missed.get(node, 0) + 1
        extra = {"fields": {"node": name}}
        if is_reachable and node in self._open:
            del self._open[node]
            _log.info("A node responds again.", extra=extra)
        elif self._missed[node] >= _MAX_MISSED and node not in self._open:
            self._open[node] = name
            _log.warning("A node does not respond.", extra=extra)

    async def _check_node(self, node: int, name: str, port: int) -> bool | None:
        try:
            connection = await self._connection(node)
        except CONNECT_ERRORS:
            return None
        return await _is_reachable(connection, name, port)

    async def _connection(self, node: int) -> asyncpg.Connection:
        """The connection to the coordinator that checks a node."""
        connection = self._connections.get(node)
        if connection is None or connection.is_closed():
            connection = await open_connection(self._dsn, _TIMEOUT_SECONDS)
            self._connections[node] = connection
        return connection
