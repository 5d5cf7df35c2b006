"""Rate limits: a leaky bucket for each token, in points of cost.

A bucket loses `rate` points per second and overflows at `burst` points. A single process stores its
buckets in memory. Several processes store them in the database, and each takes some points ahead,
so that few requests need a statement. The processes exceed a limit by at most those points.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from regulars.accounts.grants import Grant
from regulars.http.errors import rate_limited
from regulars.store import Store, StoreError
from regulars.store.rates import take, wanting

MAX_BUCKETS = 10_000
# A process takes the points of this period ahead.
_AHEAD_SECONDS = 0.1
_MILLI = 1_000
# No bucket overflows at this level.
_NO_BURST = 2**62


class RateLimiter(Protocol):
    """Limits how many points each token uses."""

    def charge(self, grant: Grant, cost: int) -> Awaitable[None] | None:
        """Charges a cost in points before the request is executed. Returns None, or an awaitable
        that charges it. Raises HTTPError (429) if the bucket would overflow."""

    def debit(self, grant: Grant, cost: int) -> Awaitable[None] | None:
        """Charges a cost that is known only after the execution. Returns None, or an awaitable that
        charges it. The bucket may overflow, and the token has to wait longer."""

    def remaining_points(self, grant: Grant) -> int | None:
        """Returns the remaining points of the token, or None if this process does not know them."""


async def charge(limiter: RateLimiter | None, grant: Grant, cost: int) -> None:
    """Charges a cost before the request is executed, if rates are limited. Raises HTTPError
    (429)."""
    pending = limiter.charge(grant, cost) if limiter is not None else None
    if pending is not None:
        await pending


async def debit(limiter: RateLimiter | None, grant: Grant, cost: int) -> None:
    """Charges a cost that is known only after the execution, if rates are limited. Charges nothing
    while the database is unavailable, because the request has succeeded."""
    pending = limiter.debit(grant, cost) if limiter is not None and cost else None
    if pending is not None:
        with suppress(StoreError):
            await pending


class _Bucket(NamedTuple):
    level: float
    updated_at: float


class LocalRateLimiter:
    """Buckets in memory, for a single process. `clock` returns seconds."""

    def __init__(self, rate: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def charge(self, grant: Grant, cost: int) -> None:
        level = self._level(grant)
        excess = level + cost - self._burst
        if excess > 0:
            raise rate_limited(self._rate, self._burst, excess / self._rate)
        self.debit(grant, cost)

    def debit(self, grant: Grant, cost: int) -> None:
        if len(self._buckets) >= MAX_BUCKETS:
            self._forget_empty()
        self._buckets[grant.token_id] = _Bucket(self._level(grant) + cost, self._clock())

    def remaining_points(self, grant: Grant) -> int | None:
        return int(self._burst - self._level(grant))

    def _level(self, grant: Grant) -> float:
        bucket = self._buckets.get(grant.token_id)
        if bucket is None:
            return 0.0
        return max(0.0, bucket.level - (self._clock() - bucket.updated_at) * self._rate)

    def _forget_empty(self) -> None:
        now = self._clock()
        self._buckets = {
            token_id: bucket
            for token_id, bucket in self._buckets.items()
            if bucket.level > (now - bucket.updated_at) * self._rate
        }


class SharedRateLimiter:
    """Buckets in the database (PostgreSQL), for several processes."""

    def __init__(self, rate: int, burst: int, store: Store) -> None:
        self._rate = rate
        self._burst = burst
        self._store = store
        self._ahead_points = min(int(rate * _AHEAD_SECONDS), burst)
        self._points_ahead: dict[str, int] = {}
        self._remaining: dict[str, int] = {}

    def charge(self, grant: Grant, cost: int) -> Awaitable[None] | None:
        points = self._points_ahead.get(grant.token_id, 0)
        if points >= cost:
            self._points_ahead[grant.token_id] = points - cost
            return None
        return self._charge_in_database(grant, cost)

    def remaining_points(self, grant: Grant) -> int | None:
        return self._remaining.get(grant.token_id)

    async def debit(self, grant: Grant, cost: int) -> None:
        parameters = {**self._parameters(grant, cost), "burst": _NO_BURST}
        rows = await self._store.fetch(take(), parameters)
        self._remaining[grant.token_id] = self._burst - rows[0][0] // _MILLI

    async def _charge_in_database(self, grant: Grant, cost: int) -> None:
        for points in (max(cost, self._ahead_points), cost):
            rows = await self._store.fetch(take(), self._parameters(grant, points))
            if rows:
                if len(self._points_ahead) >= MAX_BUCKETS:
                    self._points_ahead.clear()
                    self._remaining.clear()
                token_id = grant.token_id
                ahead = self._points_ahead.get(token_id, 0) + points - cost
                self._points_ahead[token_id] = ahead
                # Results of statements can arrive in another order, so this one may be outdated.
                remaining = self._burst - rows[0][0] // _MILLI + ahead
                self._remaining[token_id] = min(remaining, self._burst)
                return
        (excess,) = (await self._store.fetch(wanting(), self._parameters(grant, cost)))[0]
        raise rate_limited(self._rate, self._burst, max(0, excess) / _MILLI / self._rate)

    def _parameters(self, grant: Grant, points: int) -> dict[str, int | str]:
        return {
            "account_id": grant.account_id,
            "token_id": grant.token_id,
            "wanted": points * _MILLI,
            "rate": self._rate,
            "burst": self._burst * _MILLI,
        }
