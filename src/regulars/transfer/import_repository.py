"""The imports in the database."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from regulars.jobs.ending import end_statements
from regulars.jobs.starting import find_import
from regulars.store import Row, Store, imports
from regulars.store.imports import FILE, PENDING, PULL, RECEIVING, RUNNING
from regulars.store.tables import imports as table
from regulars.store.writes import insert_one
from regulars.transfer.errors import BadOption

DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
WAITING = (RECEIVING, PENDING, RUNNING)
# An import stores three kinds of parts: its file (FILE), its rejected rows, and its rows with
# warnings.
REJECTED_ROWS = "rejected"
WARNED_ROWS = "warnings"
# Only the command line resumes its imports.
FOREVER = 2**62
COUNTS = ("created", "updated", "unchanged", "rejected")


class ImportRepository:
    """The imports of an account."""

    def __init__(self, store: Store, account_id: int) -> None:
        self._store = store
        self._account_id = account_id

    async def begin(
        self,
        state: str,
        name: str,
        fingerprint: str,
        source: Mapping[str, Any],
        size: int | None,
        now: int,
        actor: str = "regulars import",
        claimed_until: int = 0,
        pull_id: str | None = None,
        cursor: str | None = None,
    ) -> Row:
        """Create an import and return its row. A pull replaces the one before it."""
        row = {
            "account_id": self._account_id,
            "import_id": pull_id or f"imp_{secrets.token_hex(8)}",
            "kind": PULL if pull_id else FILE,
            "state": state,
            "name": name,
            "fingerprint": fingerprint,
            "source": orjson.dumps(source).decode(),
            "actor": actor,
            "size": size,
            **dict.fromkeys(("position", "bytes_read", *COUNTS, "rejected_at"), 0),
            "last_rejected": "[]",
            "problems": "{}",
            "message": None,
            "cursor": cursor,
            "created_at": now,
            "updated_at": now,
            "ended_at": None,
            "claimed_by": None,
            "claimed_until": claimed_until,
            **dict.fromkeys(("first_change", "last_change", "undo_of", "undone_by")),
        }
        await self._store.execute([(imports.delete_any(), row), (insert_one(table), row)])
        return row

    async def find(self, import_id: str) -> Row | None:
        """Return the row of an import, or None."""
        return await find_import(self._store, self._account_id, import_id)

    async def stopped(self, name: str, fingerprint: str) -> Row | None:
        """Return the newest unfinished import of a file from the command line."""
        return await self._first(
            imports.unfinished_import(), {"name": name, "fingerprint": fingerprint}
        )

    async def newest(self, limit: int) -> list[Row]:
        """Return the imports of the account, newest first."""
        params = {"account_id": self._account_id, "limit": limit}
        rows = await self._store.fetch(imports.newest_imports(), params)
        return [imports.row_of(row) for row in rows]

    async def waiting(self, received_since: int, limit: int) -> int:
        """Return how many of the newest imports wait or run. An upload counts if it received bytes
        since a timestamp."""
        return sum(
            row["state"] in WAITING
            and (row["state"] != RECEIVING or row["updated_at"] > received_since)
            for row in await self.newest(limit)
        )

    async def end(
        self,
        import_id: str,
        state: str,
        now: int,
        message: str | None = None,
        problems: str | None = None,
        source: str | None = None,
    ) -> bool:
        """End an import and delete its file or its ids. Return whether it was running."""
        statements = end_statements(
            self._account_id, import_id, state, now, message, problems, source
        )
        return bool(await self._store.execute(statements))

    async def note_wait(self, import_id: str, message: str, now: int) -> None:
        """Note in an unfinished import what it waits for."""
        params = {
            "account_id": self._account_id,
            "import_id": import_id,
            "new_message": message,
            "now": now,
        }
        await self._store.execute([(imports.note_wait(), params)])

    async def forget(self, import_id: str) -> None:
        """Delete an import that is not running, with its parts."""
        params = {"account_id": self._account_id, "import_id": import_id}
        await self._store.execute([(imports.delete_finished(), params)])

    async def _first(self, query: Any, params: Mapping[str, Any]) -> Row | None:
        rows = await self._store.fetch(query, {"account_id": self._account_id, **params})
        return imports.row_of(rows[0]) if rows else None


def is_silent(run: Row, requested: bool, kind: str) -> bool:
    """Return the `silent` setting of an import or pull (`kind`) that is resumed. Raises BadOption
    if `requested`, but not set."""
    silent = bool(orjson.loads(run["source"]).get("silent"))
    if requested and not silent:
        raise BadOption(
            f"This {kind} was started without --silent, and keeps that setting. Remove --silent."
        )
    return silent
