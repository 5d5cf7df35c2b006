"""Serves the web pages: files of HTML, CSS and JavaScript, without their comments.

The files are read once, when the server starts. Their URLs have a hash of the content, so that a
browser caches them for good, and revalidates only the page itself.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

import brotli
from starlette.requests import Request
from starlette.responses import Response

from regulars.customers.fields import described
from regulars.http.errors import HTTPError, method_not_allowed, not_found
from regulars.http.messages import SECURITY, headers_by_name, request_id_of
from regulars.http.route_handler import starlette_error

ASSETS = "/assets"
_PAGE = "index.html"
# The one list of the pages: each route has `path: "/webhooks/:number"`.
_ROUTES = "routes.js"
_ROUTE_PATH = re.compile(r'\bpath: "(/[^"]*)"')
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Comments on lines of their own and indentation: an eighth of the bytes.
_COMMENT = re.compile(rb"^[ ]*(?:/\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_INDENTATION = re.compile(rb"\n[ \n]+")
# What the pages use of a declaration.
_FIELD_KEYS = ("name", "kind", "is_writable", "sort", "in_history", "sources")
_GRAVATAR = "https://www.gravatar.com"
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATED = "no-cache"
# The page that loads an asset has the other security headers.
_ASSET_HEADERS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(slots=True)
class _File:
    """A file as it is sent: its media type, caching, entity tag, and content, plain and encoded."""

    media_type: str
    cache_control: str
    etag: str
    plain: bytes
    encoded: Mapping[str, bytes] = field(default_factory=dict)

    def compress(self) -> None:
        """Compress the content: 10 ms for a file of usual size."""
        # In order of preference. Browsers accept Brotli only over TLS and on localhost.
        self.encoded = {
            "br": brotli.compress(self.plain),
            "gzip": gzip.compress(self.plain, 9, mtime=0),
        }


class Pages:
    """Serves the page and its assets. With `gravatar`, the page may load pictures from there."""

    def __init__(self, gravatar: bool) -> None:
        folder = files("regulars").joinpath("web")
        contents = {file.name: _minify(file.read_bytes()) for file in folder.iterdir()}
        contents["fields.js"] = contents["fields.js"].replace(b"{{fields}}", _customer_fields())
        digest = hashlib.sha256()
        for name in sorted(contents):
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(contents[name]), contents[name]))
        self._version = digest.hexdigest()[:16]
        routes = _ROUTE_PATH.findall(contents[_ROUTES].decode())
        # The paths of the pages, as Starlette writes them: `/webhooks/{number}`.
        self.paths = ["/", *(re.sub(r":(\w+)", r"{\1}", path) for path in routes)]
        page = contents.pop(_PAGE).decode()
        page = page.replace("{{assets}}", f"{ASSETS}/{self._version}")
        page = page.replace("{{gravatar}}", _GRAVATAR if gravatar else "")
        self._page = _file(_PAGE, page.encode(), _REVALIDATED)
        self._page.compress()
        self._assets = {
            name: _file(name, content, _IMMUTABLE) for name, content in contents.items()
        }
        self._security = _security(gravatar)

    async def page(self, request: Request) -> Response:
        """Return the page. It shows what its URL names."""
        return self._respond(request, self._page)

    def missing(self, request: Request) -> Response | None:
        """Return the page with status 404 for a browser at an unknown URL; None for others."""
        if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
            return None
        response = self._respond(request, self._page)
        response.status_code = 404
        return response

    async def asset(self, request: Request) -> Response:
        """Return a file that the page loads."""
        version, name = (request.path_params[part] for part in ("version", "name"))
        file = self._assets.get(name) if version == self._version else None
        if file and not file.encoded:  # to compress all of them would delay each start by 0.3 s
            await asyncio.to_thread(file.compress)
        return self._respond(request, file)

    def _respond(self, request: Request, file: _File | None) -> Response:
        headers = headers_by_name(request.scope["headers"])
        identity = request_id_of(headers)
        try:
            if file is None:
                raise not_found("This is of another version of the pages. Load the page again.")
            if request.method not in ("GET", "HEAD"):
                raise method_not_allowed(request.method, "GET, HEAD", "Pages are read by GET.")
        except HTTPError as error:
            return starlette_error(error, identity)
        response_headers = {
            **(self._security if file is self._page else _ASSET_HEADERS),
            "cache-control": file.cache_control,
            "etag": file.etag,
            "vary": "accept-encoding",
            "x-request-id": identity.decode(),
        }
        if headers.get(b"if-none-match") == file.etag.encode():
            return Response(status_code=304, headers=response_headers)
        content = file.plain
        accepted = headers.get(b"accept-encoding", b"").decode("latin-1")
        for encoding, encoded in file.encoded.items():
            if encoding in accepted:
                content = encoded
                response_headers["content-encoding"] = encoding
                break
        return Response(content, headers=response_headers, media_type=file.media_type)


def _minify(content: bytes) -> bytes:
    """Return a file without comments and indentation, except in template literals."""
    parts = _COMMENT.sub(b"", content).split(b"`")
    parts[::2] = [_INDENTATION.sub(b"\n", part) for part in parts[::2]]
    return b"`".join(parts)


def _customer_fields() -> bytes:
    """Return the declarations of the customer's fields that the pages use, as JSON."""
    fields = [
        {key: declared[key] for key in _FIELD_KEYS if declared.get(key)}
        for declared in described()
        if declared["in_api"]
    ]
    return json.dumps(fields, separators=(",", ":")).encode()


def _file(name: str, content: bytes, cache_control: str) -> _File:
    media_type = _TYPES[name.rpartition(".")[2]]
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(media_type, cache_control, etag, content)


def _security(gravatar: bool) -> dict[str, str]:
    """Return the security headers of the page: it loads its own files, requests its own server and,
    if `gravatar` is set, shows pictures from there. No text becomes markup or a script (Content
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
    return {
        **{name.decode(): value.decode() for name, value in SECURITY},
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
