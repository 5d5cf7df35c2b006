"""Whether the server is alive and ready, and its figures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from regulars import __version__
from regulars.directory.accounts import Accounts
from regulars.directory.scopes import METRICS
from regulars.http.draining import Draining
from regulars.http.endpoint import error_response
from regulars.http.errors import HTTPError, forbidden, unauthenticated
from regulars.http.messages import SECURITY, headers_by_name, request_id_of
from regulars.store import Store, StoreError
from regulars.store.queries import table_version
from regulars.store.schema_version import is_usable, newest_version

log = logging.getLogger("regulars.server")

_HERE = ("127.0.0.1", "::1")
_HERE_BY_NAME = ("localhost", "127.0.0.1", "[::1]")
# What a proxy adds: then the caller is not who the connection says.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Health:
    """The addresses that a machine's keepers ask."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        figures: Callable[[], bytes],
        draining: Draining,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._figures = figures
        self._draining = draining

    async def alive(self, request: Request) -> Response:
        """The process answers: it needs no restart."""
        return _json(request, 200, {"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> Response:
        """Requests may come: the database can be reached and has tables that this program works
        with, and the server was not told to stop."""
        found: dict[str, Any] = {"database": "ok", "tables": newest_version()}
        try:
            ((version, oldest),) = await self._store.fetch(table_version(), {})
        except StoreError:
            found["database"] = "unreachable"
        else:
            if not is_usable(version, oldest):
                found["database"] = f"has tables of version {version}"
            else:
                found["database"] = await self._writable()
        ready = found["database"] == "ok" and not self._draining.is_draining
        status = {"status": "ok" if ready else "not ready"}
        if self._draining.is_draining:
            status["status"] = "stopping"
        return _json(request, 200 if ready else 503, {**status, **found})

    async def _writable(self) -> str:
        """`ok`, or that writes would be lost or refused. The log has why."""
        try:
            await self._store.require_writable()
        except StoreError as error:
            log.warning("not_writable", extra={"fields": {"reason": str(error)}})
            return "not writable"
        return "ok"

    async def metrics(self, request: Request) -> Response:
        """The figures, in Prometheus's text format: for who asks from this machine, or has a token
        with the scope `metrics`."""
        try:
            await self._allow(request)
        except HTTPError as error:
            answer = _json(request, error.status, error_response(error.fault))
            for name, value in error.headers:
                answer.headers[name.decode()] = value.decode()
            return answer
        return _secured(request, Response(self._figures(), media_type=CONTENT_TYPE_LATEST))

    async def _allow(self, request: Request) -> None:
        """Raises HTTPError unless the caller may see the figures.

        A page in a browser on this machine can be made to ask, too, by a name that its author lets
        point here: so the name asked for is looked at.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            grant = await self._accounts.authenticate(token.strip())
            if grant is None:
                raise unauthenticated()
            if METRICS not in grant.scopes:
                raise forbidden(METRICS)
            return
        peer = request.client.host if request.client else ""
        name = request.headers.get("host", "").lower()
        name = name.rpartition(":")[0] if not name.endswith("]") and ":" in name else name
        forwarded = any(header in request.headers for header in _FORWARDED)
        if peer not in _HERE or forwarded or name not in _HERE_BY_NAME:
            raise unauthenticated()


def _json(request: Request, status: int, body: Any) -> Response:
    return _secured(request, JSONResponse(body, status))


def _secured(request: Request, answer: Response) -> Response:
    for name, value in SECURITY:
        answer.headers[name.decode()] = value.decode()
    request_id = request_id_of(headers_by_name(request.headers.raw))
    answer.headers["x-request-id"] = request_id.decode()
    return answer
