"""Cross-origin resource sharing (Fetch standard, section 3.2): lets pages of configured origins
call the API. The API needs no cookies for that, so credentials are never allowed."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.http.errors import Headers
from regulars.http.messages import RequestHeaders

_EXPOSED = b"Idempotent-Replayed, Regulars-Change, Retry-After, X-Request-Id"
_METHODS = b"GET, POST"
# The headers of the API, of Apollo's and other GraphQL clients, and of tracing (W3C Trace Context).
_ALLOWED_HEADERS = (
    b"Accept, Authorization, Content-Type, Idempotency-Key, Regulars-Change, Regulars-Cost, "
    b"X-Request-Id, Apollographql-Client-Name, Apollographql-Client-Version, "
    b"Apollo-Require-Preflight, X-Apollo-Operation-Name, X-Apollo-Operation-Id, "
    b"X-Apollo-Operation-Type, X-Apollo-Cache-Key, X-Apollo-Cache-Fetch-Strategy, "
    b"GraphQL-Require-Preflight, GraphQL-Preflight, X-Requested-With, Traceparent, Tracestate, "
    b"Baggage"
)
_PREFLIGHT_SECONDS = b"7200"


class CORS:
    """The CORS headers for a list of allowed origins. `*` allows every origin."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = {origin.encode() for origin in origins}

    def headers(self, request: RequestHeaders) -> Headers:
        """Returns the headers that let a page of an allowed origin read the response. `Vary` is
        always included, because a cache must know that responses depend on the origin."""
        origin = request.get(b"origin")
        vary = (b"vary", b"Origin")
        if origin is None or not self._allows(origin):
            return [vary]
        return [
            vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def preflight(self, request: RequestHeaders) -> Headers | None:
        """Returns the headers of the response to a preflight request. Returns None for other
        requests, and for origins that are not allowed."""
        origin = request.get(b"origin")
        if origin is None or b"access-control-request-method" not in request:
            return None
        if not self._allows(origin):
            return None
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]

    def _allows(self, origin: bytes) -> bool:
        return origin in self._origins or b"*" in self._origins
