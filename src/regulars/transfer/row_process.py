"""Parse the rows of a file in a second process, while this one writes the rows before them.

The child is a fork: it continues to read the open file, and shares most of its memory. It prepares
one batch ahead. The parent asks for a batch with a byte over a socket. The child then puts the
batch into a file in memory and sends its length. If one process ends, the other one notices it by
the end of the socket.
"""

from __future__ import annotations

import asyncio
import gc
import marshal
import os
import pickle
import signal
import socket
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar, overload

from regulars.core.external_ids import ExternalId
from regulars.customers.bulk import SetRow
from regulars.customers.upsert import with_new_customer
from regulars.transfer.errors import ProcessEnded
from regulars.transfer.row_batches import RowBatch

T = TypeVar("T")

# A smaller file takes less time than it takes to start a process: 20 ms.
_MIN_FILE_BYTES = 512 * 1024
_LENGTH_BYTES = 8
# What the parent sends to get a batch, and whether the batch after it shall have new customers.
_WITH_CUSTOMERS, _ROWS_ONLY = b"c", b"r"


def can_parse_apart(file_bytes: int | None) -> bool:
    """Return whether a second process makes the import of a file faster. `file_bytes` is its size,
    None if it is unknown."""
    return (
        sys.platform == "linux"
        and file_bytes is not None
        and file_bytes >= _MIN_FILE_BYTES
        and len(os.sched_getaffinity(0)) > 1
    )


class _Pickled(Sequence[T]):
    """A sequence that is unpickled when it is used: rows when the batch before them is written, and
    records only if their batch has warnings or rejected rows."""

    def __init__(self, items: Sequence[T]) -> None:
        self._pickled = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    @cached_property
    def _items(self) -> Sequence[T]:
        items: Sequence[T] = pickle.loads(self._pickled)  # noqa: S301  # of our own process
        self._pickled = b""
        return items


class _Marshalled(_Pickled[SetRow]):
    """Rows. Most are plain data, which `marshal` loads in a fifth of the time of `pickle`."""

    def __init__(self, rows: Sequence[SetRow]) -> None:
        super().__init__(())
        try:
            self._pickled = marshal.dumps(
                [
                    pickle.dumps(row) if _has_objects(row) else tuple(_with_ids(row, tuple))
                    for row in rows
                ]
            )
        except ValueError:  # a value is an object
            self._pickled = marshal.dumps([pickle.dumps(row) for row in rows])

    @cached_property
    def _items(self) -> Sequence[SetRow]:
        items = marshal.loads(self._pickled)  # noqa: S302  # of our own process
        self._pickled = b""
        return [
            _with_ids(SetRow._make(item), ExternalId._make)
            if type(item) is tuple
            else pickle.loads(item)  # noqa: S301  # of our own process
            for item in items
        ]


def _has_objects(row: SetRow) -> bool:
    return bool(row.problems or row.customer or row.warnings or row.contacts)


def _with_ids(row: SetRow, make: Callable[[Any], Any]) -> SetRow:
    """Return a row with external ids that `make` makes of its own: `marshal` takes plain tuples."""
    ids = row.values.get("external_ids")
    if ids:
        row = row._replace(values={**row.values, "external_ids": tuple(map(make, ids))})
    if row.shop_ids:
        row = row._replace(shop_ids=tuple(map(make, row.shop_ids)))
    return row


class RowProcess:
    """A child process that makes batches of rows. While `computes_customers`, it also computes the
    customers that the rows would create. Call `close` at the end."""

    def __init__(self, batches: Iterator[RowBatch]) -> None:
        self.computes_customers = True
        self._socket, childs_socket = socket.socketpair()
        self._memory = os.memfd_create("regulars-rows")
        with warnings.catch_warnings():
            # Python warns of locks that other threads hold. The child uses no database, and exits
            # without cleaning up.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if not self._pid:
            self._socket.close()
            _run(childs_socket, self._memory, batches)
        childs_socket.close()
        self._socket.setblocking(False)
        self._exit_code: int | None = None

    async def batches(self) -> AsyncIterator[RowBatch]:
        """Yield the batches. Raises what the child raises, and ProcessEnded."""
        while (batch := await self._receive()) is not None:
            yield batch

    async def _receive(self) -> RowBatch | None:
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(
                self._socket, _WITH_CUSTOMERS if self.computes_customers else _ROWS_ONLY
            )
            length = await loop.sock_recv(self._socket, _LENGTH_BYTES)
        except OSError:
            length = b""
        if not length:
            raise ProcessEnded(
                "The process that reads the file ended unexpectedly (exit code "
                f"{self._wait()}). If the machine has too little memory, free some."
            )
        payload = os.pread(self._memory, int.from_bytes(length, "big"), 0)
        message = pickle.loads(payload)  # noqa: S301  # of our own process
        if isinstance(message, Exception):
            raise message
        batch: RowBatch | None = message
        return batch

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        os.close(self._memory)
        if self._exit_code is None:
            os.kill(self._pid, signal.SIGKILL)
            self._wait()

    def _wait(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        _, status = os.waitpid(self._pid, 0)
        self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


def _run(connection: socket.socket, memory: int, batches: Iterator[RowBatch]) -> None:
    """Send all batches, and exit."""
    exit_code = 1
    try:
        # The parent decides what a signal means. It may have a thread that is waiting for it.
        signal.set_wakeup_fd(-1)
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_number, signal.SIG_IGN)
        gc.freeze()
        _send(connection, memory, batches)
        exit_code = 0
    finally:
        os._exit(exit_code)


def _send(connection: socket.socket, memory: int, batches: Iterator[RowBatch]) -> None:
    mode = _WITH_CUSTOMERS
    while mode:
        message = _next_message(batches, mode)
        payload = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        is_last = not isinstance(message, RowBatch)
        del message  # before the next batch takes its memory
        mode = connection.recv(1)
        if mode:
            _write(memory, payload)
            connection.sendall(len(payload).to_bytes(_LENGTH_BYTES, "big"))
        if is_last:
            return
        del payload


def _write(memory: int, payload: bytes) -> None:
    """Write a payload whole. Raises OSError if there is too little memory for it."""
    left = memoryview(payload)
    while left:
        left = left[os.pwrite(memory, left, len(payload) - len(left)) :]


def _next_message(batches: Iterator[RowBatch], mode: bytes) -> RowBatch | Exception | None:
    """Return the next batch, None at the end, or the exception that prevents it."""
    try:
        batch = next(batches, None)
        if batch is None:
            return None
        rows = batch.rows if mode == _ROWS_ONLY else list(map(with_new_customer, batch.rows))
        return batch._replace(records=_Pickled(batch.records), rows=_Marshalled(rows))
    except Exception as error:
        return error
