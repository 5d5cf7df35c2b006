"""What the fields of one request share."""

from __future__ import annotations

from typing import NamedTuple

from regulars.directory.directory import Directory


class Context(NamedTuple):
    """The account that the token opens, the request's id, and its present: one moment for the
    whole answer, in milliseconds since 1970."""

    account_id: int
    directory: Directory
    request_id: str
    now: int
