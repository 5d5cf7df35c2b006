"""HTTP/1.1 on uvicorn's protocol: the timeouts, sending and closing of a connection.

`request_reader.py` reads the requests; `fast_path.py` is the way past ASGI. Slow clients are
disconnected, and what the server holds for them is counted (`buffers.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from regulars.http.asgi_cycle import ASGICycle, BodyFlowControl, scope_of
from regulars.http.buffers import BufferBudget
from regulars.http.draining import Draining
from regulars.http.endpoint import GraphQLEndpoint, error_response
from regulars.http.errors import HTTPError, out_of_buffers, receive_timeout
from regulars.http.messages import (
    JSON,
    Reply,
    headers_by_name,
    json_reply,
    request_id_of,
)
from regulars.http.read_rate import ReadRate
from regulars.http.request_head import split_target
from regulars.http.request_reader import BETWEEN, HEAD, SIZED, SMALL_BODY_BYTES, RequestReader
from regulars.http.response_bytes import response_bytes

# A client that is refused while it sends can read the response only if the server goes on reading
# for a while (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0


class Protocol(RequestReader):
    """uvicorn's HTTP/1.1 for an application with `graphql_at` (an endpoint for each path),
    `fast_path` (a FastPath or None), `buffers` (a BufferBudget), `draining`, `upload_at` (bodies
    there may take any time, as long as they come) and `min_read_rate` (bytes per second)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._endpoint: GraphQLEndpoint = next(iter(self.app.graphql_at.values()))
        self.limits = self._endpoint.limits
        self.fast_path = self.app.fast_path
        self._draining: Draining = self.app.draining
        self._buffers: BufferBudget = self.app.buffers
        self._upload_path: bytes = self.app.upload_at.encode()
        self._is_counted = False  # in the buffer budget
        self._read_rate = ReadRate(self.app.min_read_rate, self.limits.receive_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._tick_seconds = min(self.limits.receive_seconds, self.timeout_keep_alive) / 4

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.flow = BodyFlowControl(transport)
        self.expect(self.limits.receive_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._held = b""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_counted:
            self._buffers.release(self)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio's, not as uvicorn's
        """A client that has sent its request whole may end its side, and read the response."""
        if self._is_lingering or self._stage != BETWEEN or not self.is_busy():
            return False
        self.cycle.keep_alive = False
        return True

    def begin_asgi(self, headers: dict[bytes, bytes], version: str) -> None:
        path, query = split_target(self.url)
        self._is_uploading = path == self._upload_path
        expects = headers.get(b"expect", b"").lower() == b"100-continue"
        self.scope = scope_of(self, path, query, version)
        keep_alive = version == "1.1" and self.parser.should_keep_alive()
        self.cycle = ASGICycle(
            scope=self.scope,
            transport=self,  # type: ignore[arg-type]  # for its `write`, `close` and `is_closing`
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            # A client of HTTP/1.0 does not know the interim response (RFC 9110, 10.1.1).
            expect_100_continue=expects and version == "1.1",
            keep_alive=keep_alive and not self._draining.is_draining,
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    # Sending and closing

    def send_reply(self, reply: Reply, keep_alive: bool) -> None:
        """Sends the response to a request on the fast path."""
        keep_alive = keep_alive and not self._draining.is_draining
        if not self.is_closing():
            default_headers = self.server_state.default_headers
            self.transport.write(response_bytes(reply, default_headers, keep_alive))
            if not keep_alive:
                self.close()
        self.on_response_complete()

    def fail(self) -> None:
        """Closes the connection of a request on the fast path that has no response."""
        self.transport.close()

    def write(self, data: bytes) -> None:
        """Sends bytes of a request that goes through ASGI."""
        if not self.is_closing():
            self.transport.write(data)

    def is_closing(self) -> bool:
        """Returns whether nothing more is sent."""
        return self._is_lingering or self.transport.is_closing()

    def close(self) -> None:
        """Ends the connection once everything is sent, if that does not take too long. If the
        client is still sending, reads on for a while, so that it can read the response."""
        if self.is_closing():
            return
        self._deadline = None
        if self._stage == BETWEEN and not self._held:
            self.transport.close()
        else:
            self._is_lingering = True
            self._held = b""
            self.flow.is_held = False
            self.transport.write_eof()
            self.flow.resume_reading()
            self.expect(_LINGER_SECONDS)
        if self.transport.get_write_buffer_size():
            self.pause_writing()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._is_counted:
            self.count_buffered()
        if self.is_closing():
            return
        if self._held:
            self._parse_held()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        # If the body is still arriving, it is dropped; the client has as long as for a new request.
        is_between = self._stage == BETWEEN
        self.expect(self.timeout_keep_alive if is_between else self.limits.receive_seconds)

    def _parse_held(self) -> None:
        """Parses what was held, if the client has read its response."""
        if self.flow.write_paused or self.is_busy():
            return
        data, self._held, self.flow.is_held = self._held, b"", False
        self.parse(data)
        if not self._held and not self.is_closing():
            self.flow.resume_reading()
            if self._stage == BETWEEN and not self.is_busy():
                self.expect(self.timeout_keep_alive)

    def refuse(self, error: HTTPError) -> None:
        """Responds to what is not a request, or does not become one. Then the connection ends; if
        an earlier request is in progress, after its response instead."""
        self._refusal = error
        cycle = self.cycle
        if self.is_busy() and not self._waits_for_body():
            cycle.keep_alive = False
            self._deadline = None
            self._held = b""
            self.flow.is_held = True
            self.flow.pause_reading()
            return
        if self.is_busy():  # its application, if there is one, learns that nothing more comes
            cycle.disconnected = True
            cycle.message_event.set()
        request_id = request_id_of(headers_by_name(self.headers or ()))
        reply = json_reply(
            error.status, error_response(error.fault), JSON, request_id, error.headers
        )
        self.write(response_bytes(reply, self.server_state.default_headers, keep_alive=False))
        if self._stage == BETWEEN:
            self._stage = HEAD  # what is refused may go on
        self.close()

    def _waits_for_body(self) -> bool:
        """Returns whether the request in progress has not arrived, and no part of its response was
        sent."""
        cycle = self.cycle
        if self._stage < SIZED:
            return False
        return type(cycle) is not ASGICycle or not cycle.response_started

    # Time. A timer for each request would cost as much as its parsing: there is one for each
    # connection.

    def expect(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick_seconds, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        now = self.loop.time()
        rate = self._read_rate
        if rate.is_too_slow(now, self.transport.get_write_buffer_size()):
            self.transport.abort()  # what is left is never sent
            return
        if self._deadline is not None and self._deadline < now:
            self._handle_deadline()
        if self._timer is None and (self._deadline is not None or rate.is_paused):
            self._timer = self.loop.call_later(self._tick_seconds, self._check_time)

    def _handle_deadline(self) -> None:
        if self._is_lingering:
            self._deadline = None
            self.transport.close()
        elif self._read_rate.is_paused:
            self.expect(self.timeout_keep_alive)  # its rate is watched
        elif self._stage == BETWEEN or not (self._stage == HEAD or self.is_busy()):
            self.close()
        elif self.flow.read_paused:
            self.expect(self.limits.receive_seconds)  # it is the application that is slow
        else:
            self.refuse(receive_timeout(self.limits.receive_seconds))

    def pause_writing(self) -> None:
        """The client reads more slowly than the server sends."""
        super().pause_writing()
        if not self._read_rate.is_paused:
            self._read_rate.pause(self.loop.time(), self.transport.get_write_buffer_size())
            self.count_buffered()
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick_seconds, self._check_time)

    def resume_writing(self) -> None:
        if self._read_rate.is_paused:
            self._read_rate.resume(self.loop.time(), self.transport.get_write_buffer_size())
            self.count_buffered()
        super().resume_writing()
        if self._held and not self.is_closing():
            self._parse_held()

    def _unset_keepalive_if_required(self) -> None:
        """uvicorn's own timer is never set."""

    # The buffer budget

    def buffered_bytes(self) -> int:
        """Returns the bytes of a large body and of an unread response."""
        size = self._message_bytes if type(self.cycle) is ASGICycle and self.is_busy() else 0
        size = 0 if self._is_uploading else size
        size = min(size, self.limits.body_bytes) if size > SMALL_BODY_BYTES else 0
        unsent = self.transport.get_write_buffer_size() if self._read_rate.is_paused else 0
        return size + unsent

    def is_slow(self) -> bool:
        """Returns whether the connection waits for its client."""
        return self._read_rate.is_paused or self._stage != BETWEEN

    def cut_off(self) -> None:
        """Refuses a request that arrives; aborts the connection of a client that does not read."""
        self._is_counted = False
        if not self._read_rate.is_paused and self._stage != BETWEEN:
            self.refuse(out_of_buffers())
        else:
            self.transport.abort()

    def count_buffered(self) -> None:
        size = self.buffered_bytes()
        if size:
            self._is_counted = True
            account_id = self._endpoint.account_of(headers_by_name(self.headers)) or 0
            self._buffers.hold(self, account_id, size)
        elif self._is_counted:
            self._is_counted = False
            self._buffers.release(self)
