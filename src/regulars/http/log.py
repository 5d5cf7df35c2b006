"""The log: JSON, a line for each event, on standard error.

A request's line has no personal data, and only two values that a client chose: the request's id and
the operation's name, both of a plain alphabet. JSON escapes line breaks, so that nobody can add
lines.
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
    """Returns a line of the log."""
    timestamp = format_timestamp(time.time()).decode()
    entry = {"time": timestamp, "level": level, "event": event, **fields}
    return orjson.dumps(entry, default=str) + b"\n"


def format_timestamp(seconds: float) -> bytes:
    """Returns a time, in seconds since 1970, in ISO 8601: to the millisecond, in UTC."""
    whole_seconds = int(seconds)
    milliseconds = int((seconds - whole_seconds) * 1000)
    return b"%s.%03dZ" % (_format_seconds(whole_seconds), milliseconds)


@lru_cache(maxsize=2)
def _format_seconds(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()


class JSONFormatter(logging.Formatter):
    """Formats records of Python's logging as lines of the log. Of an exception, a line has the type
    and the stack, but no message: a database's message may quote a customer."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {"logger": record.name, **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            fields["error"] = type(error).__name__
            fields["traceback"] = "".join(traceback.format_tb(error.__traceback__))
        level = record.levelname.lower()
        return line(level, record.getMessage(), **fields).decode().rstrip("\n")


def configure() -> None:
    """Sends warnings and errors of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def write(lines: bytes) -> None:
    """Writes lines. A log that nobody reads does not fail a request."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()
