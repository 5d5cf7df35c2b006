"""Brings a database's tables to the version of this program, or says that they are not.

Alembic and SQLAlchemy's asyncio are imported where a database is migrated: every command looks
at the version, and few of them migrate. A SQLite database is migrated through Python's own
sqlite3, which SQLAlchemy knows, before or after it is open otherwise and never meanwhile.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import apsw
import asyncpg
import sqlalchemy as sa

from regulars.store import citus
from regulars.store.connections import connect as connect_postgresql
from regulars.store.connections import unreachable
from regulars.store.errors import BadDatabaseURL, NotMigrated, Unreachable
from regulars.store.sqlite_file import BUSY_SECONDS, connect
from regulars.store.url import Address

# Two processes that start together must not migrate together.
_ADVISORY_LOCK = 0x72656775  # "regu"

# A migration may write the whole database anew.
_CACHE_KIB = 256 * 1024

_VERSION = "SELECT version_num FROM alembic_version"

T = TypeVar("T")


def versions() -> list[str]:
    """Every version that there has been, oldest first."""
    names = (file.name for file in files("regulars.store.migrations.versions").iterdir())
    return sorted(found[1] for name in names if (found := re.match(r"v(\d{4})_", name)))


def newest() -> str:
    """The version of the tables that this program works with."""
    return versions()[-1]


def version(address: Address) -> str | None:
    """The version of a database's tables; None when it has none yet.

    Raises Unreachable, and BadDatabaseURL for a database that cannot hold every script.
    """
    if address.path is not None:
        return _sqlite_version(address.path)
    return asyncio.run(_postgresql_version(str(address.dsn)))


def _sqlite_version(path: Path) -> str | None:
    if not path.exists():  # to ask makes no file
        return None
    connection = connect(path)
    try:
        if not connection.table_exists(None, "alembic_version"):
            return None
        return str(connection.execute(_VERSION).get)
    except apsw.Error as error:
        raise Unreachable(f"The SQLite database {path} cannot be read: {error}.") from error
    finally:
        connection.close()


async def _postgresql_version(dsn: str) -> str | None:
    connection = await _connect(dsn)
    try:
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise BadDatabaseURL(
                f"The database's encoding is {encoding}, and names come in every script. Create it "
                "anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        return str(await connection.fetchval(_VERSION))
    finally:
        await connection.close()


async def _connect(dsn: str) -> Any:
    try:
        return await connect_postgresql(dsn)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unreachable(unreachable(error)) from error


def require_newest(address: Address) -> None:
    """Raises NotMigrated unless the tables are those of this program."""
    found = version(address)
    if found is None:
        raise NotMigrated("The database has no tables yet. Run: regulars migrate")
    if found not in versions():
        raise NotMigrated(_newer(found))
    if found != newest():
        raise NotMigrated(
            f"The database is at version {found}, this program needs {newest()}. "
            "Make a backup, then run: regulars migrate"
        )


def _newer(found: str) -> str:
    return (
        f"The database is at version {found}, which this program does not know: it was written "
        "by a newer Regulars. Use that one."
    )


# What a migration asks of the directory, whose rules the store does not know: of a customer's row
# the columns made of others, and its terms.
Derive = Callable[[Mapping[str, Any]], tuple[Mapping[str, str], Iterable[str]]]


def upgrade(address: Address, derive: Derive, to: str = "head") -> str:
    """Brings a database up to a version, in one transaction, and answers the version.

    Raises Unreachable, and NotMigrated when the database is newer than this program.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    def run(connection: sa.Connection) -> str:
        if address.dialect == "postgresql":
            lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": _ADVISORY_LOCK})
            citus.begin(connection)
        context = MigrationContext.configure(connection)
        found = context.get_current_revision()
        if found is not None and found not in versions():
            raise NotMigrated(_newer(found))
        config = Config()
        config.set_main_option("script_location", "regulars.store:migrations")
        config.attributes["connection"] = connection
        config.attributes["derive"] = derive
        command.upgrade(config, to)
        if to == "head" and address.dialect == "postgresql":
            citus.distribute(connection)
        return str(context.get_current_revision())

    return in_transaction(address, run)


def in_snapshot(address: Address, run: Callable[[sa.Connection], T]) -> T:
    """Calls `run` with one moment of the database, which others may change meanwhile. Raises
    Unreachable."""
    if address.path is not None:
        return in_transaction(address, run, "BEGIN")

    def read(connection: sa.Connection) -> T:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return run(connection)

    return in_transaction(address, read)


def in_transaction(
    address: Address, run: Callable[[sa.Connection], T], begin: str = "BEGIN IMMEDIATE"
) -> T:
    """Calls `run` in a transaction of SQLAlchemy's, which on SQLite begins so. Raises
    Unreachable."""
    if address.path is None:
        return asyncio.run(_in_postgresql(str(address.dsn), run))
    path = address.path
    connect(path).close()  # says so if it cannot be opened, and makes a new file a durable one
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
        raise Unreachable(f"{address.shown} cannot be used: {error.orig}.") from error


async def _in_postgresql(dsn: str, run: Callable[[sa.Connection], T]) -> T:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: _connect(dsn), poolclass=sa.NullPool
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(run)
    finally:
        await engine.dispose()
