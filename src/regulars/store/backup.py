"""Copies of a whole database: made while it is in use, checked, and put back into an empty one.

SQLite's are made by its online backup and are databases themselves; PostgreSQL's are made by
pg_dump, in its custom format, and put back by pg_restore.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import apsw

from regulars.store.errors import StoreError, Unreachable
from regulars.store.postgresql.connect import connect as connect_postgresql
from regulars.store.schema_version import read_schema_state
from regulars.store.sqlite.file import connect, connect_to_copy, find_damage
from regulars.store.url import DatabaseUrl

_SQLITE_MAGIC = b"SQLite format 3\0"
_POSTGRESQL_MAGIC = b"PGDMP"
# Pages copied at a time: others write in between.
_PAGES = 1_000
# How pg_restore lists the table that names the version.
_TABLE_OF_REGULARS = " TABLE public alembic_version "


class BackupError(StoreError):
    """A copy cannot be made, or cannot be put back."""


def backup(address: DatabaseUrl, file: Path, tools: Path | None = None) -> int:
    """Copies a database to a new file, for its owner alone, and answers the file's size in bytes.
    The file is there when it is whole. Raises BackupError, and Unreachable."""
    if file.exists():
        raise BackupError(f"There is already a file {file}. Choose another name, or move it.")
    if read_schema_state(address) is None:
        raise BackupError(
            f"{address.redacted} has no tables of Regulars, so there is nothing to copy. Check "
            "--database-url (REGULARS_DATABASE_URL)."
        )
    part = file.with_name(file.name + ".part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        if address.path is not None:
            _copy(address.path, part)
            _require_sound(part)
        else:
            _dump(str(address.dsn), part, tools)
        _sync(part)
        part.rename(file)
        _sync(file.parent)
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror or error}.") from error
    finally:
        for name in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm"))):
            with suppress(OSError):
                name.unlink(missing_ok=True)
    return file.stat().st_size


def restore(address: DatabaseUrl, file: Path, tools: Path | None = None) -> None:
    """Puts a copy back, into a database that does not exist yet (SQLite) or is empty. Raises
    BackupError, and Unreachable."""
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}.") from error
    kind = "sqlite" if magic == _SQLITE_MAGIC else ""
    kind = "postgresql" if magic.startswith(_POSTGRESQL_MAGIC) else kind
    if not kind:
        raise BackupError(f"{file} is not a backup that Regulars made.")
    if kind != address.dialect:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        raise BackupError(
            f"{file} is a backup of a {names[kind]} database, and {address.redacted} is not one. "
            "Say with --database-url where it belongs."
        )
    if address.path is None:
        asyncio.run(_require_empty(address))
        if _TABLE_OF_REGULARS not in _run("pg_restore", None, tools, "--list", str(file)):
            raise BackupError(f"{file} has no tables of Regulars. Nothing was restored.")
        _load(str(address.dsn), file, tools)
        return
    if address.path.exists():
        raise BackupError(
            f"There is already a database {address.path}. Stop the server and move it away, with "
            "its -wal and -shm files, or restore to another file."
        )
    _require_sound(file)
    if not _has_tables(file):
        raise BackupError(f"{file} has no tables of Regulars. Nothing was restored.")
    part = address.path.with_name(address.path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        _copy(file, part)
        _sync(part)
        part.rename(address.path)
        _sync(address.path.parent)
    except OSError as error:
        raise BackupError(
            f"{address.path} cannot be written: {error.strerror or error}."
        ) from error


def _copy(source: Path, target: Path) -> None:
    """Copies one SQLite database to another, page by page, while others write to the first."""
    reading, writing = connect(source), connect(target)
    try:
        # One moment of it: a copy begins anew when others write, and would never come to an end.
        reading.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
        with writing.backup("main", reading, "main") as copying:
            while not copying.done:
                copying.step(_PAGES)
        # One file, without another beside it.
        writing.pragma("wal_checkpoint", "truncate")
        writing.pragma("journal_mode", "delete")
    except apsw.FullError as error:
        raise BackupError(f"There is no room for {target}.") from error
    except apsw.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}.") from error
    finally:
        writing.close()
        reading.close()


def _require_sound(file: Path) -> None:
    try:
        found = next(find_damage(connect_to_copy(file)), None)
    except Unreachable as error:
        found = str(error)
    if found is not None:
        raise BackupError(f"{file} is damaged: {found.rstrip('.')}.")


def _has_tables(file: Path) -> bool:
    connection = connect_to_copy(file)
    try:
        return connection.table_exists(None, "alembic_version")
    finally:
        connection.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _require_empty(address: DatabaseUrl) -> None:
    connection = await connect_postgresql(str(address.dsn))
    try:
        count = await connection.fetchval(
            # But for what extensions brought.
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT "
            "EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
        )
    finally:
        await connection.close()
    if count:
        raise BackupError(
            f"{address.redacted} is not empty. Create a new database, and restore into that."
        )


def _dump(dsn: str, file: Path, tools: Path | None) -> None:
    _run(
        "pg_dump", dsn, tools, "--format=custom", "--no-owner", "--no-privileges", f"--file={file}"
    )
    # A dump that can be listed was written to its end.
    _run("pg_restore", None, tools, "--list", str(file))


def _load(dsn: str, file: Path, tools: Path | None) -> None:
    whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    _run("pg_restore", dsn, tools, *whole, str(file))


def _run(tool: str, dsn: str | None, tools: Path | None, *arguments: str) -> str:
    """Runs one of PostgreSQL's tools, and answers what it printed. The password is in its
    environment, where other users of the machine do not see it, and not in its arguments."""
    found = shutil.which(tool, path=tools)
    if found is None:
        raise BackupError(
            f"{tool} is not installed here, or not on the PATH. It comes with PostgreSQL's client; "
            "--tools says in which folder it is."
        )
    environment = dict(os.environ)
    command = [found, *arguments]
    if dsn is not None:
        address, password = _without_password(dsn)
        command.append(f"--dbname={address}")
        if password:
            environment["PGPASSWORD"] = password
    done = subprocess.run(  # noqa: S603  # a tool that was looked up, and arguments of ours
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        told = next((line for line in said if "error:" in line), said[0])
        raise BackupError(f"{tool} failed: {told.removeprefix(f'{tool}: ')}.")
    return done.stdout


def _without_password(dsn: str) -> tuple[str, str | None]:
    parts = urlsplit(dsn)
    user, _, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    netloc = f"{name}@{hosts}" if user else hosts
    return urlunsplit(parts._replace(netloc=netloc)), unquote(password) or None
