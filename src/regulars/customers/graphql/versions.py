"""The versions that writes expect."""

from __future__ import annotations

from regulars.api.context import Context, require
from regulars.core.scopes import READ
from regulars.graphql import Arguments


def expected_version(env: Context, arguments: Arguments) -> int | None:
    """Return the version that a write expects. It needs the scope to read customers: a conflict
    shows the current version, which changes with the values of the customer."""
    version: int | None = arguments.get("ifVersion")
    if version is not None:
        require(env, READ)
    return version
