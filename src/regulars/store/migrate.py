"""Brings a database's tables to the version of this program, or says that they are not.

A migration has a part before and a part after, so that two versions of the program can serve one
database for a while. `upgrade` of its module is the part before: it adds what the newer program
needs, and leaves what older ones do, back to the one of the tables `works_with` (unless the module
says so, none). `finish` is the part after: it takes away what only older ones needed.

A migration with `rebuilds_search` changes by what customers are found: after the last part after,
what is derived from all customers is derived once more.

Alembic and SQLAlchemy's asyncio are imported where a database is migrated: every command looks
at the version, and few of them migrate. A SQLite database is migrated through Python's own
sqlite3, which SQLAlchemy knows, before or after it is open otherwise and never meanwhile.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import apsw
import sqlalchemy as sa

from regulars.store.auth_tables import compatibility
from regulars.store.citus import distribution
from regulars.store.errors import BadDatabaseURL, NotMigrated, Unreachable
from regulars.store.migrations import derived
from regulars.store.postgresql.connect import NOT_CONNECTED, unreachable
from regulars.store.postgresql.connect import connect as connect_postgresql
from regulars.store.sqlite.file import BUSY_SECONDS, connect
from regulars.store.url import Address

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

# Two processes that start together must not migrate together.
_ADVISORY_LOCK = 0x72656775  # "regu"

# How long a migration waits for the tables that it changes, and how often it tries.
_LOCK_SECONDS = 2.0
_LOCK_TRIES = 30
_LOCK_NOT_AVAILABLE = "55P03"

# A migration may write the whole database anew.
_CACHE_KIB = 256 * 1024

_TABLES = "SELECT version_num FROM alembic_version"
_COMPATIBLE = "SELECT oldest, finished FROM compatibility"
_FIRST_OF_TWO_PARTS = "0008"

T = TypeVar("T")


def versions() -> list[str]:
    """Every version that there has been, oldest first."""
    names = (file.name for file in files("regulars.store.migrations.versions").iterdir())
    return sorted(found[1] for name in names if (found := re.match(r"v(\d{4})_", name)))


def newest() -> str:
    """The version of the tables that this program works with."""
    return versions()[-1]


class Found(NamedTuple):
    """Of which version a database's tables are, that of the oldest program that can work with them,
    and up to which version the parts after are done."""

    version: str
    oldest: str
    finished: str

    @property
    def usable(self) -> bool:
        """Whether this program can work with them."""
        return is_usable(self.version, self.oldest)


def is_usable(version: str, oldest: str) -> bool:
    """Whether this program can work with tables of a version, for which the oldest program is of
    `oldest`."""
    return version == newest() or (version not in versions() and oldest <= newest())


def version(address: Address) -> str | None:
    """The version of a database's tables; None when it has none yet.

    Raises Unreachable, and BadDatabaseURL for a database that cannot hold every script.
    """
    found = look(address)
    return found.version if found else None


def look(address: Address) -> Found | None:
    """What tables a database has; None when it has none yet. Raises as `version` does."""
    if address.path is not None:
        return _look_at_sqlite(address.path)
    return asyncio.run(_look_at_postgresql(str(address.dsn)))


def _look_at_sqlite(path: Path) -> Found | None:
    if not path.exists() or not path.stat().st_size:  # to ask makes no file, and changes none
        return None
    connection = connect(path)
    try:
        if not connection.table_exists(None, "alembic_version"):
            return None
        version = str(connection.execute(_TABLES).get)
        if not connection.table_exists(None, "compatibility"):
            return Found(version, version, version)
        row = connection.execute(_COMPATIBLE).fetchone()
        return Found(version, *(row or (version, version)))  # `verify` reports a missing row
    except apsw.Error as error:
        raise Unreachable(f"The SQLite database {path} cannot be read: {error}.") from error
    finally:
        connection.close()


async def _look_at_postgresql(dsn: str) -> Found | None:
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
        version = str(await connection.fetchval(_TABLES))
        if await connection.fetchval("SELECT to_regclass('compatibility')") is None:
            return Found(version, version, version)
        row = await connection.fetchrow(_COMPATIBLE)
        return Found(version, *(row or (version, version)))
    finally:
        await connection.close()


async def _connect(dsn: str) -> Any:
    try:
        return await connect_postgresql(dsn)
    except NOT_CONNECTED as error:
        raise Unreachable(unreachable(error)) from error


def require_usable(address: Address) -> Found:
    """What tables a database has, which this program can work with. Raises NotMigrated."""
    found = look(address)
    if found is None:
        raise NotMigrated("The database has no tables yet. Run: regulars migrate")
    if found.usable:
        return found
    if found.version not in versions():
        raise NotMigrated(_newer(found.version))
    raise NotMigrated(
        f"The database is at version {found.version}, this program needs {newest()}. "
        "Make a backup, then run: regulars migrate (with --before, while an older version serves)"
    )


def _newer(found: str) -> str:
    return (
        f"The database is at version {found}, which this program does not know: it was written "
        "by a newer Regulars, and an older one does not work with it any more. Use that one."
    )


def upgrade(
    address: Address, derive: derived.Derive, to: str = "head", before: bool = False
) -> str:
    """Brings a database up to a version, in one transaction, and answers the version. `before` does
    only the part before of each migration, which older programs can work with.

    Raises Unreachable, and NotMigrated when the database is newer than this program.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    def run(connection: sa.Connection) -> str:
        if address.dialect == "postgresql":
            lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": _ADVISORY_LOCK})
            # Whoever waits for a table keeps all others waiting who come later.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS:g}s'")
            distribution.begin(connection)
        context = MigrationContext.configure(connection)
        found = context.get_current_revision()
        if found is not None and found not in versions():
            raise NotMigrated(
                f"The database is at version {found}, of a newer Regulars. Migrate it with that."
            )
        config = Config()
        config.set_main_option("script_location", "regulars.store:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        after = str(context.get_current_revision())
        rebuilds = (found or "") <= derived.LAST_OF_OTHER_RULES and after >= derived.SINCE
        if after >= _FIRST_OF_TWO_PARTS:
            _note(connection, found, after)
            if not before:
                rebuilds |= _finish(connection, context, after)
        if rebuilds:
            derived.fill(connection, derive)
        if to == "head" and address.dialect == "postgresql":
            distribution.distribute(connection)
        return after

    for _ in range(_LOCK_TRIES):
        try:
            return in_transaction(address, run)
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
    raise Unreachable(
        "The tables are in use by something that takes long, and were left as they are. See "
        "pg_stat_activity for who it is, and run it again."
    )


def _note(connection: sa.Connection, before: str | None, after: str) -> None:
    """Notes which programs can work with the tables after the parts before of migrations."""
    state = connection.execute(sa.select(compatibility.c.oldest)).scalar_one()
    made = [v for v in versions() if (before or "") < v <= after and v >= _FIRST_OF_TWO_PARTS]
    oldest = max([state, *(getattr(module(v), "works_with", v) for v in made)])
    connection.execute(compatibility.update().values(oldest=oldest))


def _finish(connection: sa.Connection, context: MigrationContext, after: str) -> bool:
    """Does the parts after of the migrations up to a version; answers whether one of them asks for
    what is derived from customers to be derived again."""
    from alembic.operations import Operations

    oldest, finished = connection.execute(
        sa.select(compatibility.c.oldest, compatibility.c.finished)
    ).one()
    rebuilds = False
    for version in versions():
        if finished < version <= after:
            finish = getattr(module(version), "finish", None)
            if finish is not None:
                with Operations.context(context):
                    finish()
            if getattr(module(version), "rebuilds_search", False):
                rebuilds = True
            if rebuilds or finish is not None:
                oldest = max(oldest, version)
    connection.execute(compatibility.update().values(oldest=oldest, finished=after))
    return rebuilds


def module(version: str) -> ModuleType:
    """The migration to a version."""
    folder = files("regulars.store.migrations.versions")
    (name,) = (f.name for f in folder.iterdir() if f.name.startswith(f"v{version}_"))
    return import_module(f"regulars.store.migrations.versions.{name.removesuffix('.py')}")


def distribute(address: Address) -> list[str]:
    """Spreads the tables of a database that has Citus over its nodes, where they are not; answers
    their names. Raises Unreachable."""
    if address.dialect != "postgresql":
        return []

    def run(connection: sa.Connection) -> list[str]:
        distribution.begin(connection)
        return distribution.distribute(connection)

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
