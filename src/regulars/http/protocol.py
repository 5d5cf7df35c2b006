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

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from regulars.http.draining import Draining
from regulars.http.endpoint import GraphQLEndpoint, error_answer
from regulars.http.errors import HTTPError, bad_request, header_limit, receive_timeout
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

    __slots__ = (
        "body",
        "disconnected",
        "endpoint",
        "headers",
        "keep_alive",
        "response_complete",
        "whole",
    )

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
        self.whole = False


class RefusedError(Exception):
    """A request is refused in the middle of its headers."""


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with a short way for the operations of an application that has
    `graphql_at`, an endpoint for each address; with time for the files that come to `upload_at`, as
    long as they come; and with an end to the patience with clients that
    send slowly, or take slowly what they are sent."""

    cycle: Any  # an Exchange, or uvicorn's own

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        endpoints: dict[str, GraphQLEndpoint] = dict(self.app.graphql_at)
        self._endpoints = {path.encode(): endpoint for path, endpoint in endpoints.items()}
        self._draining: Draining = self.app.draining
        self._limits = next(iter(endpoints.values())).limits
        self._until: float | None = None
        self._stuck_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(self._limits.receive_seconds, self.timeout_keep_alive) / 4
        self._in_head = False
        self._upload_path: bytes = self.app.upload_at.encode()
        self._uploading = False
        self._arrived = 0  # of a body that is not short, since the time for it began anew
        # How much came since the request began: in the chunk in which it did, which may hold the
        # end of another, and in those after it. `_chunk` is the one that is being read.
        self._first_chunk = self._head_bytes = self._chunk = 0
        self._refusal: HTTPError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._expect(self._limits.receive_seconds)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._chunk = len(data)
        try:
            self.parser.feed_data(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > self._limits.header_bytes:
                    self._refuse(header_limit(self._limits.header_bytes))
        except httptools.HttpParserUpgrade:
            return  # nobody here speaks anything else
        except httptools.HttpParserError:
            wrong = bad_request("Invalid HTTP request received. Send HTTP/1.1.")
            self._refuse(self._refusal or wrong)

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._in_head = True
        self._first_chunk, self._head_bytes = self._chunk, -self._chunk
        self._expect(self._limits.receive_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._arrived = 0
        if self._is_too_large():
            self._refusal = header_limit(self._limits.header_bytes)
            raise RefusedError  # the parser stops, and `data_received` answers
        endpoint = self._endpoints.get(self.url)
        if endpoint is not None and (self.cycle is None or self.cycle.response_complete):
            headers = first_of_each(self.headers)
            if self._is_short(headers):
                self.cycle = Exchange(endpoint, headers, self.parser.should_keep_alive())
                return
        self._uploading = self.url.partition(b"?")[0] == self._upload_path
        url, given = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in given:
            super().on_header(name, value)
        super().on_headers_complete()
        if self._draining.going_on and self.cycle is not None:
            self.cycle.keep_alive = False

    def _is_too_large(self) -> bool:
        most = self._limits.header_bytes
        if self._first_chunk + self._head_bytes + self._chunk < most:
            return False
        size = len(self.url) + sum([len(name) + len(value) for name, value in self.headers])
        return size > most

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
            self._arrived += len(body)
            if self._uploading and self._arrived >= SHORT_BODY and self._until is not None:
                # A file may take its time, as long as it comes.
                self._arrived = 0
                self._expect(self._limits.receive_seconds)
            super().on_body(body)

    def on_message_complete(self) -> None:
        if type(self.cycle) is Exchange:
            self._until = None
            self.cycle.whole = True
            # uvicorn waits for these before it ends.
            self.tasks.add(self.loop.create_task(self._answer(self.cycle)))
        else:
            self._until = None
            super().on_message_complete()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            answer = await exchange.endpoint.answer("POST", exchange.headers, exchange.body)
            if self.flow.write_paused:
                await self.flow.drain()
            keep_alive = exchange.keep_alive and not self._draining.going_on
            if not self.transport.is_closing():
                self.transport.write(self._written(answer, keep_alive))
            exchange.response_complete = True
            if not keep_alive:
                self._end()
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
    # connection, which looks now and then at how long the client has had nothing to say, or has
    # taken nothing.

    def _expect(self, seconds: float) -> None:
        """Gives the client so many seconds."""
        self._until = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._look)

    def _look(self) -> None:
        self._timer = None
        now, stuck = self.loop.time(), self._stuck_since
        if stuck is not None and stuck + self._limits.receive_seconds < now:
            self.transport.abort()  # it takes nothing: what is left is never sent
        elif self._until is not None and self._until < now:
            waited_for = self._in_head or not (self.cycle is None or self.cycle.response_complete)
            if waited_for and stuck is None:
                self._refuse(receive_timeout(self._limits.receive_seconds))
            else:
                self._end()
        elif self._until is not None or stuck is not None:
            self._timer = self.loop.call_later(self._tick, self._look)

    def _end(self) -> None:
        """Ends the connection once what is left is sent, if that does not take too long."""
        self._until = None
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.pause_writing()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        if self._stuck_since is None:
            self._stuck_since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._look)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since = None

    def _unset_keepalive_if_required(self) -> None:
        """Is uvicorn's own timer, which is never set."""

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._expect(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _refuse(self, error: HTTPError) -> None:
        """Answers what is no request, or does not become one, as every other refusal is answered.
        Then the connection ends; if an earlier request is under way, after its answer instead."""
        self._refusal = error
        if self.cycle is None or self.cycle.response_complete or self._in_cycle_that_waits():
            answer = reply(error.status, error_answer(error.fault), JSON, request_id({}))
            self.transport.write(self._written(answer, keep_alive=False))
            self._end()
        else:
            self._until = None
            self.cycle.keep_alive = False

    def _in_cycle_that_waits(self) -> bool:
        """Whether the request under way is one that has not arrived, and nothing of whose answer
        was sent."""
        cycle = self.cycle
        if type(cycle) is Exchange:
            return not cycle.whole
        return bool(cycle.more_body) and not cycle.response_started
