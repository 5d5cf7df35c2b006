"""The bulkhead: what would keep other accounts waiting is worked on in a process of its own, which
has less of the processor where that is scarce.

(The pattern: Nygard, Release It!, 2007.) The server asks nothing of it while one account asks, or
while all of them ask for little. The process is begun when it is needed first, and ends with the
server, however that ends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import orjson

from regulars.directory.accounts import Grant
from regulars.http.fair_queue import FairQueue
from regulars.http.messages import GraphQLRequest, Reply, RequestHeaders
from regulars.http.request_observer import RequestRecord
from regulars.store.recently_seen import RecentlySeen

PROGRAM = "regulars.bulkhead_worker"
# An account that has more requests under way than this takes more than its part.
FAIR_SHARE = 8
# What costs so many points would keep others waiting.
EXPENSIVE_COST = 1_000
_LATELY_SECONDS = 1.0
# How many requests that read, and that write, an account has there at once: while it waits for the
# next, the server and the database are there for others. The next begins after a rest of so many
# times as long as the one before took, because a database's processes step back for nobody.
READS = 1
WRITES = 2
_RESTS = 2
_MOST_REST_SECONDS = 1.0
# After the process ended by itself, the next one is not begun at once.
_PAUSE_SECONDS = 5.0
_END_SECONDS = 10.0
# A process that has something to do gives a sign of life so often; one that has given none for so
# long is given nothing more, and what it was reading is read by the server: that is soon enough for
# its request, and not so soon that others are kept waiting where there is only little to be had.
SIGN_SECONDS = 0.25
_SILENT_SECONDS = 4.0
BUFFER = 4 * 1024 * 1024
_LENGTHS = struct.Struct(">II")
# Of a request's headers, what has a say in its answer.
_HEADERS = frozenset((b"accept", b"regulars-cost", b"regulars-change", b"idempotency-key"))

_log = logging.getLogger("regulars.bulkhead")


class WorkerExited(Exception):
    """The process ended before it answered."""


class ForwardedRequest(NamedTuple):
    """A request as the process is given it: its number, the grant of whoever asks, how many points
    are left of its rate, and the headers and the body of the request."""

    number: int
    grant: Grant
    left: int | None
    headers: dict[bytes, bytes]
    body: bytes


class NoisyNeighborDetector:
    """Who asks beside whom. Of the accounts that ask for little, the last two are known: one of
    them is another than whoever asks for much."""

    def __init__(self) -> None:
        self._greedy = RecentlySeen(_LATELY_SECONDS)
        self._last = self._before = (0, 0.0)

    def is_noisy(self, account_id: int, cost: int, under_way: int) -> bool:
        """Whether a request of that cost, of an account that has so many under way, would keep
        another account waiting that asks for little."""
        now = monotonic()
        if under_way <= FAIR_SHARE and account_id not in self._greedy:
            if self._last[0] != account_id:
                self._before = self._last
            self._last = (account_id, now + _LATELY_SECONDS)
            return cost >= EXPENSIVE_COST and self.of(account_id)
        if not self.of(account_id):
            return False
        if under_way > FAIR_SHARE:
            self._greedy.add(account_id)
        return True

    def of(self, account_id: int) -> bool:
        """Whether another account than that asks for little."""
        other = self._before if self._last[0] == account_id else self._last
        return monotonic() < other[1]


class Bulkhead:
    """Passes on what disturbs others. `environment` are the settings of the process; `passed` is
    told of each request."""

    def __init__(self, environment: Mapping[str, str], passed: Callable[[], None]) -> None:
        self._environment = {**os.environ, **environment}
        self._passed = passed
        self._detector = NoisyNeighborDetector()
        self._turns = {False: FairQueue(READS, None), True: FairQueue(WRITES, None)}
        self._numbers = itertools.count(1)
        # Whether what waits only reads, and its answer.
        self._waiting: dict[int, tuple[bool, asyncio.Future[tuple[list[Any], bytes]]]] = {}
        self._pipe: asyncio.StreamWriter | None = None
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._heard = 0.0
        self._silent = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait to be passed on."""
        return sum(turns.waiting for turns in self._turns.values())

    def takes(self, account_id: int, cost: int, under_way: int) -> bool:
        """Whether a request is passed on. While the process begins, only an account that floods
        waits for it."""
        alive = self._alive()  # whoever asks finds out
        if not self._detector.is_noisy(account_id, cost, under_way):
            return False
        if self._pipe is None:
            self._begin()
            return self._ready is not None and under_way > FAIR_SHARE
        return alive

    def _alive(self) -> bool:
        """Whether the process has given a sign of life, if it has something to do. What a silent
        one was reading is given back."""
        if self._silent:
            return False
        if not self._waiting or monotonic() < self._heard + _SILENT_SECONDS:
            return True
        self._silent = True
        for reads, waiting in self._waiting.values():
            if reads and not waiting.done():
                waiting.set_exception(WorkerExited())
        return False

    def _hear(self) -> None:
        self._heard = monotonic()
        self._silent = False

    async def answer(
        self,
        record: RequestRecord,
        grant: Grant,
        request: GraphQLRequest,
        headers: RequestHeaders,
        left: int | None,
    ) -> Reply | None:
        """The answer to a request that it takes; None where there is no process after all, and
        nothing was done. Raises WorkerExited."""
        given = {
            name.decode(): headers[name].decode("latin-1") for name in _HEADERS & headers.keys()
        }
        given["x-request-id"] = record.request_id.decode()
        number = next(self._numbers)
        head = [number, [*grant[:3], list(grant.scopes)], left, given]
        query, variables, name = request
        body = {"query": query, "variables": variables, "operationName": name}
        try:
            message = frame(head, orjson.dumps(body))
        except TypeError:  # it reads what is nested deeper than it writes
            return None
        if self._ready is not None:
            await asyncio.shield(self._ready)
        turns, account_id = self._turns[record.kind == "mutation"], grant.account_id
        turn = turns.enter(account_id, record.cost)
        if turn is not None:
            await turn
        began, made = monotonic(), None
        try:
            made = await self._pass(record, number, message)
        finally:
            rest = min(_RESTS * (monotonic() - began), _MOST_REST_SECONDS)
            if made is None or not self._detector.of(account_id):
                rest = 0.0
            leave = partial(turns.leave, account_id, record.cost, began)
            asyncio.get_running_loop().call_later(rest, leave)
        return made

    async def _pass(self, record: RequestRecord, number: int, message: bytes) -> Reply | None:
        if self._pipe is None or self._silent:
            return None
        self._passed()
        answered = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._heard = monotonic()
        self._waiting[number] = record.kind != "mutation", answered
        self._pipe.write(message)
        try:
            (status, keys, more), content = await answered
        finally:
            self._waiting.pop(number, None)
        record.error_keys = keys
        sent = [(name.encode(), value.encode("latin-1")) for name, value in more]
        return Reply(status, content, record.media_type, record.request_id, sent)

    async def close(self) -> None:
        """Ends the process, once it has answered what it was given."""
        self._closed = True
        if self._pipe is not None:
            self._pipe.close()
        if self._task is not None:
            await self._task

    def _begin(self) -> None:
        running = self._task is not None and not self._task.done()
        if not running and not self._closed and monotonic() >= self._not_before:
            self._ready = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """A process, from its beginning to its end."""
        ours, its = socket.socketpair()
        try:
            with its:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", PROGRAM), env=self._environment, stdin=its.fileno()
                )
        except OSError as error:  # no process can be had now
            ours.close()
            self._told_ready()
            self._ended(type(error).__name__)
            return
        reader, writer = await asyncio.open_connection(sock=ours, limit=BUFFER)
        try:
            await read_frame(reader)  # it is ready
            self._hear()
            self._pipe = None if self._closed else writer
            self._told_ready()
            while not self._closed:
                (number, *head), content = await read_frame(reader)
                self._hear()
                _, waiting = self._waiting.get(number, (True, None))
                if waiting is not None and not waiting.done():
                    waiting.set_result((head, content))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._pipe = None
            self._told_ready()
            writer.close()
            for _, waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(WorkerExited())
            try:
                await asyncio.wait_for(process.wait(), _END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
            self._ended(str(process.returncode))

    def _told_ready(self) -> None:
        """Nobody need wait any more."""
        if self._ready is not None:
            self._ready.set_result(None)
            self._ready = None

    def _ended(self, why: str) -> None:
        self._not_before = monotonic() + _PAUSE_SECONDS
        if not self._closed:
            _log.warning("The bulkhead's process ended.", extra={"fields": {"status": why}})


def frame(head: object, body: bytes) -> bytes:
    """A message between the two processes."""
    told = orjson.dumps(head)
    return b"".join((_LENGTHS.pack(len(told), len(body)), told, body))


async def read_frame(reader: asyncio.StreamReader) -> tuple[list[Any], bytes]:
    """The next message. Raises IncompleteReadError at the end."""
    head, body = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    return orjson.loads(await reader.readexactly(head)), await reader.readexactly(body)


# A sign of life: the answer to no request.
SIGN = frame([0], b"")


def passed(head: list[Any], body: bytes) -> ForwardedRequest:
    """The request in a message."""
    number, (account_id, token_id, name, scopes), left, headers = head
    grant = Grant(account_id, token_id, name, frozenset(scopes))
    return ForwardedRequest(
        number,
        grant,
        left,
        {name.encode(): value.encode("latin-1") for name, value in headers.items()},
        body,
    )


def answered(number: int, record: RequestRecord, answer: Reply) -> bytes:
    """The message that answers it."""
    more = [(name.decode(), value.decode("latin-1")) for name, value in answer.more]
    return frame([number, answer.status, list(record.error_keys), more], answer.content)
