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


class RequestRecord:
    """What becomes known of a request on its way, and of its answer: the HTTP status, how long it
    took, and when that was (seconds since 1970)."""

    __slots__ = (
        "cost",
        "error_keys",
        "grant",
        "kind",
        "media_type",
        "method",
        "operation",
        "request_id",
        "seconds",
        "status",
        "timestamp",
    )

    def __init__(self, method: str, request_id: bytes, media_type: bytes) -> None:
        self.method = method
        self.request_id = request_id
        self.media_type = media_type
        self.grant: Grant | None = None
        self.operation = ""
        self.kind = "none"
        self.cost = 0
        self.error_keys: Sequence[str] = ()
        self.status = 0
        self.seconds = 0.0
        self.timestamp = 0.0


class RequestObserver(Protocol):
    """Tells of requests."""

    def document(self, hit: bool) -> None: ...

    def answered(self, record: RequestRecord, status: int, seconds: float) -> None: ...


class LogAndMetricsObserver:
    """Tells of requests."""

    def __init__(self, metrics: Metrics, log_requests: bool) -> None:
        self._metrics = metrics
        self._log_requests = log_requests
        self._records: list[RequestRecord] = []
        self._timer: asyncio.TimerHandle | None = None

    def document(self, hit: bool) -> None:
        """A document was kept from before, or was not."""
        self._metrics.document(hit)

    def answered(self, record: RequestRecord, status: int, seconds: float) -> None:
        """A request was answered."""
        record.status = status
        record.seconds = seconds
        record.timestamp = time.time()
        self._records.append(record)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_SECONDS, self.tell)

    def tell(self) -> None:
        """Tells what has not been told yet."""
        self._timer = None
        records, self._records = self._records, []
        self._metrics.requests(records)
        if self._log_requests and records:
            log.write(b"".join([_line(record) for record in records]))


def _line(record: RequestRecord) -> bytes:
    grant = record.grant
    return _LINE % (
        log.moment(record.timestamp),
        record.request_id,
        _METHODS.get(record.method, b"other"),
        record.status,
        1000 * record.seconds,
        record.operation.encode(),
        record.kind.encode(),
        record.cost,
        b"%d" % grant.account_id if grant else b"null",
        b'"%s"' % grant.token_id.encode() if grant else b"null",
        b'"%s"' % '","'.join(record.error_keys).encode() if record.error_keys else b"",
    )
