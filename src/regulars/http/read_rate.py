"""The rate at which a client reads its responses."""

from __future__ import annotations


class ReadRate:
    """Measures how fast a client reads while unsent bytes wait for it. The rate is an average over
    `period_seconds` of such time. All times are seconds of one clock."""

    def __init__(self, min_bytes_per_second: float, period_seconds: float) -> None:
        self._min_bytes_per_second = min_bytes_per_second
        self._period_seconds = period_seconds
        self._paused_since: float | None = None
        self._paused_bytes = 0
        # The sums of earlier pauses in the current period.
        self._seconds = 0.0
        self._read_bytes = 0

    @property
    def is_paused(self) -> bool:
        """Whether the client reads more slowly than the server sends."""
        return self._paused_since is not None

    def pause(self, now: float, unsent_bytes: int) -> None:
        """Starts a measurement: unsent bytes wait for the client from now on."""
        self._paused_since, self._paused_bytes = now, unsent_bytes

    def resume(self, now: float, unsent_bytes: int) -> None:
        """Ends a measurement: the client has read enough."""
        if self._paused_since is not None:
            self._seconds += now - self._paused_since
            self._read_bytes += self._paused_bytes - unsent_bytes
            self._paused_since = None

    def is_too_slow(self, now: float, unsent_bytes: int) -> bool:
        """Returns whether a period has ended in which the client read less than the minimum."""
        if self._paused_since is None:
            return False
        seconds = self._seconds + now - self._paused_since
        if seconds < self._period_seconds:
            return False
        read_bytes = self._read_bytes + self._paused_bytes - unsent_bytes
        self._seconds, self._read_bytes = 0.0, 0
        self._paused_since, self._paused_bytes = now, unsent_bytes
        return read_bytes < self._min_bytes_per_second * seconds
