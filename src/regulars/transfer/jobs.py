"""The imports that came over HTTP: each is run in a process of its own, one after another, so that
whoever asks the API need not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping

from regulars.directory.accounts import now_ms
from regulars.store import Store, StoreError, imports
from regulars.transfer.runs import FAILED, Runs

PROGRAM = "regulars.job"
_POLL_SECONDS = 2.0
# A server that starts answers first.
_FIRST_SECONDS = 1.0
_END_SECONDS = 10.0
_TRIES = 3

_log = logging.getLogger("regulars.imports")


class Jobs:
    """Runs imports until it is told to stop. `environment` are the settings of the processes."""

    def __init__(self, store: Store, environment: Mapping[str, str]) -> None:
        self._store = store
        self._environment = {**os.environ, **environment}
        self._failures: Counter[str] = Counter()
        # When each account had its last turn, as a count of turns.
        self._served: dict[int, int] = {}
        self._count = 0
        self._something = asyncio.Event()
        self._stopping = False

    def nudge(self) -> None:
        """Says that there is something to do."""
        self._something.set()

    def stop(self) -> None:
        """Has it end; what is being imported stops after its batch, and is gone on with by the
        next process."""
        self._stopping = True
        self._something.set()

    async def run(self) -> None:
        """Works until `stop`."""
        await self._wait(_FIRST_SECONDS)
        while not self._stopping:
            self._something.clear()
            found = None
            with contextlib.suppress(StoreError):  # the database is away: the next time, then
                ids = await self._store.reachable()
                due = imports.due(ids is not None)
                found = await self._store.fetch(due, {"now": now_ms(), "ids": ids})
            if not found:
                await self._wait(_POLL_SECONDS)
                continue
            # The account that was served longest ago, or never.
            account_id, import_id = min(found, key=lambda row: self._served.get(row[0], 0))
            self._served[account_id] = self._count = self._count + 1
            try:
                await self._do(account_id, import_id)
            except OSError as error:  # no process can be had now
                fields = {"fields": {"error": type(error).__name__}}
                _log.warning("An import's process could not be started.", extra=fields)
                await self._wait(_POLL_SECONDS)

    async def _do(self, account_id: int, import_id: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", PROGRAM, str(account_id), import_id),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
        )
        ended = asyncio.create_task(process.wait())
        try:
            while not ended.done() and not self._stopping:
                self._something.clear()
                changed = asyncio.create_task(self._something.wait())
                await asyncio.wait((ended, changed), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            assert process.stdin
            process.stdin.close()  # by this it knows that it is to stop
            try:
                await asyncio.wait_for(asyncio.shield(ended), _END_SECONDS)
            except TimeoutError:
                process.kill()
                await ended
        if process.returncode and not self._stopping:
            await self._failed(account_id, import_id, process.returncode)

    async def _failed(self, account_id: int, import_id: str, code: int) -> None:
        fields = {"fields": {"import": import_id, "exit_code": code}}
        _log.warning("An import's process failed.", extra=fields)
        self._failures[import_id] += 1
        if self._failures[import_id] >= _TRIES:
            message = "Something went wrong on our side, several times: the server's log has what."
            with contextlib.suppress(StoreError):
                await Runs(self._store, account_id).end(import_id, FAILED, now_ms(), message)
        await self._wait(_POLL_SECONDS)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something.wait(), seconds)
