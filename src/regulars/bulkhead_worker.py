"""`python -m regulars.bulkhead_worker`: the bulkhead worker process (`http/bulkhead.py`).

Its standard input is a socket: it reads requests from it and writes responses to it. It stops when
the socket is closed, which happens when the server exits for any reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys

import uvloop

from regulars.app import directory_limits_of, engine_of, limits_of
from regulars.background import run_when_idle
from regulars.directory.accounts import Grant
from regulars.directory.database import replicas_for, store_for
from regulars.directory.sources import Sources
from regulars.http import log
from regulars.http.bulkhead import (
    BUFFER,
    SIGN,
    SIGN_SECONDS,
    ForwardedRequest,
    answered,
    passed,
    read_frame,
)
from regulars.http.endpoint import GraphQLEndpoint
from regulars.http.in_flight import InFlight
from regulars.http.messages import JSON, RequestHeaders
from regulars.http.request_observer import RequestRecord
from regulars.settings import Settings
from regulars.store.postgresql.replicas import running_replicas


class _Server:
    """What the server has found out of each request: whose it is, and what is left of its rate. It
    is the server, too, that tells of them."""

    def __init__(self) -> None:
        self._given: dict[asyncio.Task[None], ForwardedRequest] = {}
        self._records: dict[asyncio.Task[None], RequestRecord] = {}

    def begin(self, given: ForwardedRequest) -> None:
        """The current task is about a request."""
        self._given[_task()] = given

    def end(self) -> RequestRecord:
        """The current task has its answer."""
        del self._given[_task()]
        return self._records.pop(_task())

    def cached_grant(self, headers: RequestHeaders, method: str) -> Grant:  # noqa: ARG002  # the task tells
        return self._given[_task()].grant

    def account_of(self, headers: RequestHeaders) -> int:  # noqa: ARG002  # the task tells
        return self._given[_task()].grant.account_id

    async def authenticate(self, headers: RequestHeaders, method: str) -> Grant:
        return self.cached_grant(headers, method)

    def admit(self, grant: Grant, cost: int) -> None:
        """The server has taken the cost already."""

    def left(self, grant: Grant) -> int | None:  # noqa: ARG002  # the task tells
        return self._given[_task()].left

    def document(self, hit: bool) -> None:
        """The server tells of it."""

    def answered(self, record: RequestRecord, status: int, seconds: float) -> None:  # noqa: ARG002  # the server tells
        self._records[_task()] = record


def _task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task
    return task


async def _work() -> None:
    settings = Settings()
    store = store_for(settings.database_url, settings.request_seconds, is_bulk=True)
    replicas = replicas_for(
        store, settings.replica_urls, settings.request_seconds, settings.replica_seconds
    )
    server = _Server()
    endpoint = GraphQLEndpoint(
        engine_of(settings),
        server,
        Sources(store, replicas, directory_limits_of(settings)),
        # The server has looked at how long the body was, and has written it anew.
        limits_of(settings)._replace(body_bytes=sys.maxsize),
        InFlight(settings.max_requests, settings.request_seconds),
        server,
        server,
    )
    await store.open()
    try:
        async with running_replicas(replicas):
            await _serve(endpoint, server)
    finally:
        await store.close()


async def _serve(endpoint: GraphQLEndpoint, server: _Server) -> None:
    """Answers until the server has nothing more to ask."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0), limit=BUFFER)
    tasks: set[asyncio.Task[None]] = set()

    async def answer(given: ForwardedRequest) -> None:
        server.begin(given)
        headers = {**given.headers, b"content-type": JSON}
        made = await endpoint.answer("POST", headers, given.body)
        writer.write(answered(given.number, server.end(), made))

    async def tell_of_life() -> None:
        while True:
            await asyncio.sleep(SIGN_SECONDS)
            if tasks:
                writer.write(SIGN)

    gc.collect()
    gc.freeze()
    writer.write(SIGN)
    alive = asyncio.create_task(tell_of_life())
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            task = asyncio.create_task(answer(passed(*await read_frame(reader))))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    alive.cancel()
    await asyncio.gather(alive, *tasks, return_exceptions=True)
    writer.close()


def main() -> None:
    """Works until the server ends."""
    log.configure()
    # A terminal and a service manager tell the server's processes all at once.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    run_when_idle()
    uvloop.run(_work())


if __name__ == "__main__":
    main()
