"""Requests that go through ASGI: uvicorn's request cycle and flow control, with corrections."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class ASGICycle(RequestResponseCycle):
    """uvicorn's request cycle with two corrections: `Expect: 100-continue` and HTTP/1.0."""

    _ends_with_connection = False

    async def send(self, message: Any) -> None:
        if not self.response_started:
            if self.waiting_for_100_continue:
                # The server has not requested the body, so the client may send it or not (RFC 9110,
                # 10.1.1).
                self.keep_alive = False
            if self.scope["http_version"] == "1.0" and not any(
                name == b"content-length" for name, _ in message.get("headers", ())
            ):
                # A client of HTTP/1.0 does not know chunks (RFC 9112, 6.1).
                self.chunked_encoding, self._ends_with_connection = False, True
        elif self._ends_with_connection:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class BodyFlowControl(FlowControl):
    """uvicorn's flow control, which does not resume reading while the connection holds bytes of the
    next request, even if the application requests more of its body."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held and not self._transport.is_closing():
            super().resume_reading()


def build_scope(connection: HttpToolsProtocol, path: bytes, query: bytes, version: str) -> Any:
    """Returns the ASGI scope of the request whose head the connection has parsed."""
    return {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
        "http_version": version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme or "http",
        "method": connection.parser.get_method().decode("ascii"),
        "root_path": connection.root_path,
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": connection.headers,
        "state": connection.app_state.copy(),
    }
