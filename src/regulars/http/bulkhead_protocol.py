"""The messages between a server and its bulkhead worker.

A message is a frame: the lengths of head and body (two 32-bit integers, big-endian), a JSON head,
and a body.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from regulars.accounts.grants import Grant
from regulars.http.messages import Reply
from regulars.http.request_observer import RequestRecord

BUFFER_BYTES = 4 * 1024 * 1024
# The interval of the heartbeats of a worker that has requests.
HEARTBEAT_SECONDS = 0.25
_LENGTHS = struct.Struct(">II")


class ForwardedRequest(NamedTuple):
    """A request for the worker. `remaining_points` are those of the token's rate limit, or None if
    rates are not limited."""

    number: int
    grant: Grant
    remaining_points: int | None
    headers: Mapping[bytes, bytes]
    body: bytes

    def encode(self) -> bytes:
        """Returns the request as a message."""
        headers = {name.decode(): value.decode("latin-1") for name, value in self.headers.items()}
        # The scopes of a grant are the only value that is not JSON.
        grant = [*self.grant[:3], list(self.grant.scopes), *self.grant[4:]]
        return _frame([self.number, grant, self.remaining_points, headers], self.body)

    @classmethod
    def decode(cls, head: list[Any], body: bytes) -> ForwardedRequest:
        """Returns the request in a message."""
        number, (account_id, token_id, name, scopes, *rest), remaining_points, headers = head
        grant = Grant(account_id, token_id, name, frozenset(scopes), *rest)
        by_name = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        return cls(number, grant, remaining_points, by_name, body)


def encode_reply(number: int, record: RequestRecord, reply: Reply) -> bytes:
    """Returns the message with the response to a request."""
    headers = [(name.decode(), value.decode("latin-1")) for name, value in reply.extra_headers]
    head = [number, reply.status, list(record.error_keys), record.surplus, headers]
    return _frame(head, reply.content)


def decode_reply(head: list[Any], content: bytes, record: RequestRecord) -> Reply:
    """Returns the response in a message. Copies the keys of its errors and its surplus into the
    record."""
    status, record.error_keys, record.surplus, headers = head
    extra_headers = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Reply(status, content, record.media_type, record.request_id, extra_headers)


async def read_frame(reader: asyncio.StreamReader) -> tuple[list[Any], bytes]:
    """Returns the head and the body of the next message. Raises IncompleteReadError at the end of
    the stream."""
    head_bytes, body_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    head = orjson.loads(await reader.readexactly(head_bytes))
    return head, await reader.readexactly(body_bytes)


def _frame(head: object, body: bytes) -> bytes:
    text = orjson.dumps(head)
    return b"".join((_LENGTHS.pack(len(text), len(body)), text, body))


def encode_ready(process_id: int) -> bytes:
    """Returns the first message of a worker: it accepts requests."""
    return _frame([0, process_id], b"")


# Number 0 is of no request.
HEARTBEAT = _frame([0], b"")
