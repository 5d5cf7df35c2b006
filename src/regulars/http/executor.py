"""Executes GraphQL requests: charges the cost, waits in the fair queue, and renders the
response."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from regulars.accounts.grants import Grant
from regulars.api.context import Context
from regulars.api.dry_run import ARGUMENT
from regulars.api.errors import UNAVAILABLE
from regulars.core.commands import Origin
from regulars.core.scopes import READ
from regulars.directory.sources import Sources
from regulars.graphql import Engine, ExecutionResult, InvalidDocument, PreparedOperation
from regulars.http.bulkhead import Bulkhead, WorkerExited
from regulars.http.errors import (
    RETRY,
    bad_change,
    cost_limit,
    interrupted,
    method_not_allowed,
)
from regulars.http.fair_queue import READ_SLOTS, WRITE_SLOTS, ContentionDetector, FairQueue
from regulars.http.idempotency import IdempotentExecutor
from regulars.http.in_flight import InFlight
from regulars.http.messages import (
    CHANGE,
    GRAPHQL_RESPONSE,
    GraphQLRequest,
    Reply,
    RequestHeaders,
    build_json_reply,
    change_header,
)
from regulars.http.noisy_neighbor import FAIR_SHARE
from regulars.http.rates import RateLimiter, charge, debit
from regulars.http.request_observer import NAME_LENGTH, RequestObserver, RequestRecord
from regulars.store.large_work import SMALL_JSON_BYTES, is_large

_NUMBER = re.compile(rb"[0-9]{1,18}")
_REPLAYED = (b"idempotent-replayed", b"true")
# An invalid document costs one point, and one more for each of these characters.
_CHARACTERS_PER_POINT = 1_000


class Executor:
    """Executes the requests of authenticated clients. A request may cost at most `max_cost`."""

    def __init__(
        self,
        engine: Engine,
        sources: Sources,
        max_cost: int,
        in_flight: InFlight,
        observer: RequestObserver,
        rate_limiter: RateLimiter | None,
        bulkhead: Bulkhead | None,
        clock: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._max_cost = max_cost
        self._in_flight = in_flight
        self._observer = observer
        self._rate_limiter = rate_limiter
        self._bulkhead = bulkhead
        self._clock = clock
        self._idempotent = IdempotentExecutor(engine, sources.primary.directory)
        contention = ContentionDetector()
        self._reads = FairQueue(READ_SLOTS, contention)
        self._writes = FairQueue(WRITE_SLOTS, contention)

    @property
    def waiting_count(self) -> int:
        """The number of requests that wait for other accounts."""
        forwarding = self._bulkhead.waiting_count if self._bulkhead is not None else 0
        return self._reads.waiting_count + self._writes.waiting_count + forwarding

    async def run(
        self,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
        queries_only: bool = False,
    ) -> Reply:
        """Executes a request in this process or in the bulkhead worker. With `queries_only`,
        refuses mutations. Raises HTTPError and InvalidDocument."""
        try:
            prepared = await self._prepare(record, grant, request, queries_only)
        except InvalidDocument:
            if self._rate_limiter is not None:
                cost = 1 + len(request.query) // _CHARACTERS_PER_POINT
                await charge(self._rate_limiter, grant, cost)
            raise
        if self._rate_limiter is not None:
            await charge(self._rate_limiter, grant, prepared.cost)
        account_id, cost = grant.account_id, prepared.cost
        queue = self._writes if record.kind == "mutation" else self._reads
        bulkhead = self._bulkhead
        while True:
            turn = queue.enter(account_id, cost)
            if turn is not None:
                await turn
            began = time.monotonic()
            # Decided after the wait, because a flood may have begun in the meantime.
            if bulkhead is None or not bulkhead.should_forward(
                account_id, cost, self._in_progress_count(account_id)
            ):
                break
            queue.leave(account_id, cost, began)
            reply = await self._forward(bulkhead, record, grant, request, headers)
            if reply is not None:
                await debit(self._rate_limiter, grant, record.surplus)
                return reply
            bulkhead = None
        try:
            return await self._execute(record, grant, request, headers, prepared)
        finally:
            queue.leave(account_id, cost, began)

    def _in_progress_count(self, account_id: int) -> int:
        """Returns the number of requests in progress of an account. A slow search counts as a
        flood."""
        count = self._in_flight.count(account_id)
        has_slow_search = self._sources.primary.directory.store.has_slow_search(account_id)
        return count + FAIR_SHARE if has_slow_search else count

    async def _forward(
        self,
        bulkhead: Bulkhead,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
    ) -> Reply | None:
        """Returns the worker's response, or None if this process must execute the request. Raises
        HTTPError (503) for a write that the worker may have made."""
        remaining = self._rate_limiter.remaining_points(grant) if self._rate_limiter else None
        try:
            return await bulkhead.forward(record, grant, request, headers, remaining)
        except WorkerExited:
            if record.kind == "mutation":
                raise interrupted() from None
            return None

    async def _prepare(
        self, record: RequestRecord, grant: Grant, request: GraphQLRequest, queries_only: bool
    ) -> PreparedOperation:
        """Returns the operation with its variables and its cost. Raises InvalidDocument, and
        HTTPError (405) for a mutation with `queries_only`."""
        engine = self._engine
        text, name, variables = request.query, request.operation_name, request.variables
        operation = engine.find_operation(text, name)
        self._observer.record_document(operation is not None)
        if operation is None:
            operation = await engine.get_operation_in_thread(text, name, grant.account_id)
        record.operation, record.kind = operation.name[:NAME_LENGTH], operation.kind
        if queries_only and operation.kind != "query":
            message = f"A {operation.kind} cannot be sent by GET. Use POST."
            raise method_not_allowed("GET", "POST", message)
        if request.size_bytes > SMALL_JSON_BYTES and is_large(variables):
            prepared = await engine.prepare_in_thread(operation, variables)
        else:
            prepared = engine.prepare(operation, variables)
        record.cost = prepared.cost
        if prepared.cost > self._max_cost:
            raise cost_limit(prepared.cost, self._max_cost)
        return prepared

    async def _execute(
        self,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
        prepared: PreparedOperation,
    ) -> Reply:
        request_id = record.request_id.decode()
        source = self._sources.primary
        change = headers.get(CHANGE)
        if change is not None and not _NUMBER.fullmatch(change):
            raise bad_change(change.decode("latin-1"))
        if self._sources.has_replicas and prepared.is_replica_safe:
            min_change = None if change is None else int(change)
            source = await self._sources.for_reading(grant.account_id, min_change)
        context = Context(
            grant.account_id,
            source.directory,
            request_id,
            self._clock(),
            grant.scopes,
            token_id=grant.token_id,
            origin=Origin(grant.actor_kind, grant.name, request_id),
            default_country=grant.default_country,
        )
        key = headers.get(b"idempotency-key")
        known_change = source.last_written_change(grant.account_id)
        if key is None or record.kind != "mutation" or _is_dry_run(prepared):
            answer = await self._engine.execute(prepared, context)
            if answer.errors and source is not self._sources.primary:
                # The replica may lack what the primary has, such as the change of a cursor.
                source = self._sources.primary
                context.directory = source.directory
                answer = await self._engine.execute(prepared, context)
        else:
            answer = await self._idempotent.execute(prepared, context, key.strip(), request)
        if answer.surplus:
            record.surplus = answer.surplus
            await debit(self._rate_limiter, grant, answer.surplus)
        last_change = context.change
        if READ not in grant.scopes:
            last_change = None  # it would show whether a write changed anything
        elif last_change is None:
            last_change = await source.last_change_since(grant.account_id, known_change)
        return self.reply(record, answer, headers, context, last_change)

    def reply(
        self,
        record: RequestRecord,
        answer: ExecutionResult,
        headers: RequestHeaders,
        context: Context | None = None,
        last_change: int | None = None,
    ) -> Reply:
        """Returns the HTTP response for a GraphQL response."""
        extensions = dict(context.extensions) if context else {}
        idempotency = context.idempotency if context else None
        status = 200
        extra_headers = [_REPLAYED] if idempotency and idempotency.is_replayed else []
        extra_headers += change_header(last_change)
        if answer.errors:
            record.error_keys = [error["key"] for error in answer.errors]
            if UNAVAILABLE in record.error_keys:
                status, extra_headers = 503, [*extra_headers, RETRY]
        # With application/json, the status is 200 for every well-formed request (GraphQL over HTTP,
        # section 6.4.1): by another status, a client could not tell the server from a proxy.
        if not answer.is_executed and record.media_type == GRAPHQL_RESPONSE:
            status = 400
        if b"regulars-cost" in headers:
            extensions["cost"] = self._cost_extension(record)
        body = answer.to_response(extensions)
        return build_json_reply(status, body, record.media_type, record.request_id, extra_headers)

    def _cost_extension(self, record: RequestRecord) -> dict[str, Any]:
        limiter, grant = self._rate_limiter, record.grant
        remaining = limiter.remaining_points(grant) if limiter and grant else None
        return {
            "requested": record.cost,
            "actual": record.cost + record.surplus,
            "limit": self._max_cost,
            "remaining": remaining if remaining is None else max(0, remaining),
        }


def _is_dry_run(prepared: PreparedOperation) -> bool:
    """Returns whether all fields of a mutation are dry runs, which an idempotency key does not
    affect."""
    return all(
        field.binding is None or (isinstance(arguments, dict) and arguments.get(ARGUMENT))
        for field, arguments, _ in prepared.fields
    )
