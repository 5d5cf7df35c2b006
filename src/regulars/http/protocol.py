"""HTTP/1.1 on uvicorn's protocol, with a fast path past ASGI and with bounded cost.

- Fast path: a POST of some kilobytes to a GraphQL path, as nearly every request is, needs neither
  a scope nor a stream of messages. uvicorn spends 20 µs on those, and two system calls instead of
  one. Every other request goes through ASGI, and its response is the same.
- One request at a time: the parser gets the bytes of one request. What a client sends after it
  waits, and is not read from the socket, until the response is sent (RFC 9112, 9.3.2).
- Every loop over input is bounded: heads are measured before they are parsed, and the framing of
  chunked bodies (sizes, extensions, trailers) while it is.
- Slow clients are cut off, and what they hold is counted (`buffers.py`).
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from regulars.http.buffers import BufferBudget
from regulars.http.draining import Draining
from regulars.http.endpoint import GraphQLEndpoint, error_answer
from regulars.http.errors import (
    HTTPError,
    bad_request,
    framing_limit,
    header_limit,
    method_not_allowed,
    out_of_buffers,
    receive_timeout,
)
from regulars.http.messages import (
    JSON,
    Reply,
    header_lines,
    headers_by_name,
    json_reply,
    request_id_of,
)

# Bodies up to this size take the fast path, and are not counted in the buffer budget.
SHORT_BODY = 64 * 1024
# The parser gets so many bytes at most before the limits are checked again.
_SLICE = 64 * 1024
# A read of a chunked body is cut at so many empty lines at most, to find the end of the request.
_MOST_CUTS = 64
# A client that is refused while it sends can read the response only if the server goes on reading
# for a while (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0
_DROPPED_BYTES = 64 * 1024 * 1024
# A byte of content pays for so many bytes of chunk sizes and extensions.
_FRAMING_PART = 4

_END_OF_HEAD = b"\r\n\r\n"
_BETWEEN, _HEAD, _SIZED, _CHUNKED = range(4)

# RFC 9110, 7.2 and RFC 3986, 3.2.2: a name, an IPv4 address or an IPv6 address in brackets, and a
# port. An empty value is valid for a target without an authority.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,5})\r\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) \S+ HTTP/1\.[01]\r\n")
# Several of these would be read differently by a proxy in front of the server.
_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"authorization")

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class _NoEvent:
    """uvicorn sets an event for the application when a client disconnects; the fast path has
    none."""

    def set(self) -> None: ...


class FastPathRequest:
    """A request on the fast path. uvicorn keeps one for each connection, and uses these names."""

    __slots__ = (
        "body",
        "disconnected",
        "endpoint",
        "headers",
        "keep_alive",
        "response_complete",
        "task",
    )

    task: asyncio.Task[None]

    message_event = _NoEvent()

    def __init__(
        self, endpoint: GraphQLEndpoint, headers: dict[bytes, bytes], keep_alive: bool
    ) -> None:
        self.endpoint = endpoint
        self.headers = headers
        self.keep_alive = keep_alive
        self.body = b""
        self.disconnected = False
        self.response_complete = False


class _Cycle(RequestResponseCycle):
    """A request that goes through ASGI: uvicorn's, with two corrections."""

    _ends_with_connection = False

    async def send(self, message: Any) -> None:
        if not self.response_started:
            if self.waiting_for_100_continue:
                # The client was not asked for the body, and may send it or not (RFC 9110, 10.1.1).
                self.keep_alive = False
            if self.scope["http_version"] == "1.0" and not any(
                name == b"content-length" for name, _ in message.get("headers", ())
            ):
                # A client of HTTP/1.0 does not know chunks (RFC 9112, 6.1).
                self.chunked_encoding, self._ends_with_connection = False, True
        elif self._ends_with_connection:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class _Flow(FlowControl):
    """uvicorn's; an application that asks for more of its body does not resume reading while bytes
    of the next request are held."""

    held = False

    def resume_reading(self) -> None:
        if not self.held and not self._transport.is_closing():
            super().resume_reading()


class RefusedError(Exception):
    """Stops the parser; `data_received` sends the refusal."""


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 for an application with `graphql_at` (an endpoint for each path),
    `buffers` (a BufferBudget), `draining`, `upload_at` (bodies there may take any time, as long as
    they come) and `min_read_rate` (bytes per second)."""

    _defaults: Any = None
    _default_lines = b""
    cycle: Any  # a FastPathRequest or a _Cycle
    flow: _Flow

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        endpoints: dict[str, GraphQLEndpoint] = dict(self.app.graphql_at)
        self._endpoints = {path.encode(): endpoint for path, endpoint in endpoints.items()}
        self._endpoints |= {path + b"/": endpoint for path, endpoint in self._endpoints.items()}
        self._any_endpoint = next(iter(endpoints.values()))
        self._draining: Draining = self.app.draining
        self._buffers: BufferBudget = self.app.buffers
        self._min_read_rate: float = self.app.min_read_rate
        self._limits = self._any_endpoint.limits
        self._upload_path: bytes = self.app.upload_at.encode()

        self._stage = _BETWEEN
        self._tail = b""  # the last bytes of a slice that does not end with an empty line
        self._held = b""  # of the next request
        self._head_bytes = 0
        self._body_left = 0
        self._framing_bytes = 0  # of a chunked body, less those that its content pays for
        self._trailer_bytes = 0
        self._content_bytes = 0  # of the slice that is parsed
        self._message_bytes = 0  # of the body that arrived so far
        self._host = b""  # the last one that was checked
        self._uploading = False
        self._upload_credit = 0  # bytes since the time for the upload was extended
        self._refusal: HTTPError | None = None
        self._lingering = False
        self._dropped_bytes = 0
        self._is_counted = False  # in the buffer budget

        self._until: float | None = None
        # While the client does not read: since when, and the unsent bytes then; and the sums of
        # earlier such times in the period over which its rate is measured.
        self._stuck_since: float | None = None
        self._stuck_bytes = 0
        self._slow_seconds = 0.0
        self._read_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(self._limits.receive_seconds, self.timeout_keep_alive) / 4

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._expect(self._limits.receive_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._held = b""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_counted:
            self._buffers.release(self)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio's, not as uvicorn's
        """A client that has sent its request whole may end its side, and read the response."""
        if self._lingering or self._stage != _BETWEEN or not self._is_busy():
            return False
        self.cycle.keep_alive = False
        return True

    # Parsing: one request, slice by slice

    def data_received(self, data: bytes) -> None:
        if self._stage == _BETWEEN and self._is_one_request(data):
            self._stage = _HEAD
            self._expect(self._limits.receive_seconds)
            try:
                self.parser.feed_data(data)
            except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
                self._handle_stop(error, data)
        elif self._refusal is not None or self._lingering:
            self._drop(len(data))
        elif self._held:
            self._held += data
        else:
            self._parse(data)

    def _is_one_request(self, data: bytes) -> bool:
        """Returns whether the bytes are a single request whose turn it is: nearly all are, and need
        not be cut. A Content-Length that is matched here is one for the parser, too."""
        cycle = self.cycle
        if (cycle is not None and not cycle.response_complete) or self.flow.write_paused:
            return False
        end = data.find(_END_OF_HEAD) + 4
        if not 4 <= end <= self._limits.header_bytes or len(data) > _SLICE or self._refusal:
            return False
        match = _LENGTH.search(data, 0, end)
        return match is not None and end + int(match[1]) == len(data)

    def _drop(self, size: int) -> None:
        self._dropped_bytes += size
        if self._dropped_bytes > _DROPPED_BYTES:
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        position, size, cuts = 0, len(data), 0
        while position < size:
            if self._stage == _BETWEEN:
                if self._is_busy() or self.flow.write_paused:
                    self._hold(data[position:])
                    return
                if data[position] in b"\r\n":  # RFC 9112, 2.2
                    position = size - len(data[position:].lstrip(b"\r\n"))
                    continue
                self._begin_message()
            if self._stage == _SIZED:
                end = min(size, position + self._body_left, position + _SLICE)
                self._body_left -= end - position
            elif self._stage == _HEAD or cuts < _MOST_CUTS:
                end = self._end_of_block(data, position)
                cuts += 1
            else:
                end = min(size, position + _SLICE)
            self._feed(data if end - position == size else data[position:end])
            position = end
            if self._refusal is not None or self._lingering or self.transport.is_closing():
                return

    def _end_of_block(self, data: bytes, position: int) -> int:
        """Returns the end of the next empty line, of the slice, or of the data."""
        tail = self._tail
        if tail:
            found = (tail + data[position : position + 3]).find(_END_OF_HEAD)
            if found >= 0:
                self._tail = b""
                return position + found + 4 - len(tail)
        found = data.find(_END_OF_HEAD, position, position + _SLICE)
        if found >= 0:
            self._tail = b""
            return found + 4
        end = min(len(data), position + _SLICE)
        self._tail = (tail + data[max(position, end - 3) : end])[-3:]
        return end

    def _begin_message(self) -> None:
        self._stage = _HEAD
        self._tail = b""
        self._head_bytes = 0
        self._expect(self._limits.receive_seconds)

    def _feed(self, piece: bytes) -> None:
        stage, most = self._stage, self._limits.header_bytes
        if stage == _HEAD:
            self._head_bytes += len(piece)
            if self._head_bytes > most:
                self._refuse(header_limit(most))
                return
        self._content_bytes = 0
        try:
            self.parser.feed_data(piece)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            self._handle_stop(error, piece)
        else:
            if stage == _CHUNKED or (stage == _SIZED and type(self.cycle) is _Cycle):
                self._count_body(len(piece))

    def _handle_stop(self, error: Exception, piece: bytes) -> None:
        """The parser stopped: goes on after an offer to upgrade, and refuses everything else."""
        if isinstance(error, httptools.HttpParserUpgrade):
            self._ignore_upgrade()
            body = piece[error.args[0] :]
            if body and self._refusal is None:
                self._parse(body)
        elif isinstance(error, httptools.HttpParserInvalidMethodError):
            self._refuse(_unknown_method(piece))
        else:
            wrong = bad_request("Invalid HTTP request received. Send HTTP/1.1.")
            self._refuse(self._refusal or wrong)

    def _count_body(self, size: int) -> None:
        """Counts a slice of a body. Bytes of framing that no content pays for are limited."""
        content, most = self._content_bytes, self._limits.header_bytes
        framing = self._framing_bytes + size - content
        self._framing_bytes = max(0, framing - _FRAMING_PART * content)
        if self._framing_bytes > most and self._stage == _CHUNKED:
            self._refuse(framing_limit(most))
            return
        if not self._is_busy():
            self._drop(size)
            return
        self._message_bytes += content
        if self._uploading:
            self._upload_credit += content
            if self._upload_credit >= SHORT_BODY and self._until is not None:
                self._upload_credit = 0
                self._expect(self._limits.receive_seconds)
        elif self._message_bytes > SHORT_BODY:
            self._count_buffered()

    def _ignore_upgrade(self) -> None:
        """Goes on in HTTP/1.1 (RFC 9110, 7.8). The parser has skipped the body for the protocol
        that was offered, so that another parser gets the head without the offer."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            message = "CONNECT is for proxies, and this server is none. Use POST."
            self._refuse(method_not_allowed("CONNECT", "GET, POST", message))
            return
        version = self.parser.get_http_version().encode()
        headers = [header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        head = b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, header_lines(headers))
        self._head_bytes = 0
        self._feed(head)

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._stage != _HEAD:
            # A chunked body ended within a slice. The response is sent, and the client sends again
            # what follows on a new connection (RFC 9112, 9.3.2).
            self._refusal = bad_request("Send the next request after the response.")
            raise RefusedError
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage == _HEAD:
            self.headers.append((name.lower(), value))
            return
        # Trailers are dropped (RFC 9110, 6.5.1).
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > self._limits.header_bytes:
            self._refusal = framing_limit(self._limits.header_bytes)
            raise RefusedError

    def on_headers_complete(self) -> None:
        parser, headers = self.parser, headers_by_name(self.headers)
        host = headers.get(b"host")
        if host is None or host != self._host or len(headers) != len(self.headers):
            self._check_headers(headers)
        length = headers.get(b"content-length")
        endpoint = self._endpoints.get(self.url)
        if (
            endpoint is not None
            and length is not None
            and (size := int(length)) <= SHORT_BODY
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and b"expect" not in headers
            and b"upgrade" not in headers
        ):
            self._body_left = size
            if size:
                self._stage = _SIZED
            self.cycle = FastPathRequest(endpoint, headers, parser.should_keep_alive())
        elif not parser.should_upgrade():
            if b"transfer-encoding" in headers:
                self._check_transfer_encoding(headers)
                self._stage = _CHUNKED
            elif length is not None and int(length):
                self._body_left = int(length)
                self._stage = _SIZED
            self._begin_cycle(headers)

    def _check_headers(self, headers: dict[bytes, bytes]) -> None:
        """Stops the parser for headers that a proxy could read differently."""
        host = headers.get(b"host")
        names = [name for name, _ in self.headers]
        wrong = ""
        if host is None:
            if self.parser.get_http_version() != "1.0":
                wrong = "The request has no Host header."
        elif not _HOST.fullmatch(host):
            wrong = "The Host header is not a host with an optional port."
        for name in _SINGLE:
            if names.count(name) > 1:
                wrong = f"The request has several {name.decode().title()} headers. Send one."
        if wrong:
            self._refusal = bad_request(wrong)
            raise RefusedError
        self._host = host or b""

    def _check_transfer_encoding(self, headers: dict[bytes, bytes]) -> None:
        encoding = headers[b"transfer-encoding"]
        if encoding.strip().lower() == b"chunked" and self.parser.get_http_version() == "1.1":
            return
        self._refusal = bad_request(
            "The only transfer encoding is `chunked`, in HTTP/1.1. Send the body with a "
            "Content-Length."
        )
        raise RefusedError

    def _begin_cycle(self, headers: dict[bytes, bytes]) -> None:
        """Starts a request that goes through ASGI."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._refusal = bad_request(f"HTTP/{version} is not supported. Send HTTP/1.1.")
            raise RefusedError
        path, query = _target(self.url)
        self._uploading, self._upload_credit = path == self._upload_path, 0
        self._message_bytes = self._framing_bytes = self._trailer_bytes = 0
        expects = headers.get(b"expect", b"").lower() == b"100-continue"
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": self.parser.get_method().decode("ascii"),
            "root_path": self.root_path,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        keep_alive = version == "1.1" and self.parser.should_keep_alive()
        self.cycle = _Cycle(
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

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        self._content_bytes += len(body)
        if type(cycle) is FastPathRequest:
            cycle.body = cycle.body + body if cycle.body else body
        elif not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._stage == _HEAD and self.parser.should_upgrade():
            return
        cycle = self.cycle
        self._stage = _BETWEEN
        if type(cycle) is FastPathRequest:
            self._until = None
            # uvicorn waits for these before it ends.
            cycle.task = self.loop.create_task(self._answer(cycle))
            self.tasks.add(cycle.task)
        elif not cycle.response_complete:
            self._until = None
            cycle.more_body = False
            cycle.message_event.set()
        else:
            self._expect(self.timeout_keep_alive)

    # Sending

    async def _answer(self, request: FastPathRequest) -> None:
        try:
            answer = await request.endpoint.answer("POST", request.headers, request.body)
            keep_alive = request.keep_alive and not self._draining.is_draining
            request.response_complete = True
            if not self._lingering and not self.transport.is_closing():
                self.transport.write(self._written(answer, keep_alive))
                if not keep_alive:
                    self.close()
            self.on_response_complete()
        finally:
            if not request.response_complete:  # or the client would wait for ever
                self.transport.close()
            self.tasks.discard(request.task)

    def _written(self, answer: Reply, keep_alive: bool) -> bytes:
        """Returns a response as it goes over the wire."""
        defaults = self.server_state.default_headers
        if defaults is not Protocol._defaults:  # uvicorn makes new ones each second, for the date
            Protocol._defaults, Protocol._default_lines = defaults, header_lines(defaults)
        return b"%s%s%s%s%s" % (
            _STATUS_LINES[answer.status],
            Protocol._default_lines,
            answer.head(),
            b"\r\n" if keep_alive else b"connection: close\r\n\r\n",
            answer.content,
        )

    def write(self, data: bytes) -> None:
        """Sends bytes of a request that goes through ASGI."""
        if not self.is_closing():
            self.transport.write(data)

    def is_closing(self) -> bool:
        """Returns whether nothing more is sent."""
        return self._lingering or self.transport.is_closing()

    def close(self) -> None:
        """Ends the connection once everything is sent, if that does not take too long. If the
        client is still sending, reads on for a while, so that it can read the response."""
        if self.is_closing():
            return
        self._until = None
        if self._stage == _BETWEEN and not self._held:
            self.transport.close()
        else:
            self._lingering = True
            self._held = b""
            self.flow.held = False
            self.transport.write_eof()
            self.flow.resume_reading()
            self._expect(_LINGER_SECONDS)
        if self.transport.get_write_buffer_size():
            self.pause_writing()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._is_counted:
            self._count_buffered()
        if self._lingering or self.transport.is_closing():
            return
        if self._held:
            self._go_on()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        # If the body is still arriving, it is dropped; the client has as long as for a new request.
        between = self._stage == _BETWEEN
        self._expect(self.timeout_keep_alive if between else self._limits.receive_seconds)

    # One request at a time

    def _is_busy(self) -> bool:
        """Returns whether a request was not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _hold(self, data: bytes) -> None:
        """Keeps what came after the request that is under way, and reads no more."""
        self._held = data
        self.flow.held = True
        self.flow.pause_reading()

    def _go_on(self) -> None:
        """Parses what was held, if the client has read what it was sent."""
        if self.flow.write_paused or self._is_busy():
            return
        data, self._held, self.flow.held = self._held, b"", False
        self._parse(data)
        if not self._held and not self.is_closing():
            self.flow.resume_reading()
            if self._stage == _BETWEEN and not self._is_busy():
                self._expect(self.timeout_keep_alive)

    # Time and rates. A timer for each request would cost as much as its parsing: there is one for
    # each connection.

    def _expect(self, seconds: float) -> None:
        """Gives the client so many seconds."""
        self._until = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        if self._stuck_since is not None and self._reads_too_slowly(now):
            self.transport.abort()  # what is left is never sent
            return
        if self._until is not None and self._until < now:
            if self._lingering:
                self._until = None
                self.transport.close()
            elif self._stuck_since is not None:
                self._expect(self.timeout_keep_alive)  # its rate is watched
            elif self._stage == _BETWEEN or not (self._stage == _HEAD or self._is_busy()):
                self.close()
            elif self.flow.read_paused:
                self._expect(self._limits.receive_seconds)  # it is the application that is slow
            else:
                self._refuse(receive_timeout(self._limits.receive_seconds))
        if self._timer is None and (self._until is not None or self._stuck_since is not None):
            self._timer = self.loop.call_later(self._tick, self._look)

    def _reads_too_slowly(self, now: float) -> bool:
        """Measures the rate at which the client reads, over periods of the receive timeout, while
        bytes wait for it."""
        since = self._stuck_since or now
        left = self.transport.get_write_buffer_size()
        seconds = self._slow_seconds + now - since
        taken = self._read_bytes + self._stuck_bytes - left
        if seconds < self._limits.receive_seconds:
            return False
        self._slow_seconds, self._read_bytes = 0.0, 0
        self._stuck_since, self._stuck_bytes = now, left
        return taken < self._min_read_rate * seconds

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to."""
        super().pause_writing()
        if self._stuck_since is None:
            self._stuck_since = self.loop.time()
            self._stuck_bytes = self.transport.get_write_buffer_size()
            self._count_buffered()
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._look)

    def resume_writing(self) -> None:
        if self._stuck_since is not None:
            left = self.transport.get_write_buffer_size()
            self._slow_seconds += self.loop.time() - self._stuck_since
            self._read_bytes += self._stuck_bytes - left
            self._stuck_since = None
            self._count_buffered()
        super().resume_writing()
        if self._held and not self.is_closing():
            self._go_on()

    def _unset_keepalive_if_required(self) -> None:
        """uvicorn's own timer is never set."""

    # The buffer budget

    def buffered_bytes(self) -> int:
        """Returns the bytes of a large body and of an unread response."""
        size = self._message_bytes if type(self.cycle) is _Cycle and self._is_busy() else 0
        size = 0 if self._uploading else size
        size = min(size, self._limits.body_bytes) if size > SHORT_BODY else 0
        return size + self.transport.get_write_buffer_size() if self._stuck_since else size

    def is_slow(self) -> bool:
        """Returns whether the connection waits for its client."""
        return self._stuck_since is not None or self._stage != _BETWEEN

    def cut_off(self) -> None:
        """Refuses a request that arrives; aborts the connection of a client that does not read."""
        self._is_counted = False
        if self._stuck_since is None and self._stage != _BETWEEN:
            self._refuse(out_of_buffers())
        else:
            self.transport.abort()

    def _count_buffered(self) -> None:
        size = self.buffered_bytes()
        if size:
            self._is_counted = True
            account_id = self._any_endpoint.account_of(headers_by_name(self.headers)) or 0
            self._buffers.hold(self, account_id, size)
        elif self._is_counted:
            self._is_counted = False
            self._buffers.release(self)

    # Refusals

    def _refuse(self, error: HTTPError) -> None:
        """Responds to what is not a request, or does not become one. Then the connection ends; if
        an earlier request is under way, after its response instead."""
        self._refusal = error
        cycle = self.cycle
        if self._is_busy() and not self._waits_for_body():
            cycle.keep_alive = False
            self._until = None
            self._held = b""
            self.flow.held = True
            self.flow.pause_reading()
            return
        if self._is_busy():  # its application, if there is one, learns that nothing more comes
            cycle.disconnected = True
            cycle.message_event.set()
        request_id = request_id_of(headers_by_name(self.headers or ()))
        answer = json_reply(
            error.status, error_answer(error.fault), JSON, request_id, error.headers
        )
        self.write(self._written(answer, keep_alive=False))
        if self._stage == _BETWEEN:
            self._stage = _HEAD  # what is refused may go on
        self.close()

    def _waits_for_body(self) -> bool:
        """Returns whether the request under way has not arrived, and no part of its response was
        sent."""
        cycle = self.cycle
        if self._stage < _SIZED:
            return False
        return type(cycle) is FastPathRequest or not cycle.response_started


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Returns the path and the query of a request target (RFC 9112, 3.2)."""
    if url == b"*":
        return url, b""
    parsed = httptools.parse_url(url)
    return parsed.path or b"/", parsed.query or b""


def _unknown_method(piece: bytes) -> HTTPError:
    match = _REQUEST_LINE.match(piece)
    if match is None:
        return bad_request("Invalid HTTP request: no valid request line. Send HTTP/1.1.")
    return method_not_allowed(match[1].decode(), "GET, POST")
