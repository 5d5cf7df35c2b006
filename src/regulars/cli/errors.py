"""The exit codes of commands, and messages instead of tracebacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.core.errors import RegularsError, Rejected

DONE = 0
REFUSED = 1
USAGE = 2
UNREACHABLE = 3
NOT_MIGRATED = 4
SOME_REJECTED = 5
INTERRUPTED = 130

EXIT_CODES = {
    DONE: "The command succeeded.",
    REFUSED: "The command failed, or it found problems. The message says why.",
    USAGE: "A command, an argument, an option or a setting is invalid.",
    UNREACHABLE: "The database or the server cannot be reached, or the server cannot listen.",
    NOT_MIGRATED: "The tables of the database are missing or have another version.",
    SOME_REJECTED: "The command completed, but some rows were rejected.",
    INTERRUPTED: "Ctrl-C stopped the command. Completed work is kept.",
}

# The codes of PostgreSQL for insufficient_privilege, and for a search_path without a usable schema.
_MISSING_RIGHTS = ("42501", "3F000")


class UsageError(RegularsError):
    """An option or a setting has an invalid value."""


class CannotListenError(RegularsError):
    """The server cannot listen on the address or port."""


class ServerUnreachable(RegularsError):
    """The server that a command uses does not answer."""


class APIError(RegularsError):
    """The API refuses a request. `key` is the key of its first error."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key

    @classmethod
    def of_response(cls, errors: Sequence[Mapping[str, Any]]) -> APIError:
        """Return the exception for the errors of a response."""
        messages = [str(error.get("message", "The server gives no reason.")) for error in errors]
        if errors[0].get("key") == "errors_unauthenticated":
            messages = ["The server does not accept the token: it is unknown, expired or revoked."]
        return cls(" ".join(dict.fromkeys(messages)), str(errors[0].get("key", "")))


def exit_code(error: BaseException) -> int | None:
    """Returns the exit code of an expected error, or None."""
    if isinstance(error, UsageError):
        return USAGE
    # Imported here, because most commands end without an error.
    import apsw
    import asyncpg
    import sqlalchemy as sa

    from regulars.accounts.accounts import AccountError
    from regulars.store import BadDatabaseURL, NotMigrated, StoreError, Unreachable
    from regulars.transfer.errors import (
        BadOption,
        Interrupted,
        RemoteUnreachable,
        TransferError,
    )

    if isinstance(error, BadDatabaseURL):
        return USAGE
    if isinstance(error, NotMigrated):
        return NOT_MIGRATED
    if isinstance(error, Unreachable | CannotListenError | ServerUnreachable | RemoteUnreachable):
        return UNREACHABLE
    if isinstance(error, APIError):
        return UNREACHABLE if error.key == "errors_unavailable" else REFUSED
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, BadOption):
        return USAGE
    expected_errors = (
        AccountError
        | StoreError
        | TransferError
        | Rejected
        | apsw.Error
        | asyncpg.PostgresError
        | sa.exc.DBAPIError
    )
    return REFUSED if isinstance(error, expected_errors) else None


def error_message(error: BaseException) -> str:
    """Returns the message for an error that has an exit code."""
    if isinstance(error, UsageError):
        return str(error)
    import sqlalchemy as sa

    from regulars.accounts.accounts import AccountError
    from regulars.store import StoreError
    from regulars.transfer.errors import TransferError

    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, Rejected):
        return " ".join(problem.message for problem in error.problems)
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    # A driver's message does not say that it is about the database.
    is_own_error = isinstance(
        error,
        AccountError
        | StoreError
        | CannotListenError
        | TransferError
        | ServerUnreachable
        | APIError,
    )
    if is_own_error:
        return first
    # The driver's, or its cause in an error of SQLAlchemy's driver for it.
    missing_right = getattr(error, "sqlstate", None) in _MISSING_RIGHTS
    hint = " Run `regulars doctor`, which prints the missing GRANT." if missing_right else ""
    return f"The database reports an error: {first.rstrip('.').split('>: ')[-1]}.{hint}"
