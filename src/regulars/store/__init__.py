"""Two databases behind one interface."""

from regulars.store.base import STATEMENT_SECONDS, Fetches, Store
from regulars.store.entity import LoadedRows, Row
from regulars.store.errors import (
    BadDatabaseURL,
    Conflict,
    NoRoom,
    NotMigrated,
    StoreError,
    TooSlow,
    Unreachable,
)
from regulars.store.postgresql import PostgreSQLStore
from regulars.store.sqlite import SQLiteStore
from regulars.store.unit_of_work import (
    Changes,
    Domain,
    Entities,
    LookupKeys,
    State,
    Terms,
    UnitOfWork,
)
from regulars.store.url import Address, parse_url
from regulars.store.writer import Command


def store_at(
    address: Address, domain: Domain, statement_seconds: float, large: bool = False
) -> Store:
    """The store at an address, not yet open; no statement
    takes longer than `statement_seconds`. `large` is for whoever writes many rows: it takes more
    memory."""
    if address.path is not None:
        return SQLiteStore(address.path, domain, statement_seconds, large)
    return PostgreSQLStore(str(address.dsn), domain, statement_seconds, large=large)


__all__ = [
    "STATEMENT_SECONDS",
    "Address",
    "BadDatabaseURL",
    "Changes",
    "Command",
    "Conflict",
    "Domain",
    "Entities",
    "Fetches",
    "LoadedRows",
    "LookupKeys",
    "NoRoom",
    "NotMigrated",
    "PostgreSQLStore",
    "Row",
    "State",
    "Store",
    "StoreError",
    "Terms",
    "TooSlow",
    "UnitOfWork",
    "Unreachable",
    "parse_url",
    "store_at",
]
