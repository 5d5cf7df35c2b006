"""Checks of a SQLite database: its folder, its file and its disk."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from regulars.cli.doctor.findings import FAIL, OK, WARN, Finding
from regulars.settings import Settings
from regulars.store.sqlite.file import describe_problem

_MIN_FREE_BYTES = 1024**3
# With less, the next batch of writes may fail: a batch writes up to some 30 MiB.
_FULL_BYTES = 64 * 1024**2
_CHECK_SECONDS = 10.0
_INSTRUCTIONS_PER_CHECK = 100_000
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph")


def check_sqlite(path: Path, settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  # as other checks
    """Yields the findings about the file of a database, which may not exist yet."""
    folder = path.absolute().parent
    if not folder.is_dir() or path.is_dir():
        yield Finding(FAIL, "database", describe_problem(path))
        return
    yield from _check_permissions(path, folder)
    yield _check_space(folder)
    kind = _file_system(folder.resolve())
    if kind in _NETWORK_FILE_SYSTEMS:
        message = (
            f"The database is on a network file system ({kind}), on which SQLite loses data. Move "
            "it to a local disk, or use PostgreSQL."
        )
        yield Finding(FAIL, "file system", message)
    if path.exists() and os.access(path, os.R_OK):
        yield from _check_content(path)


def _check_permissions(path: Path, folder: Path) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK | os.X_OK):
        message = (
            f"This user may not create files in {folder}, and SQLite creates files next to the "
            f"database. Make the server's user the owner: chown USER {folder}"
        )
        yield Finding(FAIL, "permissions", message)
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    refused = [f for f in files if f.exists() and not os.access(f, os.R_OK | os.W_OK)]
    for file in refused:
        message = f"This user may not read and write {file}. Run: chown USER {file}"
        yield Finding(FAIL, "permissions", message)
    if not path.exists() or refused:
        return
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        message = f"Other users of this machine may open {path}. Run: chmod 600 {path}"
        yield Finding(WARN, "permissions", message)
    else:
        yield Finding(OK, "permissions", "Only its owner may open the database.")


def _check_space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    room = f"{free / 1024**3:.1f} GiB" if free >= 1024**3 else f"{free / 1024**2:.0f} MiB"
    if free < _FULL_BYTES:
        message = (
            f"Only {room} are free in {folder}: writes fail when the disk is full. Free some space."
        )
        return Finding(FAIL, "disk", message)
    state = OK if free >= _MIN_FREE_BYTES else WARN
    return Finding(state, "disk", f"{room} are free in {folder}.")


def _check_content(path: Path) -> Iterator[Finding]:
    """Yields a finding if the file is damaged, by SQLite's quick check of it."""
    if not path.stat().st_size:
        return
    deadline = time.monotonic() + _CHECK_SECONDS
    flags = apsw.SQLITE_OPEN_READWRITE if os.access(path, os.W_OK) else apsw.SQLITE_OPEN_READONLY
    damage: str | None = None
    try:
        connection = apsw.Connection(str(path), flags)
        try:
            connection.set_busy_timeout(int(_CHECK_SECONDS * 1_000))
            connection.set_progress_handler(
                lambda: time.monotonic() > deadline, _INSTRUCTIONS_PER_CHECK
            )
            damage = str(connection.execute("PRAGMA quick_check(1)").get)
        finally:
            connection.close()
    except apsw.InterruptError:
        message = (
            f"The file was not checked completely within {_CHECK_SECONDS:g} s. Run: regulars verify"
        )
        yield Finding(OK, "file", message)
        return
    except (apsw.NotADBError, apsw.CorruptError) as error:
        yield Finding(FAIL, "database", describe_problem(path, error))
        return
    if damage == "ok":
        yield Finding(OK, "file", "SQLite's quick check found no damage.")
    else:
        damage_error = apsw.CorruptError(str(damage).splitlines()[-1])
        yield Finding(FAIL, "database", describe_problem(path, damage_error))


def _file_system(path: Path) -> str:
    """Returns the type of the file system of a path, or an empty string."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    file_system, longest = "", -1
    for line in mounts:
        _, mount_point, kind, *_ = line.split()
        if path.is_relative_to(mount_point) and len(mount_point) > longest:
            file_system, longest = kind, len(mount_point)
    return file_system
