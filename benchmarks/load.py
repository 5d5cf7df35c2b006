"""The load generator: keep-alive connections that each send a request, read the answer, and go on.

It runs on another core than the server under test, and shares that with PostgreSQL.
"""

from __future__ import annotations

import select
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# How long nothing may come before a run is given up.
STALLED_SECONDS = 30.0


class BenchmarkError(Exception):
    """A run whose figures would mean nothing."""


@dataclass(slots=True)
class Sample:
    """What one run came to: answers, seconds, and the latency of each answer in seconds."""

    requests: int
    seconds: float
    latencies: Sequence[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    def percentile(self, percent: int) -> float:
        """A percentile of the latency, in seconds."""
        return statistics.quantiles(self.latencies, n=100)[percent - 1]


def http_request(url: str, body: bytes, token: str, headers: str = "") -> bytes:
    """A POST of a GraphQL request, as bytes; `headers` are whole lines."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    """One connection: a request is under way, or it is closed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._sent_at = 0.0

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> float | None:
        """Reads what is there; the latency in seconds once the answer is complete. Raises
        BenchmarkError for an error."""
        data = self.socket.recv(262_144)
        received = self._received + data if self._received else data
        if not data:
            raise BenchmarkError(f"a connection was lost after {received[:600]!r}")
        head, _, body = received.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        if at < 0 or len(body) < int(head[at + 15 :].partition(b"\r")[0]):
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
    most: int | None = None,
) -> Sample:
    """Sends requests for some seconds, and no more than `most`. Raises BenchmarkError for an
    answer that is an error, and OSError when there is no server."""
    parts = urlsplit(url)
    opened: dict[int, _Connection] = {}
    poll = select.epoll()
    latencies: list[float] = []
    try:
        for _ in range(connections if most is None else min(connections, most)):
            one = _Connection((str(parts.hostname), int(parts.port or 80)))
            opened[one.socket.fileno()] = one
            poll.register(one.socket, select.EPOLLIN)
        began = time.perf_counter()
        for one in opened.values():
            one.send(next(requests))
        sent = waiting = len(opened)
        while waiting:
            ready = poll.poll(STALLED_SECONDS)
            if not ready:
                raise BenchmarkError(f"no answer within {STALLED_SECONDS:.0f} s")
            now = time.perf_counter()
            for number, _ in ready:
                latency = opened[number].read()
                if latency is None:
                    continue
                latencies.append(latency)
                if now - began < seconds and (most is None or sent < most):
                    opened[number].send(next(requests))
                    sent += 1
                else:
                    waiting -= 1
        return Sample(len(latencies), time.perf_counter() - began, latencies)
    finally:
        poll.close()
        for one in opened.values():
            one.socket.close()
