"""Streams files: sends a response in pieces, while they are generated."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import Request

from regulars.http.errors import Headers
from regulars.http.messages import SECURITY
from regulars.http.request_observer import RequestRecord
from regulars.http.route_handler import ResponseSender

# The fastest level, because other requests of this process wait during the compression.
_GZIP_LEVEL = 1
_GZIP_WINDOW_BITS = 31  # selects the gzip format in zlib
# A key in the scope of a HEAD request, which is handled as GET, but needs no body.
HEAD_ONLY = "regulars.head_only"


def _disposition(filename: str) -> bytes:
    """Returns the header of a file to save. A name that is not ASCII is encoded (RFC 6266)."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "-").replace('"', "-")
    header = f'attachment; filename="{plain}"'
    if plain != filename:
        header += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return header.encode()


async def stream(
    record: RequestRecord,
    request: Request,
    send: ResponseSender,
    pieces: AsyncIterator[bytes],
    media_type: str,
    filename: str,
    extra_headers: Headers,
    *,
    can_compress: bool = True,
) -> None:
    """Sends pieces as a file, compressed with gzip if the client accepts it, unless the file is
    compressed already (`can_compress`). Reads the first piece
    before it sends the headers, so that an error in it becomes an error response. Stops when the
    client disconnects."""
    first_piece = await anext(pieces, b"")
    compressor = None
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-disposition", _disposition(filename)),
        (b"x-request-id", record.request_id),
        (b"vary", b"accept-encoding"),
        *SECURITY,
        *extra_headers,
    ]
    if can_compress and "gzip" in request.headers.get("accept-encoding", ""):
        compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW_BITS)
        headers.append((b"content-encoding", b"gzip"))
    record.status = 200
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send_piece(piece: bytes, has_more: bool) -> None:
        if piece or not has_more:
            await send({"type": "http.response.body", "body": piece, "more_body": has_more})

    if HEAD_ONLY in request.scope:
        await send_piece(b"", has_more=False)
        return
    await send_piece(compressor.compress(first_piece) if compressor else first_piece, has_more=True)
    async for piece in pieces:
        if await request.is_disconnected():
            return
        await send_piece(compressor.compress(piece) if compressor else piece, has_more=True)
    await send_piece(compressor.flush() if compressor else b"", has_more=False)
