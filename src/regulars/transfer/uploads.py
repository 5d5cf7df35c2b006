"""Imports whose files come over HTTP: their parts, and what is told of them."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePath
from typing import IO, Any

import orjson

from regulars.accounts.accounts import now_ms
from regulars.core.dates import iso
from regulars.store import Conflict, Row, Store, imports
from regulars.store.imports import FILE, PENDING, RECEIVING
from regulars.store.tables import import_parts
from regulars.store.writes import insert_one
from regulars.transfer.errors import Interrupted
from regulars.transfer.gzip_reader import BEGINNING
from regulars.transfer.import_options import Options
from regulars.transfer.import_repository import COUNTS, ImportRepository
from regulars.transfer.input_file import open_input
from regulars.transfer.sanitizing import WARNED_ROWS, WARNING
from regulars.transfer.source import Source

# A file that is received is said to be so this often. One of which nothing came for LEASE_MS was
# cut off, with its server or its connection, and is no import that waits.
_BEAT_MS = 15_000
LEASE_MS = 60_000
# A file is kept in parts of so many bytes, and no more of it is held in memory.
PART = 1024 * 1024
RETENTION_MS = 30 * 86_400_000
# Longer than a server may wait for the next bytes (REGULARS_RECEIVE_SECONDS).
RECEIVING_MS = 7_200_000


class Parts:
    """The bytes that are kept with an import, of a kind, in parts."""

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
        """Whether there are any."""
        given = {**self._keys, "part": 0, "limit": 1}
        return bool(await self._store.fetch(imports.parts_from(), given))

    async def all(self) -> AsyncIterator[bytes]:
        """The parts, in their order."""
        part = 0
        while True:
            given = {**self._keys, "part": part, "limit": 1}
            found = await self._store.fetch(imports.parts_from(), given)
            if not found:
                return
            ((part, content),) = found
            yield content
            part += 1


class Upload:
    """A file on its way in: begun, then fed, then finished, or given up."""

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
        """A new import that waits for its file."""
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
        """Takes the next bytes. Raises Interrupted when the import was cancelled."""
        await self._hold(now_ms())
        self.size += len(chunk)
        self._buffer += chunk
        while len(self._buffer) >= PART:
            await self._keep(bytes(self._buffer[:PART]))
            del self._buffer[:PART]

    async def finish(self, now: int) -> Row:
        """The import, which waits for its turn. Raises BadFile and BadOption for a file that shows
        at its beginning that nothing can be done with it, and Interrupted."""
        await self._keep(bytes(self._buffer))
        name = self._run["name"]
        told = await asyncio.to_thread(_recognised, name, self._first, self._options)
        source = {**orjson.loads(self._run["source"]), **told}
        changed = {
            "state": PENDING,
            "size": self.size,
            "fingerprint": self._digest.hexdigest(),
            "source": orjson.dumps(source).decode(),
            "updated_at": now,
        }
        given = {"account_id": self._account_id, "now": now, **self._run, **changed}
        if not await self._store.execute([(imports.mark_received(), given)]):
            raise Interrupted("The import was cancelled.")
        return {**self._run, **changed}

    async def give_up(self) -> None:
        """Forgets it, and what has come of it."""
        await ImportRepository(self._store, self._account_id).forget(self._run["import_id"])

    async def _hold(self, now: int) -> None:
        """Says, from time to time, that the file is still received."""
        if now - self._beat < _BEAT_MS:
            return
        self._beat = now
        import_id = self._run["import_id"]
        held = {"account_id": self._account_id, "import_id": import_id, "now": now}
        if not await self._store.execute([(imports.touch_upload(), held)]):
            raise Interrupted("The import was cancelled.")

    async def _keep(self, part: bytes) -> None:
        self._first = self._first or part
        self._digest.update(part)
        await self._parts.append(part)


def _recognised(name: str, beginning: bytes, options: Options) -> dict[str, Any]:
    """What a file of that beginning is recognised as. Raises BadFile and BadOption."""
    content = io.BytesIO(beginning)
    with open_input(name, options.encoding, content, options.format, BEGINNING) as file:
        return Source(file, options).to_json()


async def copied(store: Store, run: Row, file: IO[bytes]) -> None:
    """Writes the file of an import to another one, on the disk."""
    async for part in Parts(store, run["account_id"], run["import_id"], FILE).all():
        file.write(part)
    file.flush()


def told(run: Mapping[str, Any]) -> dict[str, Any]:
    """What an import's row tells a client."""
    source = orjson.loads(run["source"])
    return {
        "id": run["import_id"],
        # That of one from the command line is a path of this machine.
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
        **problems_told(orjson.loads(run["problems"])),
        "recognised": {
            name: source.get(name)
            for name in ("format", "encoding", "gzip", "delimiter", "columns")
        },
        "created_at": iso(run["created_at"]),
        "updated_at": iso(run["updated_at"]),
        "ended_at": None if run["ended_at"] is None else iso(run["ended_at"]),
    }


def problems_told(problems: Mapping[str, Any]) -> dict[str, Any]:
    """Kinds of problems and of warnings with examples, and how many rows have warnings."""
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
            "count": found["count"],
            "examples": [{"line": line, "message": message} for line, message in found["examples"]],
        }
        for kind, found in problems.items()
        if found["count"]
    ]


async def forget_old(store: Store, now: int) -> None:
    """Forgets imports of which nothing has been heard for a month, files that broke off, and what
    pulls of a month ago rejected."""
    given = {"before": now - RETENTION_MS, "broken_before": now - RECEIVING_MS}
    await store.execute([(imports.delete_old(), given), (imports.clear_old_problems(), given)])
