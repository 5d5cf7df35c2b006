"""A database that follows the directory's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.comments.words import words_of
from regulars.core.account_settings import country_of
from regulars.core.packages import all_tables
from regulars.customers.field_rules import EMPTY, folded_columns
from regulars.customers.search import index_terms, search_document
from regulars.customers.search.words import terms
from regulars.directory.decide import DOMAIN
from regulars.store import (
    STATEMENT_SECONDS,
    BadDatabaseURL,
    DatabaseUrl,
    Domain,
    PostgreSQLStore,
    Store,
    create_store,
    migrate,
    parse_url,
)
from regulars.store.migrations.derived import Rules
from regulars.store.postgresql.replicas import Replicas
from regulars.store.postgresql.store import POOL_SIZE


def store_for(
    database_url: str,
    statement_seconds: float = STATEMENT_SECONDS,
    is_bulk: bool = False,
    domain: Domain = DOMAIN,
    pool_size: int = POOL_SIZE,
) -> Store:
    """Return the store of a database URL, not yet open. `is_bulk` selects a store that writes many
    rows. `pool_size` limits the connections to PostgreSQL. Raises BadDatabaseURL."""
    return create_store(parse_url(database_url), domain, statement_seconds, is_bulk, pool_size)


def replicas_for(
    primary: Store, urls: Sequence[str], statement_seconds: float, most_behind: float
) -> Replicas | None:
    """Return the replicas of a primary, if there are any. Replicas that lag more than `most_behind`
    seconds are not read. Raises BadDatabaseURL."""
    addresses = [parse_url(url) for url in urls]
    if not addresses:
        return None
    if not isinstance(primary, PostgreSQLStore) or any(one.dsn is None for one in addresses):
        raise BadDatabaseURL(
            "Replicas (`REGULARS_READ_DATABASE_URL`) need PostgreSQL. Use "
            "`postgresql://USER:PASSWORD@HOST:PORT/DATABASE` for them and for "
            "`REGULARS_DATABASE_URL`."
        )
    dsns = [str(address.dsn) for address in addresses]
    return Replicas(primary, dsns, DOMAIN, statement_seconds, most_behind)


def upgrade(address: DatabaseUrl, to: str = "head", expand_only: bool = False) -> str:
    """Migrate a database's tables, and what is derived in them, to a version; return the version.
    `expand_only` keeps what older programs need. Raises Unreachable, and NotMigrated if the
    database is newer than this program."""
    rules = Rules(_derive, _derive_words)
    return migrate.upgrade(address, rules, all_tables(), to, expand_only)


def distribute(address: DatabaseUrl) -> list[str]:
    """Distribute the tables that are not distributed yet, if the database has Citus; return their
    names. Raises Unreachable."""
    return migrate.distribute(address, all_tables())


def _derive(row: Mapping[str, Any], country: int) -> tuple[dict[str, str], set[str]]:
    # Tables of an earlier version have no columns of newer fields, so no customer has a value.
    customer = {**EMPTY, **row}
    derived = search_document.derive_columns(customer, country=country_of(country))
    columns = {**folded_columns(customer), **derived}
    return columns, index_terms.terms_of({**customer, **columns})


def _derive_words(text: str) -> tuple[str, set[str]]:
    words = words_of(text)
    return words, terms(words)
