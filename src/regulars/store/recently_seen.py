"""The accounts for which an event happened recently."""

from __future__ import annotations

from time import monotonic

_MAX_ACCOUNTS = 10_000


class RecentlySeen:
    """The accounts that were added within the last `seconds`. The set is cleared when it is
    full."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expires_at: dict[int, float] = {}

    def add(self, account_id: int) -> None:
        """Add an account, or extend its time."""
        if len(self._expires_at) >= _MAX_ACCOUNTS:
            self._expires_at.clear()
        self._expires_at[account_id] = monotonic() + self._seconds

    def __contains__(self, account_id: int) -> bool:
        expires_at = self._expires_at.get(account_id)
        if expires_at is None:
            return False
        if monotonic() >= expires_at:
            del self._expires_at[account_id]
            return False
        return True
