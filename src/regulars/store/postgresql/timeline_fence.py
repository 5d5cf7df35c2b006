"""Which of several servers that say they take writes is the primary.

One that stood still, or was cut off, while another took its place says so until its cluster has
told it. What it would answer is old. But each server that takes a place begins a new timeline,
whose number is greater (PostgreSQL, Continuous Archiving and Point-in-Time Recovery, Timelines):
so whoever has met a primary of a newer one does not listen to it.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from regulars.store.postgresql.connection import Connection

# The name of the log's current file begins with the number; a replica writes none. (The control
# file has the number only from the next checkpoint on.)
_FILE = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END"
_DIGITS = 8

REPLACED = "another server has taken the place of this primary"


class TimelineFence:
    """The newest timeline that any primary of a cluster was met on; `newer` is called when there is
    one more, to end what goes to the last primary."""

    def __init__(self, newer: Callable[[], None] = lambda: None) -> None:
        self._newer = newer
        self._newest = 0

    async def note(self, connection: Connection) -> None:
        """Notes on which timeline the server of a connection is. Raises
        TargetServerAttributeNotMatched for a primary whose place another has."""
        file = await connection.fetchval(_FILE)
        connection.timeline = None if file is None else int(file[:_DIGITS], 16)
        if self.is_old(connection):
            raise asyncpg.TargetServerAttributeNotMatched(REPLACED)
        if connection.timeline is not None and connection.timeline > self._newest:
            self._newest = connection.timeline
            self._newer()

    def is_old(self, connection: Connection) -> bool:
        """Whether a connection that was noted is to a primary whose place another has."""
        return connection.timeline is not None and connection.timeline < self._newest
