"""Serializes responses for HTTP/1.1."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from regulars.http.messages import Reply, header_lines

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class _DefaultLines:
    """Caches the serialized default headers. uvicorn replaces their list each second, for the
    date."""

    def __init__(self) -> None:
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._lines = b""

    def serialize(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, header_lines(headers)
        return self._lines


_default_lines = _DefaultLines()


def serialize_response(
    reply: Reply, default_headers: Sequence[tuple[bytes, bytes]], keep_alive: bool
) -> bytes:
    """Returns the head and the body of a response, with uvicorn's default headers. Without
    `keep_alive`, adds the header that closes the connection."""
    return b"%s%s%s%s%s" % (
        _STATUS_LINES[reply.status],
        _default_lines.serialize(default_headers),
        reply.head(),
        b"\r\n" if keep_alive else b"connection: close\r\n\r\n",
        reply.content,
    )
