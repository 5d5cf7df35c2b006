"""Health checks and metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from regulars import __version__
from regulars.accounts.accounts import Accounts
from regulars.core.scopes import METRICS
from regulars.http.draining import Draining
from regulars.http.endpoint import error_response
from regulars.http.errors import HTTPError, forbidden, unauthenticated
from regulars.http.messages import SECURITY, headers_by_name, request_id_of
from regulars.store import Store, StoreError
from regulars.store.queries import table_version
from regulars.store.schema_version import is_usable, newest_version

log = logging.getLogger("regulars.server")

_LOCAL_ADDRESSES = ("127.0.0.1", "::1")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
# Headers of a proxy: the peer of the connection is not the client.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Health:
    """The routes for operators: liveness, readiness and metrics."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        metrics_text: Callable[[], bytes],
        draining: Draining,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._metrics_text = metrics_text
        self._draining = draining

    async def alive(self, request: Request) -> Response:
        """Answers that the process runs."""
        return _json(request, 200, {"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> Response:
        """Answers whether the server can serve requests: the database is reachable, its tables fit
        this program, and the server does not drain."""
        checks: dict[str, Any] = {"database": "ok", "tables": newest_version()}
        try:
            ((version, oldest),) = await self._store.fetch(table_version(), {})
        except StoreError:
            checks["database"] = "unreachable"
        else:
            if not is_usable(version, oldest):
                checks["database"] = f"has tables of version {version}"
            else:
                checks["database"] = await self._writable()
        is_ready = checks["database"] == "ok" and not self._draining.is_draining
        status = {"status": "ok" if is_ready else "not ready"}
        if self._draining.is_draining:
            status["status"] = "stopping"
        return _json(request, 200 if is_ready else 503, {**status, **checks})

    async def _writable(self) -> str:
        """Returns `ok` or `not writable`, and logs the reason."""
        try:
            await self._store.require_writable()
        except StoreError as error:
            log.warning("not_writable", extra={"fields": {"reason": str(error)}})
            return "not writable"
        return "ok"

    async def metrics(self, request: Request) -> Response:
        """Answers the metrics in Prometheus's text format, to this machine and to tokens with the
        scope `metrics`."""
        try:
            await self._check_access(request)
        except HTTPError as error:
            answer = _json(request, error.status, error_response(error.fault))
            for name, value in error.headers:
                answer.headers[name.decode()] = value.decode()
            return answer
        return _with_security_headers(
            request, Response(self._metrics_text(), media_type=CONTENT_TYPE_LATEST)
        )

    async def _check_access(self, request: Request) -> None:
        """Raises HTTPError unless the client may see the metrics. The Host header must be local,
        too: another site's page can use a domain name that points to this machine."""
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
        if peer not in _LOCAL_ADDRESSES or forwarded or name not in _LOCAL_NAMES:
            raise unauthenticated()


def _json(request: Request, status: int, body: Any) -> Response:
    return _with_security_headers(request, JSONResponse(body, status))


def _with_security_headers(request: Request, answer: Response) -> Response:
    for name, value in SECURITY:
        answer.headers[name.decode()] = value.decode()
    request_id = request_id_of(headers_by_name(request.headers.raw))
    answer.headers["x-request-id"] = request_id.decode()
    return answer
