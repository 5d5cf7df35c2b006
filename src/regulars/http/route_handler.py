"""Addresses beside GraphQL's: who may use them, and how they refuse."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from regulars.api.errors import TIMEOUT, UNAVAILABLE, describe, too_slow
from regulars.directory.accounts import Grant
from regulars.directory.errors import Refused
from regulars.directory.scopes import READ
from regulars.directory.sources import Source
from regulars.graphql import Fault, error_entry
from regulars.http.credentials import Credentials
from regulars.http.errors import RETRY, Headers, HTTPError, forbidden, unauthenticated
from regulars.http.in_flight import RequestTimedOut
from regulars.http.messages import (
    JSON,
    Reply,
    change_header,
    headers_by_name,
    json_reply,
    request_id_of,
    send_reply,
)
from regulars.http.rates import Rates, charge
from regulars.http.request_observer import LogAndMetricsObserver, RequestRecord


class RouteHandler(ABC):
    """An address as an ASGI application. What is wrong is told as elsewhere: as errors of a GraphQL
    response."""

    def __init__(self, observer: LogAndMetricsObserver) -> None:
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        record = RequestRecord(
            scope["method"], request_id_of(headers_by_name(scope["headers"])), JSON
        )
        sending = ResponseSender(send)
        try:
            try:
                answer = await self.answer(record, Request(scope, receive), sending)
            except Exception as error:
                if sending.started:
                    raise  # what was sent breaks off: its receiver sees that it is not whole
                answer = _refusal(record, error)
            if answer is not None:
                record.status = answer.status
                await send_reply(sending, answer)
        finally:
            self._observer.answered(record, record.status, time.perf_counter() - began)

    @abstractmethod
    async def answer(
        self, record: RequestRecord, request: Request, send: ResponseSender
    ) -> Reply | None:
        """The answer, or None where it was sent. Raises HTTPError, and whatever `describe` can
        tell."""


class ResponseSender:
    """Sends, and remembers whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.started = True
        await self._send(message)


class Authorizer:
    """Who may use an address, and what it takes of a token's rate, in points."""

    def __init__(
        self, credentials: Credentials, rates: Rates | None, cost: int, source: Source
    ) -> None:
        self._credentials = credentials
        self._rates = rates
        self._cost = cost
        self._source = source

    async def admit(self, record: RequestRecord, request: Request, scope: str) -> Grant:
        """What the request's token or session opens. Raises HTTPError (401), and (403) without the
        scope, or for another site."""
        headers = headers_by_name(request.scope["headers"])
        grant = await self._credentials.authenticate(headers, request.method)
        if grant is None:
            raise unauthenticated()
        record.grant = grant
        if scope not in grant.scopes:
            raise forbidden(scope)
        return grant

    async def charge(self, record: RequestRecord, grant: Grant) -> None:
        """Takes the cost. Raises HTTPError (429)."""
        record.cost = self._cost
        await charge(self._rates, grant, self._cost)

    async def change_header(self, grant: Grant) -> Headers:
        """The header that says the number of the account's last change, where it can be asked, and
        the token may read it: that number tells whether a write changed something."""
        if READ not in grant.scopes:
            return []
        return change_header(await self._source.last_change(grant.account_id))


def _refusal(record: RequestRecord, error: Exception) -> Reply:
    if isinstance(error, HTTPError):
        return refused(record, error.status, [error.fault], error.headers)
    request_id = record.request_id.decode()
    if isinstance(error, RequestTimedOut):
        return refused(record, 503, [too_slow(request_id)], [RETRY])
    faults = describe(error, request_id)
    if isinstance(error, Refused):
        return refused(record, 400, faults)
    if faults[0].key in (UNAVAILABLE, TIMEOUT):
        return refused(record, 503, faults, [RETRY])
    return refused(record, 500, faults)


def refusal(error: HTTPError, request_id: bytes) -> Response:
    """A refusal as Starlette has it, where no call is observed."""
    told = json_reply(
        error.status, {"errors": [error_entry(error.fault)]}, JSON, request_id, error.headers
    )
    answer = Response(told.content, told.status)
    answer.raw_headers = told.headers
    return answer


def refused(
    record: RequestRecord, status: int, faults: Sequence[Fault], headers: Headers = ()
) -> Reply:
    """An answer of nothing but errors."""
    record.error_keys = [fault.key for fault in faults]
    errors = [error_entry(fault) for fault in faults]
    return json_reply(status, {"errors": errors}, record.media_type, record.request_id, headers)
