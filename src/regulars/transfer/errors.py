"""Errors of transfers. Their messages are for the user."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.core.errors import RegularsError


class TransferError(RegularsError):
    """An invalid file or option, or a failure of the other server."""


class BadFile(TransferError):
    """A file is invalid or damaged."""


class IncompleteFile(BadFile):
    """Only the beginning of a file is there, and its kind can be read as a whole only."""


class BadOption(TransferError):
    """An option is invalid, or does not fit the file."""


class UnclearEncoding(BadOption):
    """The encoding of a file is not certain. `likely` are the likely encodings, the likeliest
    first, each with up to three decoded cells."""

    def __init__(self, message: str, likely: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        super().__init__(message)
        self.likely = likely


class RemoteUnreachable(TransferError):
    """The other server did not answer, also when the request was repeated."""


class Interrupted(TransferError):
    """The transfer was stopped by the user, and can be resumed."""


class ProcessEnded(TransferError):
    """A process that a transfer needs was killed. The transfer can be resumed."""
