"""Where requests read from: the primary database, or one of its replicas."""

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
    """A database to read, and where its accounts are."""

    directory: Directory
    positions: PositionReader

    def last_known(self, account_id: int) -> int | None:
        """The number of the last change of the account that this process made, if it is known."""
        return self.directory.store.last_written_sequence(account_id)

    async def last_change_since(self, account_id: int, before: int | None) -> int | None:
        """The number of the account's last change there, now, without asking where what was known
        `before` was not the last: what this process has made since then is as new."""
        known = self.last_known(account_id)
        return known if known != before else await self.last_change(account_id)

    async def last_change(self, account_id: int) -> int | None:
        """The number of the account's last change there, now; None where it cannot be asked."""
        try:
            return (await self.positions.read(account_id)).change
        except StoreError:
            return None


class Sources:
    """The primary, which has everything, and its replicas."""

    def __init__(self, primary: Store, replicas: Replicas | None, limits: Limits) -> None:
        self._limits = limits
        self._replicas = replicas
        self.primary = Source(Directory(primary, limits), PositionReader(primary))
        self._made: WeakKeyDictionary[Replica, Source] = WeakKeyDictionary()

    async def for_reading(self, account_id: int, change: int | None) -> Source:
        """One that has all of an account up to a change; without one, all that was answered before
        it is asked for. Raises StoreError."""
        if self._replicas is None:
            return self.primary
        replica = await self._replicas.find(account_id, change)
        if replica is None:
            return self.primary
        source = self._made.get(replica)
        if source is None:
            source = Source(Directory(replica, self._limits), replica.positions)
            self._made[replica] = source
        return source
