"""Generate load: each keep-alive connection sends a request, reads the response, and repeats.

The generator shares a core with PostgreSQL; the server under test has the other core.
"""

from __future__ import annotations

import select
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# A run without any response for this time is aborted.
STALLED_SECONDS = 30.0


class BenchmarkError(Exception):
    """A run that failed, so that its figures mean nothing."""


@dataclass(slots=True)
class Sample:
    """The result of one run: responses, duration, and the latency of each response in seconds."""

    request_count: int
    seconds: float
    latencies: Sequence[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.request_count / self.seconds

    def percentile(self, percent: int) -> float:
        """Returns a percentile of the latency, in seconds."""
        return statistics.quantiles(self.latencies, n=100)[percent - 1]


def build_http_request(url: str, body: bytes, token: str, headers: str = "") -> bytes:
    """Returns a GraphQL request as the bytes of a POST. `headers` are complete lines."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    """A connection with at most one request in flight."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._sent_at = 0.0

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> float | None:
        """Reads from the socket. Returns the latency in seconds once the response is complete, else
        None. Raises BenchmarkError if it is an error."""
        data = self.socket.recv(262_144)
        received = self._received + data if self._received else data
        if not data:
            raise BenchmarkError(f"a connection was lost after {received[:600]!r}")
        head, _, body = received.partition(b"\r\n\r\n")
        index = head.lower().find(b"content-length:")
        if index < 0 or len(body) < int(head[index + 15 :].partition(b"\r")[0]):
            self._received = received
            return None
        if not head.startswith(b"HTTP/1.1 200") or b'"errors":[' in body:
            raise BenchmarkError(f"an error: {received[:600].decode()}")
        self._received = b""
        return time.perf_counter() - self._sent_at


def send(
    url: str,
    requests: Iterator[bytes],
    connections: int,
    seconds: float,
    max_requests: int | None = None,
) -> Sample:
    """Sends requests for some seconds, at most `max_requests`. Raises BenchmarkError if a response
    is an error, and OSError if the connection is refused."""
    parts = urlsplit(url)
    open_connections: dict[int, _Connection] = {}
    poll = select.epoll()
    latencies: list[float] = []
    try:
        for _ in range(connections if max_requests is None else min(connections, max_requests)):
            connection = _Connection((str(parts.hostname), int(parts.port or 80)))
            open_connections[connection.socket.fileno()] = connection
            poll.register(connection.socket, select.EPOLLIN)
        started_at = time.perf_counter()
        for connection in open_connections.values():
            connection.send(next(requests))
        sent_count = pending_count = len(open_connections)
        while pending_count:
            ready = poll.poll(STALLED_SECONDS)
            if not ready:
                raise BenchmarkError(f"no answer within {STALLED_SECONDS:.0f} s")
            now = time.perf_counter()
            for descriptor, _ in ready:
                latency = open_connections[descriptor].read()
                if latency is None:
                    continue
                latencies.append(latency)
                if now - started_at < seconds and (
                    max_requests is None or sent_count < max_requests
                ):
                    open_connections[descriptor].send(next(requests))
                    sent_count += 1
                else:
                    # A server may close a connection that stays idle until the others are done.
                    poll.unregister(descriptor)
                    pending_count -= 1
        return Sample(len(latencies), time.perf_counter() - started_at, latencies)
    finally:
        poll.close()
        for connection in open_connections.values():
            connection.socket.close()
