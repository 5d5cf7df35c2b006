"""What a client is told of an exception: the one place where errors become answers."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence

from regulars.directory.errors import Refused
from regulars.graphql import INTERNAL, INTERNAL_KEY, Fault

log = logging.getLogger("regulars")


def describe(error: Exception, request_id: str) -> Sequence[Fault]:
    """The faults of an exception: what the directory refused, or else that the fault is ours."""
    if isinstance(error, Refused):
        return [
            Fault(problem.message, problem.key, problem.input_path, extensions=problem.extensions)
            for problem in error.problems
        ]
    return [internal(error, request_id)]


def internal(error: BaseException, request_id: str) -> Fault:
    """Our fault: the log has where it happened, the client has the request's id.

    The exception's own text is not logged: a database's may quote a customer.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s failed: %s\n%s", request_id, type(error).__name__, frames)
    message = "Something went wrong on our side. Nothing that you sent is the cause; try again."
    return Fault(message, INTERNAL_KEY, name=INTERNAL, extensions={"request_id": request_id})
