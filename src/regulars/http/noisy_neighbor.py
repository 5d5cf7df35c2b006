"""Detects requests that delay other accounts."""

from __future__ import annotations

from time import monotonic

from regulars.store.recently_seen import RecentlySeen

# An account with more requests in progress floods.
FAIR_SHARE = 8
# A request that costs this many points delays others.
EXPENSIVE_COST = 1_000
_RECENT_SECONDS = 1.0


class NoisyNeighborDetector:
    """Detects accounts that flood while others send few requests. It remembers the last two
    accounts that do not flood, because at least one of them is not the account of the request."""

    def __init__(self) -> None:
        self._flooding = RecentlySeen(_RECENT_SECONDS)
        # Account ids, and the times when their requests stop being recent.
        self._last = self._previous = (0, 0.0)

    def is_noisy(self, account_id: int, cost: int, in_progress_count: int) -> bool:
        """Returns whether a request would delay another account that sends few requests. `cost` is
        in points, and `in_progress_count` is the number of the account's requests in progress."""
        now = monotonic()
        if in_progress_count <= FAIR_SHARE and account_id not in self._flooding:
            if self._last[0] != account_id:
                self._previous = self._last
            self._last = (account_id, now + _RECENT_SECONDS)
            return cost >= EXPENSIVE_COST and self.has_neighbor(account_id)
        if not self.has_neighbor(account_id):
            return False
        if in_progress_count > FAIR_SHARE:
            self._flooding.add(account_id)
        return True

    def has_neighbor(self, account_id: int) -> bool:
        """Returns whether another account that does not flood sent a request within the last
        second."""
        _, recent_until = self._previous if self._last[0] == account_id else self._last
        return monotonic() < recent_until
