"""Fencing of former primaries by timeline.

A server that was paused or cut off during a failover still says that it takes writes, until its
cluster demotes it. Its data is old. A promoted server begins a new timeline with a greater number
(PostgreSQL, Continuous Archiving and Point-in-Time Recovery, Timelines). So a primary whose
timeline is older than the newest one observed is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from regulars.store.postgresql.connection import Connection

# The name of the current WAL file begins with the timeline; a replica writes no WAL. (The control
# file has the timeline only from the next checkpoint on.)
_WAL_FILE = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END"
)
_TIMELINE_DIGITS = 8

REPLACED = "another server has replaced this primary"


class TimelineFence:
    """The newest timeline observed on any primary of a cluster. `on_newer` is called when a newer
    one appears, to close the connections to the former primary."""

    def __init__(self, on_newer: Callable[[], None] = lambda: None) -> None:
        self._on_newer = on_newer
        self._newest = 0

    async def check(self, connection: Connection) -> None:
        """Read the timeline of a connection's server. Raises TargetServerAttributeNotMatched for a
        former primary."""
        file = await connection.fetchval(_WAL_FILE)
        connection.timeline = None if file is None else int(file[:_TIMELINE_DIGITS], 16)
        if self.is_old(connection):
            raise asyncpg.TargetServerAttributeNotMatched(REPLACED)
        if connection.timeline is not None and connection.timeline > self._newest:
            self._newest = connection.timeline
            self._on_newer()

    def is_old(self, connection: Connection) -> bool:
        """Return whether a checked connection leads to a former primary."""
        return connection.timeline is not None and connection.timeline < self._newest
