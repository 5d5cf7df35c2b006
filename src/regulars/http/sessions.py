"""The route that signs people in and out: `/session`."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request

from regulars.accounts.sessions import Sessions
from regulars.http.credentials import cookie_name, is_over_tls, require_same_site, session_of
from regulars.http.errors import Headers, bad_request, method_not_allowed, signed_out
from regulars.http.messages import (
    JSON,
    Reply,
    RequestHeaders,
    check_content_type,
    headers_by_name,
    json_reply,
    read_body,
)
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import ResponseSender, RouteHandler

PATH = "/session"
_MAX_BODY_BYTES = 8_192
_BODY_MESSAGE = 'The body is {"token": "…"} or {"link": "…"}.'


class SessionHandler(RouteHandler):
    """Starts a session with a token or the code of a sign-in link, and ends it."""

    def __init__(self, sessions: Sessions, hours: float, observer: RequestObserver) -> None:
        super().__init__(observer)
        self._sessions = sessions
        self._seconds = round(hours * 3600)

    async def handle(
        self, record: RequestRecord, request: Request, _send: ResponseSender
    ) -> Reply | None:
        record.kind = "session"
        headers = headers_by_name(request.scope["headers"])
        if record.method not in ("POST", "DELETE"):
            message = "POST signs in, DELETE signs out."
            raise method_not_allowed(record.method, "DELETE, POST", message)
        require_same_site(headers, record.method)
        if record.method == "DELETE":
            secret = session_of(headers)
            if secret:
                await self._sessions.end(secret)
            return _reply(record, {"signed_in": False}, _cookie(headers, "", 0))
        check_content_type(headers)
        name, secret = _parse_body(await read_body(request.receive, _MAX_BODY_BYTES))
        begin = self._sessions.begin_by_link if name == "link" else self._sessions.begin
        session = await begin(secret)
        if session is None:
            raise signed_out()
        secret, record.grant = session
        return _reply(record, {"signed_in": True}, _cookie(headers, secret, self._seconds))


def _parse_body(body: bytes) -> tuple[str, str]:
    """Returns `token` or `link`, and its value. Raises HTTPError (400)."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict) or len(payload) != 1:
        raise bad_request(_BODY_MESSAGE)
    ((name, text),) = payload.items()
    if name not in ("token", "link") or not isinstance(text, str) or not text.strip():
        raise bad_request(_BODY_MESSAGE)
    return name, text.strip()


def _reply(record: RequestRecord, data: dict[str, Any], headers: Headers) -> Reply:
    return json_reply(200, {"data": data}, JSON, record.request_id, headers)


def _cookie(headers: RequestHeaders, secret: str, seconds: int) -> Headers:
    """Returns the session's cookie. No script can read it, and no other site can make a browser
    send it (RFC 6265bis, sections 5.6.6 and 5.6.7)."""
    parts = [
        f"{cookie_name(headers)}={secret}",
        "Path=/",
        f"Max-Age={seconds}",
        "HttpOnly",
        "SameSite=Strict",
        *(["Secure"] if is_over_tls(headers) else []),
    ]
    return [(b"set-cookie", "; ".join(parts).encode())]
