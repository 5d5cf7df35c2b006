"""Nodes of Citus that do not answer.

What is asked of a node that stands still, or is cut off, waits for as long as a statement may take,
and has a connection meanwhile: soon no other account would find one. So each node is looked at, and
what one that is silent would be asked is refused at once. (A circuit breaker: Nygard, Release It!,
2007.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from regulars.store.connections import NOT_CONNECTED, connected
from regulars.store.errors import SilentNode
from regulars.store.tables import counters

# How often each is asked, how long it may take to answer, and how often it may fail to.
_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 1.0
_MISSED = 2

_COORDINATOR = 0
_NODES = """SELECT groupid, nodename, nodeport FROM pg_dist_node
    WHERE noderole = 'primary' AND isactive AND groupid <> 0"""
_ANSWERS = "SELECT citus_check_connection_to_node($1, $2)"
_NODE_OF = """SELECT groupid FROM pg_dist_placement
    WHERE shardid = get_shard_id_for_distribution_column($1::regclass, $2::int8)"""

_log = logging.getLogger("regulars.citus")


async def silent(dsn: str) -> set[str]:
    """The names (host:port) of the nodes that do not answer the coordinator now. Raises what
    asyncpg does where that does not."""
    found = set()
    connection = await connected(dsn, _PATIENCE_SECONDS)
    try:
        for _, name, port in await connection.fetch(_NODES):
            try:
                answers = await connection.fetchval(_ANSWERS, name, port)
            except (TimeoutError, asyncpg.QueryCanceledError):
                answers = False
            if not answers:
                found.add(f"{name}:{port}")
    finally:
        connection.terminate()
    return found


class SilentNodes:
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
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Looks from now on."""
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

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

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                await self._look()
        finally:
            for connection in self._kept.values():
                connection.terminate()

    async def _look(self) -> None:
        nodes = await self._asked(_COORDINATOR, _NODES)
        if nodes is None:
            return  # nobody can say
        answers = await asyncio.gather(*(self._asked(n[0], _ANSWERS, *n[1:]) for n in nodes))
        before = set(self._names)
        for gone in before - {node[0] for node in nodes}:
            del self._names[gone]
        for (node, name, port), answer in zip(nodes, answers, strict=True):
            self._hear(node, f"{name}:{port}", answer == [(True,)])
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
        if answers and self._names.pop(node, None):
            _log.info("A node answers again.", extra=told)
        elif self._missed[node] >= _MISSED and node not in self._names:
            self._names[node] = name
            _log.warning("A node does not answer.", extra=told)

    async def _asked(self, whom: int, text: str, *arguments: Any) -> list[Any] | None:
        """What the coordinator answers on the connection that is kept to ask about a node; None
        where it does not in time."""
        connection = self._kept.get(whom)
        try:
            if connection is None or connection.is_closed():
                connection = await connected(self._dsn, _PATIENCE_SECONDS)
                self._kept[whom] = connection
            rows: list[Any] = await connection.fetch(text, *arguments)
        except (TimeoutError, *NOT_CONNECTED):
            return None
        return rows
