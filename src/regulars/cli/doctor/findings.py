"""The results of checks."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: its state, its subject, and a message with the fix."""

    state: str
    subject: str
    message: str
