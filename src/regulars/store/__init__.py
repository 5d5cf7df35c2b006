"""Two databases behind one interface."""

from regulars.store.base import Store
from regulars.store.errors import (
    BadDatabaseURL,
    Conflict,
    NotMigrated,
    StoreError,
    TooSlow,
    Unreachable,
)
from regulars.store.postgresql import PostgreSQLStore
from regulars.store.sqlite import SQLiteStore
from regulars.store.url import Address, parse_url
from regulars.store.writer import Changes, Command, Decide, Names, Row, State, Terms


def store_at(address: Address, decide: Decide) -> Store:
    """The store at an address, not yet open. `decide` decides what its writer does."""
    if address.path is not None:
        return SQLiteStore(address.path, decide)
    return PostgreSQLStore(str(address.dsn), decide)


__all__ = [
    "Address",
    "BadDatabaseURL",
    "Changes",
    "Command",
    "Conflict",
    "Decide",
    "Names",
    "NotMigrated",
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
