"""Backups of a database: taken while it is in use, checked, and restored into an empty one.

A backup of SQLite is a database file, made by SQLite's online backup. A backup of PostgreSQL is a
dump in pg_dump's custom format, which pg_restore restores.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import apsw

from regulars.store.errors import NotMigrated, StoreError, Unreachable
from regulars.store.postgresql.connect import connect_or_raise
from regulars.store.schema_version import read_schema_state
from regulars.store.sqlite.file import connect, connect_to_copy, find_damage
from regulars.store.url import DatabaseUrl

_SQLITE_MAGIC = b"SQLite format 3\0"
# The versions of the file format that follow the page size (SQLite, "Database File Format", 1.3):
# 1 in a backup; 2, a write-ahead log, in a database that a server uses.
_ROLLBACK_JOURNAL = b"\x01\x01"
_SQLITE_HEADER_BYTES = 20
_POSTGRESQL_MAGIC = b"PGDMP"
# Pages per step; other processes can write between steps.
_PAGES = 1_000
# What pg_dump prints if it is older than the server.
_VERSIONS = re.compile(r"server version: ([\d.]+)\S*.*; pg_dump version: ([\d.]+)")
# How pg_restore lists Alembic's table.
_TABLE_OF_REGULARS = " TABLE public alembic_version "


class BackupError(StoreError):
    """A backup or a restore failed."""


def backup(url: DatabaseUrl, file: Path, tools: Path | None = None) -> int:
    """Back up a database to a new file that only its owner can read; return its size in bytes. The
    file appears when it is complete. `tools` is the folder of PostgreSQL's tools. Raises
    BackupError, NotMigrated, and Unreachable."""
    if file.exists():
        raise BackupError(f"The file {file} already exists. Choose another name, or move the file.")
    if read_schema_state(url) is None:
        raise NotMigrated(
            f"{url.redacted} has no tables of Regulars. Check `--database-url` "
            "(`REGULARS_DATABASE_URL`)."
        )
    part = file.with_name(file.name + ".part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        if url.path is not None:
            _copy(url.path, part)
            _require_sound(part, url.path)
        else:
            _dump(str(url.dsn), part, tools)
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


def newest_backup(folder: Path) -> Path | None:
    """Return the newest backup in a folder, recognized by its content; None if there is none. A
    SQLite database that a server uses is not a backup."""
    files = [file for file in folder.iterdir() if file.is_file() and file.suffix != ".part"]
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        with suppress(OSError), file.open("rb") as stream:
            header = stream.read(_SQLITE_HEADER_BYTES)
            is_sqlite = header.startswith(_SQLITE_MAGIC) and header.endswith(_ROLLBACK_JOURNAL)
            if is_sqlite or header.startswith(_POSTGRESQL_MAGIC):
                return file
    return None


def restore(url: DatabaseUrl, file: Path, tools: Path | None = None) -> None:
    """Restore a backup into a database that does not exist (SQLite) or is empty. Raises
    BackupError, and Unreachable."""
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}.") from error
    kind = "sqlite" if magic == _SQLITE_MAGIC else ""
    kind = "postgresql" if magic.startswith(_POSTGRESQL_MAGIC) else kind
    if not kind:
        raise BackupError(f"{file} is not a backup made by Regulars.")
    if kind != url.dialect:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        raise BackupError(
            f"{file} is a backup of a {names[kind]} database, but {url.redacted} is not one. "
            f"Pass a {names[kind]} database with `--database-url`."
        )
    if url.path is None:
        asyncio.run(_require_empty(url))
        if _TABLE_OF_REGULARS not in _run("pg_restore", None, tools, "--list", str(file)):
            raise BackupError(f"{file} has no tables of Regulars. Nothing was restored.")
        _load(str(url.dsn), file, tools)
        return
    if url.path.exists():
        raise BackupError(
            f"The database {url.path} already exists. Stop the server and move the database "
            "with its `-wal` and `-shm` files, or restore to another file."
        )
    _require_sound(file)
    if not _has_tables(file):
        raise BackupError(f"{file} has no tables of Regulars. Nothing was restored.")
    part = url.path.with_name(url.path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        _copy(file, part)
        _sync(part)
        part.rename(url.path)
        _sync(url.path.parent)
    except OSError as error:
        raise BackupError(f"{url.path} cannot be written: {error.strerror or error}.") from error


def _copy(source: Path, target: Path) -> None:
    """Copy a SQLite database page by page. Other processes may write to it meanwhile."""
    reading, writing = connect(source), connect(target)
    try:
        # In a read transaction: otherwise the backup restarts after each write of another process.
        reading.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
        with writing.backup("main", reading, "main") as copying:
            while not copying.done:
                copying.step(_PAGES)
        # A single file, without a -wal file.
        writing.pragma("wal_checkpoint", "truncate")
        writing.pragma("journal_mode", "delete")
    except apsw.FullError as error:
        raise BackupError(f"The disk is full: {target} cannot be written.") from error
    except apsw.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}.") from error
    finally:
        writing.close()
        reading.close()


def _require_sound(file: Path, source: Path | None = None) -> None:
    """Raise BackupError if a database is damaged. `source` is the file that it is a copy of."""
    try:
        damage = next(find_damage(connect_to_copy(file)), None)
    except Unreachable as error:
        damage = str(error)
    if damage is not None:
        raise BackupError(
            f"{source or file} is damaged: {damage.removeprefix('SQLite: ').rstrip('.')}."
        )


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


async def _require_empty(url: DatabaseUrl) -> None:
    connection = await connect_or_raise(str(url.dsn))
    try:
        count = await connection.fetchval(
            # Without the tables of extensions.
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT "
            "EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
        )
    finally:
        await connection.close()
    if count:
        raise BackupError(f"{url.redacted} is not empty. Restore to a new, empty database.")


def _dump(dsn: str, file: Path, tools: Path | None) -> None:
    _run(
        "pg_dump", dsn, tools, "--format=custom", "--no-owner", "--no-privileges", f"--file={file}"
    )
    # A truncated dump cannot be listed.
    _run("pg_restore", None, tools, "--list", str(file))


def _load(dsn: str, file: Path, tools: Path | None) -> None:
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    _run("pg_restore", dsn, tools, *options, str(file))


def _run(tool: str, dsn: str | None, tools: Path | None, *arguments: str) -> str:
    """Run one of PostgreSQL's tools; return its output. The password is passed in the environment,
    because other users of the machine can read the arguments."""
    executable = shutil.which(tool, path=tools)
    if executable is None:
        raise BackupError(
            f"`{tool}` was not found. Install the PostgreSQL client, or pass its folder with "
            "`--tools`."
        )
    environment = dict(os.environ)
    command = [executable, *arguments]
    if dsn is not None:
        dbname, password = _split_password(dsn)
        command.append(f"--dbname={dbname}")
        if password:
            environment["PGPASSWORD"] = password
    process = subprocess.run(  # noqa: S603  # an executable from PATH, without a shell
        command, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        versions = _VERSIONS.search(process.stderr)
        if versions:
            raise BackupError(
                f"{tool} {versions[2]} cannot back up PostgreSQL {versions[1]}. Install the client "
                "of the server's version, or pass its folder with `--tools`."
            )
        lines = process.stderr.strip().splitlines() or [f"it ended with {process.returncode}"]
        message = next((line for line in lines if "error:" in line), lines[0])
        raise BackupError(f"{tool} failed: {message.removeprefix(f'{tool}: ')}.")
    return process.stdout


def _split_password(dsn: str) -> tuple[str, str | None]:
    parts = urlsplit(dsn)
    user, _, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    netloc = f"{name}@{hosts}" if user else hosts
    return urlunsplit(parts._replace(netloc=netloc)), unquote(password) or None
