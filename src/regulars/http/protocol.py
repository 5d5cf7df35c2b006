"""HTTP/1.1 on uvicorn's protocol: the timeouts of a connection, sending, and closing.

`request_reader.py` reads the requests, and `fast_path.py` runs most of them without ASGI. Slow
clients are disconnected, and the bytes that are held for them are limited (`buffers.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from regulars.http.asgi_cycle import ASGICycle, BodyFlowControl, build_scope
from regulars.http.buffers import BufferBudget
from regulars.http.draining import Draining
from regulars.http.endpoint import GraphQLEndpoint, error_response
from regulars.http.errors import HTTPError, out_of_buffers, receive_timeout
from regulars.http.messages import (
    JSON,
    Reply,
    build_json_reply,
    choose_request_id,
    index_headers,
)
from regulars.http.read_rate import ReadRate
from regulars.http.request_head import split_target
from regulars.http.request_reader import BETWEEN, HEAD, SIZED, SMALL_BODY_BYTES, RequestReader
from regulars.http.response_bytes import serialize_response

# A client that is refused while it sends can read the response only if the server continues to read
# (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0


class Protocol(RequestReader):
    """uvicorn's HTTP/1.1 for an application with these attributes: `graphql_at` (the endpoint of
    each path), `fast_path` (a FastPath or None), `buffers` (a BufferBudget), `draining`,
    `upload_at` (a path whose bodies may take any time while bytes arrive) and `min_read_rate`
    (bytes per second)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._endpoint: GraphQLEndpoint = next(iter(self.app.graphql_at.values()))
        self.limits = self._endpoint.limits
        self.fast_path = self.app.fast_path
        self._draining: Draining = self.app.draining
        self._buffers: BufferBudget = self.app.buffers
        self._upload_path: bytes = self.app.upload_at.encode()
        self._is_counted = False  # whether the buffer budget has this connection
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
        """Keeps the connection open for a client that has ended its side after a complete request
        and waits for the response."""
        if self._is_lingering or self._stage != BETWEEN or not self.is_busy():
            return False
        self.cycle.keep_alive = False
        return True

    def begin_asgi(self, headers: dict[bytes, bytes], version: str) -> None:
        path, query = split_target(self.url)
        self._is_uploading = path == self._upload_path
        expects = headers.get(b"expect", b"").lower() == b"100-continue"
        self.scope = build_scope(self, path, query, version)
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
            self.transport.write(serialize_response(reply, default_headers, keep_alive))
            if not keep_alive:
                self.close()
        self.on_response_complete()

    def fail(self) -> None:
        """Closes the connection of a request on the fast path that failed without a response."""
        self.transport.close()

    def write(self, data: bytes) -> None:
        """Sends bytes of a request that goes through ASGI."""
        if not self.is_closing():
            self.transport.write(data)

    def is_closing(self) -> bool:
        """Returns whether the server sends nothing more."""
        return self._is_lingering or self.transport.is_closing()

    def close(self) -> None:
        """Closes the connection when everything is sent, or after a timeout. If the client is still
        sending, continues to read for a while, so that the client can read the response."""
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
        # A body that is still arriving is discarded within the time limit of a new request.
        is_between = self._stage == BETWEEN
        self.expect(self.timeout_keep_alive if is_between else self.limits.receive_seconds)

    def _parse_held(self) -> None:
        """Parses the bytes that were held, if the client has read the earlier response."""
        if self.flow.write_paused or self.is_busy():
            return
        data, self._held, self.flow.is_held = self._held, b"", False
        self.parse(data)
        if not self._held and not self.is_closing():
            self.flow.resume_reading()
            if self._stage == BETWEEN and not self.is_busy():
                self.expect(self.timeout_keep_alive)

    def refuse(self, error: HTTPError) -> None:
        """Sends an error response and closes the connection. If an earlier request is in progress,
        closes the connection after the response to that request instead."""
        self._refusal = error
        cycle = self.cycle
        if self.is_busy() and not self._waits_for_body():
            cycle.keep_alive = False
            self._deadline = None
            self._held = b""
            self.flow.is_held = True
            self.flow.pause_reading()
            return
        if self.is_busy():  # tells the application, if there is one
            cycle.disconnected = True
            cycle.message_event.set()
        request_id = choose_request_id(index_headers(self.headers or ()))
        reply = build_json_reply(
            error.status, error_response(error.fault), JSON, request_id, error.headers
        )
        self.write(serialize_response(reply, self.server_state.default_headers, keep_alive=False))
        if self._stage == BETWEEN:
            self._stage = HEAD  # the client may continue to send
        self.close()

    def _waits_for_body(self) -> bool:
        """Returns whether the request in progress is incomplete, and its response has not
        started."""
        cycle = self.cycle
        if self._stage < SIZED:
            return False
        return type(cycle) is not ASGICycle or not cycle.response_started

    # Timeouts. Each connection has one timer: one for each request would cost as much as its
    # parsing.

    def expect(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick_seconds, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        now = self.loop.time()
        rate = self._read_rate
        if rate.is_too_slow(now, self.transport.get_write_buffer_size()):
            self.transport.abort()  # discards the unsent bytes
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
            self.expect(self.timeout_keep_alive)  # the read rate limits it
        elif self._stage == BETWEEN or not (self._stage == HEAD or self.is_busy()):
            self.close()
        elif self.flow.read_paused:
            self.expect(self.limits.receive_seconds)  # the application is slow, not the client
        else:
            self.refuse(receive_timeout(self.limits.receive_seconds))

    def pause_writing(self) -> None:
        """Starts to measure a client that reads more slowly than the server sends."""
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
        """Does nothing: uvicorn's own timer is not used."""

    # The buffer budget

    def buffered_bytes(self) -> int:
        """Returns the bytes of a large body and of an unread response."""
        body_bytes = self._message_bytes if type(self.cycle) is ASGICycle and self.is_busy() else 0
        if self._is_uploading or body_bytes <= SMALL_BODY_BYTES:
            body_bytes = 0
        unsent_bytes = self.transport.get_write_buffer_size() if self._read_rate.is_paused else 0
        return min(body_bytes, self.limits.body_bytes) + unsent_bytes

    def is_slow(self) -> bool:
        """Returns whether the connection waits for its client."""
        return self._read_rate.is_paused or self._stage != BETWEEN

    def cut_off(self) -> None:
        """Refuses a request that is still arriving. Aborts the connection of a client that does not
        read."""
        self._is_counted = False
        if not self._read_rate.is_paused and self._stage != BETWEEN:
            self.refuse(out_of_buffers())
        else:
            self.transport.abort()

    def count_buffered(self) -> None:
        size = self.buffered_bytes()
        if size:
            self._is_counted = True
            account_id = self._endpoint.account_of(index_headers(self.headers)) or 0
            self._buffers.hold(self, account_id, size)
        elif self._is_counted:
            self._is_counted = False
            self._buffers.release(self)
