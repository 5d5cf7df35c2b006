"""The version of a database's tables, and whether this program can work with them."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import apsw

from regulars.store.errors import BadDatabaseURL, NotMigrated, Unreachable
from regulars.store.postgresql.connect import connect_or_raise
from regulars.store.sqlite.file import connect as connect_sqlite
from regulars.store.sqlite.file import describe_problem
from regulars.store.url import DatabaseUrl

_VERSION = "SELECT version_num FROM alembic_version"
_COMPATIBILITY = "SELECT oldest, finished FROM compatibility"


def versions() -> list[str]:
    """Return every version that has existed, oldest first."""
    names = (file.name for file in files("regulars.store.migrations.versions").iterdir())
    return sorted(match[1] for name in names if (match := re.match(r"v(\d{4})_", name)))


def newest_version() -> str:
    """Return the version of the tables that this program works with."""
    return versions()[-1]


class SchemaState(NamedTuple):
    """The version of a database's tables, the version of the oldest program that can work with
    them, and the last version whose contract part is finished."""

    version: str
    oldest: str
    finished: str

    @property
    def is_usable(self) -> bool:
        """Whether this program can work with the tables."""
        return is_usable(self.version, self.oldest)


def is_usable(version: str, oldest: str) -> bool:
    """Return whether this program can work with tables of `version`, which programs of the version
    `oldest` and newer can use."""
    return version == newest_version() or (version not in versions() and oldest <= newest_version())


def stored_version(url: DatabaseUrl) -> str | None:
    """Return the version of a database's tables; None if the database has no tables.

    Raises Unreachable, and BadDatabaseURL if the database cannot hold every script.
    """
    state = read_schema_state(url)
    return state.version if state else None


def read_schema_state(url: DatabaseUrl) -> SchemaState | None:
    """Return the state of a database's tables; None if it has no tables. Raises as
    `stored_version` does."""
    if url.path is not None:
        return _read_sqlite(url.path)
    return asyncio.run(_read_postgresql(str(url.dsn)))


def _read_sqlite(path: Path) -> SchemaState | None:
    if not path.exists() and not path.absolute().parent.is_dir():
        raise Unreachable(describe_problem(path))
    if not path.exists() or not path.stat().st_size:  # a connection would create or change the file
        return None
    connection = connect_sqlite(path)
    try:
        if not connection.table_exists(None, "alembic_version"):
            return None
        version = str(connection.execute(_VERSION).get)
        if not connection.table_exists(None, "compatibility"):
            return SchemaState(version, version, version)
        row = connection.execute(_COMPATIBILITY).fetchone()
        return SchemaState(version, *(row or (version, version)))  # `verify` reports a missing row
    except apsw.Error as error:
        raise Unreachable(f"The SQLite database {path} cannot be read: {error}.") from error
    finally:
        connection.close()


async def _read_postgresql(dsn: str) -> SchemaState | None:
    connection = await connect_or_raise(dsn)
    try:
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise BadDatabaseURL(
                f"The encoding of the database is {encoding}, which cannot store all names. "
                "Create a database with UTF-8: `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE "
                "template0`."
            )
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        version = str(await connection.fetchval(_VERSION))
        if await connection.fetchval("SELECT to_regclass('compatibility')") is None:
            return SchemaState(version, version, version)
        row = await connection.fetchrow(_COMPATIBILITY)
        return SchemaState(version, *(row or (version, version)))
    finally:
        await connection.close()


def require_usable(url: DatabaseUrl) -> SchemaState:
    """Return the state of a database's tables. Raises NotMigrated if this program cannot work with
    them."""
    state = read_schema_state(url)
    if state is None:
        raise NotMigrated("The database has no tables. Run `regulars migrate`.")
    if state.is_usable:
        return state
    if state.version not in versions():
        raise NotMigrated(
            f"The database has version {state.version}, which this version of Regulars does not "
            "support. Use the newer version that migrated it."
        )
    raise NotMigrated(
        f"The database has version {state.version}, but this version of Regulars needs "
        f"{newest_version()}. Make a backup, then run `regulars migrate` (with `--expand` while "
        "an older version is running)."
    )
