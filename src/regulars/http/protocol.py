"""The short way of a request: from uvicorn's parser to the answer, past ASGI.

An operation that is posted with a body of some kilobytes, as nearly every one is, needs neither a
scope nor a stream of messages. uvicorn spends 20 µs on those, and two system calls where one will
do: as much as a small operation takes in all. Whatever else comes goes uvicorn's own way, through
ASGI, and is answered the same.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from regulars.http.endpoint import GraphQLEndpoint, error_answer
from regulars.http.errors import bad_request
from regulars.http.messages import JSON, Reply, first_of_each, header_lines, reply, request_id

# What of a body is taken whole, without asking the sender to wait.
SHORT_BODY = 64 * 1024

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class _Nobody:
    """What waits for more of a short request: nothing."""

    def set(self) -> None: ...


class Exchange:
    """A request on the short way, and whether it is answered. uvicorn keeps one for each
    connection, and knows it by these names."""

    __slots__ = ("body", "disconnected", "endpoint", "headers", "keep_alive", "response_complete")

    message_event = _Nobody()

    def __init__(
        self, endpoint: GraphQLEndpoint, headers: dict[bytes, bytes], keep_alive: bool
    ) -> None:
        self.endpoint = endpoint
        self.headers = headers
        self.keep_alive = keep_alive
        self.body = b""
        self.disconnected = False
        self.response_complete = False


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with a short way for the operations of an application that has
    `graphql_at`: an endpoint for each address."""

    cycle: Any  # an Exchange, or uvicorn's own

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle_since: float | None = None
        endpoints = getattr(self.app, "graphql_at", {})
        self._endpoints = {path.encode(): endpoint for path, endpoint in endpoints.items()}

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        endpoint = self._endpoints.get(self.url)
        if endpoint is not None and (self.cycle is None or self.cycle.response_complete):
            headers = first_of_each(self.headers)
            if self._is_short(headers):
                self.cycle = Exchange(endpoint, headers, self.parser.should_keep_alive())
                return
        url, given = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in given:
            super().on_header(name, value)
        super().on_headers_complete()

    def _is_short(self, headers: dict[bytes, bytes]) -> bool:
        length = headers.get(b"content-length", b"")
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and length.isdigit()
            and int(length) <= SHORT_BODY
            and b"expect" not in headers
            and b"upgrade" not in headers
        )

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if type(cycle) is Exchange:
            cycle.body = cycle.body + body if cycle.body else body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if type(self.cycle) is Exchange:
            # uvicorn waits for these before it ends.
            self.tasks.add(self.loop.create_task(self._answer(self.cycle)))
        else:
            super().on_message_complete()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            answer = await exchange.endpoint.answer("POST", exchange.headers, exchange.body)
            if self.flow.write_paused:
                await self.flow.drain()
            if not self.transport.is_closing():
                self.transport.write(self._written(answer, exchange.keep_alive))
            exchange.response_complete = True
            if not exchange.keep_alive:
                self.transport.close()
            self.on_response_complete()
        finally:
            if not exchange.response_complete:  # or the client would wait for ever
                self.transport.close()
            task = asyncio.current_task()
            assert task
            self.tasks.discard(task)

    def _written(self, answer: Reply, keep_alive: bool) -> bytes:
        """An answer as it goes over the wire."""
        return b"%s%s%s%s%s" % (
            _STATUS_LINES[answer.status],
            header_lines(self.server_state.default_headers),
            answer.head(),
            b"\r\n" if keep_alive else b"connection: close\r\n\r\n",
            answer.content,
        )

    # A timer for each request costs as much as all of its parsing: there is one for each
    # connection, which looks at how long the connection has been idle.

    def _unset_keepalive_if_required(self) -> None:
        """Is called when something is received."""
        self._idle_since = None

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def _look_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # a request is under way: its answer sets the timer again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_after(left)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, as every other refusal is answered."""
        error = bad_request(f"{msg} Send HTTP/1.1.")
        answer = reply(error.status, error_answer(error.fault), JSON, request_id({}))
        self.transport.write(self._written(answer, keep_alive=False))
        self.transport.close()
