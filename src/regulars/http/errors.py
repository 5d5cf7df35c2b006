"""What HTTP itself refuses: each case its status, its key and its sentence."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.graphql import Fault

Headers = Sequence[tuple[bytes, bytes]]

UNAUTHENTICATED = "errors_unauthenticated"
BAD_REQUEST = "errors_bad_request"
BODY_LIMIT = "errors_body_limit"
MEDIA_TYPE = "errors_media_type"
METHOD = "errors_method"
NOT_FOUND = "errors_not_found"


class HTTPError(Exception):
    """An answer other than GraphQL's own: status, fault and headers."""

    def __init__(self, status: int, key: str, message: str, headers: Headers = ()) -> None:
        super().__init__(key)
        self.status = status
        self.fault = Fault(message, key)
        self.headers = headers


def bad_request(message: str) -> HTTPError:
    """A request that makes no sense."""
    return HTTPError(400, BAD_REQUEST, message)


def unauthenticated() -> HTTPError:
    """No token, or one that opens nothing: the answer does not say why."""
    message = (
        "A valid token is needed: send the header Authorization: Bearer TOKEN. "
        "`regulars token create` makes one."
    )
    return HTTPError(401, UNAUTHENTICATED, message, [(b"www-authenticate", b"Bearer")])


def method_not_allowed(method: str, allowed: str, message: str = "") -> HTTPError:
    """A method that the address does not take."""
    text = (
        message or f"{method[:20]} is not a method of this address. Use POST, or GET for a query."
    )
    return HTTPError(405, METHOD, text, [(b"allow", allowed.encode())])


def media_type(given: str) -> HTTPError:
    """A body that is not JSON by its own account."""
    what = f"{given[:100]!r} is not understood" if given else "The content type is missing"
    return HTTPError(415, MEDIA_TYPE, f"{what}. Send the request as application/json.")


def body_limit(most: int) -> HTTPError:
    """A body over the limit."""
    message = f"The body is larger than {most:,} bytes (REGULARS_MAX_BODY_BYTES)."
    return HTTPError(413, BODY_LIMIT, message)


def not_found() -> HTTPError:
    """An address where there is nothing."""
    message = "There is nothing at this address. GraphQL is at POST /api/v2."
    return HTTPError(404, NOT_FOUND, message)
