"""The log: one line of JSON for each event, on standard error.

The line of a request contains no personal data. Clients choose only two of its values, the request
id and the name of the operation, and both have a restricted alphabet. JSON escapes line breaks, so
a client cannot add lines.
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
    """Returns a line of the log, with the current time and the line break."""
    timestamp = format_timestamp(time.time()).decode()
    entry = {"time": timestamp, "level": level, "event": event, **fields}
    return orjson.dumps(entry, default=str) + b"\n"


def format_timestamp(seconds: float) -> bytes:
    """Formats a time in seconds since 1970 as ISO 8601, in UTC, with milliseconds."""
    whole_seconds = int(seconds)
    milliseconds = int((seconds - whole_seconds) * 1000)
    return b"%s.%03dZ" % (_format_seconds(whole_seconds), milliseconds)


@lru_cache(maxsize=2)
def _format_seconds(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()


class JSONFormatter(logging.Formatter):
    """Formats the records of Python's logging as lines of the log. A line contains the type and the
    stack of an exception, but not its message, which may contain customer data."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {"logger": record.name, **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            fields["error"] = type(error).__name__
            fields["traceback"] = "".join(traceback.format_tb(error.__traceback__))
        level = record.levelname.lower()
        return line(level, record.getMessage(), **fields).decode().rstrip("\n")


def configure() -> None:
    """Makes this process log warnings and errors to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def write(lines: bytes) -> None:
    """Writes lines. Ignores a closed standard error, so that requests do not fail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()
