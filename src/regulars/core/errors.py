"""The base of the errors that a caller can handle."""

from __future__ import annotations


class RegularsError(Exception):
    """The request cannot be carried out, and nothing has changed. The message says why, and how to
    correct it."""
