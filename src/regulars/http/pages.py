"""The pages a person sees: files of HTML, CSS and JavaScript, sent as they are but for comments.

All of them are read and named by their content once, when the server starts. The names change with
the content, so that a browser keeps them for good, and asks only for the page itself.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

import brotli
from starlette.requests import Request
from starlette.responses import Response

from regulars.http.errors import HTTPError, method_not_allowed, not_found
from regulars.http.messages import SECURITY, headers_by_name, request_id_of
from regulars.http.route_handler import starlette_error

ASSETS = "/assets"
# Where there is a page. All of them are the same file, which shows what its address says.
PATHS = (
    "/",
    "/sign-in",
    "/customers",
    "/customers/{rest:path}",
    "/imports",
    "/webhooks",
    "/webhooks/{rest:path}",
    "/tokens",
    "/explorer",
    "/overview",
)
_PAGE = "index.html"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Whole lines: they are a twelfth of what would be sent, and for who reads the files here.
_COMMENT = re.compile(rb"^[ ]*(?:/\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_GRAVATAR = "https://www.gravatar.com"
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASKED_EACH_TIME = "no-cache"
# What a browser makes of a file follows from the page that loads it.
_OF_ASSETS = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}


@dataclass(slots=True)
class _File:
    """A file as it is sent: its type, how long it is kept, what it is known by, and its content,
    plain and compressed."""

    media: str
    kept: str
    tag: str
    plain: bytes
    packed: Mapping[str, bytes] = field(default_factory=dict)

    def compress(self) -> None:
        """Compresses the content: 10 ms for a file of usual size."""
        # Browsers take the smaller one over TLS, and from this machine.
        self.packed = {
            "br": brotli.compress(self.plain),
            "gzip": gzip.compress(self.plain, 9, mtime=0),
        }


class Pages:
    """Sends the pages and what they are made of. With `gravatar`, they may show its pictures."""

    def __init__(self, gravatar: bool) -> None:
        folder = files("regulars").joinpath("web")
        found = {one.name: _COMMENT.sub(b"", one.read_bytes()) for one in folder.iterdir()}
        digest = hashlib.sha256()
        for name in sorted(found):
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(found[name]), found[name]))
        self._version = digest.hexdigest()[:16]
        page = found.pop(_PAGE).decode()
        page = page.replace("{{assets}}", f"{ASSETS}/{self._version}")
        page = page.replace("{{gravatar}}", _GRAVATAR if gravatar else "")
        self._page = _file(_PAGE, page.encode(), _ASKED_EACH_TIME)
        self._page.compress()
        self._assets = {name: _file(name, content, _FOR_GOOD) for name, content in found.items()}
        self._security = _security(gravatar)

    async def page(self, request: Request) -> Response:
        """The page."""
        return self._answer(request, self._page)

    def missing(self, request: Request) -> Response | None:
        """The page, for a browser that asks for an address where there is none; None for others."""
        if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
            return None
        answer = self._answer(request, self._page)
        answer.status_code = 404
        return answer

    async def asset(self, request: Request) -> Response:
        """What the page is made of."""
        version, name = (request.path_params[part] for part in ("version", "name"))
        known = self._assets.get(name) if version == self._version else None
        if known and not known.packed:  # all of them together would delay each start by 0.3 s
            await asyncio.to_thread(known.compress)
        return self._answer(request, known)

    def _answer(self, request: Request, file: _File | None) -> Response:
        headers = headers_by_name(request.scope["headers"])
        request_id = request_id_of(headers)
        try:
            if file is None:
                raise not_found("This is of another version of the pages. Load the page again.")
            if request.method not in ("GET", "HEAD"):
                raise method_not_allowed(request.method, "GET, HEAD", "Pages are read by GET.")
        except HTTPError as error:
            return starlette_error(error, request_id)
        told = {
            **(self._security if file is self._page else _OF_ASSETS),
            "cache-control": file.kept,
            "etag": file.tag,
            "vary": "accept-encoding",
            "x-request-id": request_id.decode(),
        }
        if headers.get(b"if-none-match") == file.tag.encode():
            return Response(status_code=304, headers=told)
        content = file.plain
        accepted = headers.get(b"accept-encoding", b"").decode("latin-1")
        for encoding, packed in file.packed.items():
            if encoding in accepted:
                content = packed
                told["content-encoding"] = encoding
                break
        return Response(content, headers=told, media_type=file.media)


def _file(name: str, content: bytes, kept: str) -> _File:
    media = _TYPES[name.rpartition(".")[2]]
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(media, kept, tag, content)


def _security(gravatar: bool) -> dict[str, str]:
    """What a browser lets the pages do: nothing but load their own files, ask their own server and,
    where it is allowed, show pictures of gravatar.com. No text becomes markup or a script (Content
    Security Policy Level 3; Trusted Types)."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": f"'self' {_GRAVATAR}" if gravatar else "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    told = {name.decode(): value.decode() for name, value in SECURITY}
    return {
        **told,
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
