"""Run an import that was uploaded over HTTP, or another job, in the process that claims it."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from contextlib import ExitStack

import orjson

from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import Rejected
from regulars.jobs.values import ended_source
from regulars.store import Row, Store, imports
from regulars.transfer.errors import Interrupted, TransferError
from regulars.transfer.gzip_reader import WHOLE, Bounds
from regulars.transfer.import_options import parse_options
from regulars.transfer.import_repository import (
    COUNTS,
    DONE,
    FAILED,
    REJECTED_ROWS,
    WARNED_ROWS,
    ImportRepository,
)
from regulars.transfer.importer import Importer
from regulars.transfer.input_file import open_input
from regulars.transfer.job_runner import JobRunner
from regulars.transfer.rejected_rows import DiscardedRows
from regulars.transfer.source import Source
from regulars.transfer.uploads import Parts, copy_file

# The claim of a process on an import ends after this time, unless it is extended.
_CLAIM_MS = 15_000
_EXTEND_SECONDS = 1.0


class Job:
    """Runs an import or another job to its end or until `stop`. The next process continues it; a
    dry run starts from the beginning."""

    def __init__(
        self, store: Store, account_id: int, import_id: str, bounds: Bounds = WHOLE
    ) -> None:
        self._bounds = bounds
        self._store = store
        self._account_id = account_id
        self._import_id = import_id
        self._me = secrets.token_hex(8)
        self._runs = ImportRepository(store, account_id)
        self._importer: Importer | JobRunner | None = None
        self._stopped = False
        # What is stored of a job's source when it has ended.
        self._source: str | None = None

    def stop(self) -> None:
        """Stop after the current batch."""
        self._stopped = True
        if self._importer:
            self._importer.stop()

    async def run(self) -> None:
        """Run, unless another process has claimed the import. Raises StoreError."""
        params = {**self._claim(_CLAIM_MS), "now": now_ms()}
        ((rows,)) = await self._store.run([(imports.claim_import(), params)])
        if not rows:
            return
        row = imports.row_of(rows[0])
        extension = asyncio.create_task(self._extend_claim())
        try:
            if row["kind"] == imports.FILE:
                await self._import(row)
            else:
                await self._run_job(row)
        except (Interrupted, Rejected):
            pass  # stopped, or the import was cancelled
        except TransferError as error:
            await self._fail(str(error))
        finally:
            extension.cancel()
            await asyncio.gather(extension, return_exceptions=True)
            await self._store.run([(imports.extend_claim(), self._claim(-1))])

    async def _import(self, run: Row) -> None:
        details = orjson.loads(run["source"])
        options, dry = parse_options(details["options"]), details["dry_run"]
        with tempfile.TemporaryFile() as content:
            await copy_file(self._store, run, content)
            form, sheet = options.format, options.sheet
            opening = open_input(run["name"], options.encoding, content, form, self._bounds, sheet)
            with ExitStack() as opened:
                # In a thread, because it may take longer than the claim lasts.
                file = await asyncio.to_thread(opened.enter_context, opening)
                rejected, warned = (
                    Parts(self._store, self._account_id, self._import_id, kind)
                    for kind in (REJECTED_ROWS, WARNED_ROWS)
                )
                self._importer = importer = Importer(
                    self._store,
                    self._account_id,
                    await asyncio.to_thread(Source, file, options),
                    DiscardedRows() if dry else rejected,
                    DiscardedRows() if dry else warned,
                    Origin(
                        "import",
                        run["name"],
                        details["request_id"],
                        silent=details.get("silent", False),
                        cause=self._import_id,
                    ),
                    None if dry else run,
                )
                if self._stopped:
                    return
                await importer.go(lambda _tally: None)
        if dry:
            await self._save_progress(importer)
            await self._runs.end(self._import_id, DONE, now_ms())

    async def _run_job(self, row: Row) -> None:
        self._source = ended_source(row)
        self._importer = runner = JobRunner(self._store, self._account_id, row, self._me)
        if self._stopped:
            return
        await runner.go()
        problems = await runner.end_report()
        if runner.is_dry_run:
            await self._save_progress(runner)
        await self._runs.end(
            self._import_id, DONE, now_ms(), problems=problems, source=self._source
        )

    async def _fail(self, message: str) -> None:
        """End the import with the report of the rows that were imported before."""
        problems = None
        if self._importer:
            problems = await self._importer.end_report()
            if self._importer.is_dry_run:
                await self._save_progress(self._importer)
        source = self._source
        await self._runs.end(self._import_id, FAILED, now_ms(), message, problems, source)

    async def _extend_claim(self) -> None:
        """Extend the claim, and save the progress of a dry run, until this is cancelled."""
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            (is_extended,) = await self._store.run(
                [(imports.extend_claim(), self._claim(_CLAIM_MS))]
            )
            if not is_extended:
                self.stop()
                return
            if self._importer and self._importer.is_dry_run:
                await self._save_progress(self._importer)

    async def _save_progress(self, importer: Importer | JobRunner) -> None:
        tally = importer.tally
        progress = {
            "new_position": tally.rows,
            "new_bytes_read": tally.bytes_read,
            **{f"new_{name}": tally.counts[name] for name in COUNTS},
            "new_problems": orjson.dumps(tally.problems).decode(),
            "now": now_ms(),
        }
        await self._store.execute([(imports.update_progress(), {**self._claim(0), **progress})])

    def _claim(self, milliseconds: int) -> dict[str, object]:
        return {
            "account_id": self._account_id,
            "import_id": self._import_id,
            "claimed_by": self._me,
            "until": now_ms() + milliseconds,
        }
