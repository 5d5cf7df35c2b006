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
from regulars.http.in_flight import Late
from regulars.http.messages import (
    JSON,
    Reply,
    changed,
    first_of_each,
    reply,
    request_id,
    send_reply,
)
from regulars.http.observe import Call, Observer
from regulars.http.rates import Rates, charge


class Address(ABC):
    """An address as an ASGI application. What is wrong is told as elsewhere: as errors of a GraphQL
    response."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        call = Call(scope["method"], request_id(first_of_each(scope["headers"])), JSON)
        sending = Sending(send)
        try:
            try:
                answer = await self.answer(call, Request(scope, receive), sending)
            except Exception as error:
                if sending.started:
                    raise  # what was sent breaks off: its receiver sees that it is not whole
                answer = _refusal(call, error)
            if answer is not None:
                call.status = answer.status
                await send_reply(sending, answer)
        finally:
            self._observer.answered(call, call.status, time.perf_counter() - began)

    @abstractmethod
    async def answer(self, call: Call, request: Request, send: Sending) -> Reply | None:
        """The answer, or None where it was sent. Raises HTTPError, and whatever `describe` can
        tell."""


class Sending:
    """Sends, and remembers whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.started = True
        await self._send(message)


class Door:
    """Who may use an address, and what it takes of a token's rate, in points."""

    def __init__(
        self, credentials: Credentials, rates: Rates | None, cost: int, source: Source
    ) -> None:
        self._credentials = credentials
        self._rates = rates
        self._cost = cost
        self._source = source

    async def admit(self, call: Call, request: Request, scope: str) -> Grant:
        """What the request's token or session opens. Raises HTTPError (401), and (403) without the
        scope, or for another site."""
        headers = first_of_each(request.scope["headers"])
        grant = await self._credentials.authenticate(headers, request.method)
        if grant is None:
            raise unauthenticated()
        call.grant = grant
        if scope not in grant.scopes:
            raise forbidden(scope)
        return grant

    async def charge(self, call: Call, grant: Grant) -> None:
        """Takes the cost. Raises HTTPError (429)."""
        call.cost = self._cost
        await charge(self._rates, grant, self._cost)

    async def changed(self, grant: Grant) -> Headers:
        """The header that says the number of the account's last change, where it can be asked, and
        the token may read it: that number tells whether a write changed something."""
        if READ not in grant.scopes:
            return []
        return changed(await self._source.last_change(grant.account_id))


def _refusal(call: Call, error: Exception) -> Reply:
    if isinstance(error, HTTPError):
        return refused(call, error.status, [error.fault], error.headers)
    identity = call.identity.decode()
    if isinstance(error, Late):
        return refused(call, 503, [too_slow(identity)], [RETRY])
    faults = describe(error, identity)
    if isinstance(error, Refused):
        return refused(call, 400, faults)
    if faults[0].key in (UNAVAILABLE, TIMEOUT):
        return refused(call, 503, faults, [RETRY])
    return refused(call, 500, faults)


def refusal(error: HTTPError, identity: bytes) -> Response:
    """A refusal as Starlette has it, where no call is observed."""
    told = reply(
        error.status, {"errors": [error_entry(error.fault)]}, JSON, identity, error.headers
    )
    answer = Response(told.content, told.status)
    answer.raw_headers = told.headers
    return answer


def refused(call: Call, status: int, faults: Sequence[Fault], headers: Headers = ()) -> Reply:
    """An answer of nothing but errors."""
    call.keys = [fault.key for fault in faults]
    errors = [error_entry(fault) for fault in faults]
    return reply(status, {"errors": errors}, call.media, call.identity, headers)
