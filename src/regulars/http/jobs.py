"""The routes of jobs: `/jobs`, and those of each job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request

from regulars.accounts.grants import Grant
from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.scopes import READ, WRITE
from regulars.http.authorizer import Authorizer
from regulars.http.errors import forbidden, method_not_allowed, not_found
from regulars.http.messages import JSON, Reply, build_json_reply
from regulars.http.options import parse_flag, parse_options
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler
from regulars.http.streaming import stream
from regulars.jobs.starting import cancel, find_job, undo_command
from regulars.jobs.values import HEADINGS, UNENDED, csv_lines, job_to_json, with_texts
from regulars.jobs.wakeup import wake
from regulars.store import Row, Store, imports
from regulars.store.imports import FILE
from regulars.transfer.import_repository import ImportRepository
from regulars.transfer.uploads import Parts

PATH = "/jobs"
_LIST_LIMIT = 50
_UNDO = "undo"


class JobHandler(RouteHandler):
    """Lists jobs, sends what they rejected or kept, and undoes, cancels or deletes them."""

    def __init__(self, store: Store, authorizer: Authorizer, observer: RequestObserver) -> None:
        super().__init__(observer)
        self._store = store
        self._authorizer = authorizer

    async def handle(
        self, record: RequestRecord, request: Request, send: ResponseSender
    ) -> Reply | None:
        record.kind = "job"
        grant = await self._authorizer.authorize(record, request, WRITE)
        if READ not in grant.scopes:  # counts reveal stored values
            raise forbidden(READ)
        job_id, part = (request.path_params.get(name, "") for name in ("job", "part"))
        if not job_id:
            _require(record, "GET", "Use GET to list the latest jobs.")
            parameters = {"account_id": grant.account_id, "limit": _LIST_LIMIT}
            query = imports.page_of_jobs(imports.COLUMNS, with_after=False)
            rows = await self._store.fetch(query, parameters)
            jobs = [with_texts(job_to_json(imports.row_of(row))) for row in rows]
            return await self._json(record, grant, 200, jobs)
        row = await find_job(self._store, grant.account_id, job_id)
        if row is None or part not in ("", _UNDO, *HEADINGS):
            raise not_found(f"No job has this id. List the jobs with `GET {PATH}`.")
        if part == _UNDO:
            return await self._undo(record, grant, request, job_id)
        if part:
            return await self._send_lines(record, grant, request, send, row, part)
        if record.method == "DELETE":
            row = await self._end(grant, row)
        elif record.method != "GET":
            message = "Use GET to read the state of a job, and DELETE to cancel or delete it."
            raise method_not_allowed(record.method, "DELETE, GET", message)
        return await self._json(record, grant, 200, with_texts(job_to_json(row)))

    async def _undo(
        self, record: RequestRecord, grant: Grant, request: Request, job_id: str
    ) -> Reply:
        _require(record, "POST", "Use POST to undo a job.")
        is_dry_run = parse_flag(parse_options(request, ("dry_run",)), "dry_run", False)
        await self._authorizer.charge(record, grant)
        origin = Origin(grant.actor_kind, grant.name, record.request_id.decode())
        build = await undo_command(
            self._store, grant.account_id, job_id, origin, now_ms(), is_dry_run
        )
        result = await self._store.write(grant.account_id, build(None))
        wake()
        return await self._json(record, grant, 202, with_texts(job_to_json(result.row)))

    async def _end(self, grant: Grant, row: Row) -> Row:
        """Cancel a job that waits or runs. Delete a job that has ended and changed nothing: others
        can be undone."""
        job_id = row["import_id"]
        if row["state"] in UNENDED and row["state"] != imports.RECEIVING:
            await cancel(self._store, grant.account_id, row, now_ms())
            wake()
            return await find_job(self._store, grant.account_id, job_id) or row
        if row["first_change"] is None:
            await ImportRepository(self._store, grant.account_id).forget(job_id)
        return row

    async def _send_lines(
        self,
        record: RequestRecord,
        grant: Grant,
        request: Request,
        send: ResponseSender,
        row: Row,
        kind: str,
    ) -> Reply | None:
        _require(record, "GET", "Use GET to read the customers of a job.")
        if row["kind"] == FILE:
            raise not_found("The rows of an import are at `GET /import/ID/rejected`.")
        parts = Parts(self._store, row["account_id"], row["import_id"], kind)

        async def lines() -> AsyncIterator[bytes]:
            yield csv_lines([HEADINGS[kind]])
            async for part in parts.all():
                yield part

        headers = await self._authorizer.change_header(grant)
        media_type = "text/csv; charset=utf-8"
        await stream(record, request, send, lines(), media_type, f"{kind}.csv", headers)
        return None

    async def _json(self, record: RequestRecord, grant: Grant, status: int, data: Any) -> Reply:
        headers = await self._authorizer.change_header(grant)
        return build_json_reply(status, {"data": data}, JSON, record.request_id, headers)


def _require(record: RequestRecord, method: str, message: str) -> None:
    if record.method != method:
        raise method_not_allowed(record.method, method, message)
