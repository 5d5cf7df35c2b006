"""The routes of imports: `/import`, `/import/preview`, and those of each import."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast
from weakref import WeakValueDictionary

from starlette.requests import ClientDisconnect, Request

from regulars.accounts.grants import Grant
from regulars.core.clock import now_ms
from regulars.core.scopes import READ, WRITE
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
from regulars.http.messages import JSON, Reply, build_json_reply, read_body
from regulars.http.options import parse_flag, parse_options
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.http.streaming import stream
from regulars.store import Row, Store
from regulars.store.imports import FILE, PENDING, RUNNING
from regulars.transfer.date_text import Order
from regulars.transfer.errors import BadFile, BadOption, Interrupted
from regulars.transfer.import_options import MEDIA_TYPES, Options
from regulars.transfer.import_repository import (
    CANCELLED,
    REJECTED_ROWS,
    WARNED_ROWS,
    ImportRepository,
)
from regulars.transfer.jobs import Jobs
from regulars.transfer.uploads import LEASE_MS, PART, Parts, Upload, import_to_json

PATH = "/import"
PREVIEW_PATH = "/import/preview"
_OPTIONS = (
    "name",
    "format",
    "encoding",
    "delimiter",
    "header",
    "map",
    "unknown",
    "empty",
    "match",
    "source",
    "no_email",
    "consent",
    "tags",
    "dates",
    "sheet",
    "strict",
)
_LIST_LIMIT = 50
_MAX_WAITING = 10
_MAX_NAME_LENGTH = 200


class PreviewQueue:
    """Runs previews one at a time, because they share the interpreter of this process with
    requests. The previews of one account wait in a queue of their own, so they do not delay other
    accounts."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._account_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, account_id: int) -> AsyncIterator[None]:
        """Waits until the preview can run."""
        account_lock = self._account_locks.setdefault(account_id, asyncio.Lock())
        async with account_lock, self._lock:
            yield


class ImportHandler(RouteHandler):
    """Receives files, lists imports with their progress, sends rejected rows, and cancels or
    deletes imports."""

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
        self._max_file_bytes = max_import_bytes
        self._previews = PreviewQueue()

    async def handle(
        self, record: RequestRecord, request: Request, send: ResponseSender
    ) -> Reply | None:
        record.kind = "import"
        grant = await self._authorizer.authorize(record, request, WRITE)
        if request.url.path == PREVIEW_PATH:
            return await self._preview(record, grant, request)
        import_id, part = (request.path_params.get(name, "") for name in ("import", "part"))
        if not import_id:
            return await self._list_or_start(record, grant, request)
        repository = ImportRepository(self._store, grant.account_id)
        row = await repository.find(import_id)
        if row is None or row["kind"] != FILE or part not in ("", REJECTED_ROWS, WARNED_ROWS):
            raise not_found(f"No import has this id. List the imports with `GET {PATH}`.")
        if part:
            return await self._send_rows(record, grant, request, send, row, part)
        if record.method == "DELETE":
            return await self._end(record, grant, repository, row)
        if record.method != "GET":
            message = "Use GET to read the state of an import, and DELETE to cancel or delete it."
            raise method_not_allowed(record.method, "DELETE, GET", message)
        return await self._json(record, grant, 200, _visible(grant, row))

    async def _list_or_start(self, record: RequestRecord, grant: Grant, request: Request) -> Reply:
        if record.method == "POST":
            return await self._start(record, grant, request)
        if record.method != "GET":
            message = "Use POST to send a file, and GET to list the latest imports."
            raise method_not_allowed(record.method, "GET, POST", message)
        newest = await ImportRepository(self._store, grant.account_id).newest(_LIST_LIMIT)
        return await self._json(record, grant, 200, [_visible(grant, row) for row in newest])

    async def _preview(self, record: RequestRecord, grant: Grant, request: Request) -> Reply:
        """Returns a preview of the beginning of a file. Stores nothing."""
        if record.method != "POST":
            message = "Use POST to send the first part of a file."
            raise method_not_allowed(record.method, "POST", message)
        parameters = _parse_parameters(request)
        await self._authorizer.charge(record, grant)
        content = await read_body(request.receive, PART)
        if not content:
            raise bad_request("This file is empty. Send the first part of a file of customers.")
        try:
            async with self._previews.turn(grant.account_id):
                options = await self._options(grant, parameters.options)
                parameters = parameters._replace(options=options)
                result = await asyncio.to_thread(_read_preview, content, parameters)
        except (BadFile, BadOption) as error:
            raise bad_request(str(error)) from error
        return await self._json(record, grant, 200, result)

    async def _start(self, record: RequestRecord, grant: Grant, request: Request) -> Reply:
        parameters = _parse_parameters(request)
        if parameters.dry_run and READ not in grant.scopes:
            # A dry run reveals stored values without a trace.
            raise forbidden(READ)
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_file_bytes:
            raise upload_limit(self._max_file_bytes)
        await self._require_room(grant, _MAX_WAITING)
        await self._authorizer.charge(record, grant)
        upload = await Upload.begin(
            self._store,
            grant.account_id,
            parameters.name,
            await self._options(grant, parameters.options),
            parameters.dry_run,
            parameters.silent,
            grant.name,
            record.request_id.decode(),
            now_ms(),
        )
        try:
            # Again, because others may have begun at the same time.
            await self._require_room(grant, _MAX_WAITING + 1)
            row = await self._receive_file(upload, request)
        except BaseException:
            await upload.give_up()
            raise
        self._jobs.nudge()
        location = f"{PATH}/{row['import_id']}"
        return await self._json(
            record, grant, 202, _visible(grant, row), [(b"location", location.encode())]
        )

    async def _options(self, grant: Grant, options: Options) -> Options:
        """Returns the options with the settings of the account."""
        from regulars.transfer.account_options import with_account

        return await with_account(self._store, grant.account_id, options)

    async def _require_room(self, grant: Grant, count: int) -> None:
        """Raises HTTPError (503) if `count` or more imports of the account wait."""
        repository = ImportRepository(self._store, grant.account_id)
        if await repository.waiting(now_ms() - LEASE_MS, _LIST_LIMIT) >= count:
            raise too_many_imports(_MAX_WAITING)

    async def _receive_file(self, upload: Upload, request: Request) -> Row:
        try:
            async for chunk in request.stream():
                if upload.size + len(chunk) > self._max_file_bytes:
                    raise upload_limit(self._max_file_bytes)
                await upload.feed(chunk)
            return await upload.finish(now_ms())
        except ClientDisconnect:
            raise bad_request(
                "The connection closed before the file was complete. Send the file again."
            ) from None
        except (BadFile, BadOption, Interrupted) as error:
            raise bad_request(str(error)) from error

    async def _end(
        self, record: RequestRecord, grant: Grant, repository: ImportRepository, row: Row
    ) -> Reply:
        """Cancels an import that waits or runs. Deletes an import that has ended, or whose file is
        incomplete."""
        import_id = row["import_id"]
        if row["state"] in (PENDING, RUNNING):
            await repository.end(import_id, CANCELLED, now_ms(), "Cancelled.")
            self._jobs.nudge()
            row = await repository.find(import_id) or row  # the import may have ended before
        else:
            await repository.forget(import_id)
        return await self._json(record, grant, 200, _visible(grant, row))

    async def _json(
        self, record: RequestRecord, grant: Grant, status: int, data: Any, headers: Headers = ()
    ) -> Reply:
        all_headers = [*headers, *await self._authorizer.change_header(grant)]
        return build_json_reply(status, {"data": data}, JSON, record.request_id, all_headers)

    async def _send_rows(
        self,
        record: RequestRecord,
        grant: Grant,
        request: Request,
        send: ResponseSender,
        row: Row,
        kind: str,
    ) -> Reply | None:
        """Sends the rejected rows, or those with warnings."""
        if record.method != "GET":
            raise method_not_allowed(record.method, "GET", "Use GET to read the rows of an import.")
        chunks = Parts(self._store, row["account_id"], row["import_id"], kind)
        if not await chunks.any():
            outcome = "was rejected" if kind == REJECTED_ROWS else "was imported with warnings"
            raise not_found(
                f"No row of this import {outcome}, or the rows are no longer stored. The rows "
                "of an import from the command line are in a file next to its input."
            )
        file_format = import_to_json(row)["recognised"]["format"]
        await stream(
            record,
            request,
            send,
            chunks.all(),
            MEDIA_TYPES[file_format],
            f"{kind}.{file_format}",
            await self._authorizer.change_header(grant),
        )
        return None


def _visible(grant: Grant, row: Row) -> dict[str, Any]:
    """Returns the description of an import for a client. Without `customers:read`, it has no counts
    of changed rows, which reveal stored values."""
    description = import_to_json(row)
    if READ not in grant.scopes:
        description |= dict.fromkeys(("created", "updated", "unchanged", "can_undo"))
    return description


class _ImportParameters(NamedTuple):
    """The parameters of an import: how to read the file, its name, whether to change nothing,
    whether to send no events to webhooks, and whether the body of a preview is the whole file."""

    options: Options
    name: str
    dry_run: bool
    silent: bool
    whole: bool


def _parse_parameters(request: Request) -> _ImportParameters:
    """Returns the parameters in the query string. Raises HTTPError (400, 415)."""
    is_preview = request.url.path == PREVIEW_PATH
    known = (*_OPTIONS, *(("whole",) if is_preview else ("dry_run", "silent")))
    params = parse_options(request, known, repeatable="map")
    _check_media_type(request)
    options = Options(
        format=params.get("format"),
        encoding=params.get("encoding"),
        delimiter=params.get("delimiter"),
        header=parse_flag(params, "header", True),
        mapped=tuple(params.getlist("map")),
        unknown=params.get("unknown", "custom"),
        empty=params.get("empty", "keep"),
        match=params.get("match", "email"),
        consent=params.get("consent", "keep"),
        tags=params.get("tags", "add"),
        dates=cast("Order | None", params.get("dates")),  # checked by `problem`
        sheet=params.get("sheet"),
        strict=parse_flag(params, "strict", False),
        source=params.get("source"),
        no_email=params.get("no_email", "keep"),
    )
    if options.problem:
        raise bad_request(options.problem)
    name = params.get("name", "") or "upload"
    if len(name) > _MAX_NAME_LENGTH or not name.isprintable():
        raise bad_request(f"`name` must have at most {_MAX_NAME_LENGTH} printable characters.")
    return _ImportParameters(
        options,
        name,
        dry_run=parse_flag(params, "dry_run", False),
        silent=parse_flag(params, "silent", False),
        whole=parse_flag(params, "whole", True),
    )


def _read_preview(content: bytes, parameters: _ImportParameters) -> dict[str, Any]:
    from regulars.transfer.preview import preview  # with what it needs, it takes 40 ms

    return preview(parameters.name, content, parameters.options, parameters.whole)


def _check_media_type(request: Request) -> None:
    """Raises HTTPError (415) for a multipart form, and for an encoding other than gzip: the body
    must be the file itself."""
    media_type = request.headers.get("content-type", "")
    if media_type.startswith("multipart/"):
        message = (
            "Multipart forms are not supported. Send the file itself as the body, such as `curl "
            "-X POST -T FILE`."
        )
        raise HTTPError(415, MEDIA_TYPE, message)
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip", ""):
        raise HTTPError(
            415,
            MEDIA_TYPE,
            f"`Content-Encoding: {encoding[:100]}` is not supported. Send the file "
            "uncompressed, or compressed with gzip.",
        )
