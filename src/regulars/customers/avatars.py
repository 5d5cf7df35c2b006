"""Avatars: pictures of customers at Gravatar, by email."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

try:  # Python's own is asked in half the time of OpenSSL's
    from _md5 import md5  # type: ignore[import-not-found]  # it has no stubs
except ImportError:  # a Python that was built without it
    md5 = partial(hashlib.md5, usedforsecurity=False)


def avatars(emails: Sequence[str]) -> list[str]:
    """Return the URLs of the pictures of emails: the MD5 of the lower-case email, which is stored
    without spaces around it. Empty without an email."""
    return [
        email and "//www.gravatar.com/avatar/" + md5(email.lower().encode()).hexdigest()
        for email in emails
    ]
