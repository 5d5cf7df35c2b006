"""Limits the bytes that a process holds for its connections.

Counted are large bodies, while they arrive and while their request is in progress, and responses
that clients have not read yet.
"""

from __future__ import annotations

from typing import Protocol

# Over a limit, connections are cut off until an eighth of it is free. So the next connection does
# not cause another check of all connections.
_FREED_DIVISOR = 8


class Holder(Protocol):
    """A connection that holds bytes."""

    def buffered_bytes(self) -> int:
        """Returns how many bytes are held for the connection."""

    def is_slow(self) -> bool:
        """Returns whether the connection waits for its client to send or to read."""

    def cut_off(self) -> None:
        """Refuses the request or aborts the connection, which frees the bytes."""


class BufferBudget:
    """Limits the bytes of all connections together to `max_bytes`, and those of one account to half
    of that. Account 0 stands for requests without a valid token.

    Over a limit, the budget cuts off the connections that have waited longest for their clients. It
    starts with the account that holds the most bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_account_bytes = max_bytes // 2
        self._held: dict[Holder, tuple[int, int]] = {}  # account id, bytes; oldest first
        self._bytes_by_account: dict[int, int] = {}
        self.total_bytes = 0
        self.cut_off_count = 0

    def hold(self, connection: Holder, account_id: int, size: int) -> None:
        """Sets how many bytes are held for a connection, and enforces the limits."""
        self._set(connection, account_id, size)
        if (
            self.total_bytes <= self._max_bytes
            and self._bytes_by_account[account_id] <= self._max_account_bytes
        ):
            return
        # Clients may have read some bytes since they were counted.
        for other, (owner, _) in list(self._held.items()):
            self._set(other, owner, other.buffered_bytes())
        if self._bytes_by_account.get(account_id, 0) > self._max_account_bytes:
            self._free(connection, account_id, self._max_account_bytes)
        while self.total_bytes > self._max_bytes:
            heaviest = max(self._bytes_by_account, key=self._bytes_by_account.__getitem__)
            self._free(connection, heaviest, self._bytes_by_account[heaviest] * 7 // 8)

    def release(self, connection: Holder) -> None:
        """Forgets a connection for which no bytes are held any more."""
        account_id, size = self._held.pop(connection, (0, 0))
        self._count(account_id, -size)

    def _set(self, connection: Holder, account_id: int, size: int) -> None:
        owner, previous_size = self._held.get(connection, (account_id, 0))
        self._held[connection] = account_id, size
        self._count(owner, -previous_size)
        self._count(account_id, size)

    def _count(self, account_id: int, difference: int) -> None:
        self.total_bytes += difference
        account_bytes = self._bytes_by_account.get(account_id, 0) + difference
        if account_bytes:
            self._bytes_by_account[account_id] = account_bytes
        else:
            self._bytes_by_account.pop(account_id, None)

    def _free(self, newest: Holder, account_id: int, limit_bytes: int) -> None:
        """Cuts off connections of an account until they hold at most seven eighths of the limit:
        slow ones first, then `newest`, then the others."""
        target_bytes = limit_bytes - limit_bytes // _FREED_DIVISOR
        slow = [c for c, (owner, _) in self._held.items() if owner == account_id and c.is_slow()]
        for connection in [*slow, newest, *self._held]:
            if self._bytes_by_account.get(account_id, 0) <= target_bytes:
                return
            if connection in self._held and self._held[connection][0] == account_id:
                self.release(connection)
                self.cut_off_count += 1
                connection.cut_off()
