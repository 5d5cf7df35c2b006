"""The rule by which background work leaves the database to clients: the rows of a batch, and the
pause after it."""

from __future__ import annotations

# A write of a client waits at most for one batch on SQLite, and on PostgreSQL they share the disk.
# So a batch is hardly longer than a write, which takes 2 to 10 ms. A batch of 200 rows took 27 ms,
# and the p99 latency of the writes of others was 42 to 57 ms instead of 5 to 10.
_SHARED_SECONDS = 0.01
# While no client uses the database. The first write of a client waits for one such batch.
ALONE_SECONDS = 0.1
# A pause is this many times as long as the batch before it.
_PAUSE_FACTOR = 5
# The maximum is for a busy machine, where a batch of 50 rows took 0.2 s: with pauses of 1 s, an
# import got 50 rows per second.
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.001, 0.1
# A smaller batch is mostly a flush and round trips: with a minimum of 10, an edit on a busy machine
# did 137 customers per second.
_MIN_ROWS = 50
# The first batch is small: on a busy machine, 500 customers took 0.8 s.
_FIRST_ROWS_PER_SECOND = 1_000.0
# The weight of the last batch in the rate.
_WEIGHT = 0.3


class BatchPacer:
    """Measures the batches of some work, and chooses the size of the next one by time: it takes
    `alone_seconds` while no client uses the database."""

    def __init__(self, alone_seconds: float = ALONE_SECONDS) -> None:
        self._alone_seconds = alone_seconds
        self._rows_per_second = _FIRST_ROWS_PER_SECOND

    def rows(self, max_rows: int, is_shared: bool = True) -> int:
        """Return how many rows the next batch should have, `max_rows` at most. `is_shared` says
        whether clients use the database."""
        seconds = _SHARED_SECONDS if is_shared else self._alone_seconds
        return max(1, min(max_rows, max(_MIN_ROWS, int(self._rows_per_second * seconds))))

    def note(self, rows: int, seconds: float) -> None:
        """Note the size of a batch, and how long it took."""
        if rows:
            rate = rows / max(seconds, 1e-6)
            self._rows_per_second += _WEIGHT * (rate - self._rows_per_second)


def pause_after(seconds: float) -> float:
    """Return the seconds to pause after a batch that took `seconds`, while clients use the
    database."""
    return min(max(_PAUSE_FACTOR * seconds, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS)
