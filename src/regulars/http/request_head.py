"""Checks the head of a request where the parser does not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import httptools

from regulars.http.errors import HTTPError, bad_request, method_not_allowed

# RFC 9110, 7.2 and RFC 3986, 3.2.2: a name, an IPv4 address or an IPv6 address in brackets, and a
# port. An empty value is valid for a target without an authority.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) \S+ HTTP/1\.[01]\r\n")
# A proxy in front of the server could read repeated headers of these names differently.
_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"authorization")


def check_headers(
    lines: Sequence[tuple[bytes, bytes]], headers: Mapping[bytes, bytes], version: str
) -> None:
    """Raises HTTPError (400) for headers that a proxy could read differently. `lines` has all
    headers, and `headers` the first of each name."""
    host = headers.get(b"host")
    names = [name for name, _ in lines]
    problem = ""
    if host is None:
        if version != "1.0":
            problem = "The header `Host` is missing. Send it."
    elif not _HOST.fullmatch(host):
        problem = "The header `Host` is not a host name with an optional port."
    for name in _SINGLE:
        if names.count(name) > 1:
            problem = f"The request has several `{name.decode().title()}` headers. Send one."
    if problem:
        raise bad_request(problem)


def check_transfer_encoding(encoding: bytes, version: str) -> None:
    """Raises HTTPError (400) for a transfer encoding other than `chunked` in HTTP/1.1."""
    if encoding.strip().lower() != b"chunked" or version != "1.1":
        raise bad_request(
            "The only supported transfer encoding is `chunked`, in HTTP/1.1. Send the body with "
            "`Content-Length`."
        )


def check_version(version: str) -> None:
    """Raises HTTPError (400) for a version other than HTTP/1.0 and HTTP/1.1."""
    if version not in ("1.0", "1.1"):
        raise bad_request(f"HTTP/{version} is not supported. Send HTTP/1.1.")


def split_target(url: bytes) -> tuple[bytes, bytes]:
    """Returns the path and the query of a request target (RFC 9112, 3.2)."""
    if url == b"*":
        return url, b""
    parsed = httptools.parse_url(url)
    return parsed.path or b"/", parsed.query or b""


def unknown_method(data: bytes) -> HTTPError:
    """Returns the error for bytes whose method the parser does not know."""
    match = _REQUEST_LINE.match(data)
    if match is None:
        return bad_request("The request line is not valid HTTP. Send HTTP/1.1.")
    return method_not_allowed(match[1].decode(), "GET, POST")
