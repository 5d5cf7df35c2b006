"""A temporary table for a transfer."""

from __future__ import annotations

import apsw


def temporary_table(table: str) -> apsw.Connection:
    """Return a connection to a temporary file with one table, which `table` defines. Closing the
    connection deletes the file. Memory does not grow with the rows."""
    connection = apsw.Connection("")
    connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    connection.execute(f"CREATE TABLE {table} WITHOUT ROWID; BEGIN")
    return connection
