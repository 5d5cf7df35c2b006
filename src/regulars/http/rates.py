"""How much a token may use: a leaky bucket for each, in points of cost.

A bucket loses `rate` points a second and overflows at `burst`. One process keeps its buckets to
itself. Several that share a database keep them there, and take a little ahead, so that few requests
ask for it: together they let through no more than that, for each process, beyond the limit.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from regulars.directory.accounts import Grant
from regulars.http.errors import rate_limited
from regulars.store import Store
from regulars.store.rates import take, wanting

MAX_BUCKETS = 10_000
# What a process takes ahead, in seconds of the rate.
_AHEAD_SECONDS = 0.1
_MILLI = 1_000


class Rates(Protocol):
    """Lets requests through, or does not."""

    def admit(self, grant: Grant, cost: int) -> Awaitable[None] | None:
        """Takes the cost from the token's rate: at once, or when it is awaited. Raises HTTPError
        (429) where the bucket would overflow."""

    def left(self, grant: Grant) -> int | None:
        """How many points the token has left, as far as this process knows."""


async def charge(rates: Rates | None, grant: Grant, cost: int) -> None:
    """Takes a cost from the token's rate, if there is one. Raises HTTPError (429)."""
    waiting = rates.admit(grant, cost) if rates is not None else None
    if waiting is not None:
        await waiting


class _Bucket(NamedTuple):
    level: float
    at: float


class LocalRates:
    """The buckets of the only process."""

    def __init__(self, rate: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, grant: Grant, cost: int) -> None:
        level = self._level(grant)
        over = level + cost - self._burst
        if over > 0:
            raise rate_limited(self._rate, self._burst, over / self._rate)
        if len(self._buckets) >= MAX_BUCKETS:
            self._forget_empty()
        self._buckets[grant.token_id] = _Bucket(level + cost, self._clock())

    def left(self, grant: Grant) -> int | None:
        return int(self._burst - self._level(grant))

    def _level(self, grant: Grant) -> float:
        bucket = self._buckets.get(grant.token_id)
        if bucket is None:
            return 0.0
        return max(0.0, bucket.level - (self._clock() - bucket.at) * self._rate)

    def _forget_empty(self) -> None:
        now = self._clock()
        full = {k: b for k, b in self._buckets.items() if b.level > (now - b.at) * self._rate}
        self._buckets = full


class SharedRates:
    """Buckets in the database (PostgreSQL), for several processes."""

    def __init__(self, rate: int, burst: int, store: Store) -> None:
        self._rate = rate
        self._burst = burst
        self._store = store
        self._ahead = min(int(rate * _AHEAD_SECONDS), burst)
        self._taken: dict[str, int] = {}
        self._left: dict[str, int] = {}

    def admit(self, grant: Grant, cost: int) -> Awaitable[None] | None:
        have = self._taken.get(grant.token_id, 0)
        if have >= cost:
            self._taken[grant.token_id] = have - cost
            return None
        return self._ask(grant, cost)

    def left(self, grant: Grant) -> int | None:
        return self._left.get(grant.token_id)

    async def _ask(self, grant: Grant, cost: int) -> None:
        for wanted in (max(cost, self._ahead), cost):
            rows = await self._store.fetch(take(), self._parameters(grant, wanted))
            if rows:
                if len(self._taken) >= MAX_BUCKETS:
                    self._taken.clear()
                    self._left.clear()
                token = grant.token_id
                self._taken[token] = self._taken.get(token, 0) + wanted - cost
                # Answers of the database overtake each other: what it tells may be of before.
                left = self._burst - rows[0][0] // _MILLI + self._taken[token]
                self._left[token] = min(left, self._burst)
                return
        (over,) = (await self._store.fetch(wanting(), self._parameters(grant, cost)))[0]
        raise rate_limited(self._rate, self._burst, max(0, over) / _MILLI / self._rate)

    def _parameters(self, grant: Grant, points: int) -> dict[str, int | str]:
        return {
            "account_id": grant.account_id,
            "token_id": grant.token_id,
            "wanted": points * _MILLI,
            "rate": self._rate,
            "burst": self._burst * _MILLI,
        }
