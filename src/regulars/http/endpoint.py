"""The GraphQL endpoint: GraphQL over HTTP, for the holder of a token."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from regulars.api.context import Context, IdempotencyContext
from regulars.api.errors import UNAVAILABLE, describe, too_slow
from regulars.directory.accounts import Grant, now_ms
from regulars.directory.commands import Origin
from regulars.directory.scopes import READ
from regulars.directory.sources import Sources
from regulars.graphql import Answer, Engine, Fault, InvalidDocument, Prepared, error_entry
from regulars.http.bulkhead import FAIR_SHARE, Bulkhead, WorkerExited
from regulars.http.cors import CORS
from regulars.http.credentials import Authenticator
from regulars.http.errors import (
    RETRY,
    HTTPError,
    bad_change,
    body_limit,
    cost_limit,
    interrupted,
    method_not_allowed,
    unauthenticated,
)
from regulars.http.fair_queue import READS, WRITES, ContentionDetector, FairQueue
from regulars.http.idempotency import IdempotentExecutor
from regulars.http.in_flight import InFlight, RequestTimedOut
from regulars.http.messages import (
    CHANGE,
    GRAPHQL_RESPONSE,
    GraphQLRequest,
    Receive,
    Reply,
    RequestHeaders,
    Scope,
    Send,
    change_header,
    check_content_type,
    headers_by_name,
    json_reply,
    parse_body,
    parse_query_string,
    read_body,
    request_id_of,
    response_media_type,
    send_reply,
)
from regulars.http.rates import Rates, charge
from regulars.http.request_observer import NAME_LENGTH, RequestObserver, RequestRecord
from regulars.http.route_handler import refused
from regulars.http.slices import TimeSlice
from regulars.store.large_work import is_large

_NUMBER = re.compile(rb"[0-9]{1,18}")
_REPLAYED = (b"idempotent-replayed", b"true")
# What a document that is refused costs: a point, and one for so many characters of it.
_CHARACTERS_A_POINT = 1_000


def error_answer(fault: Fault) -> dict[str, Any]:
    """A GraphQL response for a request that never became one."""
    return {"errors": [error_entry(fault)]}


class Limits(NamedTuple):
    """What a request may cost and hold, how many there may be at once, and how long each may
    take."""

    cost: int
    body_bytes: int
    header_bytes: int
    receive_seconds: float


class GraphQLEndpoint:
    """Answers POST and GET: as an ASGI application, and of a request that is there whole."""

    def __init__(
        self,
        engine: Engine,
        credentials: Authenticator,
        sources: Sources,
        limits: Limits,
        in_flight: InFlight,
        observer: RequestObserver,
        rates: Rates | None = None,
        cors: CORS | None = None,
        bulkhead: Bulkhead | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._sources = sources
        self.limits = limits
        self._in_flight = in_flight
        self._observer = observer
        self._rates = rates
        self._cors = cors
        self._bulkhead = bulkhead
        self._clock = clock
        self._once = IdempotentExecutor(engine, sources.primary.directory)
        contention = ContentionDetector()
        self._reads, self._writes = FairQueue(READS, contention), FairQueue(WRITES, contention)
        self._strangers = FairQueue(READS, None)
        self._slice = TimeSlice()

    @property
    def waiting(self) -> int:
        """How many requests wait for their account's turn."""
        passing = self._bulkhead.waiting if self._bulkhead is not None else 0
        return self._reads.waiting + self._writes.waiting + passing

    def account_of(self, headers: RequestHeaders) -> int | None:
        """Returns the account that a request is counted for, if its token is known."""
        return self._credentials.account_of(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_by_name(scope["headers"])
        answer = await self.answer(scope["method"], headers, receive, scope["query_string"])
        await send_reply(send, answer)

    async def answer(
        self,
        method: str,
        headers: RequestHeaders,
        body: bytes | Receive,
        query_string: bytes = b"",
    ) -> Reply:
        """The answer to a request. Its body is there, or is received once its sender is known."""
        began = time.perf_counter()
        record = RequestRecord(method, request_id_of(headers), response_media_type(headers))
        try:
            answer = await self._answer(record, method, headers, body, query_string)
        except InvalidDocument as invalid:
            never_ran = Answer(None, invalid.errors, executed=False)
            answer = self._reply(record, never_ran, headers)
        except HTTPError as error:
            answer = refused(record, error.status, [error.fault], error.headers)
        except RequestTimedOut:
            late = Answer(None, [error_entry(too_slow(record.request_id.decode()))])
            answer = self._reply(record, late, headers)
        except Exception as error:
            faults = describe(error, record.request_id.decode())
            away = faults[0].key == UNAVAILABLE
            answer = refused(record, 503 if away else 500, faults, [RETRY] if away else [])
        if self._cors is not None:
            answer = answer._replace(more=[*answer.more, *self._cors.headers(headers)])
        self._observer.answered(record, answer.status, time.perf_counter() - began)
        return answer

    async def _answer(
        self,
        record: RequestRecord,
        method: str,
        headers: RequestHeaders,
        body: bytes | Receive,
        query_string: bytes,
    ) -> Reply:
        if method not in ("GET", "POST"):
            asked = self._cors.preflight(headers) if self._cors and method == "OPTIONS" else None
            if asked is not None:
                return Reply(200, b"", record.media_type, record.request_id, asked)
            raise method_not_allowed(method, "GET, POST")
        if self._slice.is_used_up():
            await self._slice.begin()
        task = self._in_flight.enter()
        try:
            grant = self._credentials.cached_grant(headers, method)
            if grant is None:
                account_id = self._credentials.account_of(headers)
                if account_id is not None:
                    self._in_flight.of_account(task, account_id)
                grant = await self._authenticated(headers, method)
            if grant is None:
                raise unauthenticated()
            record.grant = grant
            self._in_flight.of_account(task, grant.account_id)
            if method == "GET":
                request = parse_query_string(query_string, headers)
                return await self._run(record, grant, request, headers, queries_only=True)
            check_content_type(headers)
            if isinstance(body, bytes):
                if len(body) > self.limits.body_bytes:
                    raise body_limit(self.limits.body_bytes)
                return await self._run(record, grant, parse_body(body), headers)
        finally:
            self._in_flight.leave(task)
        # Whoever sends slowly takes nobody's place.
        body = await read_body(body, self.limits.body_bytes)
        task = self._in_flight.enter()
        try:
            self._in_flight.of_account(task, grant.account_id)
            return await self._run(record, grant, parse_body(body), headers)
        finally:
            self._in_flight.leave(task)

    async def _authenticated(self, headers: RequestHeaders, method: str) -> Grant | None:
        """Whose a request is, of whom nothing is known, or no more. It is begun with one at a time,
        and there are a few: who comes with thousands of tokens must not keep the others waiting."""
        turn = self._strangers.enter(0, 0)
        if turn is not None:
            await turn
        began = time.monotonic()
        try:
            return await self._credentials.authenticate(headers, method)
        finally:
            self._strangers.leave(0, 0, began)

    async def _run(
        self,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
        queries_only: bool = False,
    ) -> Reply:
        try:
            prepared = await self._prepared(record, grant, request, queries_only)
        except InvalidDocument:
            if self._rates is not None:
                cost = 1 + len(request.query) // _CHARACTERS_A_POINT
                await charge(self._rates, grant, cost)
            raise
        if self._rates is not None:
            await charge(self._rates, grant, prepared.cost)
        turns = self._writes if record.kind == "mutation" else self._reads
        bulkhead = self._bulkhead
        while True:
            turn = turns.enter(grant.account_id, prepared.cost)
            if turn is not None:
                await turn
            began = time.monotonic()
            # Asked now, for while it waited its account may have begun to keep others waiting.
            under_way = self._in_flight.count(grant.account_id)
            if self._sources.primary.directory.store.has_slow_search(grant.account_id):
                under_way += FAIR_SHARE  # its searches weigh as much as a flood of small requests
            if bulkhead is None or not bulkhead.takes(grant.account_id, prepared.cost, under_way):
                break
            turns.leave(grant.account_id, prepared.cost, began)
            made = await self._passed_on(bulkhead, record, grant, request, headers)
            if made is not None:
                return made
            bulkhead = None
        try:
            return await self._work(record, grant, request, headers, prepared)
        finally:
            turns.leave(grant.account_id, prepared.cost, began)

    async def _passed_on(
        self,
        bulkhead: Bulkhead,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
    ) -> Reply | None:
        """The bulkhead's answer; None where there is none, and nothing was done. Raises HTTPError
        (503) where something may have been."""
        left = self._rates.left(grant) if self._rates else None
        try:
            return await bulkhead.answer(record, grant, request, headers, left)
        except WorkerExited:
            if record.kind == "mutation":
                raise interrupted() from None
            return None

    async def _work(
        self,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
        prepared: Prepared,
    ) -> Reply:
        """Executes it, and answers it. Raises HTTPError."""
        request_id = record.request_id.decode()
        source = self._sources.primary
        change = headers.get(CHANGE)
        if change is not None and not _NUMBER.fullmatch(change):
            raise bad_change(change.decode("latin-1"))
        if prepared.anywhere:
            needed = None if change is None else int(change)
            source = await self._sources.for_reading(grant.account_id, needed)
        context = Context(
            grant.account_id,
            source.directory,
            request_id,
            self._clock(),
            grant.scopes,
            token_id=grant.token_id,
            origin=Origin("token", grant.name, request_id),
        )
        key = headers.get(b"idempotency-key")
        known = source.last_known(grant.account_id)
        if key is None or record.kind != "mutation":
            answer = await self._engine.execute(prepared, context)
            if answer.errors and source is not self._sources.primary:
                # It may lack what the primary has: a cursor of a change it has not come to.
                source = self._sources.primary
                context.directory = source.directory
                answer = await self._engine.execute(prepared, context)
        else:
            answer = await self._once.execute(prepared, context, key.strip(), request)
        last = context.change
        if READ not in grant.scopes:
            last = None  # whether a write changed anything tells what was there
        elif last is None:
            last = await source.last_change_since(grant.account_id, known)
        return self._reply(record, answer, headers, context.idempotency, last)

    async def _prepared(
        self, record: RequestRecord, grant: Grant, request: GraphQLRequest, queries_only: bool
    ) -> Prepared:
        """The operation, ready to be executed. Raises InvalidDocument and HTTPError (405)."""
        engine = self._engine
        text, name = request.query, request.operation_name
        kept = engine.keeps(text)
        self._observer.document(kept)
        if kept:
            operation = engine.operation(text, name)
        else:
            operation = await engine.operation_of_long(text, name, grant.account_id)
        record.operation, record.kind = operation.name[:NAME_LENGTH], operation.kind
        if queries_only and operation.kind != "query":
            message = f"A {operation.kind} changes what is stored, and GET never does. Use POST."
            raise method_not_allowed("GET", "POST", message)
        given = request.variables
        large = bool(given) and is_large(given)
        prepared = (
            await engine.prepare_large(operation, given)
            if large
            else engine.prepare(operation, given)
        )
        record.cost = prepared.cost
        if prepared.cost > self.limits.cost:
            raise cost_limit(prepared.cost, self.limits.cost)
        return prepared

    def _reply(
        self,
        record: RequestRecord,
        answer: Answer,
        headers: RequestHeaders,
        idempotency: IdempotencyContext | None = None,
        change: int | None = None,
    ) -> Reply:
        response = answer.response()
        status, more = 200, [_REPLAYED] if idempotency and idempotency.is_replayed else []
        more += change_header(change)
        if answer.errors:
            record.error_keys = [error["key"] for error in answer.errors]
            if UNAVAILABLE in record.error_keys:
                status, more = 503, [*more, RETRY]
        # With application/json a client cannot tell our errors from a proxy's by the status:
        # GraphQL over HTTP (section 6.4.1) answers 200 whatever became of a well-formed request.
        if not answer.executed and record.media_type == GRAPHQL_RESPONSE:
            status = 400
        if b"regulars-cost" in headers:
            response["extensions"] = {"cost": self._told_cost(record)}
        return json_reply(status, response, record.media_type, record.request_id, more)

    def _told_cost(self, record: RequestRecord) -> dict[str, Any]:
        left = self._rates.left(record.grant) if self._rates and record.grant else None
        return {"requested": record.cost, "limit": self.limits.cost, "remaining": left}
