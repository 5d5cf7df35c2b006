"""Brings a database's tables to the version of this program, or says that they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from regulars.store.errors import NotMigrated, Unreachable
from regulars.store.postgresql import CONNECT_SECONDS, unreachable
from regulars.store.sqlite import connect
from regulars.store.url import Address

# Two processes that start together must not migrate together.
_ADVISORY_LOCK = 0x72656775  # "regu"

T = TypeVar("T")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "regulars.store:migrations")
    return config


def newest() -> str:
    """The version of the tables that this program works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def versions() -> list[str]:
    """Every version that there has been, oldest first."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return [script.revision for script in reversed(list(scripts))]


def version(address: Address) -> str | None:
    """The version of a database's tables; None when it has none yet. Raises Unreachable."""
    return _with_connection(address, _version)


def upgrade(address: Address, to: str = "head") -> str:
    """Brings a database up to a version, in one transaction, and answers the version.

    Raises Unreachable, and NotMigrated when the database is newer than this program.
    """

    def run(connection: sa.Connection) -> str:
        if address.dialect == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        found = _version(connection)
        if found is not None and found not in versions():
            raise NotMigrated(_newer(found))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        return str(_version(connection))

    return _with_connection(address, run)


def require_newest(address: Address) -> None:
    """Raises NotMigrated unless the tables are those of this program."""
    found = version(address)
    if found == newest():
        return
    if found is None:
        raise NotMigrated("The database has no tables yet. Run: regulars migrate")
    if found in versions():
        raise NotMigrated(
            f"The database is at version {found}, this program needs {newest()}. "
            "Make a backup, then run: regulars migrate"
        )
    raise NotMigrated(_newer(found))


def _newer(found: str) -> str:
    return (
        f"The database is at version {found}, which this program does not know: it was written "
        "by a newer Regulars. Use that one."
    )


def _version(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _with_connection(address: Address, run: Callable[[sa.Connection], T]) -> T:
    """Calls `run` in a transaction of its own."""
    if address.path is not None:
        path = address.path
        engine = sa.create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                result = run(connection)
                connection.exec_driver_sql("COMMIT")
                return result
        except sa.exc.DatabaseError as error:
            raise Unreachable(f"{address.shown} cannot be used: {error.orig}.") from error
    return asyncio.run(_with_postgresql(str(address.dsn), run))


async def _with_postgresql(dsn: str, run: Callable[[sa.Connection], T]) -> T:
    async def creator() -> Any:
        return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(run)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unreachable(unreachable(error)) from error
    finally:
        await engine.dispose()
