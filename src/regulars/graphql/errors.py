"""The errors of GraphQL requests, and their entries in the response.

An exception is either a RequestError, which is the client's to correct and carries its faults, or
an error of a binding, whose faults the engine's `format_error` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import Location, Node, SourceLocation

REPORTED = "ReportedError"
INTERNAL = "InternalError"

INVALID_DOCUMENT = "errors_invalid_document"
DOCUMENT_LIMIT = "errors_document_limit"
INVALID_INPUT = "errors_invalid_input"
INTERNAL_KEY = "errors_internal"

# The codes of Apollo Server, by key. Applications add their own keys.
BAD_USER_INPUT = "BAD_USER_INPUT"
CODES: dict[str, str] = {
    INVALID_DOCUMENT: BAD_USER_INPUT,
    DOCUMENT_LIMIT: BAD_USER_INPUT,
    INVALID_INPUT: BAD_USER_INPUT,
    INTERNAL_KEY: "INTERNAL_SERVER_ERROR",
}

Path = tuple[str | int, ...]

MAX_MESSAGE_CHARACTERS = 1_000
# A path can contain the name of an unknown input field, which can be long.
_MAX_STEP_CHARACTERS = 255


def truncate(message: str) -> str:
    """Returns a message without its middle if it quotes a long value."""
    if len(message) <= MAX_MESSAGE_CHARACTERS:
        return message
    return f"{message[: MAX_MESSAGE_CHARACTERS // 2]}…{message[-MAX_MESSAGE_CHARACTERS // 4 :]}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a request.

    `message` is for people, `key` for programs. `input_path` is the path of the invalid value in
    the arguments of the field, or empty.
    """

    message: str
    key: str
    input_path: Path = ()
    name: str = REPORTED
    extensions: Mapping[str, Any] = field(default_factory=dict)


class RequestError(Exception):
    """An error of a request, or of one of its fields, that the client can correct."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class CostLimitError(RequestError):
    """The response costs more than a request may cost. Costs are in points."""

    def __init__(self, cost: int, max_cost: int) -> None:
        message = (
            f"The response costs {cost:,} points; the maximum is {max_cost:,} "
            "(`REGULARS_MAX_COST`). Pass `first` to its lists, or request fewer rows or figures."
        )
        extensions = {"cost": cost, "limit": max_cost}
        super().__init__(Fault(message, DOCUMENT_LIMIT, extensions=extensions))


def locate(location: Location) -> SourceLocation:
    """Returns the line and the column at which a node begins."""
    return location.source.get_location(location.start)


Locate = Callable[[Location], SourceLocation]


def error_entry(
    fault: Fault, nodes: Sequence[Node] = (), path: Path = (), locate: Locate = locate
) -> dict[str, Any]:
    """Returns an entry of the response's `errors` (GraphQL specification, section 7.1). In addition
    it has `name` and `key`, and `extensions` has `key` and `code`."""
    entry: dict[str, Any] = {"message": fault.message, "name": fault.name, "key": fault.key}
    locations = [locate(node.loc) for node in nodes if node.loc]
    if locations:
        entry["locations"] = [
            {"line": location.line, "column": location.column} for location in locations
        ]
    if path:
        entry["path"] = list(path)
    code = CODES.get(fault.key, BAD_USER_INPUT)
    extensions: dict[str, Any] = {"key": fault.key, "code": code, **fault.extensions}
    if fault.input_path:
        extensions["input_path"] = [
            step[:_MAX_STEP_CHARACTERS] if isinstance(step, str) else step
            for step in fault.input_path
        ]
    entry["extensions"] = extensions
    return entry
