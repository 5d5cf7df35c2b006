"""What is told of each request: a line of the log, and the figures."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.directory.accounts import Grant
from regulars.http import log
from regulars.http.metrics import Metrics

_NAME_LENGTH = 100


class Call:
    """What becomes known of a request on its way."""

    __slots__ = ("cost", "grant", "identity", "keys", "kind", "media", "operation")

    def __init__(self, identity: bytes, media: bytes) -> None:
        self.identity = identity
        self.media = media
        self.grant: Grant | None = None
        self.operation = ""
        self.kind = "none"
        self.cost = 0
        self.keys: Sequence[str] = ()


class Observer:
    """Tells of requests."""

    def __init__(self, metrics: Metrics, log_requests: bool) -> None:
        self._metrics = metrics
        self._log_requests = log_requests

    def document(self, hit: bool) -> None:
        self._metrics.document(hit)

    def answered(self, call: Call, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        operation = call.operation[:_NAME_LENGTH]
        self._metrics.request(operation, call.kind, status, seconds, call.keys)
        if self._log_requests:
            grant = call.grant
            told = log.line(
                "info",
                "request",
                request_id=call.identity.decode(),
                method=method if method in ("GET", "POST", "OPTIONS") else "other",
                status=status,
                ms=round(seconds * 1000, 3),
                operation=operation,
                kind=call.kind,
                cost=call.cost,
                account=grant.account_id if grant else None,
                token=grant.token_id if grant else None,
                errors=call.keys,
            )
            log.write(told)
