"""Answers that are sent as they are made."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from starlette.requests import Request

from regulars.http.errors import Headers
from regulars.http.messages import SECURITY
from regulars.http.request_observer import RequestRecord
from regulars.http.route_handler import ResponseSender

# A fast level: what is waited for is the network, and others wait for this process.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's way to say gzip
# Set in the scope of a GET that came as HEAD: the body need not be made.
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
    """Sends the pieces as a file of a name, with more headers; compressed, if that is accepted. The
    first piece is made before anything is sent, so that what is wrong with all of it can be told.
    Ends when the client does."""
    first = await anext(pieces, b"")
    packing = None
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        (b"x-request-id", record.request_id),
        (b"vary", b"accept-encoding"),
        *SECURITY,
        *more,
    ]
    if "gzip" in request.headers.get("accept-encoding", ""):
        packing = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
        headers.append((b"content-encoding", b"gzip"))
    record.status = 200
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def body(piece: bytes, more: bool) -> None:
        if piece or not more:
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    if HEAD_ONLY in request.scope:
        await body(b"", more=False)
        return
    await body(packing.compress(first) if packing else first, more=True)
    async for piece in pieces:
        if await request.is_disconnected():
            return  # nobody reads it any more
        await body(packing.compress(piece) if packing else piece, more=True)
    await body(packing.flush() if packing else b"", more=False)
