"""Reads HTTP/1.1 requests one at a time, with bounded cost.

- The parser gets the bytes of one request. The bytes of the next request wait, and the socket is
  not read, until the response is sent (RFC 9112, 9.3.2).
- Every loop over input is bounded. Heads are measured before the parser gets them, and the framing
  of chunked bodies (sizes, extensions, trailers) while it is parsed.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from regulars.http.asgi_cycle import ASGICycle, BodyFlowControl
from regulars.http.block_scanner import BlockScanner
from regulars.http.endpoint import Limits
from regulars.http.errors import (
    HTTPError,
    bad_request,
    framing_limit,
    header_limit,
    method_not_allowed,
)
from regulars.http.fast_path import FastPath, FastPathRequest
from regulars.http.messages import header_lines, index_headers
from regulars.http.request_head import (
    check_headers,
    check_transfer_encoding,
    check_version,
    unknown_method,
)

# The buffer budget does not count bodies up to this size.
SMALL_BODY_BYTES = 64 * 1024
# The receive timeout of an upload starts again after these bytes.
_UPLOAD_STEP_BYTES = 64 * 1024
# The limits are checked after each slice that the parser gets.
_SLICE_BYTES = 64 * 1024
# A read of a chunked body is cut at so many empty lines at most, to find the end of the request.
_MAX_CUTS = 64
_MAX_DROPPED_BYTES = 64 * 1024 * 1024
# Each byte of content permits so many bytes of chunk sizes and extensions.
_FRAMING_BYTES_PER_BYTE = 4

BETWEEN, HEAD, SIZED, CHUNKED = range(4)


class RequestReader(HttpToolsProtocol):
    """The reading half of a connection. `Protocol` adds timeouts, sending and closing."""

    cycle: Any  # a FastPathRequest or an ASGICycle
    flow: BodyFlowControl
    limits: Limits
    fast_path: FastPath | None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stage = BETWEEN
        self._scanner = BlockScanner(_SLICE_BYTES)
        self._held = b""  # bytes of the next request
        self._head_bytes = 0
        self._remaining_body_bytes = 0
        self._framing_bytes = 0  # of a chunked body, beyond those that its content permits
        self._trailer_bytes = 0
        self._content_bytes = 0  # of the current slice
        self._message_bytes = 0  # of the body so far
        self._checked_host = b""
        self._is_uploading = False
        self._upload_credit_bytes = 0  # since the receive timeout of the upload started
        self._refusal: HTTPError | None = None
        self._deadline: float | None = None  # by which the client must send
        self._is_lingering = False
        self._dropped_bytes = 0

    # Implemented by `Protocol`

    def expect(self, seconds: float) -> None:
        """Sets the time limit within which the client must send."""
        raise NotImplementedError

    def refuse(self, error: HTTPError) -> None:
        """Sends an error response and closes the connection."""
        raise NotImplementedError

    def begin_asgi(self, headers: dict[bytes, bytes], version: str) -> None:
        """Starts a request that goes through ASGI."""
        raise NotImplementedError

    def count_buffered(self) -> None:
        """Updates the bytes of the connection in the buffer budget."""
        raise NotImplementedError

    # Reading

    def data_received(self, data: bytes) -> None:
        fast_path = self.fast_path
        if self._stage == BETWEEN and fast_path is not None and self._can_begin():
            known = fast_path.find_known(data)
            if known is not None:
                self.cycle, self.headers = known
                self._deadline = None
                self.cycle.start(self)
                return
            if fast_path.is_whole_request(data):
                self._read_whole(data, fast_path)
                return
        if self._refusal is not None or self._is_lingering:
            self._drop(len(data))
        elif self._held:
            self._held += data
        else:
            self.parse(data)

    def _read_whole(self, data: bytes, fast_path: FastPath) -> None:
        """Reads a request that has arrived whole."""
        self._stage = HEAD
        self.expect(self.limits.receive_seconds)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            self._handle_stop(error, data)
        else:
            if type(self.cycle) is FastPathRequest:
                fast_path.remember(data, self.cycle, self.headers)

    def is_busy(self) -> bool:
        """Returns whether a request is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    def _can_begin(self) -> bool:
        """Returns whether the next request can begin."""
        blocked = self.flow.write_paused or self._refusal is not None or self._is_lingering
        return not blocked and not self.is_busy()

    def _drop(self, size: int) -> None:
        self._dropped_bytes += size
        if self._dropped_bytes > _MAX_DROPPED_BYTES:
            self.transport.abort()

    def _hold(self, data: bytes) -> None:
        """Stores the bytes after the request in progress, and stops reading."""
        self._held = data
        self.flow.is_held = True
        self.flow.pause_reading()

    def parse(self, data: bytes) -> None:
        """Parses bytes, slice by slice, up to the end of a request."""
        position, size, cuts = 0, len(data), 0
        while position < size:
            if self._stage == BETWEEN:
                if self.is_busy() or self.flow.write_paused:
                    self._hold(data[position:])
                    return
                if data[position] in b"\r\n":  # RFC 9112, 2.2
                    position = size - len(data[position:].lstrip(b"\r\n"))
                    continue
                self._begin_message()
            if self._stage == SIZED:
                end = min(size, position + self._remaining_body_bytes, position + _SLICE_BYTES)
                self._remaining_body_bytes -= end - position
            elif self._stage == HEAD or cuts < _MAX_CUTS:
                end = self._scanner.end_of_block(data, position)
                cuts += 1
            else:
                end = min(size, position + _SLICE_BYTES)
            self._feed(data if end - position == size else data[position:end])
            position = end
            if self._refusal is not None or self._is_lingering or self.transport.is_closing():
                return

    def _begin_message(self) -> None:
        self._stage = HEAD
        self._scanner.reset()
        self._head_bytes = 0
        self.expect(self.limits.receive_seconds)

    def _feed(self, piece: bytes) -> None:
        stage, max_bytes = self._stage, self.limits.header_bytes
        if stage == HEAD:
            self._head_bytes += len(piece)
            if self._head_bytes > max_bytes:
                self.refuse(header_limit(max_bytes))
                return
        self._content_bytes = 0
        try:
            self.parser.feed_data(piece)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            self._handle_stop(error, piece)
        else:
            if stage == CHUNKED or (stage == SIZED and type(self.cycle) is ASGICycle):
                self._count_body(len(piece))

    def _handle_stop(self, error: Exception, piece: bytes) -> None:
        """Handles an exception of the parser. Continues after an offer to upgrade, and refuses the
        request in all other cases."""
        if isinstance(error, httptools.HttpParserUpgrade):
            self._ignore_upgrade()
            body = piece[error.args[0] :]
            if body and self._refusal is None:
                self.parse(body)
        elif isinstance(error, httptools.HttpParserInvalidMethodError):
            self.refuse(unknown_method(piece))
        else:
            invalid = bad_request("The request is not valid HTTP. Send HTTP/1.1.")
            self.refuse(self._refusal or invalid)

    def _count_body(self, size: int) -> None:
        """Counts a slice of a body. Refuses too many bytes of framing in relation to the
        content."""
        content, max_bytes = self._content_bytes, self.limits.header_bytes
        framing = self._framing_bytes + size - content
        self._framing_bytes = max(0, framing - _FRAMING_BYTES_PER_BYTE * content)
        if self._framing_bytes > max_bytes and self._stage == CHUNKED:
            self.refuse(framing_limit(max_bytes))
            return
        if not self.is_busy():
            self._drop(size)
            return
        self._message_bytes += content
        if self._is_uploading:
            self._upload_credit_bytes += content
            if self._upload_credit_bytes >= _UPLOAD_STEP_BYTES and self._deadline is not None:
                self._upload_credit_bytes = 0
                self.expect(self.limits.receive_seconds)
        elif self._message_bytes > SMALL_BODY_BYTES:
            self.count_buffered()

    def _ignore_upgrade(self) -> None:
        """Continues with HTTP/1.1 (RFC 9110, 7.8). The parser treats the body as data of the
        offered protocol, so a new parser gets the head without the offer."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            message = "This server is not a proxy and does not support CONNECT. Use POST."
            self.refuse(method_not_allowed("CONNECT", "GET, POST", message))
            return
        version = self.parser.get_http_version().encode()
        headers = [header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        head = b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, header_lines(headers))
        self._head_bytes = 0
        self._feed(head)

    # Callbacks of the parser. An exception stops it, and `_handle_stop` sends the error.

    def on_message_begin(self) -> None:
        if self._stage != HEAD:
            # A chunked body ended within a slice. After the response, the client sends the next
            # requests again on a new connection (RFC 9112, 9.3.2).
            self._stop(
                bad_request(
                    "Pipelined requests are not supported here. Send the next request after the "
                    "response."
                )
            )
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage == HEAD:
            self.headers.append((name.lower(), value))
            return
        # Trailers are discarded (RFC 9110, 6.5.1).
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > self.limits.header_bytes:
            self._stop(framing_limit(self.limits.header_bytes))

    def on_headers_complete(self) -> None:
        parser, headers = self.parser, index_headers(self.headers)
        host = headers.get(b"host")
        if host is None or host != self._checked_host or len(headers) != len(self.headers):
            self._check(check_headers, self.headers, headers, parser.get_http_version())
            self._checked_host = host or b""
        if self.fast_path is not None:
            request = self.fast_path.accept(self.url, headers, parser)
            if request is not None:
                self._remaining_body_bytes = request.body_bytes
                if request.body_bytes:
                    self._stage = SIZED
                self.cycle = request
                return
        if not parser.should_upgrade():
            self._begin_body(headers)

    def _begin_body(self, headers: dict[bytes, bytes]) -> None:
        version, length = self.parser.get_http_version(), int(headers.get(b"content-length", b"0"))
        encoding = headers.get(b"transfer-encoding")
        if encoding is not None:
            self._check(check_transfer_encoding, encoding, version)
            self._stage = CHUNKED
        elif length:
            self._remaining_body_bytes = length
            self._stage = SIZED
        self._check(check_version, version)
        self._upload_credit_bytes = 0
        self._message_bytes = self._framing_bytes = self._trailer_bytes = 0
        self.begin_asgi(headers, version)

    def _check(self, check: Any, *arguments: Any) -> None:
        try:
            check(*arguments)
        except HTTPError as error:
            self._stop(error)

    def _stop(self, error: HTTPError) -> None:
        self._refusal = error
        raise error

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        self._content_bytes += len(body)
        if type(cycle) is not ASGICycle:
            cycle.add_body(body)
        elif not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._stage == HEAD and self.parser.should_upgrade():
            return
        cycle = self.cycle
        self._stage = BETWEEN
        if type(cycle) is not ASGICycle:
            self._deadline = None
            cycle.start(self)
        elif not cycle.response_complete:
            self._deadline = None
            cycle.more_body = False
            cycle.message_event.set()
        else:
            self.expect(self.timeout_keep_alive)
