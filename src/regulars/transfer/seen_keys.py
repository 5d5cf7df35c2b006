"""Which customers a dry run has met: nothing of it is saved, and they may come twice."""

from __future__ import annotations

import hashlib

from regulars.customers.bulk import SetRow
from regulars.transfer.temporary_table import temporary_table


class SeenKeys:
    """The customers that rows named, in a temporary file that is gone with it: memory does not
    grow."""

    def __init__(self) -> None:
        self._connection = temporary_table("seen (key BLOB PRIMARY KEY)")

    def before(self, row: SetRow) -> bool:
        """Whether a row named the same customer before."""
        key = row.values.get("email_key") or f"#{row.take}"
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        return not self._connection.changes()

    def close(self) -> None:
        """Forgets them."""
        self._connection.close()
