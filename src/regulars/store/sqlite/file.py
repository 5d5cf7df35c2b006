"""A file of SQLite's: how it is opened, what is wrong with it, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from regulars.store.errors import DiskFull, Unreachable

BUSY_SECONDS = 10.0
_BUSY_PAUSE = 0.0005
# The pages of the indexes that a batch touches should be at hand: SQLite's own 2 MiB are few. With
# twice as much as this a page was no faster, among 100,000 customers, and the memory grew by a
# fifth while it filled; what is not here is in the operating system's cache. A checkpoint writes
# each page once, however often it changed.
_CACHE_KIB = 4 * 1024
_CHECKPOINT_PAGES = 8_000
# How often reads look whether the file is still there.
_LOOK_SECONDS = 0.1
# What a writer of many rows has: with it an import took four fifths of the time.
LARGE_CACHE_KIB = 32 * 1024


class BusyHandler:
    """Asks again and again for a database that another process holds: more often than SQLite itself
    does, which would come too late again and again for one that writes all the time."""

    def __init__(self) -> None:
        self._until = 0.0

    def __call__(self, asked_before: int) -> bool:
        now = time.monotonic()
        if not asked_before:
            self._until = now + BUSY_SECONDS
        time.sleep(_BUSY_PAUSE)
        return now < self._until


def connect(path: Path, cache_kib: int = _CACHE_KIB) -> apsw.Connection:
    """A connection in autocommit mode, durable: an answered commit survives a loss of power. One
    thread at a time may use it. Raises Unreachable. `cache_kib` is what it keeps of the file.

    No process may have a database open with APSW and with Python's own sqlite3 at once: each
    brings a copy of SQLite, and the one lets go of the other's locks (SQLite, "How To Corrupt An
    SQLite Database File", section 2.2.1).
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    # A new file is for its owner alone; SQLite gives those beside it the same rights.
    with contextlib.suppress(OSError):
        path.touch(mode=0o600, exist_ok=False)
    try:
        connection = apsw.Connection(str(path), flags)
        try:
            connection.set_busy_handler(BusyHandler())
            # One plan for a statement, whatever its values: else SQLite, where it was built with
            # STAT4, compiles one with a parameter in its LIMIT anew each time: half as much again.
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("foreign_keys", True)
            connection.pragma("cache_size", -cache_kib)
            connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        except apsw.Error:
            connection.close()
            raise
    except apsw.Error as error:
        raise Unreachable(f"The SQLite database {path} cannot be opened: {error}.") from error
    return connection


class OpenFiles:
    """The files of an open database: notices when they are deleted, moved or replaced.

    A process that has them open goes on with them, and what it writes then is lost when it ends.
    """

    def __init__(self, path: Path) -> None:
        self._names = (str(path), f"{path}-wal")
        self._known: dict[str, tuple[int, int]] = {}
        self._next_look = 0.0
        self.require_present()

    def require_present(self) -> None:
        """Raise Unreachable unless the files have the same device and inode as when they were first
        seen. Takes some microseconds."""
        for name in self._names:
            known = self._known.get(name)
            try:
                found = os.stat(name)  # noqa: PTH116  # half of what Path.stat takes
            except OSError:
                if known is not None or name == self._names[0]:
                    raise self._lost() from None
                continue
            identity = (found.st_dev, found.st_ino)
            if self._known.setdefault(name, identity) != identity:
                raise self._lost()

    def look_now_and_then(self) -> None:
        """`require_present`, at most ten times a second: for what does no harm if it is late."""
        now = time.monotonic()
        if now >= self._next_look:
            self.require_present()
            self._next_look = now + _LOOK_SECONDS

    def _lost(self) -> Unreachable:
        return Unreachable(
            f"The file of the SQLite database, {self._names[0]}, or the one beside it with the "
            "ending -wal, was deleted, moved or replaced while the server had it open. Nothing is "
            "written any more. Move it back, or restore a backup and restart the server."
        )


_AWAY = (
    apsw.BusyError,  # another process has held the database for BUSY_SECONDS
    apsw.CantOpenError,
    apsw.IOError,
    apsw.ReadOnlyError,
)


def translate_error(error: Exception) -> Exception:
    """What an error of SQLite is to the rest of Regulars. A batch that met one of these was rolled
    back."""
    if isinstance(error, apsw.FullError):
        return DiskFull("The disk of the SQLite database is full.")
    if isinstance(error, _AWAY):
        return Unreachable(f"The SQLite database cannot be used: {error}.")
    return error


def connect_to_copy(path: Path) -> apsw.Connection:
    """A connection to a file that nothing else uses, which it reads and does not change. Raises
    Unreachable."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        return apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags)
    except apsw.Error as error:
        raise Unreachable(f"{path} cannot be opened: {error}.") from error


def damage(connection: apsw.Connection) -> Iterator[str]:
    """What SQLite itself finds wrong with a database: its pages, its indexes, its references.
    Closes the connection."""
    try:
        for (said,) in connection.execute("PRAGMA integrity_check"):
            if said != "ok":
                yield f"SQLite: {said}"
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"SQLite: row {row} of {table} refers to a row of {parent} that is missing"
    except apsw.Error as error:
        yield f"SQLite: {error}"
    finally:
        connection.close()
