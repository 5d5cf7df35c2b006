"""Detects requests that delay other accounts."""

from __future__ import annotations

from time import monotonic

from regulars.store.recently_seen import RecentlySeen

# An account that has more requests in progress than this takes more than its share.
FAIR_SHARE = 8
# A request that costs so many points delays others.
EXPENSIVE_COST = 1_000
_RECENT_SECONDS = 1.0


class NoisyNeighborDetector:
    """Knows the accounts that flood, and the last two that do not: at least one of those two is
    another account than the one that floods."""

    def __init__(self) -> None:
        self._flooding = RecentlySeen(_RECENT_SECONDS)
        # Account id, and until when its request counts as recent.
        self._last = self._previous = (0, 0.0)

    def is_noisy(self, account_id: int, cost: int, in_progress_count: int) -> bool:
        """Returns whether a request of that cost, of an account that has so many in progress,
        would delay another account that sends few."""
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
        """Returns whether another account sent a request lately, and does not flood."""
        _, until = self._previous if self._last[0] == account_id else self._last
        return monotonic() < until
