"""The imports that came over HTTP: each is run in a process of its own, one after another. Accounts
take turns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from regulars.core.clock import now_ms
from regulars.jobs.values import ended_source
from regulars.jobs.wakeup import WakeUp
from regulars.store import Store, StoreError, imports
from regulars.transfer.import_repository import CANCELLED, FAILED, ImportRepository

PROGRAM = "regulars.import_worker"
_POLL_SECONDS = 2.0
# A server that starts answers first.
_FIRST_SECONDS = 1.0
_END_SECONDS = 10.0
_TRIES = 3
# The exit codes of a process that could not use the database, or that had no space for its files.
# Its import waits, and is tried again until it can go on.
TEMPORARY_IS_FULL, DISK_IS_FULL, IS_AWAY = 73, 74, 75
_WAITS = {
    TEMPORARY_IS_FULL: "The server has no space for temporary files. The import continues when it "
    "has.",
    DISK_IS_FULL: "The disk of the database is full. The import continues when it has free space.",
    IS_AWAY: "The database cannot be reached. The import continues when it can.",
}
_WAIT_SECONDS = 5.0
# How long an import of one account goes on while another account's waits. Each turn of an import is
# twice as long as the one before: it reads again what was done of its file, and a dry run begins
# at the start.
_TURN_SECONDS = 20.0
_LOOK_SECONDS = 2.0

_log = logging.getLogger("regulars.imports")


class Jobs:
    """Runs imports until `stop`. `environment` has the settings of the processes."""

    def __init__(
        self, store: Store, environment: Mapping[str, str], turn_seconds: float = _TURN_SECONDS
    ) -> None:
        self._turn_seconds = turn_seconds
        self._turns: Counter[str] = Counter()
        self._store = store
        self._environment = {**os.environ, **environment}
        self._failures: Counter[str] = Counter()
        # When each account had its last turn, as a count of turns.
        self._served: dict[int, int] = {}
        self._count = 0
        self._something = asyncio.Event()
        self._stopping = False
        self._wake_up = WakeUp(self.nudge)

    def nudge(self) -> None:
        """Check for imports now."""
        self._something.set()

    def stop(self) -> None:
        """Stop. The current import stops after its batch, and the next process continues it."""
        self._stopping = True
        self._something.set()

    async def run(self) -> None:
        """Run imports until `stop`."""
        await self._wait(_FIRST_SECONDS)
        while not self._stopping:
            self._something.clear()
            due = await self._due()
            if not due:
                await self._wait(_POLL_SECONDS)
                continue
            # The account that was served longest ago, or never.
            account_id, import_id = min(due, key=lambda row: self._served.get(row[0], 0))
            self._served[account_id] = self._count = self._count + 1
            try:
                await self._do(account_id, import_id)
            except OSError as error:  # no process can be had now
                fields = {"fields": {"error": type(error).__name__}}
                _log.warning("An import's process could not be started.", extra=fields)
                await self._wait(_POLL_SECONDS)

    async def _due(self) -> Sequence[Any]:
        """Return the account and the id of the oldest waiting import of each account."""
        try:
            ids = await self._store.reachable_accounts()
            due = imports.due_imports(ids is not None)
            return await self._store.fetch(due, {"now": now_ms(), "ids": ids})
        except StoreError:  # the database is away: the next time, then
            return ()

    async def _turn_is_over(self, account_id: int, import_id: str, began: float) -> bool:
        """Return whether an import has used its turn and another account has one that waits."""
        if monotonic() - began < self._turn_seconds * 2 ** self._turns[import_id]:
            return False
        if all(row[0] == account_id for row in await self._due()):
            return False
        self._turns[import_id] += 1
        return True

    async def _is_cancelled(self, account_id: int, import_id: str) -> bool:
        """Return whether an import was cancelled or deleted."""
        try:
            row = await ImportRepository(self._store, account_id).find(import_id)
        except StoreError:
            return False
        return row is None or row["state"] == CANCELLED

    async def _do(self, account_id: int, import_id: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", PROGRAM, str(account_id), import_id),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
        )
        ended = asyncio.create_task(process.wait())
        began, over, is_cancelled = monotonic(), False, False
        look = min(_LOOK_SECONDS, self._turn_seconds)
        try:
            while not (ended.done() or self._stopping or over or is_cancelled):
                self._something.clear()
                changed = asyncio.create_task(self._something.wait())
                waiting = (ended, changed)
                await asyncio.wait(waiting, timeout=look, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                over = await self._turn_is_over(account_id, import_id, began)
                is_cancelled = not ended.done() and await self._is_cancelled(account_id, import_id)
        finally:
            if is_cancelled:
                # On a busy machine, the end of its batch may take a minute. It saves nothing more.
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            assert process.stdin
            process.stdin.close()  # by this it knows that it is to stop
            try:
                await asyncio.wait_for(asyncio.shield(ended), _END_SECONDS)
            except TimeoutError:
                process.kill()
                await ended
        if not over:
            del self._turns[import_id]
        if process.returncode and not (self._stopping or over or is_cancelled):
            await self._failed(account_id, import_id, process.returncode)

    async def _failed(self, account_id: int, import_id: str, code: int) -> None:
        fields = {"fields": {"import": import_id, "exit_code": code}}
        runs = ImportRepository(self._store, account_id)
        if message := _WAITS.get(code):
            _log.warning("An import waits for the database or for disk space.", extra=fields)
            # On a full disk, a small change may fit.
            with contextlib.suppress(StoreError):
                await runs.note_wait(import_id, message, now_ms())
            await self._wait(_WAIT_SECONDS)
            return
        _log.warning("An import's process failed.", extra=fields)
        self._failures[import_id] += 1
        if self._failures[import_id] >= _TRIES:
            message = "The server failed several times during this import. Its log has the reason."
            with contextlib.suppress(StoreError):
                row = await runs.find(import_id)
                source = ended_source(row) if row else None
                await runs.end(import_id, FAILED, now_ms(), message, source=source)
        await self._wait(_POLL_SECONDS)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something.wait(), seconds)
