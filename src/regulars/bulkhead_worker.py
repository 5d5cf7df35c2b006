"""`python -m regulars.bulkhead_worker`: the worker process of the bulkhead (`http/bulkhead.py`).

Its standard input is a socket, from which it reads requests and to which it writes responses. The
worker exits when the socket is closed, which happens when the server exits for any reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys

import uvloop

from regulars.accounts.grants import Grant
from regulars.background import lower_priority, run_when_idle
from regulars.configuration import build_engine, directory_limits, request_limits
from regulars.directory.database import replicas_for, store_for
from regulars.directory.sources import Sources
from regulars.environment import load_settings
from regulars.http import log
from regulars.http.bulkhead_protocol import (
    BUFFER_BYTES,
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    ForwardedRequest,
    encode_ready,
    encode_reply,
    read_frame,
)
from regulars.http.endpoint import GraphQLEndpoint
from regulars.http.in_flight import InFlight
from regulars.http.messages import JSON, RequestHeaders
from regulars.http.request_observer import RequestRecord
from regulars.settings import Settings
from regulars.store.postgresql.replicas import running_replicas
from regulars.store.statement_times import statement_times


class _ServerDecisions:
    """The authenticator, rate limiter and request observer of the endpoint in the worker. They use
    what the server has decided for each request: its grant and the remaining points of its
    token."""

    def __init__(self) -> None:
        self._requests: dict[asyncio.Task[None], ForwardedRequest] = {}
        self._records: dict[asyncio.Task[None], RequestRecord] = {}

    def begin(self, request: ForwardedRequest) -> None:
        """Assigns a request to the current task."""
        self._requests[_current_task()] = request

    def end(self) -> RequestRecord:
        """Ends the current task's request, and returns its record."""
        del self._requests[_current_task()]
        return self._records.pop(_current_task())

    def cached_grant(self, headers: RequestHeaders, method: str) -> Grant:  # noqa: ARG002  # the task has it
        return self._requests[_current_task()].grant

    def account_of(self, headers: RequestHeaders) -> int:  # noqa: ARG002  # the task has it
        return self._requests[_current_task()].grant.account_id

    async def authenticate(self, headers: RequestHeaders, method: str) -> Grant:
        return self.cached_grant(headers, method)

    def charge(self, grant: Grant, cost: int) -> None:
        """Does nothing: the server has charged the cost."""

    def debit(self, grant: Grant, cost: int) -> None:  # noqa: ARG002  # the task has it
        """Reduces the remaining points that the response shows. The server charges the cost."""
        request = self._requests[_current_task()]
        if request.remaining_points is not None:
            remaining_points = request.remaining_points - cost
            self._requests[_current_task()] = request._replace(remaining_points=remaining_points)

    def remaining_points(self, grant: Grant) -> int | None:  # noqa: ARG002  # the task has it
        return self._requests[_current_task()].remaining_points

    def record_document(self, is_hit: bool) -> None:
        """Does nothing: the server has recorded the document."""

    def record_response(self, record: RequestRecord, status: int, seconds: float) -> None:  # noqa: ARG002  # the server records them
        self._records[_current_task()] = record


def _current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task
    return task


async def _run(settings: Settings) -> None:
    statement_times.slow_seconds = settings.slow_statement_seconds
    store = store_for(
        settings.database_url,
        settings.request_seconds,
        is_bulk=True,
        pool_size=settings.pool_size,
    )
    replicas = replicas_for(
        store, settings.replica_urls, settings.request_seconds, settings.replica_seconds
    )
    decisions = _ServerDecisions()
    engine = build_engine(settings)
    endpoint = GraphQLEndpoint(
        engine,
        decisions,
        Sources(store, replicas, directory_limits(settings)),
        # The server has checked the size of the body, and has serialized it again.
        request_limits(settings)._replace(body_bytes=sys.maxsize),
        InFlight(settings.max_requests, settings.request_seconds),
        decisions,
        decisions,
    )
    tracing = None
    if settings.tracing:
        from regulars.tracing import Tracing

        tracing = Tracing()
        tracing.trace_requests(endpoint, decisions)
        tracing.trace_plans(engine)
        tracing.trace_statements(store)
    run_when_idle()  # not while it starts: on a busy machine that would never end
    await store.open()
    try:
        async with running_replicas(replicas):
            await _serve(endpoint, decisions)
    finally:
        await store.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


async def _serve(endpoint: GraphQLEndpoint, decisions: _ServerDecisions) -> None:
    """Responds to requests until the server closes the socket."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0), limit=BUFFER_BYTES)
    tasks: set[asyncio.Task[None]] = set()

    async def respond(request: ForwardedRequest) -> None:
        decisions.begin(request)
        headers = {**request.headers, b"content-type": JSON}
        reply = await endpoint.respond("POST", headers, request.body)
        writer.write(encode_reply(request.number, decisions.end(), reply))

    async def send_heartbeats() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if tasks:
                writer.write(HEARTBEAT)

    gc.freeze()
    writer.write(encode_ready(os.getpid()))
    heartbeats = asyncio.create_task(send_heartbeats())
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            request = ForwardedRequest.decode(*await read_frame(reader))
            task = asyncio.create_task(respond(request))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    heartbeats.cancel()
    await asyncio.gather(heartbeats, *tasks, return_exceptions=True)
    writer.close()


def main() -> None:
    """Runs the worker until the server exits."""
    settings = load_settings()
    log.configure(settings.log_level, settings.log_format)
    # A terminal and a service manager signal all processes of the server at once.
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_IGN)
    lower_priority()
    uvloop.run(_run(settings))


if __name__ == "__main__":
    main()
