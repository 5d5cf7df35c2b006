"""Reading requests and writing answers on bare ASGI.

The endpoint answers thousands of requests a second; an object for each request and each answer
would cost a fifth of that.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from regulars.http.errors import bad_request, body_limit, media_type

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"application/json"
GRAPHQL_RESPONSE = b"application/graphql-response+json"

# A sender that is cut off in the middle of its body may never read the answer: what is over the
# limit is read and thrown away, up to this much.
_DRAINED = 64 * 1024 * 1024

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A GraphQL request, however it came."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


def header(scope: Scope, name: bytes) -> bytes:
    """The value of a header, the first if there are several; empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def request_id(scope: Scope) -> str:
    """The id that the client gave the request, if it is a decent one, or a new one."""
    given = header(scope, b"x-request-id")
    return given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def answer_type(scope: Scope) -> bytes:
    """The media type of the answer: JSON, unless the client prefers GraphQL's own."""
    accepted = header(scope, b"accept").lower()
    if GRAPHQL_RESPONSE not in accepted:
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


async def read_body(receive: Receive, most: int) -> bytes:
    """The request's body. Raises HTTPError (413) for more than `most` bytes."""
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request("The connection ended before the body did.")
        chunk = message.get("body", b"")
        length += len(chunk)
        if length <= most:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body", False) or length > _DRAINED:
            break
    if length > most:
        raise body_limit(most)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_content_type(scope: Scope) -> None:
    """Raises HTTPError (415) unless the body is JSON in UTF-8 by its own account."""
    given = header(scope, b"content-type").decode("latin-1")
    name, _, parameters = given.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if name.strip().lower() != "application/json" or (
        charset and charset[1].lower() not in ("utf-8", "utf8")
    ):
        raise media_type(given)
    if header(scope, b"content-encoding").lower() not in (b"", b"identity"):
        raise media_type(
            "content-encoding: " + header(scope, b"content-encoding").decode("latin-1")
        )


def from_body(body: bytes) -> GraphQLRequest:
    """The request in a JSON body. Raises HTTPError (400)."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"The body is not JSON in UTF-8: {error}.") from error
    if isinstance(decoded, list):
        raise bad_request("The body is an array; send one operation a request.")
    if not isinstance(decoded, dict):
        raise bad_request('The body is not a JSON object such as {"query": "…"}.')
    return _request(decoded)


def from_query_string(scope: Scope) -> GraphQLRequest:
    """The request in a query string. Raises HTTPError (400)."""
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict"
        )
        given: dict[str, Any] = dict(pairs)
    except ValueError as error:
        raise bad_request("The query string is not UTF-8, percent-encoded.") from error
    for name in ("variables", "extensions"):
        if given.get(name):
            try:
                given[name] = orjson.loads(given[name])
            except orjson.JSONDecodeError as error:
                raise bad_request(f"{name} in the query string is not JSON: {error}.") from error
        else:
            given.pop(name, None)
    return _request(given)


def _request(given: dict[str, Any]) -> GraphQLRequest:
    query = given.get("query")
    if not isinstance(query, str):
        raise bad_request("The request has no query, or one that is not a string.")
    variables = given.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise bad_request("variables is not a JSON object.")
    name = given.get("operationName")
    if name is not None and not isinstance(name, str):
        raise bad_request("operationName is not a string.")
    if not isinstance(given.get("extensions"), dict | None):
        raise bad_request("extensions is not a JSON object.")
    return GraphQLRequest(query, variables or {}, name or None)


async def send_json(
    send: Send,
    status: int,
    body: Any,
    media: bytes,
    identity: str,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Sends an answer."""
    content = orjson.dumps(body)
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", media),
            (b"content-length", b"%d" % len(content)),
            (b"cache-control", b"no-store"),
            (b"x-request-id", identity.encode()),
            *headers,
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": content})
