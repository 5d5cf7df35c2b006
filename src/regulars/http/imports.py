"""The addresses by which customers are brought in: `/import`, and each import below it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from starlette.requests import ClientDisconnect, Request

from regulars.directory.accounts import Grant, now_ms
from regulars.directory.scopes import READ, WRITE
from regulars.http.authorizer import Authorizer
from regulars.http.errors import (
    MEDIA_TYPE,
    Headers,
    HTTPError,
    bad_request,
    forbidden,
    method_not_allowed,
    not_found,
    too_many_imports,
    upload_limit,
)
from regulars.http.messages import JSON, Reply, json_reply, read_body
from regulars.http.options import flag, options_of
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.http.streaming import stream
from regulars.store import Row, Store
from regulars.store.imports import FILE, PENDING, RUNNING
from regulars.transfer.errors import BadFile, BadOption, Interrupted
from regulars.transfer.jobs import Jobs
from regulars.transfer.preview import preview
from regulars.transfer.runs import CANCELLED, REJECTED_ROWS, ImportRepository
from regulars.transfer.shape import MEDIA_TYPES, Options
from regulars.transfer.uploads import LEASE_MS, PART, Parts, Upload, told

PATH = "/import"
PREVIEW_PATH = "/import/preview"
_OPTIONS = ("name", "format", "encoding", "delimiter", "header", "map", "unknown", "empty", "match")
_SHOWN = 50
_MOST_WAITING = 10
_NAME_LENGTH = 200


class Previews:
    """Files that are being looked at: one of an account, and one at all, at a time. They share this
    process's interpreter with requests."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._accounts: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, account_id: int) -> AsyncIterator[None]:
        """Waits for the account's turn."""
        account = self._accounts.setdefault(account_id, asyncio.Lock())
        async with account, self._one:
            yield


class ImportHandler(RouteHandler):
    """Takes files, tells how far each has come, and ends it."""

    def __init__(
        self,
        store: Store,
        authorizer: Authorizer,
        observer: RequestObserver,
        jobs: Jobs,
        max_import_bytes: int,
    ) -> None:
        super().__init__(observer)
        self._store = store
        self._authorizer = authorizer
        self._jobs = jobs
        self._most = max_import_bytes
        self._previews = Previews()

    async def handle(
        self, record: RequestRecord, request: Request, send: ResponseSender
    ) -> Reply | None:
        record.kind = "import"
        grant = await self._authorizer.authorize(record, request, WRITE)
        if request.url.path == PREVIEW_PATH:
            return await self._preview(record, grant, request)
        import_id, what = (request.path_params.get(name, "") for name in ("import", "what"))
        if not import_id:
            return await self._all(record, grant, request)
        runs = ImportRepository(self._store, grant.account_id)
        found = await runs.find(import_id)
        if found is None or found["kind"] != FILE or what not in ("", "rejected"):
            raise not_found(f"There is no such import. GET {PATH} lists those that there are.")
        if what:
            return await self._rejected(record, grant, request, send, found)
        if record.method == "DELETE":
            return await self._end(record, grant, runs, found)
        if record.method != "GET":
            message = "GET tells how far an import has come, DELETE ends it."
            raise method_not_allowed(record.method, "DELETE, GET", message)
        return await self._told(record, grant, 200, _shown(grant, found))

    async def _all(self, record: RequestRecord, grant: Grant, request: Request) -> Reply:
        if record.method == "POST":
            return await self._take(record, grant, request)
        if record.method != "GET":
            message = "Send a file by POST; GET tells of the latest imports."
            raise method_not_allowed(record.method, "GET, POST", message)
        newest = await ImportRepository(self._store, grant.account_id).newest(_SHOWN)
        return await self._told(record, grant, 200, [_shown(grant, row) for row in newest])

    async def _preview(self, record: RequestRecord, grant: Grant, request: Request) -> Reply:
        """What a file of this beginning looks like. Nothing of it is kept."""
        if record.method != "POST":
            message = "Send the beginning of a file by POST."
            raise method_not_allowed(record.method, "POST", message)
        asked = _options(request)
        await self._authorizer.charge(record, grant)
        content = await read_body(request.receive, PART)
        if not content:
            raise bad_request("The body is empty. It is the beginning of a file of customers.")
        try:
            async with self._previews.of(grant.account_id):
                seen = await asyncio.to_thread(
                    preview, asked.name, content, asked.options, asked.whole
                )
        except (BadFile, BadOption) as error:
            raise bad_request(str(error)) from error
        return await self._told(record, grant, 200, seen)

    async def _take(self, record: RequestRecord, grant: Grant, request: Request) -> Reply:
        asked = _options(request)
        if asked.dry_run and READ not in grant.scopes:
            # It would compare values with the stored ones and change nothing.
            raise forbidden(READ)
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._most:
            raise upload_limit(self._most)
        await self._require_room(grant)
        await self._authorizer.charge(record, grant)
        upload = await Upload.begin(
            self._store,
            grant.account_id,
            asked.name,
            asked.options,
            asked.dry_run,
            asked.silent,
            grant.name,
            record.request_id.decode(),
            now_ms(),
        )
        try:
            row = await self._received(upload, request)
        except BaseException:
            await upload.give_up()
            raise
        self._jobs.nudge()
        place = f"{PATH}/{row['import_id']}"
        return await self._told(
            record, grant, 202, _shown(grant, row), [(b"location", place.encode())]
        )

    async def _require_room(self, grant: Grant) -> None:
        """Raises HTTPError (503) where many files of the account wait already."""
        runs = ImportRepository(self._store, grant.account_id)
        if await runs.waiting(now_ms() - LEASE_MS, _SHOWN) >= _MOST_WAITING:
            raise too_many_imports(_MOST_WAITING)

    async def _received(self, upload: Upload, request: Request) -> Row:
        try:
            async for chunk in request.stream():
                if upload.size + len(chunk) > self._most:
                    raise upload_limit(self._most)
                await upload.feed(chunk)
            return await upload.finish(now_ms())
        except ClientDisconnect:
            raise bad_request("The connection ended before the file did.") from None
        except (BadFile, BadOption, Interrupted) as error:
            raise bad_request(str(error)) from error

    async def _end(
        self, record: RequestRecord, grant: Grant, runs: ImportRepository, found: Row
    ) -> Reply:
        """Cancels an import that goes on, and forgets one that had ended, or whose file has not
        come."""
        import_id = found["import_id"]
        if found["state"] in (PENDING, RUNNING):
            await runs.end(import_id, CANCELLED, now_ms(), "Cancelled.")
            self._jobs.nudge()
            found = await runs.find(import_id) or found  # it may have ended meanwhile
        else:
            await runs.forget(import_id)
        return await self._told(record, grant, 200, _shown(grant, found))

    async def _told(
        self, record: RequestRecord, grant: Grant, status: int, data: Any, headers: Headers = ()
    ) -> Reply:
        more = [*headers, *await self._authorizer.change_header(grant)]
        return json_reply(status, {"data": data}, JSON, record.request_id, more)

    async def _rejected(
        self,
        record: RequestRecord,
        grant: Grant,
        request: Request,
        send: ResponseSender,
        found: Row,
    ) -> Reply | None:
        if record.method != "GET":
            raise method_not_allowed(record.method, "GET", "The rejected rows are read by GET.")
        kept = Parts(self._store, found["account_id"], found["import_id"], REJECTED_ROWS)
        if not await kept.any():
            raise not_found(
                "No row of this import was rejected and kept here. (Those of a file that was "
                "imported from the command line are in a file beside it.)"
            )
        form = told(found)["recognised"]["format"]
        await stream(
            record,
            request,
            send,
            kept.all(),
            MEDIA_TYPES[form],
            f"rejected.{form}",
            await self._authorizer.change_header(grant),
        )
        return None


def _shown(grant: Grant, row: Row) -> dict[str, Any]:
    """An import as the holder of a token sees it. Which rows changed something tells what is
    stored, and needs `customers:read`."""
    shown = told(row)
    if READ not in grant.scopes:
        shown |= dict.fromkeys(("created", "updated", "unchanged"))
    return shown


class _Asked(NamedTuple):
    """What the query string says: how the file is read, its name, whether nothing is saved, whether
    the webhooks get no events, and whether a preview has the whole file."""

    options: Options
    name: str
    dry_run: bool
    silent: bool
    whole: bool


def _options(request: Request) -> _Asked:
    """Raises HTTPError (400, 415)."""
    only = ("whole",) if request.url.path == PREVIEW_PATH else ("dry_run", "silent")
    given = options_of(request, (*_OPTIONS, *only), several="map")
    _check_media(request)
    options = Options(
        format=given.get("format"),
        encoding=given.get("encoding"),
        delimiter=given.get("delimiter"),
        header=flag(given, "header", True),
        mapped=tuple(given.getlist("map")),
        unknown=given.get("unknown", "custom"),
        empty=given.get("empty", "keep"),
        match=given.get("match", "email"),
    )
    if options.wrong:
        raise bad_request(options.wrong)
    name = given.get("name", "") or "upload"
    if len(name) > _NAME_LENGTH or not name.isprintable():
        raise bad_request(f"A name has at most {_NAME_LENGTH} characters, all printable.")
    dry_run, silent = flag(given, "dry_run", False), flag(given, "silent", False)
    return _Asked(options, name, dry_run, silent, flag(given, "whole", True))


def _check_media(request: Request) -> None:
    """Raises HTTPError (415) for a form: the file is the body itself."""
    given = request.headers.get("content-type", "")
    if given.startswith("multipart/"):
        message = (
            "A form is not understood. Send the file itself as the body, "
            "as curl -X POST -T FILE does."
        )
        raise HTTPError(415, MEDIA_TYPE, message)
    encoding = request.headers.get("content-encoding", "request_id").lower()
    if encoding not in ("request_id", "gzip", ""):
        raise HTTPError(
            415,
            MEDIA_TYPE,
            f"content-encoding: {encoding[:100]} is not understood. Send the file as it is, or "
            "compressed with gzip.",
        )
