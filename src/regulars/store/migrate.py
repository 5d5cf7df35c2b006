"""Migrates a database's tables to the version of this program.

A migration has two parts, so that two versions of the program can serve one database for a while.
`upgrade` is the expand part: it adds what the newer program needs. Older programs, from the one of
the version `works_with` on, still work with the tables (without `works_with`, none does).
`contract` is the second part: it removes what only older programs need.

A migration with `rebuilds_search` changes how customers are found: after its contract part, the
search index of all customers is rebuilt. With `rebuilds_comments`, so are the words of comments.

Alembic and SQLAlchemy's asyncio are imported late: every command reads the version, few migrate. A
SQLite database is migrated through Python's sqlite3, never while APSW has it open.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import asyncpg
import sqlalchemy as sa

from regulars.store.auth_tables import compatibility
from regulars.store.citus import distribution
from regulars.store.errors import NotMigrated, Unreachable
from regulars.store.migrations import derived
from regulars.store.postgresql.connect import connect_or_raise, describe_error
from regulars.store.schema_version import versions
from regulars.store.sqlite.file import BUSY_SECONDS, connect
from regulars.store.url import DatabaseUrl

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

# Two processes that start together must not migrate together.
_ADVISORY_LOCK = 0x72656775  # "regu"

_LOCK_SECONDS = 2.0
_LOCK_TRIES = 30
_LOCK_NOT_AVAILABLE = "55P03"

# A migration may rewrite the whole database.
_CACHE_KIB = 256 * 1024

_FIRST_OF_TWO_PARTS = "0008"
# What a migration says if something is to be rebuilt after it.
_REBUILDS = _SEARCH, _COMMENTS = "rebuilds_search", "rebuilds_comments"

T = TypeVar("T")


def upgrade(
    url: DatabaseUrl,
    derive: derived.Rules,
    tables: Sequence[sa.Table],
    to: str = "head",
    expand_only: bool = False,
) -> str:
    """Migrate a database to a version in one transaction; return the version. `tables` are all
    tables of this program. `expand_only` leaves out the contract parts, so that older programs can
    still work with the tables.

    Raises Unreachable, and NotMigrated if the database is newer than this program.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    def run(connection: sa.Connection) -> str:
        if url.dialect == "postgresql":
            lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": _ADVISORY_LOCK})
            # A statement that waits for a table's lock blocks all later ones.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS:g}s'")
            distribution.use_sequential_mode(connection)
        context = MigrationContext.configure(connection)
        before = context.get_current_revision()
        if before is not None and before not in versions():
            raise NotMigrated(
                f"The database has version {before}, which belongs to a newer version of "
                "Regulars. Migrate it with that version."
            )
        config = Config()
        config.set_main_option("script_location", "regulars.store:migrations")
        config.attributes["connection"] = connection
        with _distributed_as_created(url, connection):
            command.upgrade(config, to)
        after = str(context.get_current_revision())
        applied = [version for version in versions() if (before or "") < version <= after]
        needs_rebuild = any(version in derived.REBUILT_BY for version in applied)
        if after >= _FIRST_OF_TWO_PARTS:
            _record_expansion(connection, applied)
            if not expand_only:
                rebuilds = _contract(connection, context, after)
                needs_rebuild |= _SEARCH in rebuilds
                if _COMMENTS in rebuilds:
                    derived.rebuild_comments(connection, derive.of_comment)
        if needs_rebuild:
            derived.rebuild(connection, derive.of_customer)
        if to == "head" and url.dialect == "postgresql":
            distribution.distribute_tables(connection, tables)
        return after

    for _ in range(_LOCK_TRIES):
        try:
            return run_in_transaction(url, run)
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
    raise Unreachable(
        "A long-running transaction uses the tables, so nothing was changed. Find it in "
        "`pg_stat_activity`, and run the command again."
    )


def _distributed_as_created(
    url: DatabaseUrl, connection: sa.Connection
) -> AbstractContextManager[None]:
    """Return the block in which new tables are distributed at once, if the others are."""
    if url.dialect == "postgresql":
        return distribution.distribute_new_tables(connection)
    return nullcontext()


def _record_expansion(connection: sa.Connection, applied: Sequence[str]) -> None:
    """Record which programs can work with the tables after the expand parts of migrations."""
    stored = connection.execute(sa.select(compatibility.c.oldest)).scalar_one()
    in_two_parts = [version for version in applied if version >= _FIRST_OF_TWO_PARTS]
    oldest = max([stored, *(getattr(module(v), "works_with", v) for v in in_two_parts)])
    connection.execute(compatibility.update().values(oldest=oldest))


def _contract(connection: sa.Connection, context: MigrationContext, after: str) -> set[str]:
    """Run the contract parts of the migrations up to a version; return what is to be rebuilt, of
    `_REBUILDS`."""
    from alembic.operations import Operations

    oldest, finished = connection.execute(
        sa.select(compatibility.c.oldest, compatibility.c.finished)
    ).one()
    rebuilds: set[str] = set()
    for version in versions():
        if finished < version <= after:
            contract = getattr(module(version), "contract", None)
            if contract is not None:
                with Operations.context(context):
                    contract()
            of_version = [name for name in _REBUILDS if getattr(module(version), name, False)]
            rebuilds.update(of_version)
            if of_version or contract is not None:
                oldest = max(oldest, version)
    connection.execute(compatibility.update().values(oldest=oldest, finished=after))
    return rebuilds


def module(version: str) -> ModuleType:
    """Return the module of the migration to a version."""
    folder = files("regulars.store.migrations.versions")
    (name,) = (f.name for f in folder.iterdir() if f.name.startswith(f"v{version}_"))
    return import_module(f"regulars.store.migrations.versions.{name.removesuffix('.py')}")


def distribute(url: DatabaseUrl, tables: Sequence[sa.Table]) -> list[str]:
    """Distribute those of all tables that are not distributed yet, if the database has Citus;
    return their names. Raises Unreachable."""
    if url.dialect != "postgresql":
        return []

    def run(connection: sa.Connection) -> list[str]:
        distribution.use_sequential_mode(connection)
        return distribution.distribute_tables(connection, tables)

    return run_in_transaction(url, run)


def run_in_snapshot(url: DatabaseUrl, run: Callable[[sa.Connection], T]) -> T:
    """Call `run` in a read transaction that sees one state of the database. Raises Unreachable."""
    if url.path is not None:
        return run_in_transaction(url, run, "BEGIN")

    def read(connection: sa.Connection) -> T:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return run(connection)

    return run_in_transaction(url, read)


def run_in_transaction(
    url: DatabaseUrl, run: Callable[[sa.Connection], T], begin: str = "BEGIN IMMEDIATE"
) -> T:
    """Call `run` in a SQLAlchemy transaction; `begin` starts it on SQLite. Raises Unreachable."""
    if url.path is None:
        return asyncio.run(_run_in_postgresql(str(url.dsn), run))
    path = url.path
    connect(path).close()  # raises if the file cannot be opened, and sets WAL for a new file
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None),
        poolclass=sa.NullPool,
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.exec_driver_sql(begin)
            result = run(connection)
            connection.exec_driver_sql("COMMIT")
            return result
    except sa.exc.DatabaseError as error:
        raise Unreachable(f"{url.redacted} cannot be used: {error.orig}.") from error


async def _run_in_postgresql(dsn: str, run: Callable[[sa.Connection], T]) -> T:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect_or_raise(dsn), poolclass=sa.NullPool
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(run)
    except sa.exc.DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, asyncpg.PostgresConnectionError):
            raise Unreachable(describe_error(cause)) from error
        raise
    finally:
        await engine.dispose()
