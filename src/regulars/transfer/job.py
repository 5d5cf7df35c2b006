"""An import that came over HTTP, brought on by whoever claims it."""

from __future__ import annotations

import asyncio
import secrets
import tempfile

import orjson

from regulars.accounts.accounts import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import Rejected
from regulars.store import Row, Store, imports
from regulars.transfer.errors import Interrupted, TransferError
from regulars.transfer.gzip_reader import WHOLE, Bounds
from regulars.transfer.import_options import parse_options
from regulars.transfer.import_repository import (
    COUNTS,
    DONE,
    FAILED,
    REJECTED_ROWS,
    ImportRepository,
)
from regulars.transfer.importer import Importer
from regulars.transfer.input_file import open_input
from regulars.transfer.rejected_rows import DiscardedRows
from regulars.transfer.source import Source
from regulars.transfer.uploads import Parts, copied

# Who brings an import on holds it for so long, and says again and again that it does.
HELD_MS = 15_000
_HOLD_EVERY = 1.0


class Job:
    """Brings an import on, to its end or until `stop`. What was done of it is kept, and gone on
    with by the next one who claims it; a dry run begins anew."""

    def __init__(
        self, store: Store, account_id: int, import_id: str, bounds: Bounds = WHOLE
    ) -> None:
        self._bounds = bounds
        self._store = store
        self._account_id = account_id
        self._import_id = import_id
        self._me = secrets.token_hex(8)
        self._runs = ImportRepository(store, account_id)
        self._importer: Importer | None = None
        self._stopped = False

    def stop(self) -> None:
        """Has it stop after the batch that is being written."""
        self._stopped = True
        if self._importer:
            self._importer.stop()

    async def run(self) -> None:
        """Does it, unless somebody else holds the import. Raises StoreError."""
        given = {**self._held(HELD_MS), "now": now_ms()}
        ((rows,)) = await self._store.run([(imports.claim_import(), given)])
        if not rows:
            return
        row = dict(zip(imports.COLUMNS, rows[0], strict=True))
        holding = asyncio.create_task(self._hold())
        try:
            await self._bring(row)
        except (Interrupted, Rejected):
            pass  # it was asked to stop, or the import was cancelled
        except TransferError as error:
            await self._runs.end(self._import_id, FAILED, now_ms(), str(error))
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            await self._store.run([(imports.extend_claim(), self._held(-1))])

    async def _bring(self, run: Row) -> None:
        source_told = orjson.loads(run["source"])
        options, dry = parse_options(source_told["options"]), source_told["dry_run"]
        with tempfile.TemporaryFile() as content:
            await copied(self._store, run, content)
            form = options.format
            with open_input(run["name"], options.encoding, content, form, self._bounds) as file:
                rejected = Parts(self._store, self._account_id, self._import_id, REJECTED_ROWS)
                self._importer = importer = Importer(
                    self._store,
                    self._account_id,
                    Source(file, options),
                    DiscardedRows() if dry else rejected,
                    Origin(
                        "import",
                        run["name"],
                        source_told["request_id"],
                        silent=source_told.get("silent", False),
                    ),
                    None if dry else run,
                )
                if self._stopped:
                    return
                await importer.go(lambda _tally: None)
        if dry:
            await self._tell(importer)
            await self._runs.end(self._import_id, DONE, now_ms())

    async def _hold(self) -> None:
        """Holds the import, and tells how far a dry run has come, until it is cancelled."""
        while True:
            await asyncio.sleep(_HOLD_EVERY)
            (kept,) = await self._store.run([(imports.extend_claim(), self._held(HELD_MS))])
            if not kept:
                self.stop()
                return
            if self._importer and self._importer.is_dry_run:
                await self._tell(self._importer)

    async def _tell(self, importer: Importer) -> None:
        tally = importer.tally
        told = {
            "new_position": tally.rows,
            "new_bytes_read": tally.bytes_read,
            **{f"new_{name}": tally.counts[name] for name in COUNTS},
            "new_problems": orjson.dumps(tally.problems).decode(),
            "now": now_ms(),
        }
        await self._store.execute([(imports.update_progress(), {**self._held(0), **told})])

    def _held(self, milliseconds: int) -> dict[str, object]:
        return {
            "account_id": self._account_id,
            "import_id": self._import_id,
            "claimed_by": self._me,
            "until": now_ms() + milliseconds,
        }
