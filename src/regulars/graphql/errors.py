"""What can go wrong in a GraphQL request, and how it is written down.

Exception
├── RequestError          the caller can mend it; carries one Fault or more
└── (anything else)  a binding failed; the engine asks its `describe` hook what to say
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import Node

REPORTED = "ReportedError"
INTERNAL = "InternalError"

INVALID_DOCUMENT = "errors_invalid_document"
DOCUMENT_LIMIT = "errors_document_limit"
INVALID_INPUT = "errors_invalid_input"
INTERNAL_KEY = "errors_internal"

# The code that Apollo clients look for, by key. Applications add their own keys.
BAD_USER_INPUT = "BAD_USER_INPUT"
CODES: dict[str, str] = {
    INVALID_DOCUMENT: BAD_USER_INPUT,
    DOCUMENT_LIMIT: BAD_USER_INPUT,
    INVALID_INPUT: BAD_USER_INPUT,
    INTERNAL_KEY: "INTERNAL_SERVER_ERROR",
}

Path = tuple[str | int, ...]

MAX_MESSAGE = 1_000
# Names of input fields are a client's, where they are wrong.
_MAX_STEP = 255


def cut(message: str) -> str:
    """A message without the middle of a long value that it quotes."""
    if len(message) <= MAX_MESSAGE:
        return message
    return f"{message[: MAX_MESSAGE // 2]}…{message[-MAX_MESSAGE // 4 :]}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    `message` is for a person, `key` for a program. `input_path` says where in the
    arguments of the field the fault lies; empty when it lies nowhere in particular.
    """

    message: str
    key: str
    input_path: Path = ()
    name: str = REPORTED
    extensions: Mapping[str, Any] = field(default_factory=dict)


class RequestError(Exception):
    """A request, or a field of it, that the caller can mend."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class CostLimitError(RequestError):
    """A response whose lists have more objects than a request may cost."""

    def __init__(self, cost: int, max_cost: int) -> None:
        message = (
            f"The response has more objects than a request may cost: {cost:,} points; at most "
            f"{max_cost:,} are allowed (REGULARS_MAX_COST). Pass `first` to its lists, or request "
            "fewer rows."
        )
        extensions = {"cost": cost, "limit": max_cost}
        super().__init__(Fault(message, DOCUMENT_LIMIT, extensions=extensions))


def error_entry(fault: Fault, nodes: Sequence[Node] = (), path: Path = ()) -> dict[str, Any]:
    """One entry of the response's `errors`, as the GraphQL specification (section 7.1) has it,
    with `name` and `key` beside the message; `extensions` has the key again, and its code."""
    entry: dict[str, Any] = {"message": fault.message, "name": fault.name, "key": fault.key}
    locations = [node.loc.source.get_location(node.loc.start) for node in nodes if node.loc]
    if locations:
        entry["locations"] = [{"line": at.line, "column": at.column} for at in locations]
    if path:
        entry["path"] = list(path)
    code = CODES.get(fault.key, BAD_USER_INPUT)
    extensions: dict[str, Any] = {"key": fault.key, "code": code, **fault.extensions}
    if fault.input_path:
        extensions["input_path"] = [
            step[:_MAX_STEP] if isinstance(step, str) else step for step in fault.input_path
        ]
    entry["extensions"] = extensions
    return entry
