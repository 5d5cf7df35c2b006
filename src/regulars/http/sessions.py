"""The route `/session`: signs users in and out."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request

from regulars.accounts.sessions import Sessions
from regulars.http.credentials import (
    cookie_name,
    is_over_tls,
    refuse_disabled_accounts,
    require_same_site,
    session_secret,
)
from regulars.http.errors import Headers, bad_request, method_not_allowed, signed_out
from regulars.http.messages import (
    JSON,
    Reply,
    RequestHeaders,
    build_json_reply,
    check_content_type,
    index_headers,
    read_body,
)
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler

PATH = "/session"
_MAX_BODY_BYTES = 8_192
_BODY_MESSAGE = 'The body must be `{"token": "…"}` or `{"link": "…"}`.'


class SessionHandler(RouteHandler):
    """Starts and ends sessions. POST starts a session with a token or the code of a sign-in link,
    and DELETE ends the session of the cookie. `hours` is the lifetime of the cookie."""

    def __init__(self, sessions: Sessions, hours: float, observer: RequestObserver) -> None:
        super().__init__(observer)
        self._sessions = sessions
        self._cookie_seconds = round(hours * 3600)

    async def handle(
        self, record: RequestRecord, request: Request, _send: ResponseSender
    ) -> Reply | None:
        record.kind = "session"
        headers = index_headers(request.scope["headers"])
        if record.method not in ("POST", "DELETE"):
            message = "Use POST to sign in and DELETE to sign out."
            raise method_not_allowed(record.method, "DELETE, POST", message)
        require_same_site(headers, record.method)
        if record.method == "DELETE":
            secret = session_secret(headers)
            if secret:
                await self._sessions.end(secret)
            return _reply(record, {"signed_in": False}, _cookie_headers(headers, "", 0))
        check_content_type(headers)
        kind, credential = _parse_body(await read_body(request.receive, _MAX_BODY_BYTES))
        begin = self._sessions.begin_by_link if kind == "link" else self._sessions.begin
        with refuse_disabled_accounts():
            session = await begin(credential)
        if session is None:
            raise signed_out()
        secret, record.grant = session
        return _reply(
            record, {"signed_in": True}, _cookie_headers(headers, secret, self._cookie_seconds)
        )


def _parse_body(body: bytes) -> tuple[str, str]:
    """Returns the kind of the credential, `token` or `link`, and its value. Raises HTTPError
    (400)."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict) or len(payload) != 1:
        raise bad_request(_BODY_MESSAGE)
    ((kind, credential),) = payload.items()
    if kind not in ("token", "link") or not isinstance(credential, str) or not credential.strip():
        raise bad_request(_BODY_MESSAGE)
    return kind, credential.strip()


def _reply(record: RequestRecord, data: dict[str, Any], headers: Headers) -> Reply:
    return build_json_reply(200, {"data": data}, JSON, record.request_id, headers)


def _cookie_headers(headers: RequestHeaders, secret: str, max_age_seconds: int) -> Headers:
    """Returns the header that sets the session cookie. Scripts cannot read the cookie, and browsers
    do not send it in requests from other sites (RFC 6265bis, sections 5.6.6 and 5.6.7)."""
    attributes = [
        f"{cookie_name(headers)}={secret}",
        "Path=/",
        f"Max-Age={max_age_seconds}",
        "HttpOnly",
        "SameSite=Strict",
        *(["Secure"] if is_over_tls(headers) else []),
    ]
    return [(b"set-cookie", "; ".join(attributes).encode())]
