"""The route `/export`: sends customers as a file."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator

import orjson
from starlette.requests import Request

from regulars.core.clock import now_ms
from regulars.core.scopes import READ
from regulars.core.text import without_invisible
from regulars.customers.commands import reference_to
from regulars.http.authorizer import Authorizer
from regulars.http.errors import bad_request, method_not_allowed, too_many_exports
from regulars.http.messages import Reply, check_content_type, index_headers, read_body
from regulars.http.options import parse_options
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.http.streaming import stream
from regulars.segments.searching import parse_search
from regulars.store import Store
from regulars.transfer.errors import BadOption
from regulars.transfer.export import Export

PATH = "/export"
# Concurrent exports of a process, and of one account. Each reads from a snapshot, which holds a
# connection on PostgreSQL.
MAX_EXPORTS = 4
MAX_EXPORTS_OF_ACCOUNT = MAX_EXPORTS // 2
# Customers that are read before other requests of this process can run.
_PAGE_SIZE = 250
# Ids that are decoded before other requests of this process can run.
_IDS_PER_STEP = 5_000
_OPTIONS = ("query", "segment", "columns", "format", "delimiter", "include", "name")
_NAME_CHARACTERS = 100


class ExportHandler(RouteHandler):
    """Sends all customers of an account, those of a search, or those with the ids in the body."""

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
            message = (
                "Use GET to export customers, or POST to export the customers whose ids you send."
            )
            raise method_not_allowed(record.method, "GET, POST", message)
        grant = await self._authorizer.authorize(record, request, READ)
        options = parse_options(request, _OPTIONS)
        file_format = options.get("format", "csv")
        column_names, included = (
            [name.strip() for name in options.get(each, "").split(",") if name.strip()]
            for each in ("columns", "include")
        )
        query, segment = options.get("query", ""), options.get("segment")
        has_search = bool(query) or segment is not None
        chosen_ids = await self._ids(request, has_search) if record.method == "POST" else None
        search = await parse_search(self._store, grant.account_id, query, segment=segment)
        try:
            export = Export(
                grant.account_id,
                file_format,
                search,
                column_names,
                now_ms(),
                _PAGE_SIZE,
                chosen_ids,
                options.get("delimiter"),
                included,
            )
        except BadOption as error:
            raise bad_request(str(error)) from error
        self._require_slot(grant.account_id)
        await self._authorizer.charge(record, grant)
        self._require_slot(grant.account_id)  # another export may have begun in the meantime
        self._in_progress[grant.account_id] += 1
        try:
            # The export contains at least this change, because it reads later.
            change_header = await self._authorizer.change_header(grant)
            async with contextlib.aclosing(_pieces(export, self._store, request)) as pieces:
                await stream(
                    record,
                    request,
                    send,
                    pieces,
                    export.media_type,
                    _file_name(options.get("name"), export.file_name),
                    change_header,
                    can_compress=not export.is_compressed,
                )
        except BadOption as error:
            raise bad_request(str(error)) from error
        finally:
            self._in_progress[grant.account_id] -= 1
            self._in_progress += Counter()  # removes accounts without exports
        return None

    def _require_slot(self, account_id: int) -> None:
        """Raises HTTPError (503) if all export slots, or those of the account, are in use."""
        if self._in_progress.total() >= MAX_EXPORTS:
            raise too_many_exports(MAX_EXPORTS, is_account_limit=False)
        if self._in_progress[account_id] >= MAX_EXPORTS_OF_ACCOUNT:
            raise too_many_exports(MAX_EXPORTS_OF_ACCOUNT, is_account_limit=True)

    async def _ids(self, request: Request, has_search: bool) -> list[int]:
        """Returns the numeric ids for the global ids in the body, without duplicates and without
        ids that are not of a customer. Raises HTTPError (400, 413, 415)."""
        check_content_type(index_headers(request.scope["headers"]))
        try:
            payload = orjson.loads(await read_body(request.receive, self._max_body_bytes))
        except orjson.JSONDecodeError:
            payload = None
        global_ids = payload.get("ids") if isinstance(payload, dict) and len(payload) == 1 else None
        if (
            has_search
            or not isinstance(global_ids, list)
            or not all(isinstance(global_id, str) for global_id in global_ids)
        ):
            raise bad_request(
                'The body must be `{"ids": ["…"]}`, without a `query` or `segment` in the URL.'
            )
        customer_ids: dict[int, None] = {}  # ordered
        for start in range(0, len(global_ids), _IDS_PER_STEP):
            for global_id in global_ids[start : start + _IDS_PER_STEP]:
                customer_id = reference_to(global_id).customer_id
                if customer_id is not None:
                    customer_ids[customer_id] = None
            await asyncio.sleep(0)
        return list(customer_ids)


def _file_name(name: str | None, default: str) -> str:
    """Returns the name of the file: that in the options with the ending of the default."""
    words = without_invisible(name or "")[:_NAME_CHARACTERS]
    cleaned = "".join(c if c.isalnum() or c in "-_ " else "-" for c in words).strip("- ")
    return f"{cleaned}.{default.rpartition('.')[2]}" if cleaned else default


async def _pieces(export: Export, store: Store, request: Request) -> AsyncGenerator[bytes, None]:
    """Yields the export in pieces. The first piece has the header and the first customers, so that
    an error of the search becomes an error response. Ends if the client disconnects before that."""
    head = b""
    async with contextlib.aclosing(export.pages(store)) as pages:
        async for count, text in pages:
            if not text and await request.is_disconnected():
                return
            if not text or (not count and not head and not export.is_compressed):
                head += text
                continue
            yield head + text
            head = b""
    if head:
        yield head
