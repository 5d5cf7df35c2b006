"""The bulkhead: runs requests that would delay other accounts in a worker process of low priority.

The pattern is from Nygard, Release It! (2007). The server uses no worker while only one account
sends requests, or while all requests are few and cheap. The worker starts with the first request
that needs it, and stops when the server exits for any reason.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import orjson

from regulars.accounts.grants import Grant
from regulars.background import ProcessorWait
from regulars.http.bulkhead_protocol import (
    BUFFER_BYTES,
    ForwardedRequest,
    decode_reply,
    read_frame,
)
from regulars.http.fair_queue import FairQueue
from regulars.http.messages import GraphQLRequest, Reply, RequestHeaders
from regulars.http.noisy_neighbor import FAIR_SHARE, NoisyNeighborDetector
from regulars.http.request_observer import RequestRecord

PROGRAM = "regulars.bulkhead_worker"
# Requests that read, and that write, which one account has in the worker at once. After a request,
# the account pauses for the duration of the request times the factor, because the processes of a
# database have no lower priority.
_READ_SLOTS = 1
_WRITE_SLOTS = 2
_REST_FACTOR = 2
_MAX_REST_SECONDS = 1.0
# A worker that exits while the server runs is replaced after this time.
_RESTART_SECONDS = 5.0
_EXIT_SECONDS = 10.0
# After this time without a heartbeat, the worker gets no more requests, and the server repeats its
# reads. A busy machine alone does not delay a heartbeat for so long.
_SILENT_SECONDS = 4.0
# The worker runs only when a processor is idle. Requests wait so long for its start, and for a
# processor. Then the server executes them, except writes that were sent, and sends no more for the
# time of the pause. That of writes begins again while the worker waits even for its heartbeats.
_MAX_START_SECONDS = 1.0
_MAX_STARVED_SECONDS = 1.0
_PAUSE_SECONDS = 2.0
_WATCH_SECONDS = 0.25
_BUSY_WAIT_SECONDS = 0.02
# The request headers that influence the response.
_HEADERS = frozenset((b"accept", b"regulars-cost", b"regulars-change", b"idempotency-key"))

_log = logging.getLogger("regulars.bulkhead")


class WorkerExited(Exception):
    """The worker exited, became silent or got no processor before it sent the response."""


class _Pending(NamedTuple):
    """A request that was sent to the worker. `waited_seconds` is how long the worker had waited for
    a processor by then."""

    is_read: bool
    response: asyncio.Future[tuple[list[Any], bytes]]
    waited_seconds: float


class Bulkhead:
    """Forwards requests that would delay other accounts to the worker.

    `environment` has the environment variables with the settings of the worker. `on_forward` is
    called for each forwarded request."""

    def __init__(self, environment: Mapping[str, str], on_forward: Callable[[], None]) -> None:
        self._environment = {**os.environ, **environment}
        self._on_forward = on_forward
        self._detector = NoisyNeighborDetector()
        self._reads, self._writes = FairQueue(_READ_SLOTS, None), FairQueue(_WRITE_SLOTS, None)
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._starting: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._restart_at = 0.0
        self._last_heartbeat = 0.0
        self._is_silent = False
        # How long the worker has waited for a processor, and until when it gets no requests.
        self._waited_seconds = 0.0
        self._reads_paused_until = self._writes_paused_until = 0.0
        self._is_closed = False

    @property
    def waiting_count(self) -> int:
        """The number of requests that wait to be forwarded."""
        return self._reads.waiting_count + self._writes.waiting_count

    def should_forward(self, account_id: int, cost: int, in_progress_count: int) -> bool:
        """Returns whether to forward a request that costs so many points. `in_progress_count` is
        the number of the account's requests in progress. While the worker starts, only the requests
        of an account with more than its fair share wait for it."""
        is_alive = self._check_heartbeat()
        if not self._detector.is_noisy(account_id, cost, in_progress_count):
            return False
        if self._writer is None:
            self._start()
            return self._starting is not None and in_progress_count > FAIR_SHARE
        return is_alive

    def _check_heartbeat(self) -> bool:
        """Returns whether the worker is alive: without requests, it needs no heartbeat. Fails the
        reads of a silent worker, so that the server repeats them."""
        if self._is_silent:
            return False
        if not self._pending or monotonic() < self._last_heartbeat + _SILENT_SECONDS:
            return True
        self._is_silent = True
        self._repeat_reads()
        return False

    def _repeat_reads(self) -> None:
        """Lets the server repeat the reads that the worker has not answered."""
        for is_read, response, _ in self._pending.values():
            if is_read and not response.done():
                response.set_exception(WorkerExited())

    async def _watch(self, process_id: int) -> None:
        """Measures until it is cancelled whether the worker gets a processor."""
        wait = ProcessorWait(process_id)
        self._waited_seconds = wait.seconds()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._check_heartbeat()
            before, self._waited_seconds = self._waited_seconds, wait.seconds()
            limit, now = self._waited_seconds - _MAX_STARVED_SECONDS, monotonic()
            pause_end = now + _PAUSE_SECONDS
            if any(each.waited_seconds < limit for each in self._pending.values()):
                self._reads_paused_until = self._writes_paused_until = pause_end
                self._repeat_reads()
            elif (
                now < self._writes_paused_until
                and self._waited_seconds > before + _BUSY_WAIT_SECONDS
            ):
                self._writes_paused_until = pause_end

    def _note_heartbeat(self) -> None:
        self._last_heartbeat = monotonic()
        self._is_silent = False

    async def forward(
        self,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
        remaining_points: int | None,
    ) -> Reply | None:
        """Returns the worker's response, or None if the request was not sent to a worker. Raises
        WorkerExited if the worker may have executed it."""
        number = next(self._numbers)
        forwarded = {name: headers[name] for name in _HEADERS & headers.keys()}
        forwarded[b"x-request-id"] = record.request_id
        forwarded |= self.trace_headers()
        body = {
            "query": request.query,
            "variables": request.variables,
            "operationName": request.operation_name,
        }
        try:
            content = orjson.dumps(body)
        except TypeError:  # orjson reads deeper nesting than it writes
            return None
        frame = ForwardedRequest(number, grant, remaining_points, forwarded, content).encode()
        if self._starting is not None:
            await asyncio.shield(self._starting)
        is_read = record.kind != "mutation"
        queue = self._reads if is_read else self._writes
        turn = queue.enter(grant.account_id, record.cost)
        if turn is not None:
            await turn
        began, reply = monotonic(), None
        try:
            if began > (self._reads_paused_until if is_read else self._writes_paused_until):
                reply = await self._send(record, number, frame)
        finally:
            rest_seconds = min(_REST_FACTOR * (monotonic() - began), _MAX_REST_SECONDS)
            if reply is None or not self._detector.has_neighbor(grant.account_id):
                rest_seconds = 0.0
            leave = partial(queue.leave, grant.account_id, record.cost, began)
            asyncio.get_running_loop().call_later(rest_seconds, leave)
        return reply

    def trace_headers(self) -> Mapping[bytes, bytes]:
        """Returns the headers with which the worker continues the current trace. `Tracing` replaces
        this method; without it there are none."""
        return {}

    async def _send(self, record: RequestRecord, number: int, frame: bytes) -> Reply | None:
        if self._writer is None or self._is_silent:
            return None
        self._on_forward()
        response = asyncio.get_running_loop().create_future()
        if not self._pending:
            self._last_heartbeat = monotonic()
        is_read = record.kind != "mutation"
        self._pending[number] = _Pending(is_read, response, self._waited_seconds)
        self._writer.write(frame)
        try:
            head, content = await response
        finally:
            self._pending.pop(number, None)
        return decode_reply(head, content, record)

    async def close(self) -> None:
        """Stops the worker after it has answered its requests."""
        self._is_closed = True
        if self._writer is not None:
            self._writer.close()
        if self._task is not None:
            await self._task

    def _start(self) -> None:
        is_running = self._task is not None and not self._task.done()
        if not is_running and not self._is_closed and monotonic() >= self._restart_at:
            loop = asyncio.get_running_loop()
            self._starting = loop.create_future()
            loop.call_later(_MAX_START_SECONDS, self._finish_starting)
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Runs one worker, from its start to its end."""
        server_socket, worker_socket = socket.socketpair()
        try:
            with worker_socket:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", PROGRAM),
                    env=self._environment,
                    stdin=worker_socket.fileno(),
                )
        except OSError as error:  # the system cannot start a process now
            server_socket.close()
            self._finish_starting()
            self._note_exit(type(error).__name__)
            return
        reader, writer = await asyncio.open_connection(sock=server_socket, limit=BUFFER_BYTES)
        watch: asyncio.Task[None] | None = None
        try:
            (_, process_id), _ = await read_frame(reader)  # the worker is ready
            self._note_heartbeat()
            watch = asyncio.create_task(self._watch(process_id))
            self._writer = None if self._is_closed else writer
            self._finish_starting()
            while not self._is_closed:
                (number, *head), content = await read_frame(reader)
                self._note_heartbeat()
                pending = self._pending.get(number)
                if pending is not None and not pending.response.done():
                    pending.response.set_result((head, content))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if watch is not None:
                watch.cancel()
            self._writer = None
            self._finish_starting()
            writer.close()
            for _, response, _ in self._pending.values():
                if not response.done():
                    response.set_exception(WorkerExited())
            try:
                await asyncio.wait_for(process.wait(), _EXIT_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
            self._note_exit(str(process.returncode))

    def _finish_starting(self) -> None:
        """Releases the requests that wait for the worker."""
        if self._starting is not None:
            self._starting.set_result(None)
            self._starting = None

    def _note_exit(self, status: str) -> None:
        self._restart_at = monotonic() + _RESTART_SECONDS
        if not self._is_closed:
            _log.warning("The bulkhead process exited.", extra={"fields": {"status": status}})
