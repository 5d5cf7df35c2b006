"""Imports whose files are uploaded over HTTP: their parts, and their JSON."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePath
from typing import IO, Any

import orjson

from regulars.core.clock import now_ms
from regulars.core.dates import iso
from regulars.jobs.values import can_undo
from regulars.store import Conflict, Row, Store, imports
from regulars.store.imports import FILE, PENDING, RECEIVING
from regulars.store.tables import import_parts
from regulars.store.writes import insert_one
from regulars.transfer.errors import IncompleteFile, Interrupted
from regulars.transfer.gzip_reader import BEGINNING
from regulars.transfer.import_options import Options
from regulars.transfer.import_repository import COUNTS, ImportRepository
from regulars.transfer.sanitizing import WARNED_ROWS, WARNING

# How often an upload renews its lease. Without it an upload was interrupted, and does not count as
# waiting.
_BEAT_MS = 15_000
LEASE_MS = 60_000
# Files are stored in parts of this size, to limit memory use.
PART = 1024 * 1024
RETENTION_MS = 30 * 86_400_000
# Longer than a server may wait for the next bytes (REGULARS_RECEIVE_SECONDS).
RECEIVING_MS = 7_200_000


# The options in the description of an import: those that apply to its corrected rows, too.
_SHOWN_OPTIONS = (
    *("header", "unknown", "empty", "match", "consent", "tags", "dates", "strict", "source"),
    "no_email",
)


class Parts:
    """Content of one kind that is stored with an import, in parts."""

    def __init__(self, store: Store, account_id: int, import_id: str, kind: str) -> None:
        self._store = store
        self._keys = {"account_id": account_id, "import_id": import_id, "kind": kind}
        self.size = 0

    async def truncate(self, size: int) -> None:
        """Delete all but the first `size` parts."""
        await self._store.execute([(imports.delete_parts(), {**self._keys, "part": size})])
        self.size = size

    async def append(self, content: bytes) -> None:
        """Store content in further parts. Raises Interrupted if the import was deleted."""
        for start in range(0, len(content), PART):
            row = {**self._keys, "part": self.size, "bytes": content[start : start + PART]}
            try:
                await self._store.execute([(insert_one(import_parts), row)])
            except Conflict:
                raise Interrupted("The import was cancelled.") from None
            self.size += 1

    async def any(self) -> bool:
        """Return whether the import has parts."""
        params = {**self._keys, "part": 0, "limit": 1}
        return bool(await self._store.fetch(imports.parts_from(), params))

    async def all(self) -> AsyncIterator[bytes]:
        """Yield the parts in order."""
        part = 0
        while True:
            params = {**self._keys, "part": part, "limit": 1}
            rows = await self._store.fetch(imports.parts_from(), params)
            if not rows:
                return
            ((part, content),) = rows
            yield content
            part += 1


class Upload:
    """A file that is being received: begin, feed, then finish or give up."""

    def __init__(self, store: Store, account_id: int, run: Row, options: Options) -> None:
        self._store = store
        self._account_id = account_id
        self._run = run
        self._options = options
        self._parts = Parts(store, account_id, run["import_id"], FILE)
        self._buffer = bytearray()
        self._first = b""
        self._digest = hashlib.sha256()
        self.size = 0
        self._beat = run["updated_at"]

    @classmethod
    async def begin(
        cls,
        store: Store,
        account_id: int,
        name: str,
        options: Options,
        dry_run: bool,
        silent: bool,
        actor: str,
        request_id: str,
        now: int,
    ) -> Upload:
        """Create an import that waits for its file."""
        source = {
            "options": options.as_json,
            "dry_run": dry_run,
            "silent": silent,
            "request_id": request_id,
        }
        runs = ImportRepository(store, account_id)
        run = await runs.begin(RECEIVING, name, "", source, None, now, actor)
        return cls(store, account_id, run, options)

    async def feed(self, chunk: bytes) -> None:
        """Store the next bytes. Raises Interrupted if the import was cancelled."""
        await self._renew_lease(now_ms())
        self.size += len(chunk)
        self._buffer += chunk
        while len(self._buffer) >= PART:
            await self._keep(bytes(self._buffer[:PART]))
            del self._buffer[:PART]

    async def finish(self, now: int) -> Row:
        """Queue the import and return its row. Raises BadFile and BadOption if the beginning of the
        file is unusable, and Interrupted."""
        await self._keep(bytes(self._buffer))
        name = self._run["name"]
        detected = await asyncio.to_thread(_detect, name, self._first, self._options)
        source = {**orjson.loads(self._run["source"]), **detected}
        changes = {
            "state": PENDING,
            "size": self.size,
            "fingerprint": self._digest.hexdigest(),
            "source": orjson.dumps(source).decode(),
            "updated_at": now,
        }
        params = {"account_id": self._account_id, "now": now, **self._run, **changes}
        if not await self._store.execute([(imports.mark_received(), params)]):
            raise Interrupted("The import was cancelled.")
        return {**self._run, **changes}

    async def give_up(self) -> None:
        """Delete the import and its parts."""
        await ImportRepository(self._store, self._account_id).forget(self._run["import_id"])

    async def _renew_lease(self, now: int) -> None:
        """Renew the lease of the upload if it is due."""
        if now - self._beat < _BEAT_MS:
            return
        self._beat = now
        import_id = self._run["import_id"]
        params = {"account_id": self._account_id, "import_id": import_id, "now": now}
        if not await self._store.execute([(imports.touch_upload(), params)]):
            raise Interrupted("The import was cancelled.")

    async def _keep(self, part: bytes) -> None:
        self._first = self._first or part
        self._digest.update(part)
        await self._parts.append(part)


def _detect(name: str, beginning: bytes, options: Options) -> dict[str, Any]:
    """Return the detected format of a file. Raises BadFile and BadOption."""
    from regulars.transfer.input_file import open_input
    from regulars.transfer.source import Source  # with what it needs, it takes 40 ms

    content = io.BytesIO(beginning)
    try:
        with open_input(
            name, options.encoding, content, options.format, BEGINNING, options.sheet
        ) as file:
            return Source(file, options).to_json()
    except IncompleteFile:  # the import itself has the whole file
        return {}


async def copy_file(store: Store, run: Row, file: IO[bytes]) -> None:
    """Write the file of an import to a local file."""
    async for part in Parts(store, run["account_id"], run["import_id"], FILE).all():
        file.write(part)
    file.flush()


def import_to_json(run: Row) -> dict[str, Any]:
    """Return an import as the JSON of a response."""
    source = orjson.loads(run["source"])
    return {
        "id": run["import_id"],
        # Imports of the command line have a path of the server as name.
        "name": PurePath(run["name"]).name,
        "state": run["state"],
        "by": run["actor"],
        "dry_run": source.get("dry_run", False),
        "silent": source.get("silent", False),
        "bytes": run["size"],
        "bytes_read": run["bytes_read"],
        "rows": run["position"],
        **{name: run[name] for name in COUNTS},
        "message": run["message"],
        "can_undo": can_undo(run),
        "undone_by": run["undone_by"],
        **problems_to_json(orjson.loads(run["problems"])),
        "options": {
            name: value
            for name, value in (source.get("options") or {}).items()
            if name in _SHOWN_OPTIONS
        },
        "recognised": {
            name: source.get(name)
            for name in ("format", "encoding", "gzip", "delimiter", "columns")
        },
        "created_at": iso(run["created_at"]),
        "updated_at": iso(run["updated_at"]),
        "ended_at": None if run["ended_at"] is None else iso(run["ended_at"]),
    }


def problems_to_json(problems: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kinds of problems and warnings with examples, and the number of rows with
    warnings."""
    rows = problems.get(WARNED_ROWS, {"count": 0})["count"]
    warnings = [kind for kind in problems if kind.startswith(WARNING) and kind != WARNED_ROWS]
    return {
        "problems": _kinds({k: v for k, v in problems.items() if not k.startswith(WARNING)}),
        "rows_with_warnings": rows,
        "warnings": _kinds({kind: problems[kind] for kind in warnings}),
    }


def _kinds(problems: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "count": group["count"],
            "examples": [_example(*example) for example in group["examples"]],
        }
        for kind, group in problems.items()
        if group["count"]
    ]


def _example(line: int, message: str, row: int | None = None) -> dict[str, Any]:
    """Return an example of a problem. Imports of version 0.1 and mirrors have no rows."""
    return {"line": line, "row": line if row is None else row, "message": message}


async def forget_old(store: Store, now: int) -> None:
    """Delete imports without progress for a month, interrupted uploads, and the problems of pulls
    of a month ago."""
    params = {"before": now - RETENTION_MS, "broken_before": now - RECEIVING_MS}
    await store.execute([(imports.delete_old(), params), (imports.clear_old_problems(), params)])
