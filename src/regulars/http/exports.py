"""The route that exports customers: `/export`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator

import orjson
from starlette.requests import Request

from regulars.accounts.accounts import now_ms
from regulars.core.scopes import READ
from regulars.customers.commands import reference_to
from regulars.http.authorizer import Authorizer
from regulars.http.errors import bad_request, method_not_allowed, too_many_exports
from regulars.http.messages import Reply, check_content_type, headers_by_name, read_body
from regulars.http.options import options_of
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.http.streaming import stream
from regulars.store import Store
from regulars.transfer.errors import BadOption
from regulars.transfer.export import Export

PATH = "/export"
# Each reads from a snapshot, which on PostgreSQL holds a connection.
MAX_EXPORTS = 4
MAX_OF_ACCOUNT = MAX_EXPORTS // 2
# Customers that are read at once, while other requests of this process wait.
_PAGE = 250
# Ids that are read at once.
_IDS = 5_000
_OPTIONS = ("query", "columns", "format")


class ExportHandler(RouteHandler):
    """Sends the customers of an account as a file."""

    def __init__(
        self,
        store: Store,
        authorizer: Authorizer,
        observer: RequestObserver,
        max_body_bytes: int,
    ) -> None:
        super().__init__(observer)
        self._store = store
        self._authorizer = authorizer
        self._max_body_bytes = max_body_bytes
        self._in_progress: Counter[int] = Counter()  # by account

    async def handle(
        self, record: RequestRecord, request: Request, send: ResponseSender
    ) -> Reply | None:
        record.kind = "export"
        if record.method not in ("GET", "POST"):
            message = "An export is read by GET; by POST, that of the customers whose ids are sent."
            raise method_not_allowed(record.method, "GET, POST", message)
        grant = await self._authorizer.authorize(record, request, READ)
        options = options_of(request, _OPTIONS)
        file_format, columns = options.get("format", "csv"), options.get("columns", "")
        column_names = [name.strip() for name in columns.split(",") if name.strip()]
        query = options.get("query", "")
        chosen_ids = await self._ids(request, query) if record.method == "POST" else None
        try:
            export = Export(
                grant.account_id, file_format, query, column_names, now_ms(), _PAGE, chosen_ids
            )
        except BadOption as error:
            raise bad_request(str(error)) from error
        self._require_slot(grant.account_id)
        await self._authorizer.charge(record, grant)
        self._require_slot(grant.account_id)  # another may have begun meanwhile
        self._in_progress[grant.account_id] += 1
        try:
            # The export has at least this change, because it reads later.
            change_header = await self._authorizer.change_header(grant)
            name = f"customers.{file_format}"
            async with contextlib.aclosing(_texts(export, self._store)) as texts:
                await stream(record, request, send, texts, export.media_type, name, change_header)
        finally:
            self._in_progress[grant.account_id] -= 1
            self._in_progress += Counter()  # forgets accounts without exports
        return None

    def _require_slot(self, account_id: int) -> None:
        """Raises HTTPError (503) if all slots, or all that one account may have, are in use."""
        if self._in_progress.total() >= MAX_EXPORTS:
            raise too_many_exports(MAX_EXPORTS, of_account=False)
        if self._in_progress[account_id] >= MAX_OF_ACCOUNT:
            raise too_many_exports(MAX_OF_ACCOUNT, of_account=True)

    async def _ids(self, request: Request, query: str) -> list[int]:
        """Returns the `_id`s for the ids in the body. Raises HTTPError (400, 413, 415)."""
        check_content_type(headers_by_name(request.scope["headers"]))
        try:
            payload = orjson.loads(await read_body(request.receive, self._max_body_bytes))
        except orjson.JSONDecodeError:
            payload = None
        global_ids = payload.get("ids") if isinstance(payload, dict) and len(payload) == 1 else None
        if (
            query
            or not isinstance(global_ids, list)
            or not all(isinstance(one, str) for one in global_ids)
        ):
            raise bad_request('The body is {"ids": ["…"]}, and there is no query beside it.')
        numbers: dict[int, None] = {}
        for start in range(0, len(global_ids), _IDS):
            for one in global_ids[start : start + _IDS]:
                number = reference_to(one).customer_id
                if number is not None:
                    numbers[number] = None
            await asyncio.sleep(0)
        return list(numbers)


async def _texts(export: Export, store: Store) -> AsyncGenerator[bytes, None]:
    """Yields the export in pieces. The first piece has the head and the first customers."""
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
