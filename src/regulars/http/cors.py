"""Cross-origin resource sharing (the Fetch standard, section 3.2): which pages may call the API.

None but those whose origins are configured. Nothing here depends on cookies, so that credentials
are never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from regulars.http.errors import Headers
from regulars.http.messages import RequestHeaders

_EXPOSED = b"Idempotent-Replayed, Regulars-Change, Retry-After, X-Request-Id"
_METHODS = b"GET, POST"
# Ours, those that Apollo's and other GraphQL clients add, and those of tracing (W3C Trace Context).
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
    """The origins whose pages may call the API; `*` is every one."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = {origin.encode() for origin in origins}

    def headers(self, request: RequestHeaders) -> Headers:
        """The headers that let the page read the answer; none for a page that may not. Whoever
        keeps answers must know that they depend on the origin."""
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
        """The answer to a browser that asks before it sends; None for what is not such a
        question, or comes from another origin."""
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
