"""A database that follows the directory's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.directory import found_by
from regulars.directory.decide import decide
from regulars.store import STATEMENT_SECONDS, Address, Store, parse_url, store_at
from regulars.store import migrate as tables


def store_for(
    database_url: str, statement_seconds: float = STATEMENT_SECONDS, large: bool = False
) -> Store:
    """The store at a database URL, not yet open; `large` for whoever writes many rows. Raises
    BadDatabaseURL."""
    return store_at(parse_url(database_url), decide, statement_seconds, large)


def upgrade(address: Address, to: str = "head") -> str:
    """Brings a database's tables, and what is derived in them, up to a version; answers the
    version. Raises Unreachable, and NotMigrated when the database is newer than this program."""
    return tables.upgrade(address, _derive, to)


def _derive(row: Mapping[str, Any]) -> tuple[dict[str, str], set[str]]:
    columns = found_by.derived(row)
    return columns, found_by.terms_of({**row, **columns})
