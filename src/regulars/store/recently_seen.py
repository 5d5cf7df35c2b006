"""What happened to an account within the last moments."""

from __future__ import annotations

from time import monotonic

_MOST = 10_000


class RecentlySeen:
    """The accounts of which something was noted within the last `seconds`. Too many are forgotten
    all at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[int, float] = {}

    def note(self, account_id: int) -> None:
        """It happened to an account, now."""
        if len(self._until) >= _MOST:
            self._until.clear()
        self._until[account_id] = monotonic() + self._seconds

    def __contains__(self, account_id: int) -> bool:
        until = self._until.get(account_id)
        if until is None:
            return False
        if monotonic() >= until:
            del self._until[account_id]
            return False
        return True
