"""The address at which customers are taken out: `GET /export`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request

from regulars.directory.accounts import now_ms
from regulars.directory.scopes import READ
from regulars.http.address import Address, Door, Sending
from regulars.http.errors import bad_request, method_not_allowed, too_many_exports
from regulars.http.messages import Reply
from regulars.http.observe import Call, Observer
from regulars.http.options import options_of
from regulars.http.streaming import stream
from regulars.store import Store
from regulars.transfer.errors import BadOption
from regulars.transfer.exporting import Export

PATH = "/export"
# Each reads from a snapshot, which on PostgreSQL holds a connection.
MOST = 4
# Customers read at once: others wait for this process meanwhile.
_PAGE = 250
_OPTIONS = ("query", "columns", "format")


class Exports(Address):
    """Sends an account's customers."""

    def __init__(self, store: Store, door: Door, observer: Observer) -> None:
        super().__init__(observer)
        self._store = store
        self._door = door
        self._under_way = 0

    async def answer(self, call: Call, request: Request, send: Sending) -> Reply | None:
        call.kind = "export"
        if call.method != "GET":
            raise method_not_allowed(call.method, "GET", "An export is read by GET.")
        grant = await self._door.admit(call, request, READ)
        given = options_of(request, _OPTIONS)
        form, columns = given.get("format", "csv"), given.get("columns", "")
        chosen = [name.strip() for name in columns.split(",") if name.strip()]
        query = given.get("query", "")
        try:
            export = Export(grant.account_id, form, query, chosen, now_ms(), _PAGE)
        except BadOption as error:
            raise bad_request(str(error)) from error
        if self._under_way >= MOST:
            raise too_many_exports(MOST)
        await self._door.charge(call, grant)
        self._under_way += 1
        try:
            async with contextlib.aclosing(_texts(export, self._store)) as texts:
                await stream(call, request, send, texts, export.media_type, f"customers.{form}")
        finally:
            self._under_way -= 1
        return None


async def _texts(export: Export, store: Store) -> AsyncGenerator[bytes, None]:
    """The export; its first piece has its first customers, too."""
    head = b""
    async with contextlib.aclosing(export.pages(store)) as pages:
        async for count, text in pages:
            if not count and not head:
                head = text
                continue
            yield head + text
            head = b""
    if head:
        yield head
