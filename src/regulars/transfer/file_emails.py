"""The emails by which the rows of a file identify their customers."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from regulars.customers.contact_points import email_key
from regulars.transfer.email_cells import unwrap_email

# Emails that are remembered, in 8 bytes each. Beyond that, only the database tells whose they are.
MAX_EMAILS = 4_000_000


class FileEmails:
    """A set of emails, by hashes of 8 bytes. `seal` it before it is used."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def observe(self, cells: Iterable[str]) -> bool:
        """Add the emails in cells. Return whether no more are remembered."""
        for cell in cells:
            self._hashes.append(_hash(email_key(unwrap_email(cell).address)))
        return len(self._hashes) >= MAX_EMAILS

    def seal(self) -> None:
        """Prepare the set for look-ups."""
        self._hashes = array("Q", sorted(set(self._hashes)))

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def __contains__(self, key: str) -> bool:
        index = bisect_left(self._hashes, _hash(key))
        return index < len(self._hashes) and self._hashes[index] == _hash(key)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(errors="replace"), digest_size=8).digest())
