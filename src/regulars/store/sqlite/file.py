"""The file of a SQLite database: opening it, checking it, and translating SQLite's errors."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from regulars.store.errors import DiskFull, Unreachable

BUSY_SECONDS = 10.0
_BUSY_PAUSE_SECONDS = 0.0005
# Holds the index pages that a batch touches; SQLite's default is 2 MiB. Twice as much as this made
# a page of 100,000 customers no faster and used a fifth more memory.
_CACHE_KIB = 4 * 1024
# A checkpoint writes each page once, however often it changed.
CHECKPOINT_PAGES = 8_000
# A checkpoint leaves at most so much of the file of the log, which an import makes larger.
_MAX_UNUSED_LOG_BYTES = 64 * 1024 * 1024
# How often a read checks that the file still exists.
_CHECK_SECONDS = 0.1
# The cache of a bulk store: an import of 1,000,000 rows was no faster with 26 MiB.
BULK_CACHE_KIB = 10 * 1024


class BusyHandler:
    """Retries while another process holds the database. SQLite's own handler pauses longer and
    longer, and misses the short gaps of a process that writes all the time."""

    def __init__(self) -> None:
        self._deadline = 0.0

    def __call__(self, attempt: int) -> bool:
        now = time.monotonic()
        if not attempt:
            self._deadline = now + BUSY_SECONDS
        time.sleep(_BUSY_PAUSE_SECONDS)
        return now < self._deadline


def connect(path: Path, cache_kib: int = _CACHE_KIB) -> apsw.Connection:
    """Open a connection in autocommit mode, for one thread at a time. A commit survives a power
    loss. `cache_kib` is the size of the page cache. Raises Unreachable.

    A process must not have one database open with both APSW and Python's sqlite3: each has its own
    copy of SQLite, and one releases the other's locks (SQLite, "How To Corrupt An SQLite Database
    File", section 2.2.1).
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    # Only the owner may read a new file; SQLite gives its -wal and -shm files the same mode.
    with contextlib.suppress(OSError):
        path.touch(mode=0o600, exist_ok=False)
    try:
        connection = apsw.Connection(str(path), flags)
        try:
            connection.set_busy_handler(BusyHandler())
            # Stable query plans: otherwise SQLite with STAT4 compiles a statement that has a
            # parameter in its LIMIT on every run, which takes 50 % longer.
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("foreign_keys", True)
            connection.pragma("cache_size", -cache_kib)
            connection.wal_autocheckpoint(CHECKPOINT_PAGES)
            connection.pragma("journal_size_limit", _MAX_UNUSED_LOG_BYTES)
        except apsw.Error:
            connection.close()
            raise
    except apsw.Error as error:
        raise Unreachable(describe_problem(path, error)) from error
    return connection


def describe_problem(path: Path, error: Exception | None = None) -> str:
    """Return why a SQLite database cannot be opened, and what to do. `error` is that of SQLite."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist. Create it: mkdir -p {folder}"
    if path.is_dir():
        return f"{path} is a folder, not a SQLite database. Check `REGULARS_DATABASE_URL`."
    if isinstance(error, apsw.NotADBError):
        return (
            f"{path} is not a SQLite database. Check `REGULARS_DATABASE_URL`. If the file was a "
            "database, restore a backup: regulars restore FILE"
        )
    if isinstance(error, apsw.CorruptError):
        return (
            f"{path} is damaged: {str(error).rstrip('.')}. Stop the server, keep the file, and "
            "restore a backup: regulars restore FILE"
        )
    name = path if path.exists() else folder
    if not os.access(name, os.R_OK | os.W_OK):
        return f"This user may not read and write {name}. Run: chown USER {name}"
    return f"The SQLite database {path} cannot be opened: {error}."


class FileGuard:
    """Detects that the files of an open database were deleted, moved or replaced. A process that
    has them open would go on writing, and the writes would be lost when it exits."""

    def __init__(self, path: Path) -> None:
        self._names = (str(path), f"{path}-wal")
        self._identities: dict[str, tuple[int, int]] = {}
        self._next_check = 0.0
        self.require_present()

    def require_present(self) -> None:
        """Raise Unreachable unless the files have the same device and inode as at the first check.
        Takes some microseconds."""
        for name in self._names:
            expected = self._identities.get(name)
            try:
                status = os.stat(name)  # noqa: PTH116  # takes half the time of Path.stat
            except OSError:
                if expected is not None or name == self._names[0]:
                    raise self._lost() from None
                continue
            identity = (status.st_dev, status.st_ino)
            if self._identities.setdefault(name, identity) != identity:
                raise self._lost()

    def check_sometimes(self) -> None:
        """`require_present`, at most ten times per second: for reads."""
        now = time.monotonic()
        if now >= self._next_check:
            self.require_present()
            self._next_check = now + _CHECK_SECONDS

    def _lost(self) -> Unreachable:
        return Unreachable(
            f"The SQLite database {self._names[0]}, or its `-wal` file, was deleted, moved or "
            "replaced while the server had it open. Nothing is saved any more. Move the file "
            "back, or restore a backup and restart the server."
        )


_UNREACHABLE_ERRORS = (
    apsw.BusyError,  # another process has held the database for BUSY_SECONDS
    apsw.CantOpenError,
    apsw.IOError,
    apsw.ReadOnlyError,
)


def translate_error(error: Exception) -> Exception:
    """Return the StoreError of an error of SQLite, if there is one, or the error itself. SQLite
    has rolled back a batch with such an error."""
    if isinstance(error, apsw.FullError):
        return DiskFull("The disk of the SQLite database is full.")
    if isinstance(error, _UNREACHABLE_ERRORS):
        return Unreachable(f"The SQLite database cannot be used: {error}.")
    return error


def connect_to_copy(path: Path) -> apsw.Connection:
    """Open a read-only connection to a file that nothing else uses. Raises Unreachable."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        return apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags)
    except apsw.Error as error:
        raise Unreachable(f"{path} cannot be opened: {error}.") from error


def find_damage(connection: apsw.Connection) -> Iterator[str]:
    """Yield what SQLite's own checks report about pages, indexes and foreign keys. Closes the
    connection."""
    try:
        for (message,) in connection.execute("PRAGMA integrity_check"):
            # A first line names the database, as in `*** in database main ***`.
            lines = [line for line in message.splitlines() if not line.startswith("***")]
            for line in lines if message != "ok" else ():
                yield f"SQLite: {line}"
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"SQLite: row {row} of {table} refers to a row of {parent} that is missing"
    except apsw.Error as error:
        yield f"SQLite: {error}"
    finally:
        connection.close()
