"""The errors of the HTTP layer. Each function returns an error with its status, key and message."""

from __future__ import annotations

import math
from collections.abc import Sequence

from regulars.api.errors import UNAVAILABLE
from regulars.core.counts import count_of
from regulars.core.errors import DuplicateEmail, MissingScope, OtherRequest, RegularsError
from regulars.graphql import DOCUMENT_LIMIT, Fault, InvalidDocument, error_entry

Headers = Sequence[tuple[bytes, bytes]]

UNAUTHENTICATED = "errors_unauthenticated"
ACCOUNT_DISABLED = "errors_account_disabled"
BAD_REQUEST = "errors_bad_request"
PERSISTED_QUERY = "errors_persisted_query"
BODY_LIMIT = "errors_body_limit"
MEDIA_TYPE = "errors_media_type"
METHOD = "errors_method"
NOT_FOUND = "errors_not_found"
HEADER_LIMIT = "errors_header_limit"
TOO_SLOW_TO_ARRIVE = "errors_receive_timeout"
SIGNATURE = "errors_signature"
CROSS_SITE = "errors_cross_site"
RATE_LIMIT = "rate_limit_reached"
IDEMPOTENCY_KEY = "errors_idempotency_key"
IDEMPOTENCY_RUNNING = "errors_idempotency_running"


class HTTPError(RegularsError):
    """An error that has an HTTP status. `headers` are added to the response."""

    def __init__(self, status: int, key: str, message: str, headers: Headers = ()) -> None:
        super().__init__(key)
        self.status = status
        self.fault = Fault(message, key)
        self.headers = headers


def bad_request(message: str) -> HTTPError:
    """Returns the error for a malformed request: status 400."""
    return HTTPError(400, BAD_REQUEST, message)


def nul_in_address() -> HTTPError:
    """Returns the error for a NUL character in the path or the query string: status 400."""
    return bad_request("The URL contains a NUL character (`%00`). Remove it.")


def unauthenticated() -> HTTPError:
    """Returns the error for a missing or invalid token: status 401. It does not reveal the
    reason."""
    message = (
        "This request needs a valid token. Send the header `Authorization: Bearer TOKEN`. "
        "Create a token with `regulars token create`."
    )
    return HTTPError(401, UNAUTHENTICATED, message, [(b"www-authenticate", b"Bearer")])


def account_disabled() -> HTTPError:
    """Returns the error for a valid token or signature of a disabled account: status 403."""
    message = (
        "The account is disabled. Nothing of it was changed or deleted. "
        "Ask the operator to enable it: regulars account enable NAME."
    )
    return HTTPError(403, ACCOUNT_DISABLED, message)


def signed_out() -> HTTPError:
    """Returns the error for a token or a sign-in link that starts no session: status 401."""
    message = (
        "The token or sign-in link is not valid. It may have been used, revoked or expired. "
        "Create a new link with `regulars token create --link`, or a token with `regulars token "
        "create`."
    )
    return HTTPError(401, UNAUTHENTICATED, message)


def cross_site() -> HTTPError:
    """Returns the error for a request from a page of another site: status 403."""
    message = (
        "A session works only on the pages of this server, and this request came from another "
        "site. In a program, send a token: `Authorization: Bearer TOKEN`."
    )
    return HTTPError(403, CROSS_SITE, message)


def bad_signature() -> HTTPError:
    """Returns the error for an event without a valid signature, or for an unknown account: status
    401. It does not reveal which of the two."""
    message = (
        "The event has no valid signature of this account. `lightfunnels-hmac` must be base64 "
        "of HMAC-SHA256 of the body. See `regulars inbox secret` and `regulars webhook-secret "
        "show`."
    )
    return HTTPError(401, SIGNATURE, message)


def earlier_event_missing() -> HTTPError:
    """Returns the error for a mirrored event that depends on an event that has not arrived: 409."""
    message = (
        "An earlier event has not arrived yet: another customer still has this email, or this "
        "customer is still deleted. Nothing was saved. Send the event again later."
    )
    return HTTPError(409, DuplicateEmail.key, message, [_retry_after(1)])


def forbidden(scope: str) -> HTTPError:
    """Returns the error for a token that lacks a scope: status 403."""
    return HTTPError(403, MissingScope.key, MissingScope(scope).message)


def method_not_allowed(method: str, allowed: str, message: str = "") -> HTTPError:
    """Returns the error for a method that the path does not support: status 405."""
    text = (
        message
        or f"This path does not support the method `{method[:20]}`. Use POST, or GET for a query."
    )
    return HTTPError(405, METHOD, text, [(b"allow", allowed.encode())])


def unsupported_media_type(media_type: str) -> HTTPError:
    """Returns the error for a body whose headers do not declare JSON: status 415."""
    problem = (
        f"The content type `{media_type[:100]}` is not supported"
        if media_type
        else "The header `Content-Type` is missing"
    )
    return HTTPError(415, MEDIA_TYPE, f"{problem}. Send the request as `application/json`.")


def body_limit(max_bytes: int) -> HTTPError:
    """Returns the error for a body over the limit: status 413."""
    message = (
        f"The body is larger than {max_bytes:,} bytes (`REGULARS_MAX_BODY_BYTES`). Send less in "
        "one request."
    )
    return HTTPError(413, BODY_LIMIT, message)


def upload_limit(max_bytes: int) -> HTTPError:
    """Returns the error for a file over the limit: status 413. Ends the connection."""
    message = (
        f"The file is larger than {max_bytes:,} bytes (`REGULARS_MAX_IMPORT_BYTES`). Compress "
        "it with gzip, split it, or use the command `regulars import`."
    )
    return HTTPError(413, BODY_LIMIT, message, [(b"connection", b"close")])


def header_limit(max_bytes: int) -> HTTPError:
    """Returns the error for headers over the limit: status 431."""
    message = (
        f"The request line and the headers are larger than {max_bytes:,} bytes "
        "(`REGULARS_MAX_HEADER_BYTES`). Shorten them, and send long queries by POST."
    )
    return HTTPError(431, HEADER_LIMIT, message)


def framing_limit(max_bytes: int) -> HTTPError:
    """Returns the error for chunk sizes, extensions and trailers over the limit: status 431."""
    message = (
        "The chunk sizes, chunk extensions or trailers of the body are larger than "
        f"{max_bytes:,} bytes (`REGULARS_MAX_HEADER_BYTES`). Send larger chunks, without "
        "extensions and trailers."
    )
    return HTTPError(431, HEADER_LIMIT, message)


def receive_timeout(seconds: float) -> HTTPError:
    """Returns the error for a request that does not arrive in time: status 408."""
    message = (
        f"The request was not received within {seconds:g} s (`REGULARS_RECEIVE_SECONDS`). Send "
        "the complete request again."
    )
    return HTTPError(408, TOO_SLOW_TO_ARRIVE, message)


def too_many_exports(max_exports: int, is_account_limit: bool) -> HTTPError:
    """Returns the error for more concurrent exports than a process allows: status 503. The limit is
    that of one account or that of all accounts together."""
    subject = "This account has" if is_account_limit else "The server has"
    message = (
        f"{subject} {max_exports} exports in progress, the maximum. Try again in a few seconds."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(5)])


def too_many_imports(max_imports: int) -> HTTPError:
    """Returns the error for more waiting imports than an account may have: status 503."""
    message = (
        f"This account already has {max_imports} waiting imports. The file was not stored. Try "
        "again when an import has finished, or cancel one."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(60)])


def overloaded(max_requests: int) -> HTTPError:
    """Returns the error for more concurrent requests than a process allows: status 503."""
    message = (
        f"The server already runs {count_of(max_requests, 'request')}, the maximum "
        "(`REGULARS_MAX_REQUESTS`). This request was not executed. Try again in a second."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def too_many_of_account(max_requests: int) -> HTTPError:
    """Returns the error for more concurrent requests than one account may have: status 503."""
    message = (
        f"This account has {count_of(max_requests, 'concurrent request')}, half of the server's "
        "limit (`REGULARS_MAX_REQUESTS`). This request was not executed. Try again in a second."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def out_of_buffers() -> HTTPError:
    """Returns the error for a large body while the buffer budget is used up: status 503."""
    message = (
        "The buffers for slow connections are full (`REGULARS_MAX_BUFFERED_BYTES`). This "
        "request was not executed. Try again in a second."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def persisted_query() -> HTTPError:
    """Returns the error for a persisted query, which is sent by its hash alone: status 200. The
    clients of Apollo and urql recognize this message and code, and send the document."""
    error = HTTPError(200, PERSISTED_QUERY, "PersistedQueryNotSupported")
    code = {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}
    error.fault = Fault("PersistedQueryNotSupported", PERSISTED_QUERY, extensions=code)
    return error


def interrupted() -> HTTPError:
    """Returns the error for a write whose process exited before the outcome was known: status
    503."""
    message = (
        "A server process exited during the request. The write may have been saved. Send it "
        "again with the same `Idempotency-Key`, or read the data first."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def rate_limited(rate: int, burst: int, wait_seconds: float) -> HTTPError:
    """Returns the error for a token over its rate limit: status 429. `rate` is in points per
    second, `burst` in points."""
    retry_seconds = max(1, math.ceil(wait_seconds))
    message = (
        f"The token has exceeded its rate limit: {rate:,} points per second, bursts of "
        f"{burst:,} (`REGULARS_RATE_LIMIT`, `REGULARS_RATE_BURST`). This request was not "
        f"executed. Try again in {retry_seconds:,} s."
    )
    return HTTPError(429, RATE_LIMIT, message, [_retry_after(retry_seconds)])


def cost_limit(cost: int, max_cost: int) -> InvalidDocument:
    """Returns the error for an operation that costs too many points."""
    message = (
        f"The request costs {cost:,} points; the maximum is {max_cost:,} "
        "(`REGULARS_MAX_COST`). Request smaller pages or fewer lists."
    )
    extensions = {"cost": cost, "limit": max_cost}
    return InvalidDocument([error_entry(Fault(message, DOCUMENT_LIMIT, extensions=extensions))])


def bad_key() -> HTTPError:
    """Returns the error for an invalid Idempotency-Key: status 400."""
    return bad_request("`Idempotency-Key` must be 1 to 255 printable ASCII characters.")


def bad_change(value: str) -> HTTPError:
    """Returns the error for a Regulars-Change that is not a number: status 400."""
    return bad_request(
        f"`Regulars-Change` must be the number of a change, but it is {value[:50]!r}. Send the "
        "value from a response header, or omit the header."
    )


def other_request() -> HTTPError:
    """Returns the error for an Idempotency-Key that belongs to another request: status 422."""
    return HTTPError(422, IDEMPOTENCY_KEY, OtherRequest().message)


def still_running() -> HTTPError:
    """Returns the error for an Idempotency-Key whose request is in progress: status 409."""
    message = "A request with this `Idempotency-Key` is still running. Send it again in a second."
    return HTTPError(409, IDEMPOTENCY_RUNNING, message, [_retry_after(1)])


def _retry_after(seconds: int) -> tuple[bytes, bytes]:
    return (b"retry-after", b"%d" % seconds)


RETRY = _retry_after(1)


def not_found(message: str = "") -> HTTPError:
    """Returns the error for an unknown path: status 404."""
    message = message or "This path does not exist. The GraphQL endpoint is `POST /api/v2`."
    return HTTPError(404, NOT_FOUND, message)
