"""The customers that a dry run has processed: it saves nothing, and a customer may be repeated."""

from __future__ import annotations

import hashlib

from regulars.customers.bulk import SetRow, contact_term
from regulars.transfer.temporary_table import temporary_table


class SeenKeys:
    """A set of customers in a temporary file, so that memory does not grow with the file."""

    def __init__(self) -> None:
        self._connection = temporary_table("seen (key BLOB PRIMARY KEY)")

    def add(self, row: SetRow) -> bool:
        """Add the customer of a row. Return whether an earlier row had the same customer."""
        ids = row.values.get("external_ids") or row.shop_ids
        other = str(ids[0]) if ids else contact_term(row) or f"#{row.take}"
        key = row.values.get("email_key") or other
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        return not self._connection.changes()

    def close(self) -> None:
        """Delete the set."""
        self._connection.close()
