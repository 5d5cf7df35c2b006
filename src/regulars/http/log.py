"""The log: JSON, a line for each event, on standard error.

A request's line holds no personal data and nothing that a client wrote, but for two things that are
held to a plain alphabet: the request's id and the operation's name. JSON escapes line breaks, so
that nobody can write a line of their own.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import traceback
from functools import lru_cache
from typing import Any

import orjson


def line(level: str, event: str, **fields: Any) -> bytes:
    """A line of the log."""
    told = {"time": moment(time.time()).decode(), "level": level, "event": event, **fields}
    return orjson.dumps(told, default=str) + b"\n"


def moment(at: float) -> bytes:
    """A moment, in seconds since 1970, as ISO 8601 has it: to the millisecond in UTC."""
    second = int(at)
    return b"%s.%03dZ" % (_second(second), int((at - second) * 1000))


@lru_cache(maxsize=2)
def _second(at: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)).encode()


class JSONFormatter(logging.Formatter):
    """What Python's own logging says, as a line of the log. Of an exception it shows the type and
    the places, not the text: a database's may quote a customer."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {"logger": record.name, **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            fields["error"] = type(error).__name__
            fields["traceback"] = "".join(traceback.format_tb(error.__traceback__))
        level = record.levelname.lower()
        return line(level, record.getMessage(), **fields).decode().rstrip("\n")


def configure() -> None:
    """Sends what this process logs to standard error, warnings and worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def write(text: bytes) -> None:
    """Writes lines. Whoever does not read the log keeps nobody from an answer."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()
