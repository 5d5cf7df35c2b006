"""Responses that are sent while they are made."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from starlette.requests import Request

from regulars.http.errors import Headers
from regulars.http.messages import SECURITY
from regulars.http.request_observer import RequestRecord
from regulars.http.route_handler import ResponseSender

# A fast level: the network limits the export, and other requests wait for this process.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's way to say gzip
# Set in the scope of a HEAD request, which is handled as GET: the body is not needed.
HEAD_ONLY = "regulars.head_only"


async def stream(
    record: RequestRecord,
    request: Request,
    send: ResponseSender,
    pieces: AsyncIterator[bytes],
    media_type: str,
    name: str,
    more: Headers,
) -> None:
    """Sends pieces as a file with a name and more headers, compressed if the client accepts that.
    The first piece is made before anything is sent, so that an error in it becomes an error
    response. Ends when the client disconnects."""
    first = await anext(pieces, b"")
    compressor = None
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        (b"x-request-id", record.request_id),
        (b"vary", b"accept-encoding"),
        *SECURITY,
        *more,
    ]
    if "gzip" in request.headers.get("accept-encoding", ""):
        compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
        headers.append((b"content-encoding", b"gzip"))
    record.status = 200
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def body(piece: bytes, more: bool) -> None:
        if piece or not more:
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    if HEAD_ONLY in request.scope:
        await body(b"", more=False)
        return
    await body(compressor.compress(first) if compressor else first, more=True)
    async for piece in pieces:
        if await request.is_disconnected():
            return  # the client has disconnected
        await body(compressor.compress(piece) if compressor else piece, more=True)
    await body(compressor.flush() if compressor else b"", more=False)
