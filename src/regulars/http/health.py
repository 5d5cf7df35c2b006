"""The routes for operators: `/healthz`, `/readyz` and `/metrics`."""

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
from regulars.http.credentials import refuse_disabled_accounts
from regulars.http.draining import Draining
from regulars.http.endpoint import error_response
from regulars.http.errors import HTTPError, forbidden, unauthenticated
from regulars.http.messages import SECURITY, choose_request_id, index_headers
from regulars.store import Store, StoreError
from regulars.store.queries import table_version
from regulars.store.schema_version import is_usable, newest_version
from regulars.versions import commit

log = logging.getLogger("regulars.server")

_LOCAL_ADDRESSES = ("127.0.0.1", "::1")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
# Headers that a proxy adds. With them, the peer of the connection is not the client.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Health:
    """Answers liveness and readiness checks, and serves the metrics."""

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
        self._commit = commit()

    async def alive(self, request: Request) -> Response:
        """Responds 200: the process runs."""
        return _json_response(
            request, 200, {"status": "ok", "version": __version__, "commit": self._commit}
        )

    async def ready(self, request: Request) -> Response:
        """Responds 200 if the server can serve requests: the database is reachable and writable,
        its tables have a version that this program can use, and the server does not drain. Else
        responds 503."""
        checks: dict[str, Any] = {"database": "ok", "tables": newest_version()}
        try:
            ((version, oldest),) = await self._store.fetch(table_version(), {})
        except StoreError:
            checks["database"] = "unreachable"
        else:
            if not is_usable(version, oldest):
                checks["database"] = f"has tables of version {version}"
            else:
                checks["database"] = await self._check_writable()
        is_ready = checks["database"] == "ok" and not self._draining.is_draining
        status = {"status": "ok" if is_ready else "not ready"}
        if self._draining.is_draining:
            status["status"] = "stopping"
        return _json_response(request, 200 if is_ready else 503, {**status, **checks})

    async def _check_writable(self) -> str:
        """Returns `ok` or `not writable`, and logs the reason."""
        try:
            await self._store.require_writable()
        except StoreError as error:
            log.warning("not_writable", extra={"fields": {"reason": str(error)}})
            return "not writable"
        return "ok"

    async def metrics(self, request: Request) -> Response:
        """Responds with the metrics in Prometheus's text format. Only local clients and tokens with
        the scope `metrics` may read them."""
        try:
            await self._check_access(request)
        except HTTPError as error:
            response = _json_response(request, error.status, error_response(error.fault))
            for name, value in error.headers:
                response.headers[name.decode()] = value.decode()
            return response
        return _add_security_headers(
            request, Response(self._metrics_text(), media_type=CONTENT_TYPE_LATEST)
        )

    async def _check_access(self, request: Request) -> None:
        """Raises HTTPError (401, 403) unless the client may read the metrics. The Host header must
        be local, too: a page of another site can use a domain name that resolves to this
        machine."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            with refuse_disabled_accounts():
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


def _json_response(request: Request, status: int, body: Any) -> Response:
    return _add_security_headers(request, JSONResponse(body, status))


def _add_security_headers(request: Request, response: Response) -> Response:
    for name, value in SECURITY:
        response.headers[name.decode()] = value.decode()
    request_id = choose_request_id(index_headers(request.headers.raw))
    response.headers["x-request-id"] = request_id.decode()
    return response
