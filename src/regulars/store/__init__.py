"""SQLite and PostgreSQL behind one interface."""

from regulars.store.base import STATEMENT_SECONDS, QueryExecutor, Store
from regulars.store.changes import Changes, LookupKeys, State, Terms
from regulars.store.entities import Entities
from regulars.store.entity import LoadedRows, Row
from regulars.store.errors import (
    BadDatabaseURL,
    Conflict,
    DiskFull,
    NotMigrated,
    StatementTimeout,
    StoreError,
    Unreachable,
)
from regulars.store.postgresql.store import POOL_SIZE, PostgreSQLStore
from regulars.store.sqlite.store import SQLiteStore
from regulars.store.unit_of_work import Domain, UnitOfWork
from regulars.store.url import DatabaseUrl, parse_url
from regulars.store.writer import Command


def create_store(
    url: DatabaseUrl,
    domain: Domain,
    statement_seconds: float,
    is_bulk: bool = False,
    pool_size: int = POOL_SIZE,
) -> Store:
    """Return the store of a database URL, not yet open. No statement takes longer than
    `statement_seconds`. A store with `is_bulk` writes many rows: it uses more memory, and pauses
    for other writers. `pool_size` limits the connections to PostgreSQL."""
    if url.path is not None:
        return SQLiteStore(url.path, domain, statement_seconds, is_bulk)
    return PostgreSQLStore(str(url.dsn), domain, statement_seconds, pool_size, is_bulk)


__all__ = [
    "STATEMENT_SECONDS",
    "BadDatabaseURL",
    "Changes",
    "Command",
    "Conflict",
    "DatabaseUrl",
    "DiskFull",
    "Domain",
    "Entities",
    "LoadedRows",
    "LookupKeys",
    "NotMigrated",
    "PostgreSQLStore",
    "QueryExecutor",
    "Row",
    "State",
    "StatementTimeout",
    "Store",
    "StoreError",
    "Terms",
    "UnitOfWork",
    "Unreachable",
    "create_store",
    "parse_url",
]
