"""Reads the metrics about waiting and failed work from the database, every 15 seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from functools import partial
from pathlib import Path

from regulars.http.metrics import MULTIPROCESS, Metrics
from regulars.segments.evaluation_queries import lag
from regulars.store import Store, StoreError
from regulars.store.backup import newest_backup
from regulars.store.operator_figures import FIGURES, import_figures, inbox_figures, webhook_figures

_INTERVAL_SECONDS = 15
# The first queries do not delay the first requests of a server.
_START_DELAY_SECONDS = 1

_log = logging.getLogger("regulars.server")

_LAG = "segments_lag"
_GAUGES = {
    "disabled_webhooks": (
        "regulars_webhooks_disabled",
        "Webhooks that were disabled because deliveries failed, without paused ones.",
    ),
    "failing_webhooks": (
        "regulars_webhooks_failing",
        "Webhooks with an event whose last attempt failed, and that is tried again.",
    ),
    "waiting_webhooks": (
        "regulars_webhooks_waiting",
        "Webhooks with an event that was not delivered yet.",
    ),
    "imports_waiting": (
        "regulars_imports_waiting",
        "Imports of files, bulk edits and undos that wait or run.",
    ),
    "imports_failed": (
        "regulars_imports_failed",
        "Those that failed, of those that are still stored (30 days).",
    ),
    "inbox_events": (
        "regulars_inbox_events",
        "Events of shops that could not be understood, and are stored in the inboxes.",
    ),
    _LAG: (
        "regulars_segments_lag_entries",
        "Entries of the history that are not evaluated yet for the watched segments.",
    ),
}


class OperatorFigures:
    """Reads the figures of the database. Of several processes of a server, only one reads them, and
    the metrics have its values. If it exits, another one continues within 15 seconds."""

    def __init__(self, store: Store, metrics: Metrics, backup_folder: str | None) -> None:
        self._store = store
        self._lock = _ReaderLock(os.environ.get(MULTIPROCESS))
        self._backup_folder = Path(backup_folder) if backup_folder else None
        self._values: dict[str, float] = {}
        for figure, (name, description) in _GAUGES.items():
            metrics.add_gauge(name, description, partial(self._value_of, figure), False)
        description = "The age of the oldest event that was not delivered to an enabled webhook."
        name = "regulars_webhook_oldest_event_age_seconds"
        metrics.add_gauge(name, description, self._oldest_event_age_seconds, False)
        if self._backup_folder is None:
            return
        description = "When the newest backup in REGULARS_BACKUP_FOLDER was made; 0 without one."
        name = "regulars_backup_last_success_timestamp_seconds"
        metrics.add_gauge(name, description, partial(self._value_of, "backup_at"), False)

    def _value_of(self, figure: str) -> float | None:
        """Returns the last value, or None if this process has read none."""
        return self._values.get(figure)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        await asyncio.sleep(_START_DELAY_SECONDS)
        while True:
            try:
                if self._lock.acquire():
                    await self._read()
            except StoreError:
                pass  # the figures stay as they were; other metrics report the database
            except Exception as error:
                fields = {"fields": {"error": type(error).__name__}}
                _log.warning("The metrics of waiting work could not be read.", extra=fields)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _read(self) -> None:
        if self._backup_folder is not None:
            await asyncio.to_thread(self._read_backup, self._backup_folder)
        values: list[float | None] = []
        for query in (webhook_figures(), import_figures(), inbox_figures(), lag()):
            (row,) = await self._store.fetch(query, {}, is_long=True)
            values += row
        self._values |= {
            name: float(value or 0) for name, value in zip((*FIGURES, _LAG), values, strict=True)
        }

    def _read_backup(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            newest = newest_backup(folder)
            self._values["backup_at"] = newest.stat().st_mtime if newest else 0

    def _oldest_event_age_seconds(self) -> float | None:
        timestamp_ms = self._value_of("webhook_oldest_event_at")
        return timestamp_ms and max(0.0, time.time() - timestamp_ms / 1_000)


class _ReaderLock:
    """The lock of the process that reads the figures, of those with the same `folder`. A process
    holds it until it exits. Without a folder, there is one process, which holds the lock."""

    def __init__(self, folder: str | None) -> None:
        self._path = Path(folder) / "operator_figures.lock" if folder else None
        self._file: int | None = None
        self._is_held = False

    def acquire(self) -> bool:
        """Acquires the lock if no process holds it. Returns whether this process holds it."""
        if not self._is_held:
            self._is_held = self._path is None or self._try_lock(self._path)
        return self._is_held

    def _try_lock(self, path: Path) -> bool:
        import fcntl  # a server has several processes only on POSIX

        if self._file is None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
