"""Reads the metrics about waiting and failed work from the database, every 15 seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from pathlib import Path

from regulars.http.metrics import Metrics
from regulars.store import Store, StoreError
from regulars.store.backup import newest_backup
from regulars.store.operator_figures import FIGURES, import_figures, inbox_figures, webhook_figures

_INTERVAL_SECONDS = 15
# The first queries do not delay the first requests of a server.
_START_DELAY_SECONDS = 1

_log = logging.getLogger("regulars.server")

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
    "imports_waiting": ("regulars_imports_waiting", "Imports of files that wait or run."),
    "imports_failed": (
        "regulars_imports_failed",
        "Imports of files that failed, of those that are still stored (30 days).",
    ),
    "inbox_events": (
        "regulars_inbox_events",
        "Events of shops that could not be understood, and are stored in the inboxes.",
    ),
}


class OperatorFigures:
    """Reads the figures of the database. All processes read the same, so they are not added up."""

    def __init__(self, store: Store, metrics: Metrics, backup_folder: str | None) -> None:
        self._store = store
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

    def _value_of(self, figure: str) -> float:
        return self._values.get(figure, 0)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        await asyncio.sleep(_START_DELAY_SECONDS)
        while True:
            try:
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
        for query in (webhook_figures(), import_figures(), inbox_figures()):
            (row,) = await self._store.fetch(query, {}, is_long=True)
            values += row
        self._values |= {
            name: float(value or 0) for name, value in zip(FIGURES, values, strict=True)
        }

    def _read_backup(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            newest = newest_backup(folder)
            self._values["backup_at"] = newest.stat().st_mtime if newest else 0

    def _oldest_event_age_seconds(self) -> float:
        timestamp_ms = self._values.get("webhook_oldest_event_at", 0)
        return max(0.0, time.time() - timestamp_ms / 1_000) if timestamp_ms else 0.0
