"""What is told of each request: a line of the log, and the figures.

It is told a moment later, of all the requests of that moment together: measured, that takes a third
of what it takes amid the work for each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from regulars.directory.accounts import Grant
from regulars.http import log
from regulars.http.metrics import Metrics

_EVERY_SECONDS = 0.02
# Of an operation's name, which its client chose, so much is told.
NAME_LENGTH = 100
_METHODS = {"GET": b"GET", "POST": b"POST", "OPTIONS": b"OPTIONS", "DELETE": b"DELETE"}
# A request's line of the log, formatted at once, because every request has one. What stands in it
# needs no escape: a request's id, names of GraphQL and our own words are of plain alphabets.
_LINE = (
    b'{"time":"%s","level":"info","event":"request","request_id":"%s","method":"%s","status":%d,'
    b'"ms":%.3f,"operation":"%s","kind":"%s","cost":%d,"account":%s,"token":%s,"errors":[%s]}\n'
)


class Call:
    """What becomes known of a request on its way, and of its answer: the HTTP status, how long it
    took, and when that was (seconds since 1970)."""

    __slots__ = (
        "at",
        "cost",
        "grant",
        "identity",
        "keys",
        "kind",
        "media",
        "method",
        "operation",
        "seconds",
        "status",
    )

    def __init__(self, method: str, identity: bytes, media: bytes) -> None:
        self.method = method
        self.identity = identity
        self.media = media
        self.grant: Grant | None = None
        self.operation = ""
        self.kind = "none"
        self.cost = 0
        self.keys: Sequence[str] = ()
        self.status = 0
        self.seconds = 0.0
        self.at = 0.0


class Tells(Protocol):
    """Tells of requests."""

    def document(self, hit: bool) -> None: ...

    def answered(self, call: Call, status: int, seconds: float) -> None: ...


class Observer:
    """Tells of requests."""

    def __init__(self, metrics: Metrics, log_requests: bool) -> None:
        self._metrics = metrics
        self._log_requests = log_requests
        self._calls: list[Call] = []
        self._timer: asyncio.TimerHandle | None = None

    def document(self, hit: bool) -> None:
        """A document was kept from before, or was not."""
        self._metrics.document(hit)

    def answered(self, call: Call, status: int, seconds: float) -> None:
        """A request was answered."""
        call.status = status
        call.seconds = seconds
        call.at = time.time()
        self._calls.append(call)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_SECONDS, self.tell)

    def tell(self) -> None:
        """Tells what has not been told yet."""
        self._timer = None
        calls, self._calls = self._calls, []
        self._metrics.requests(calls)
        if self._log_requests and calls:
            log.write(b"".join([_line(call) for call in calls]))


def _line(call: Call) -> bytes:
    grant = call.grant
    return _LINE % (
        log.moment(call.at),
        call.identity,
        _METHODS.get(call.method, b"other"),
        call.status,
        1000 * call.seconds,
        call.operation.encode(),
        call.kind.encode(),
        call.cost,
        b"%d" % grant.account_id if grant else b"null",
        b'"%s"' % grant.token_id.encode() if grant else b"null",
        b'"%s"' % '","'.join(call.keys).encode() if call.keys else b"",
    )
