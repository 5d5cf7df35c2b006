"""Two databases behind one interface."""

from regulars.store.base import STATEMENT_SECONDS, Reader, Store
from regulars.store.errors import (
    BadDatabaseURL,
    Conflict,
    NoRoom,
    NotMigrated,
    StoreError,
    TooSlow,
    Unreachable,
)
from regulars.store.postgresql.store import PostgreSQLStore
from regulars.store.sqlite.store import SQLiteStore
from regulars.store.url import Address, parse_url
from regulars.store.writer import Changes, Command, Decide, Names, Row, State, Terms


def store_at(
    address: Address, decide: Decide, statement_seconds: float, large: bool = False
) -> Store:
    """The store at an address, not yet open. `decide` decides what its writer does; no statement
    takes longer than `statement_seconds`. `large` is for whoever writes many rows: it takes more
    memory."""
    if address.path is not None:
        return SQLiteStore(address.path, decide, statement_seconds, large)
    return PostgreSQLStore(str(address.dsn), decide, statement_seconds, large=large)


__all__ = [
    "STATEMENT_SECONDS",
    "Address",
    "BadDatabaseURL",
    "Changes",
    "Command",
    "Conflict",
    "Decide",
    "Names",
    "NoRoom",
    "NotMigrated",
    "PostgreSQLStore",
    "Reader",
    "Row",
    "State",
    "Store",
    "StoreError",
    "Terms",
    "TooSlow",
    "Unreachable",
    "parse_url",
    "store_at",
]
