"""What HTTP itself refuses: each case its status, its key and its sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from regulars.api.errors import UNAVAILABLE
from regulars.core.errors import DuplicateEmail, MissingScope, OtherRequest, RegularsError
from regulars.graphql import DOCUMENT_LIMIT, Fault, InvalidDocument, error_entry

Headers = Sequence[tuple[bytes, bytes]]

UNAUTHENTICATED = "errors_unauthenticated"
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
    """An answer other than GraphQL's own: status, fault and headers."""

    def __init__(self, status: int, key: str, message: str, headers: Headers = ()) -> None:
        super().__init__(key)
        self.status = status
        self.fault = Fault(message, key)
        self.headers = headers


def bad_request(message: str) -> HTTPError:
    """A request that makes no sense."""
    return HTTPError(400, BAD_REQUEST, message)


def nul_in_address() -> HTTPError:
    """A NUL character in the path or in the query string."""
    return bad_request("The address has a NUL character (%00). Remove it.")


def unauthenticated() -> HTTPError:
    """No token, or one that opens nothing: the answer does not say why."""
    message = (
        "A valid token is needed: send the header Authorization: Bearer TOKEN. "
        "`regulars token create` makes one."
    )
    return HTTPError(401, UNAUTHENTICATED, message, [(b"www-authenticate", b"Bearer")])


def signed_out() -> HTTPError:
    """No session, or one that has ended; a token or a link that begins none."""
    message = (
        "The token or the link is not valid: it may have been used, revoked, or have ended. "
        "`regulars token create --link` makes a new link, `regulars token create` a token."
    )
    return HTTPError(401, UNAUTHENTICATED, message)


def cross_site() -> HTTPError:
    """A request that another site's page had a browser send."""
    message = (
        "A session is for the pages of this server alone, and the request was made by another "
        "site. From a program, send a token: Authorization: Bearer TOKEN."
    )
    return HTTPError(403, CROSS_SITE, message)


def bad_signature() -> HTTPError:
    """An event that is not signed with a secret of its account, or of an account that there is not:
    the answer does not say which."""
    message = (
        "The event is not signed with this account's secret: lightfunnels-hmac is base64 of "
        "HMAC-SHA256 of the body. See `regulars inbox secret` and `regulars webhook-secret show`."
    )
    return HTTPError(401, SIGNATURE, message)


def earlier_event_missing() -> HTTPError:
    """An event of another Regulars that came before one that it needs."""
    message = (
        "Another customer has this email, and an event that changes it has not arrived. Nothing "
        "was done. Send the event again later."
    )
    return HTTPError(409, DuplicateEmail.key, message, [_retry_after(1)])


def forbidden(scope: str) -> HTTPError:
    """A token that lacks a scope."""
    return HTTPError(403, MissingScope.key, MissingScope(scope).message)


def method_not_allowed(method: str, allowed: str, message: str = "") -> HTTPError:
    """A method that the address does not take."""
    text = (
        message or f"{method[:20]} is not a method of this address. Use POST, or GET for a query."
    )
    return HTTPError(405, METHOD, text, [(b"allow", allowed.encode())])


def unsupported_media_type(given: str) -> HTTPError:
    """A body that is not JSON by its own account."""
    what = f"{given[:100]!r} is not understood" if given else "The content type is missing"
    return HTTPError(415, MEDIA_TYPE, f"{what}. Send the request as application/json.")


def body_limit(most: int) -> HTTPError:
    """A body over the limit."""
    message = f"The body is larger than {most:,} bytes (REGULARS_MAX_BODY_BYTES)."
    return HTTPError(413, BODY_LIMIT, message)


def upload_limit(most: int) -> HTTPError:
    """A file over the limit."""
    message = (
        f"The file is larger than {most:,} bytes (REGULARS_MAX_IMPORT_BYTES). Compress it with "
        "gzip, send it in parts, or use the command regulars import."
    )
    return HTTPError(413, BODY_LIMIT, message, [(b"connection", b"close")])


def header_limit(most: int) -> HTTPError:
    """Headers over the limit."""
    message = (
        f"The request line and the headers have more than {most:,} bytes "
        "(REGULARS_MAX_HEADER_BYTES)."
    )
    return HTTPError(431, HEADER_LIMIT, message)


def framing_limit(most: int) -> HTTPError:
    """Chunk sizes, extensions and trailers over the limit."""
    message = (
        f"The chunk sizes, chunk extensions or trailers of the body have more than {most:,} bytes "
        "(REGULARS_MAX_HEADER_BYTES). Send larger chunks, without extensions and trailers."
    )
    return HTTPError(431, HEADER_LIMIT, message)


def receive_timeout(seconds: float) -> HTTPError:
    """A request that does not arrive."""
    message = (
        f"The request did not arrive within {seconds:g} s (REGULARS_RECEIVE_SECONDS). "
        "Send it again, whole."
    )
    return HTTPError(408, TOO_SLOW_TO_ARRIVE, message)


def too_many_exports(most: int, of_account: bool) -> HTTPError:
    """More concurrent exports than a process allows, to one account or to all."""
    whose = "This account has" if of_account else "The server has"
    message = f"{whose} {most} exports under way. Try again in a few seconds."
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(5)])


def too_many_imports(most: int) -> HTTPError:
    """More files of an account than wait at once."""
    message = (
        f"{most} imports of this account wait already. Nothing was taken: try again when one has "
        "ended, or cancel one."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(60)])


def overloaded(most: int) -> HTTPError:
    """More requests at once than a process works on."""
    message = (
        f"The server works on {most:,} requests already (REGULARS_MAX_REQUESTS). Nothing was done: "
        "try again in a second."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def too_many_of_account(most: int) -> HTTPError:
    """More concurrent requests of one account than half of all."""
    message = (
        f"This account has {most:,} concurrent requests, half of what the server allows "
        "(REGULARS_MAX_REQUESTS). Nothing was done. Try again in a second."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def out_of_buffers() -> HTTPError:
    """A large body that arrives while the process holds too much for slow connections."""
    message = (
        "The server holds too many bytes for slow connections (REGULARS_MAX_BUFFERED_BYTES). "
        "Nothing was done. Try again in a second."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def persisted_query() -> HTTPError:
    """A persisted query that is sent by its hash alone: Apollo's and urql's clients look for this
    message and code, and send the document then."""
    error = HTTPError(200, PERSISTED_QUERY, "PersistedQueryNotSupported")
    code = {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}
    error.fault = Fault("PersistedQueryNotSupported", PERSISTED_QUERY, extensions=code)
    return error


def interrupted() -> HTTPError:
    """A write, in the midst of which a process of the server ended."""
    message = (
        "A process of the server ended in the midst of it. The write may have been made all the "
        "same: send it again with the same Idempotency-Key, or look first."
    )
    return HTTPError(503, UNAVAILABLE, message, [_retry_after(1)])


def rate_limited(rate: int, burst: int, seconds: float) -> HTTPError:
    """A token that has used up its rate."""
    wait = max(1, math.ceil(seconds))
    message = (
        f"The token has used up its rate: {rate:,} points a second, {burst:,} at once "
        f"(REGULARS_RATE_LIMIT, REGULARS_RATE_BURST). Nothing was done: try again in {wait:,} s."
    )
    return HTTPError(429, RATE_LIMIT, message, [_retry_after(wait)])


def cost_limit(cost: int, most: int) -> InvalidDocument:
    """An operation that could return too much."""
    message = (
        f"The request costs {cost:,} points; at most {most:,} are allowed (REGULARS_MAX_COST). "
        "Ask for smaller pages, or for fewer lists within them."
    )
    extensions = {"cost": cost, "limit": most}
    return InvalidDocument([error_entry(Fault(message, DOCUMENT_LIMIT, extensions=extensions))])


def bad_key() -> HTTPError:
    """An Idempotency-Key that is none."""
    return bad_request("An Idempotency-Key is 1 to 255 printable characters of ASCII.")


def bad_change(given: str) -> HTTPError:
    """A Regulars-Change that is no number."""
    return bad_request(
        f"Regulars-Change is the number of a change, as an answer's header has it: {given[:50]!r} "
        "is none. Send the one you were answered, or leave it out."
    )


def other_request() -> HTTPError:
    """A key that was sent with another request."""
    return HTTPError(422, IDEMPOTENCY_KEY, OtherRequest().message)


def still_running() -> HTTPError:
    """A request that was sent again before it was answered."""
    message = "A request with this Idempotency-Key is being worked on. Send it again in a second."
    return HTTPError(409, IDEMPOTENCY_RUNNING, message, [_retry_after(1)])


def _retry_after(seconds: int) -> tuple[bytes, bytes]:
    return (b"retry-after", b"%d" % seconds)


RETRY = _retry_after(1)


def not_found(message: str = "") -> HTTPError:
    """An address where there is nothing."""
    message = message or "There is nothing at this address. GraphQL is at POST /api/v2."
    return HTTPError(404, NOT_FOUND, message)
