"""The log: one line for each event, on standard error, as JSON or as text.

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


class TextFormatter(JSONFormatter):
    """Formats the records of Python's logging as text for people."""

    def format(self, record: logging.LogRecord) -> str:
        return to_text(super().format(record).encode()).decode()


def to_text(json_line: bytes) -> bytes:
    """Converts a line of JSON to text: the time, the level, the event and the other fields. A
    traceback follows on lines of its own."""
    entry = orjson.loads(json_line)
    stack = entry.pop("traceback", "")
    words = [entry.pop("time"), entry.pop("level").upper().ljust(7), entry.pop("event")]
    words += [
        f"{name}={_quote(value)}" for name, value in entry.items() if value not in (None, "", [])
    ]
    lines = [" ".join(words), *(stack.rstrip().splitlines() if stack else ())]
    return "\n    ".join(lines).encode()


def _quote(value: Any) -> str:
    """Returns a value as text; as JSON if it is not one word of ordinary characters."""
    is_word = isinstance(value, str) and value.isprintable() and not set(value) & set(' "=')
    return str(value) if is_word else orjson.dumps(value).decode()


# Whether the log of this process is text. Requests are formatted as JSON and converted.
_is_text = False


def configure(level: str, log_format: str | None) -> None:
    """Makes this process log to standard error the events of Regulars from a level on, and the
    warnings and errors of libraries. Without a format, the log is text on a terminal, otherwise
    JSON."""
    global _is_text
    _is_text = (log_format or ("text" if sys.stderr.isatty() else "json")) == "text"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if _is_text else JSONFormatter())
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("regulars").setLevel(number)


def is_enabled(level: int) -> bool:
    """Returns whether events of a level of Python's logging are written."""
    return logging.getLogger("regulars").isEnabledFor(level)


def write(lines: bytes) -> None:
    """Writes lines of JSON in the format of the log. Ignores a closed standard error, so that
    requests do not fail."""
    if _is_text:
        lines = b"".join(to_text(line) + b"\n" for line in lines.splitlines())
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()
