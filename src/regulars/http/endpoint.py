"""The GraphQL endpoint: authenticates requests, reads them, and turns errors into responses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from regulars.accounts.grants import Grant
from regulars.api.errors import UNAVAILABLE, describe, too_slow
from regulars.core.clock import now_ms
from regulars.directory.sources import Sources
from regulars.graphql import Engine, ExecutionResult, Fault, InvalidDocument, error_entry
from regulars.http.bulkhead import Bulkhead
from regulars.http.compression import compress_for_pages
from regulars.http.cors import CORS
from regulars.http.credentials import Authenticator
from regulars.http.errors import RETRY, HTTPError, body_limit, method_not_allowed, unauthenticated
from regulars.http.executor import Executor
from regulars.http.fair_queue import READ_SLOTS, FairQueue
from regulars.http.in_flight import InFlight, RequestTimedOut
from regulars.http.messages import (
    Receive,
    Reply,
    RequestHeaders,
    Scope,
    Send,
    check_content_type,
    choose_request_id,
    index_headers,
    negotiate_media_type,
    parse_body,
    parse_query_string,
    read_body,
    send_reply,
)
from regulars.http.rates import RateLimiter
from regulars.http.request_observer import RequestObserver, RequestRecord
from regulars.http.route_handler import build_error_reply
from regulars.http.slices import TimeSlice


def error_response(fault: Fault) -> dict[str, Any]:
    """Returns a GraphQL response that has one error and no data."""
    return {"errors": [error_entry(fault)]}


class Limits(NamedTuple):
    """The limits of a request: its cost in points, the sizes of its body and its headers, and the
    time in which it must arrive."""

    cost: int
    body_bytes: int
    header_bytes: int
    receive_seconds: float


class GraphQLEndpoint:
    """Answers POST and GET, as an ASGI application (`__call__`) and directly (`respond`)."""

    def __init__(
        self,
        engine: Engine,
        authenticator: Authenticator,
        sources: Sources,
        limits: Limits,
        in_flight: InFlight,
        observer: RequestObserver,
        rate_limiter: RateLimiter | None = None,
        cors: CORS | None = None,
        bulkhead: Bulkhead | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._authenticator = authenticator
        self.limits = limits
        self._in_flight = in_flight
        self._observer = observer
        self._cors = cors
        self._executor = Executor(
            engine, sources, limits.cost, in_flight, observer, rate_limiter, bulkhead, clock
        )
        self._unknown_tokens = FairQueue(READ_SLOTS, None)
        self._slice = TimeSlice()

    @property
    def waiting_count(self) -> int:
        """The number of requests that wait for other accounts."""
        return self._executor.waiting_count

    def account_of(self, headers: RequestHeaders) -> int | None:
        """Returns the account that a request is counted for, if its token is known."""
        return self._authenticator.account_of(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = index_headers(scope["headers"])
        reply = await self.respond(scope["method"], headers, receive, scope["query_string"])
        await send_reply(send, reply)

    async def respond(
        self,
        method: str,
        headers: RequestHeaders,
        body: bytes | Receive,
        query_string: bytes = b"",
    ) -> Reply:
        """Returns the response to a request. `body` is the body itself, or is received once the
        request is authenticated."""
        began = time.perf_counter()
        record = RequestRecord(
            method,
            choose_request_id(headers),
            negotiate_media_type(headers),
            headers.get(b"traceparent"),
        )
        try:
            reply = await self._respond(record, method, headers, body, query_string)
        except InvalidDocument as error:
            answer = ExecutionResult(None, error.errors, is_executed=False)
            reply = self._executor.reply(record, answer, headers)
        except HTTPError as error:
            reply = build_error_reply(record, error.status, [error.fault], error.headers)
        except RequestTimedOut:
            answer = ExecutionResult(None, [error_entry(too_slow(record.request_id.decode()))])
            reply = self._executor.reply(record, answer, headers)
        except Exception as error:
            faults = describe(error, record.request_id.decode())
            is_unavailable = faults[0].key == UNAVAILABLE
            status, extra_headers = (503, [RETRY]) if is_unavailable else (500, [])
            reply = build_error_reply(record, status, faults, extra_headers)
        if self._cors is not None:
            cors_headers = self._cors.headers(headers)
            reply = reply._replace(extra_headers=[*reply.extra_headers, *cors_headers])
        reply = compress_for_pages(reply, headers)
        self._observer.record_response(record, reply.status, time.perf_counter() - began)
        return reply

    async def _respond(
        self,
        record: RequestRecord,
        method: str,
        headers: RequestHeaders,
        body: bytes | Receive,
        query_string: bytes,
    ) -> Reply:
        if method not in ("GET", "POST"):
            preflight = self._cors.preflight(headers) if self._cors else None
            if preflight is not None and method == "OPTIONS":
                return Reply(200, b"", record.media_type, record.request_id, preflight)
            raise method_not_allowed(method, "GET, POST")
        if self._slice.is_used_up():
            await self._slice.begin()
        task = self._in_flight.enter()
        try:
            grant = self._authenticator.cached_grant(headers, method)
            if grant is None:
                account_id = self._authenticator.account_of(headers)
                if account_id is not None:
                    self._in_flight.set_account(task, account_id)
                grant = await self._authenticate(headers, method)
            if grant is None:
                raise unauthenticated()
            record.grant = grant
            self._in_flight.set_account(task, grant.account_id)
            if method == "GET":
                request = parse_query_string(query_string, headers)
                return await self._executor.run(record, grant, request, headers, queries_only=True)
            check_content_type(headers)
            if isinstance(body, bytes):
                if len(body) > self.limits.body_bytes:
                    raise body_limit(self.limits.body_bytes)
                return await self._executor.run(record, grant, parse_body(body), headers)
        finally:
            self._in_flight.leave(task)
        # A request is not counted as in flight while its body arrives.
        body = await read_body(body, self.limits.body_bytes)
        task = self._in_flight.enter()
        try:
            self._in_flight.set_account(task, grant.account_id)
            return await self._executor.run(record, grant, parse_body(body), headers)
        finally:
            self._in_flight.leave(task)

    async def _authenticate(self, headers: RequestHeaders, method: str) -> Grant | None:
        """Authenticates a request whose token is not cached. A queue limits such requests, so that
        a client with thousands of tokens does not delay others."""
        turn = self._unknown_tokens.enter(0, 0)
        if turn is not None:
            await turn
        began = time.monotonic()
        try:
            return await self._authenticator.authenticate(headers, method)
        finally:
            self._unknown_tokens.leave(0, 0, began)
