"""What keeps a transfer from being made; the message says what would be right."""

from __future__ import annotations

from regulars.core.errors import RegularsError


class TransferError(RegularsError):
    """A file, an option or a server with which nothing can be done."""


class BadFile(TransferError):
    """A file that is not what it should be."""


class BadOption(TransferError):
    """An option that does not fit, or not to this file."""


class Interrupted(TransferError):
    """Somebody asked to stop: what was done is kept, and can be gone on with."""
