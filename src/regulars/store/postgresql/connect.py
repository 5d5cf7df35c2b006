"""Opening a connection to PostgreSQL: to a single host, or to the primary among several hosts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from regulars.store.errors import Unreachable
from regulars.store.postgresql.connection import Connection
from regulars.store.postgresql.timeline_fence import REPLACED, TimelineFence

# The hash table of a search may take so many times `work_mem`, or 12 MB (`searches.MAX_WALK_SET`).
# With less, PostgreSQL reads the whole set again for each customer.
HASH_MEM_MULTIPLIER = 3
# For each host.
CONNECT_SECONDS = 5.0
# After the first primary has answered, the other hosts have this time to show a newer timeline.
_OTHER_HOSTS_SECONDS = 0.25
# A primary that answers later may have been paused, so all hosts are tried again.
_LATE_SECONDS = 1.0
# The messages of Citus if the coordinator cannot reach a node.
_NODE_FAILED = re.compile(
    r"(?:connection to the remote node|establish any connections to the node) (?:.*@)?(\S+:\d+)"
)
# The message of asyncio for a refused connection.
_REFUSED = re.compile(r"\('([^']+)', (\d+)")
# No host answers, the server refuses the connection, or no host takes writes.
CONNECT_ERRORS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


async def open_connection(
    dsn: str,
    statement_seconds: float,
    name: str | None = None,
    timeline_fence: TimelineFence | None = None,
) -> asyncpg.Connection:
    """Open a connection whose statements the server cancels after `statement_seconds`. The client
    waits longer, and gives up only on a server that does not answer. `name` is the
    application_name."""
    connection = await connect(dsn, timeline_fence, command_timeout=1.5 * statement_seconds)
    try:
        # Not in the startup message: some poolers accept only a few settings there.
        await connection.execute(
            f"SET statement_timeout = {statement_seconds * 1_000:.0f}; "
            f"SET hash_mem_multiplier = {HASH_MEM_MULTIPLIER}"
        )
        if name is not None:
            await connection.execute(f"SET application_name = '{name}'")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def connect(
    dsn: str, timeline_fence: TimelineFence | None = None, **options: Any
) -> asyncpg.Connection:
    """Connect. If the DSN has several hosts and no `target_session_attrs`, connect to the primary:
    the host that takes writes and has the newest timeline. All hosts are tried at once."""
    dsns = split_hosts(dsn)
    if len(dsns) == 1:
        return await _connect(dsn, **options)
    if "target_session_attrs" not in dsn:
        options["target_session_attrs"] = "read-write"
    timeline_fence = timeline_fence or TimelineFence()
    started = monotonic()
    connection = await _connect_to_primary(dsns, timeline_fence, options)
    if monotonic() - started > _LATE_SECONDS:
        # The host may have been paused, and the others may have answered before the failover.
        connection.terminate()
        connection = await _connect_to_primary(dsns, timeline_fence, options)
    return connection


async def connect_or_raise(dsn: str) -> asyncpg.Connection:
    """Connect. Raises Unreachable."""
    try:
        return await connect(dsn)
    except CONNECT_ERRORS as error:
        raise Unreachable(describe_error(error)) from error


async def _connect_to_primary(
    dsns: Sequence[str], timeline_fence: TimelineFence, options: Mapping[str, Any]
) -> asyncpg.Connection:
    pending = {asyncio.create_task(_connect_fenced(dsn, timeline_fence, options)) for dsn in dsns}
    connections: list[asyncpg.Connection] = []
    primary: asyncpg.Connection | None = None
    failure: BaseException = asyncpg.TargetServerAttributeNotMatched(REPLACED)
    try:
        while pending:
            done, pending = await asyncio.wait(
                pending,
                timeout=_OTHER_HOSTS_SECONDS if connections else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                failure = task.exception() or failure
                if task.exception() is None:
                    connections.append(task.result())
            if not done:
                break
        primary = next((c for c in connections if not timeline_fence.is_old(c)), None)
    finally:
        for task in pending:
            task.cancel()
        late = await asyncio.gather(*pending, return_exceptions=True)
        for result in (*connections, *late):
            if isinstance(result, asyncpg.Connection) and result is not primary:
                result.terminate()
    if primary is None:
        raise failure
    return primary


async def _connect_fenced(
    dsn: str, timeline_fence: TimelineFence, options: Mapping[str, Any]
) -> asyncpg.Connection:
    """Connect to a host. Raises TargetServerAttributeNotMatched for a former primary."""
    connection = await _connect(dsn, **options)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await timeline_fence.check(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _connect(dsn: str, **options: Any) -> asyncpg.Connection:
    return await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, connection_class=Connection, **options
    )


def split_hosts(dsn: str) -> list[str]:
    """Return a DSN for each host of a DSN."""
    parts = urlsplit(dsn)
    user, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


def describe_nodes(names: Sequence[str]) -> str:
    """Return a sentence for the operator about Citus nodes that do not respond."""
    if len(names) == 1:
        return f"The Citus node {names[0]} does not respond. Start it, or repair the network."
    return f"The Citus nodes {', '.join(names)} do not respond. Start them, or repair the network."


def describe_error(error: BaseException) -> str:
    """Return a sentence for the operator. No error of the driver quotes the password."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    reason = reason.rstrip(".")
    refused = _REFUSED.search(reason)
    if node := _NODE_FAILED.search(reason):
        return describe_nodes([node[1]])
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"PostgreSQL answers, but the {reason}. Create it, or correct the URL."
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return f"PostgreSQL answers, but refuses the user or the password: {reason}."
    if isinstance(error, ConnectionRefusedError) and refused:
        reason = f"nothing listens on port {refused[2]} of {refused[1]}"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror.rstrip(".")
    return f"PostgreSQL cannot be reached: {reason}."
