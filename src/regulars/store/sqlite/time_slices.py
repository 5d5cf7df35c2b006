"""Divides the time of one processor among statements of SQLite that run in threads.

One statement runs at a time. SQLite calls `should_stop` while it runs, and there it pauses when
another account has taken less time. A new account may take some time before it shares, so that a
small statement does not wait for the large ones of others.
"""

from __future__ import annotations

import threading
from time import monotonic

# A statement runs so long before another one may run. SQLite calls every one to three milliseconds.
_SLICE_SECONDS = 0.002
# The time that an account may take before it shares.
_CREDIT_SECONDS = 0.1
_MAX_IDLE_ACCOUNTS = 1_000


class TimeShare:
    """The time of one statement of an account, which may run for `limit_seconds`."""

    def __init__(self, account_id: int, limit_seconds: float) -> None:
        self.account_id = account_id
        self.remaining_seconds = limit_seconds
        self.is_cancelled = False
        self.turn = threading.Event()
        self._resumed_at = 0.0

    def resume(self) -> None:
        """Note that the statement runs from now on."""
        self._resumed_at = monotonic()

    def seconds(self) -> float:
        """Return the time since the statement was resumed."""
        return monotonic() - self._resumed_at

    def pause(self) -> float:
        """Return the time since the statement was resumed, and subtract it from what remains."""
        seconds = self.seconds()
        self._resumed_at += seconds
        self.remaining_seconds -= seconds
        return seconds

    def is_over(self) -> bool:
        """Return whether the statement was cancelled or has taken its time."""
        return self.is_cancelled or self.seconds() > self.remaining_seconds

    def cancel(self) -> None:
        """Have the statement stop soon, even while it is paused."""
        self.is_cancelled = True
        self.turn.set()


class TimeSlices:
    """Decides which statement runs. Each statement calls `begin` and `end` in its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: TimeShare | None = None
        self._paused: list[TimeShare] = []
        # The time that each account has taken, and that of the account which ran last.
        self._taken_seconds: dict[int, float] = {}
        self._level_seconds = 0.0

    def begin(self, share: TimeShare) -> None:
        """Wait until the statement may run, or is cancelled."""
        with self._lock:
            if self._running is not None:
                self._charge(self._running)
            floor_seconds = self._level_seconds - _CREDIT_SECONDS
            if len(self._taken_seconds) > _MAX_IDLE_ACCOUNTS:
                self._forget_idle(floor_seconds)
            taken_seconds = self._taken_seconds.get(share.account_id, 0.0)
            self._taken_seconds[share.account_id] = max(taken_seconds, floor_seconds)
            if self._running is None:
                self._resume(share)
            else:
                self._paused.append(share)
        share.turn.wait()

    def should_stop(self, share: TimeShare) -> bool:
        """Pause while others run. Return whether to interrupt the statement, because it was
        cancelled or has taken its time."""
        if share.is_over():
            return True
        if share.seconds() < _SLICE_SECONDS or not self._paused:
            return False
        with self._lock:
            self._charge(share)
            successor = self._next()
            if successor is None or self._taken(successor) >= self._taken(share):
                return False
            share.turn.clear()
            if share.is_cancelled:  # just before its turn was cleared
                return True
            self._paused.append(share)
            self._resume(successor)
        share.turn.wait()
        return share.is_cancelled

    def end(self, share: TimeShare) -> None:
        """Let another statement run."""
        with self._lock:
            if share is not self._running:
                self._paused.remove(share)  # it was cancelled
                return
            self._charge(share)
            self._running = None
            successor = self._next()
            if successor is not None:
                self._resume(successor)

    def _taken(self, share: TimeShare) -> float:
        return self._taken_seconds[share.account_id]

    def _next(self) -> TimeShare | None:
        return min(self._paused, key=self._taken, default=None)

    def _resume(self, share: TimeShare) -> None:
        if share in self._paused:
            self._paused.remove(share)
        self._running = share
        self._level_seconds = max(self._level_seconds, self._taken(share))
        share.resume()
        share.turn.set()

    def _charge(self, share: TimeShare) -> None:
        """Add the time since the statement was resumed to that of its account."""
        self._taken_seconds[share.account_id] += share.pause()
        self._level_seconds = max(self._level_seconds, self._taken(share))

    def _forget_idle(self, floor_seconds: float) -> None:
        """Forget the accounts that begin like new ones."""
        active_ids = {share.account_id for share in (*self._paused, self._running) if share}
        self._taken_seconds = {
            account_id: seconds
            for account_id, seconds in self._taken_seconds.items()
            if account_id in active_ids or seconds > floor_seconds
        }
