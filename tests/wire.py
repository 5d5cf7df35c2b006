"""A connection to a server that sends exact bytes."""

from __future__ import annotations

import json
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.support import Client

QUERY = b'{"query":"{ __typename }"}'
ANSWER = {"data": {"__typename": "Query"}}


class Wire:
    """A connection to a server. Sends exact bytes, and reads responses one at a time."""

    def __init__(self, client: Client) -> None:
        parts = urlsplit(client.server.url)
        self.token = client.token
        self.socket = socket.create_connection((str(parts.hostname), int(parts.port or 80)))
        self.socket.settimeout(60)
        self._received = b""

    def request(self, body: bytes = QUERY, *headers: str, version: str = "1.1") -> bytes:
        """Returns a POST request with a Content-Length."""
        lines = [
            f"POST /api/v2 HTTP/{version}",
            "Host: localhost",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def chunked(self, body: bytes = QUERY) -> bytes:
        """Returns a POST request with a body in two chunks."""
        head, _, _ = self.request(body).partition(b"\r\n\r\n")
        head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
        half = len(body) // 2
        chunks = [
            b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part
        ]
        return head + b"\r\n\r\n" + b"".join([*chunks, b"0\r\n\r\n"])

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Reads the next response. Returns the status, the headers and the decoded body."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        length = int(headers["content-length"])
        self._received = rest
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return int(status_line.split(" ")[1]), headers, json.loads(body)

    def is_closed(self) -> bool:
        """Returns whether the server closes the connection without sending more bytes."""
        return self._received == b"" and self.socket.recv(1) == b""

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        assert data, f"the connection ended after {self._received!r}"
        self._received += data
