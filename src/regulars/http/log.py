"""The log: JSON, a line for each event, on standard error.

A request's line holds no personal data and nothing that a client wrote, but for two things that are
held to a plain alphabet: the request's id and the operation's name. JSON escapes line breaks, so
that nobody can write a line of their own.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson


def line(level: str, event: str, **fields: Any) -> bytes:
    """A line of the log."""
    told = {"time": _now(), "level": level, "event": event, **fields}
    return orjson.dumps(told, default=str) + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    """Writes a line. Whoever does not read the log keeps nobody from an answer for long."""
    try:
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()
    except (OSError, ValueError):  # nobody reads it any more
        return
