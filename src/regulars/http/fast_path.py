"""The fast HTTP path: small GraphQL requests skip ASGI.

A POST of up to 64 KiB to a GraphQL path, as nearly every request is, needs neither a scope nor a
stream of messages. uvicorn spends 20 µs on those, and two system calls instead of one. The fast
path calls the endpoint directly and writes the response at once. Every other request goes through
ASGI, and so do all requests when REGULARS_FAST_PATH is off; the responses are the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Protocol

from regulars.http.endpoint import GraphQLEndpoint
from regulars.http.messages import Reply

MAX_BODY_BYTES = 64 * 1024
# A read with a whole request has at most so many bytes.
_MAX_READ_BYTES = 64 * 1024

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,5})\r\n")


class Connection(Protocol):
    """What the fast path needs from a connection."""

    tasks: set[asyncio.Task[None]]
    loop: asyncio.AbstractEventLoop

    def send_reply(self, reply: Reply, keep_alive: bool) -> None:
        """Sends a response and ends the request."""

    def fail(self) -> None:
        """Closes the connection of a request that has no response."""


class _NoEvent:
    """uvicorn sets an event for the application when a client disconnects. The fast path has no
    application that waits for it."""

    def set(self) -> None: ...


class FastPathRequest:
    """A request on the fast path. uvicorn keeps one for each connection as its `cycle`, and reads
    the attributes without an underscore."""

    __slots__ = (
        "_body",
        "_endpoint",
        "_headers",
        "_task",
        "body_bytes",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    _task: asyncio.Task[None]

    message_event = _NoEvent()

    def __init__(
        self,
        endpoint: GraphQLEndpoint,
        headers: dict[bytes, bytes],
        body_bytes: int,
        keep_alive: bool,
    ) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._body = b""
        self.body_bytes = body_bytes
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def add_body(self, body: bytes) -> None:
        """Adds bytes of the body."""
        self._body = self._body + body if self._body else body

    def start(self, connection: Connection) -> None:
        """Starts the work on a request that has arrived."""
        self._task = connection.loop.create_task(self._respond(connection))
        connection.tasks.add(self._task)  # uvicorn waits for these before it ends

    async def _respond(self, connection: Connection) -> None:
        try:
            reply = await self._endpoint.respond("POST", self._headers, self._body)
            self.response_complete = True
            connection.send_reply(reply, self.keep_alive)
        finally:
            if not self.response_complete:  # or the client would wait for ever
                connection.fail()
            connection.tasks.discard(self._task)


class FastPath:
    """Selects the requests that take the fast path: one object for all connections."""

    def __init__(self, endpoints: Mapping[str, GraphQLEndpoint], header_bytes: int) -> None:
        by_path = {path.encode(): endpoint for path, endpoint in endpoints.items()}
        self._endpoints = by_path | {path + b"/": one for path, one in by_path.items()}
        self._header_bytes = header_bytes

    def is_whole_request(self, data: bytes) -> bool:
        """Returns whether the bytes are exactly one request, as nearly all reads are: then they
        need not be cut. A Content-Length that matches here is one for the parser, too."""
        end = data.find(_END_OF_HEAD) + 4
        if not 4 <= end <= self._header_bytes or len(data) > _MAX_READ_BYTES:
            return False
        match = _LENGTH.search(data, 0, end)
        return match is not None and end + int(match[1]) == len(data)

    def accept(
        self, url: bytes, headers: dict[bytes, bytes], parser: Any
    ) -> FastPathRequest | None:
        """Returns a request whose head was parsed if it takes the fast path."""
        endpoint = self._endpoints.get(url)
        length = headers.get(b"content-length")
        if (
            endpoint is None
            or length is None
            or (size := int(length)) > MAX_BODY_BYTES
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or b"expect" in headers
            or b"upgrade" in headers
        ):
            return None
        return FastPathRequest(endpoint, headers, size, parser.should_keep_alive())
