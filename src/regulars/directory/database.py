"""A database that follows the directory's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.directory import found_by
from regulars.directory.decide import DOMAIN
from regulars.store import (
    STATEMENT_SECONDS,
    Address,
    BadDatabaseURL,
    Domain,
    PostgreSQLStore,
    Store,
    parse_url,
    store_at,
)
from regulars.store import migrate as tables
from regulars.store.replicas import Replicas


def store_for(
    database_url: str,
    statement_seconds: float = STATEMENT_SECONDS,
    large: bool = False,
    domain: Domain = DOMAIN,
) -> Store:
    """The store at a database URL, not yet open; `large` for whoever writes many rows. Raises
    BadDatabaseURL."""
    return store_at(parse_url(database_url), domain, statement_seconds, large)


def replicas_for(
    primary: Store, urls: Sequence[str], statement_seconds: float, most_behind: float
) -> Replicas | None:
    """The replicas of a primary at database URLs, if there are any: those are read that are at most
    `most_behind` seconds behind. Raises BadDatabaseURL."""
    addresses = [parse_url(url) for url in urls]
    if not addresses:
        return None
    if not isinstance(primary, PostgreSQLStore) or any(one.dsn is None for one in addresses):
        raise BadDatabaseURL(
            "Replicas (REGULARS_READ_DATABASE_URL) are PostgreSQL's, of a PostgreSQL database: use "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE for them and for REGULARS_DATABASE_URL."
        )
    dsns = [str(address.dsn) for address in addresses]
    return Replicas(primary, dsns, DOMAIN, statement_seconds, most_behind)


def upgrade(address: Address, to: str = "head", before: bool = False) -> str:
    """Brings a database's tables, and what is derived in them, up to a version; answers the
    version. `before` leaves what older programs need. Raises Unreachable, and NotMigrated when the
    database is newer than this program."""
    return tables.upgrade(address, _derive, to, before)


def _derive(row: Mapping[str, Any]) -> tuple[dict[str, str], set[str]]:
    columns = found_by.derived(row)
    return columns, found_by.terms_of({**row, **columns})
