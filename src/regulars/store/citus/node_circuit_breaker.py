"""Nodes of Citus that do not answer.

What is asked of a node that stands still, or is cut off, waits for as long as a statement may take,
and has a connection meanwhile: soon no other account would find one. So each node is looked at, and
what one that is silent would be asked is refused at once. (A circuit breaker: Nygard, Release It!,
2007.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from regulars.store.errors import SilentNode
from regulars.store.postgresql.background_task import BackgroundTask
from regulars.store.postgresql.connect import NOT_CONNECTED, connected
from regulars.store.tables import counters

# How often each is asked, how long it may take to answer, and how often it may fail to.
_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 1.5
_MISSED = 2

_COORDINATOR = 0
_NODES = """SELECT groupid, nodename, nodeport FROM pg_dist_node
    WHERE noderole = 'primary' AND isactive AND groupid <> 0"""
_ANSWERS = "SELECT citus_check_connection_to_node($1, $2)"
_NODE_OF = """SELECT groupid FROM pg_dist_placement
    WHERE shardid = get_shard_id_for_distribution_column($1::regclass, $2::int8)"""
_ACCOUNTS = """SELECT account_id FROM accounts JOIN pg_dist_placement
    ON shardid = get_shard_id_for_distribution_column($1::regclass, account_id)
    WHERE groupid <> ALL ($2::bigint[])"""

Ask = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]

_log = logging.getLogger("regulars.citus")


async def silent(dsn: str) -> set[str]:
    """The names (host:port) of the nodes that do not answer the coordinator now. Raises one
    of NOT_CONNECTED where that does not."""
    found = set()
    connection = await connected(dsn, _PATIENCE_SECONDS)
    try:
        for _, name, port in await connection.fetch(_NODES):
            if await _answers(connection, name, port) is False:
                found.add(f"{name}:{port}")
    finally:
        connection.terminate()
    return found


async def _answers(connection: asyncpg.Connection, name: str, port: int) -> bool | None:
    """Whether the coordinator reaches a node; None where it cannot say."""
    try:
        return bool(await connection.fetchval(_ANSWERS, name, port))
    except asyncpg.QueryCanceledError:
        return False
    except TimeoutError:
        connection.terminate()  # it would first wait for the end of what was given up
        return False
    except NOT_CONNECTED:
        return None


class NodeCircuitBreaker(BackgroundTask):
    """The nodes that do not answer the coordinator of a DSN; `found` is called when there is one
    more, to end what waits for it."""

    def __init__(self, dsn: str, found: Callable[[], None]) -> None:
        self._dsn = dsn
        self._found = found
        self._names: dict[int, str] = {}
        self._missed: dict[int, int] = {}
        # Which node each account is on, as long as there are any.
        self._nodes: dict[int, int] = {}
        self._lately_found = False
        self._kept: dict[int, asyncpg.Connection] = {}

    async def refuse(self, account_id: int | None, connection: asyncpg.Connection) -> None:
        """Raises SilentNode where an account is on one of them; of no account, nothing. It is
        asked on the connection that was lent for what the account wants: whoever waited for one
        did not know yet."""
        if not self._names or account_id is None:
            return
        node = self._nodes.get(account_id)
        if node is None:
            node = await connection.fetchval(_NODE_OF, counters.name, account_id)
            self._nodes[account_id] = node
        if node in self._names:
            raise SilentNode(f"The node {self._names[node]} of Citus does not answer.")

    async def others(self, ask: Ask) -> list[int] | None:
        """The accounts that are on none of them; None while there is none."""
        if not self._names:
            return None
        return [row[0] for row in await ask(_ACCOUNTS, (counters.name, list(self._names)))]

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                await self._look()
        finally:
            for connection in self._kept.values():
                connection.terminate()

    async def _look(self) -> None:
        try:
            nodes = await (await self._connection(_COORDINATOR)).fetch(_NODES)
        except NOT_CONNECTED:
            return  # nobody can say
        answers = await asyncio.gather(*(self._answers(*node) for node in nodes))
        before = set(self._names)
        for gone in before - {node[0] for node in nodes}:
            del self._names[gone]
        for (node, name, port), answer in zip(nodes, answers, strict=True):
            if answer is not None:
                self._hear(node, f"{name}:{port}", answer)
        if set(self._names) != before:
            self._nodes.clear()
        found = bool(set(self._names) - before)
        # Once more, for who asked just before it was found.
        if found or self._lately_found:
            self._found()
        self._lately_found = found

    def _hear(self, node: int, name: str, answers: bool) -> None:
        """Notes whether a node answers."""
        self._missed[node] = 0 if answers else self._missed.get(node, 0) + 1
        told = {"fields": {"node": name}}
        if answers and node in self._names:
            del self._names[node]
            _log.info("A node answers again.", extra=told)
        elif self._missed[node] >= _MISSED and node not in self._names:
            self._names[node] = name
            _log.warning("A node does not answer.", extra=told)

    async def _answers(self, node: int, name: str, port: int) -> bool | None:
        try:
            connection = await self._connection(node)
        except NOT_CONNECTED:
            return None
        return await _answers(connection, name, port)

    async def _connection(self, whom: int) -> asyncpg.Connection:
        """The connection to the coordinator that is kept to ask about a node."""
        connection = self._kept.get(whom)
        if connection is None or connection.is_closed():
            connection = self._kept[whom] = await connected(self._dsn, _PATIENCE_SECONDS)
        return connection
