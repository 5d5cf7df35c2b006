"""Reads requests and builds responses without Starlette.

The endpoint serves thousands of requests per second. Starlette's objects for requests and responses
would take a fifth of that time.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from regulars.http.errors import bad_request, body_limit, persisted_query, unsupported_media_type

RequestHeaders = Mapping[bytes, bytes]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# The header with the number of an account's last change: one that a response includes, or one that
# a request requires.
CHANGE = b"regulars-change"

JSON = b"application/json"
GRAPHQL_RESPONSE = b"application/graphql-response+json"

# New request ids have a random number of the process and a counter.
_PROCESS = secrets.token_hex(4).encode()
_COUNT = itertools.count(1)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class GraphQLRequest(NamedTuple):
    """A GraphQL request, from a body or a query string of `size_bytes`."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None
    size_bytes: int


class Reply(NamedTuple):
    """A response, ready to be sent."""

    status: int
    content: bytes
    media_type: bytes
    request_id: bytes
    extra_headers: Sequence[tuple[bytes, bytes]] = ()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, in lower case."""
        return [
            (b"content-type", self.media_type),
            (b"content-length", b"%d" % len(self.content)),
            (b"x-request-id", self.request_id),
            *SECURITY,
            *self.extra_headers,
        ]

    def head(self) -> bytes:
        """Returns the serialized headers. They are formatted in one step, because every response
        has them."""
        lines = (b"content-type: %s\r\ncontent-length: %d\r\nx-request-id: %s\r\n%s") % (
            self.media_type,
            len(self.content),
            self.request_id,
            _SECURITY_LINES,
        )
        return lines + header_lines(self.extra_headers) if self.extra_headers else lines


def header_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Returns serialized headers."""
    return b"".join([b"%s: %s\r\n" % header for header in headers])


# Prevents a browser from using a response as anything but JSON (OWASP, REST Security Cheat Sheet,
# "Security Headers"). A proxy adds TLS and the header that requires it.
SECURITY = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_SECURITY_LINES = header_lines(SECURITY)


def index_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Returns the headers of a request by name. Of repeated headers, returns the first."""
    return dict(reversed(headers))


def parse_bearer_token(headers: RequestHeaders) -> str:
    """Returns the token in the Authorization header, or an empty string."""
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if authorization.startswith("Bearer "):  # as nearly all clients write it
        return authorization[7:].strip()
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def choose_request_id(headers: RequestHeaders) -> bytes:
    """Returns the request id of the client if it is valid, or a new one."""
    request_id = headers.get(b"x-request-id")
    if request_id is not None and _REQUEST_ID.fullmatch(request_id):
        return request_id
    return b"%s%08x" % (_PROCESS, next(_COUNT))


def negotiate_media_type(headers: RequestHeaders) -> bytes:
    """Returns the media type of the response: JSON, unless the Accept header prefers
    application/graphql-response+json."""
    accepted = headers.get(b"accept")
    if accepted is None or GRAPHQL_RESPONSE not in (accepted := accepted.lower()):
        return JSON
    weights = {JSON: -1.0, GRAPHQL_RESPONSE: -1.0}
    for part in accepted.split(b","):
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        if name in weights:
            weights[name] = _weight(parameters)
    preferred = weights[GRAPHQL_RESPONSE] > 0 and weights[GRAPHQL_RESPONSE] >= weights[JSON]
    return GRAPHQL_RESPONSE if preferred else JSON


def _weight(parameters: Sequence[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """Returns the body of a request. Raises HTTPError: 413 for more than `max_bytes`, 400 if the
    connection ends."""
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request(
                "The connection closed before the body was complete. Send the complete request "
                "again."
            )
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > max_bytes:
            raise body_limit(max_bytes)  # the protocol discards the rest
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_content_type(headers: RequestHeaders) -> None:
    """Raises HTTPError (415) unless the headers declare an uncompressed body of JSON in UTF-8."""
    if b"content-encoding" in headers:
        encoding = headers[b"content-encoding"].decode("latin-1")
        if encoding.lower() not in ("", "identity"):
            raise unsupported_media_type(f"content-encoding: {encoding}")
    if headers.get(b"content-type") == JSON:
        return
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    name, _, parameters = content_type.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if name.strip().lower() != "application/json" or (
        charset and charset[1].lower() not in ("utf-8", "utf8")
    ):
        raise unsupported_media_type(content_type)


def parse_body(body: bytes) -> GraphQLRequest:
    """Returns the request in a JSON body. Raises HTTPError (400) if it is malformed."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"The body is not JSON in UTF-8: {error}.") from error
    if isinstance(decoded, list):
        raise bad_request("The body is an array. Send one operation in each request.")
    if not isinstance(decoded, dict):
        raise bad_request('The body is not a JSON object such as `{"query": "…"}`.')
    return _request(decoded, len(body))


def parse_query_string(query_string: bytes, headers: RequestHeaders) -> GraphQLRequest:
    """Returns the request in a query string. Raises HTTPError (400) if it is malformed."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
        params: dict[str, Any] = dict(pairs)
    except ValueError as error:
        raise bad_request("The query string is not percent-encoded UTF-8. Encode it.") from error
    for name in ("variables", "extensions"):
        if params.get(name):
            try:
                params[name] = orjson.loads(params[name])
            except orjson.JSONDecodeError as error:
                raise bad_request(f"`{name}` in the query string is not JSON: {error}.") from error
        else:
            params.pop(name, None)
    has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
    if has_body and "query" not in params and "extensions" not in params:
        raise bad_request(
            "A GET request must have its query in the URL, such as `/api/v2?query=…`. Its body "
            "is not read. Move `query` to the URL, or use POST."
        )
    return _request(params, len(query_string))


def _request(params: dict[str, Any], size_bytes: int) -> GraphQLRequest:
    query = params.get("query")
    if not query and _is_persisted(params.get("extensions")):
        raise persisted_query()
    if not isinstance(query, str):
        raise bad_request("`query` is missing or not a string. Send the document as `query`.")
    variables = params.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise bad_request("`variables` is not a JSON object.")
    name = params.get("operationName")
    if name is not None and not isinstance(name, str):
        raise bad_request("`operationName` is not a string.")
    extensions = params.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise bad_request("`extensions` is not a JSON object.")
    return GraphQLRequest(query, variables or {}, name or None, size_bytes)


def _is_persisted(extensions: Any) -> bool:
    return isinstance(extensions, dict) and isinstance(extensions.get("persistedQuery"), dict)


def build_json_reply(
    status: int,
    body: Any,
    media_type: bytes,
    request_id: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Reply:
    """Returns a response whose body is serialized as JSON."""
    return Reply(status, orjson.dumps(body), media_type, request_id, headers)


def change_header(number: int | None) -> list[tuple[bytes, bytes]]:
    """Returns the header with the number of an account's last change, or no header if it is
    unknown."""
    return [] if number is None else [(CHANGE, b"%d" % number)]


async def send_reply(send: Send, reply: Reply) -> None:
    """Sends a response through ASGI."""
    head = {
        "type": "http.response.start",
        "status": reply.status,
        "headers": reply.headers,
    }
    await send(head)
    await send({"type": "http.response.body", "body": reply.content})
