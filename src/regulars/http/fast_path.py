"""The fast HTTP path: small GraphQL requests skip ASGI.

Nearly every request is a POST of up to 64 KiB to a GraphQL path. It needs neither a scope nor a
stream of messages, on which uvicorn spends 20 µs, and two system calls instead of one. The fast
path calls the endpoint directly and writes the response at once. Every other request goes through
ASGI, and so do all requests if REGULARS_FAST_PATH is off. The responses are the same.

The requests of a client have the same head, so each head is parsed once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from regulars.http.endpoint import GraphQLEndpoint
from regulars.http.messages import Reply

MAX_BODY_BYTES = 64 * 1024
# The size of a read from the socket that can be a whole request.
_MAX_READ_BYTES = 64 * 1024

# Heads that are remembered, and the length of the longest, in bytes.
_MAX_HEADS = 1_000
_MAX_HEAD_BYTES = 2_000
# Headers that differ in each request.
_UNIQUE_HEADERS = frozenset((b"idempotency-key", b"traceparent", b"x-request-id"))

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,5})\r\n")


class Connection(Protocol):
    """A connection with requests on the fast path."""

    tasks: set[asyncio.Task[None]]
    loop: asyncio.AbstractEventLoop

    def send_reply(self, reply: Reply, keep_alive: bool) -> None:
        """Sends a response and ends the request."""

    def fail(self) -> None:
        """Closes the connection of a request that failed without a response."""


class _NoEvent:
    """uvicorn sets an event for the application when a client disconnects. The fast path has no
    application that waits for it."""

    def set(self) -> None: ...


class FastPathRequest:
    """A request on the fast path. uvicorn stores it as the `cycle` of the connection, and reads the
    attributes without an underscore."""

    __slots__ = (
        "_body",
        "_task",
        "body_bytes",
        "disconnected",
        "endpoint",
        "headers",
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
        self.endpoint = endpoint
        self.headers = headers
        self._body = b""
        self.body_bytes = body_bytes
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def add_body(self, body: bytes) -> None:
        """Adds bytes of the body."""
        self._body = self._body + body if self._body else body

    def start(self, connection: Connection) -> None:
        """Starts the task that responds to the request. Call it when the body has arrived."""
        self._task = connection.loop.create_task(self._respond(connection))
        connection.tasks.add(self._task)  # uvicorn waits for these before it exits

    async def _respond(self, connection: Connection) -> None:
        try:
            reply = await self.endpoint.respond("POST", self.headers, self._body)
            self.response_complete = True
            connection.send_reply(reply, self.keep_alive)
        finally:
            if not self.response_complete:  # otherwise the client would wait forever
                connection.fail()
            connection.tasks.discard(self._task)


class _Head(NamedTuple):
    """A parsed head: the endpoint, the headers by name and in order, the length of the body."""

    endpoint: GraphQLEndpoint
    headers: dict[bytes, bytes]
    lines: list[tuple[bytes, bytes]]
    body_bytes: int


class FastPath:
    """Selects the requests that take the fast path. All connections share one object.

    `endpoints` has the endpoint of each path; `header_bytes` is the limit of a request's head."""

    def __init__(self, endpoints: Mapping[str, GraphQLEndpoint], header_bytes: int) -> None:
        by_path = {path.encode(): endpoint for path, endpoint in endpoints.items()}
        self._endpoints = by_path | {path + b"/": endpoint for path, endpoint in by_path.items()}
        self._header_bytes = header_bytes
        self._heads: dict[bytes, _Head] = {}

    def find_known(self, data: bytes) -> tuple[FastPathRequest, list[tuple[bytes, bytes]]] | None:
        """Returns the request in a read and its headers, if the read is exactly one request with a
        remembered head."""
        end = data.find(_END_OF_HEAD) + 4
        head = self._heads.get(data[:end])
        if head is None or end + head.body_bytes != len(data):
            return None
        request = FastPathRequest(head.endpoint, head.headers, head.body_bytes, keep_alive=True)
        request.add_body(data[end:])
        return request, head.lines

    def remember(
        self, data: bytes, request: FastPathRequest, lines: list[tuple[bytes, bytes]]
    ) -> None:
        """Remembers the head of a request that was read whole, unless it is hardly sent again.
        Forgets all heads if there are too many."""
        end = len(data) - request.body_bytes
        if end > _MAX_HEAD_BYTES or not request.keep_alive:
            return
        if _UNIQUE_HEADERS.isdisjoint(request.headers):
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            head = _Head(request.endpoint, request.headers, lines, request.body_bytes)
            self._heads[data[:end]] = head

    def is_whole_request(self, data: bytes) -> bool:
        """Returns whether a read is exactly one request with a Content-Length. Nearly all reads
        are, and need not be cut. The parser accepts each Content-Length that matches here."""
        end = data.find(_END_OF_HEAD) + 4
        if not 4 <= end <= self._header_bytes or len(data) > _MAX_READ_BYTES:
            return False
        match = _LENGTH.search(data, 0, end)
        return match is not None and end + int(match[1]) == len(data)

    def accept(
        self, url: bytes, headers: dict[bytes, bytes], parser: Any
    ) -> FastPathRequest | None:
        """Returns the request whose head was parsed, or None if it must go through ASGI."""
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
