"""The bytes that a process holds for its connections: large bodies that arrive or are worked on,
and responses that their clients have not read yet."""

from __future__ import annotations

from typing import Protocol

# Once over the limit, connections are cut off until this part of it is free: the next one that
# holds something need not be checked against all of them again.
_FREED_PART = 8


class Holder(Protocol):
    """A connection that holds bytes."""

    def buffered_bytes(self) -> int:
        """Returns how many bytes it holds now."""

    def is_slow(self) -> bool:
        """Returns whether it waits for its client: to send the rest, or to read."""

    def cut_off(self) -> None:
        """Frees what it holds: refuses the request, or aborts the connection."""


class BufferBudget:
    """At most `most_bytes` for all connections together, and at most half of it for the connections
    of one account (0: requests without a valid token). Beyond it, the connections that have waited
    longest for their clients are cut off, first those of the account that holds most."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: dict[Holder, tuple[int, int]] = {}  # account id, bytes; the oldest first
        self._by_account: dict[int, int] = {}
        self.total = 0
        self.cut_off_count = 0

    def hold(self, connection: Holder, account_id: int, size: int) -> None:
        """Sets how many bytes a connection holds."""
        self._set(connection, account_id, size)
        if self.total <= self._most and self._by_account[account_id] <= self._most // 2:
            return
        for other, (owner, _) in list(self._held.items()):  # what was read meanwhile is free
            self._set(other, owner, other.buffered_bytes())
        if self._by_account.get(account_id, 0) > self._most // 2:
            self._free(connection, account_id, self._most // 2)
        while self.total > self._most:
            heaviest = max(self._by_account, key=self._by_account.__getitem__)
            self._free(connection, heaviest, self._by_account[heaviest] * 7 // 8)

    def release(self, connection: Holder) -> None:
        """Forgets a connection that holds nothing any more."""
        account_id, size = self._held.pop(connection, (0, 0))
        self._count(account_id, -size)

    def _set(self, connection: Holder, account_id: int, size: int) -> None:
        owner, before = self._held.get(connection, (account_id, 0))
        self._held[connection] = account_id, size
        self._count(owner, -before)
        self._count(account_id, size)

    def _count(self, account_id: int, change: int) -> None:
        self.total += change
        left = self._by_account.get(account_id, 0) + change
        if left:
            self._by_account[account_id] = left
        else:
            self._by_account.pop(account_id, None)

    def _free(self, newest: Holder, account_id: int, most: int) -> None:
        """Cuts off connections of an account until they hold less than `most`."""
        most -= most // _FREED_PART
        slow = [c for c, (owner, _) in self._held.items() if owner == account_id and c.is_slow()]
        for connection in [*slow, newest, *self._held]:
            if self._by_account.get(account_id, 0) <= most:
                return
            if connection in self._held and self._held[connection][0] == account_id:
                self.release(connection)
                self.cut_off_count += 1
                connection.cut_off()
