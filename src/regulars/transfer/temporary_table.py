"""A table of one's own for as long as a transfer takes."""

from __future__ import annotations

import apsw


def temporary_table(table: str) -> apsw.Connection:
    """A connection to a temporary file with a table, of which this is the definition; the file is
    gone with it, and memory does not grow with the rows."""
    connection = apsw.Connection("")
    connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    connection.execute(f"CREATE TABLE {table} WITHOUT ROWID; BEGIN")
    return connection
