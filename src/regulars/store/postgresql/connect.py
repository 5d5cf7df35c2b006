"""Connecting to PostgreSQL: to one host, or to that of several which is the primary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from regulars.store.postgresql.connection import Connection
from regulars.store.postgresql.timeline_fence import REPLACED, TimelineFence

# To each host: one that does not answer must not keep anybody long from another.
CONNECT_SECONDS = 5.0
# For how long the others of several hosts are waited for when one says that it takes writes, and
# how late one may say so.
_OTHERS_SECONDS = 0.25
_LATE_SECONDS = 1.0
# Why there is no connection: nobody is there, it is refused, or none of the hosts takes writes.
NOT_CONNECTED = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


async def connected(
    dsn: str,
    statement_seconds: float,
    name: str | None = None,
    timelines: TimelineFence | None = None,
) -> asyncpg.Connection:
    """A connection on which the server ends a statement that takes too long: a client that gives
    up leaves it running. The client's own patience is for a server that does not answer."""
    connection = await connect(dsn, timelines, command_timeout=1.5 * statement_seconds)
    try:
        # Not with the connection's first message: some poolers let only a few settings through.
        await connection.execute(f"SET statement_timeout = {statement_seconds * 1_000:.0f}")
        if name is not None:
            await connection.execute(f"SET application_name = '{name}'")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def connect(
    dsn: str, timelines: TimelineFence | None = None, **options: Any
) -> asyncpg.Connection:
    """A connection. Of a server that has several hosts, it is to the primary, unless the DSN says
    otherwise: to the one that takes writes, and of those to the one of the newest timeline. All are
    asked at once, because one that is gone may not answer."""
    each = hosts(dsn)
    if len(each) == 1:
        return await _connect(dsn, **options)
    if "target_session_attrs" not in dsn:
        options["target_session_attrs"] = "read-write"
    timelines = timelines or TimelineFence()
    began = monotonic()
    found = await _first(each, timelines, options)
    if monotonic() - began > _LATE_SECONDS:
        # It may have stood still, and the others have answered before they took its place.
        found.terminate()
        found = await _first(each, timelines, options)
    return found


async def _first(
    each: Sequence[str], timelines: TimelineFence, options: Mapping[str, Any]
) -> asyncpg.Connection:
    """A connection to the one of several hosts that is wanted."""
    trying = {asyncio.create_task(_noted(one, timelines, options)) for one in each}
    met: list[asyncpg.Connection] = []
    chosen: asyncpg.Connection | None = None
    failure: BaseException = asyncpg.TargetServerAttributeNotMatched(REPLACED)
    try:
        while trying:
            done, trying = await asyncio.wait(
                trying,
                timeout=_OTHERS_SECONDS if met else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for one in done:
                failure = one.exception() or failure
                if one.exception() is None:
                    met.append(one.result())
            if not done:
                break
        chosen = next((one for one in met if not timelines.is_old(one)), None)
    finally:
        for one in trying:
            one.cancel()
        late = await asyncio.gather(*trying, return_exceptions=True)
        for other in (*met, *late):
            if isinstance(other, asyncpg.Connection) and other is not chosen:
                other.terminate()
    if chosen is None:
        raise failure
    return chosen


async def _noted(
    dsn: str, timelines: TimelineFence, options: Mapping[str, Any]
) -> asyncpg.Connection:
    """A connection to a host, which is not one whose place another has."""
    connection = await _connect(dsn, **options)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await timelines.note(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _connect(dsn: str, **options: Any) -> asyncpg.Connection:
    return await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, connection_class=Connection, **options
    )


def hosts(dsn: str) -> list[str]:
    """The DSN of each host that a DSN names."""
    parts = urlsplit(dsn)
    user, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


def unreachable(error: BaseException) -> str:
    """A sentence for the operator; the password is in none of the errors it quotes."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"PostgreSQL cannot be reached: {reason.rstrip('.')}."
