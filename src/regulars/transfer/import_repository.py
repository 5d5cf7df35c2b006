"""Imports as the database knows them: begun, gone on with, ended."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.store import Row, Store, imports
from regulars.store.imports import FILE, PENDING, PULL, RECEIVING, RUNNING
from regulars.store.tables import imports as table
from regulars.store.writes import insert_one
from regulars.transfer.errors import BadOption

DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
WAITING = (RECEIVING, PENDING, RUNNING)
# What is kept of an import in parts: its file (FILE), and its rejected rows.
REJECTED_ROWS = "rejected"
# An import from the command line is gone on with from there alone.
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
        """A new import's row. That of a pull takes the place of the one before it."""
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
        }
        await self._store.execute([(imports.delete_any(), row), (insert_one(table), row)])
        return row

    async def find(self, import_id: str) -> Row | None:
        """An import's row."""
        return await self._first(imports.import_by_id(), {"import_id": import_id})

    async def stopped(self, name: str, fingerprint: str) -> Row | None:
        """The newest import of a file that was begun from the command line and not ended."""
        return await self._first(
            imports.unfinished_import(), {"name": name, "fingerprint": fingerprint}
        )

    async def newest(self, limit: int) -> list[Row]:
        """The account's imports, newest first."""
        given = {"account_id": self._account_id, "limit": limit}
        rows = await self._store.fetch(imports.newest_imports(), given)
        return [_row(row) for row in rows]

    async def waiting(self, received_since: int, limit: int) -> int:
        """How many of the account's newest imports wait or go on. An upload counts if something of
        it came after a moment."""
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
    ) -> bool:
        """Ends an import, and forgets its file; whether it was going on."""
        given = {
            "account_id": self._account_id,
            "import_id": import_id,
            "kind": FILE,
            "part": 0,
            "new_state": state,
            "new_message": message,
            "new_problems": problems,
            "now": now,
        }
        dropping = (imports.delete_parts(), given)
        return bool(await self._store.execute([dropping, (imports.end_import(), given)]))

    async def forget(self, import_id: str) -> None:
        """Forgets an import that does not go on, with its parts."""
        given = {"account_id": self._account_id, "import_id": import_id}
        await self._store.execute([(imports.delete_finished(), given)])

    async def _first(self, query: Any, given: Mapping[str, Any]) -> Row | None:
        rows = await self._store.fetch(query, {"account_id": self._account_id, **given})
        return _row(rows[0]) if rows else None


def is_silent(run: Row, asked: bool, what: str) -> bool:
    """Whether webhooks get no events of an import or pull (`what`) that is resumed: it keeps its
    setting. Raises BadOption where another one is `asked` for."""
    silent = bool(orjson.loads(run["source"]).get("silent"))
    if asked and not silent:
        raise BadOption(
            f"This {what} was started without --silent and keeps its setting: leave out --silent."
        )
    return silent


def _row(values: Sequence[Any]) -> Row:
    return dict(zip(imports.COLUMNS, values, strict=True))
