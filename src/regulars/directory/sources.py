"""The databases that requests read from: the primary and its replicas."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

from regulars.core.limits import Limits
from regulars.directory.directory import Directory
from regulars.store import Store, StoreError
from regulars.store.postgresql.replica import Replica
from regulars.store.postgresql.replicas import Replicas
from regulars.store.replication_position import PositionReader


class Source(NamedTuple):
    """A database to read, and the positions of accounts in it."""

    directory: Directory
    positions: PositionReader

    def last_written_change(self, account_id: int) -> int | None:
        """Returns the number of the last change of the account that this process made, if any."""
        return self.directory.store.last_written_sequence(account_id)

    async def last_change_since(self, account_id: int, before: int | None) -> int | None:
        """Returns the number of the account's last change as of this call or later. `before` is
        an earlier `last_written_change`. If this process has made a change since, no query runs."""
        last_written = self.last_written_change(account_id)
        return last_written if last_written != before else await self.last_change(account_id)

    async def last_change(self, account_id: int) -> int | None:
        """Returns the number of the account's last change now, or None if the database fails."""
        try:
            return (await self.positions.read(account_id)).change
        except StoreError:
            return None


class Sources:
    """The primary and its replicas."""

    def __init__(self, primary: Store, replicas: Replicas | None, limits: Limits) -> None:
        self._limits = limits
        self._replicas = replicas
        self.primary = Source(Directory(primary, limits), PositionReader(primary))
        self._by_replica: WeakKeyDictionary[Replica, Source] = WeakKeyDictionary()

    @property
    def has_replicas(self) -> bool:
        """Whether there are replicas."""
        return self._replicas is not None

    async def for_reading(self, account_id: int, change: int | None) -> Source:
        """Returns a source that has the changes of an account up to a number; without a number, all
        changes up to now. Raises StoreError."""
        if self._replicas is None:
            return self.primary
        replica = await self._replicas.find(account_id, change)
        if replica is None:
            return self.primary
        source = self._by_replica.get(replica)
        if source is None:
            source = Source(
                Directory(replica, self._limits, self.primary.directory.store), replica.positions
            )
            self._by_replica[replica] = source
        return source
