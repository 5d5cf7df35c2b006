"""Crashes: after a kill, a lost connection, a full disk or a stop, every answered write is stored."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tests.load import audit, background_writes
from tests.postgres import ACCOUNTS, hold_lock, own_server, with_standby
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    get,
    run_regulars,
    run_server,
    scratch_database,
)
from tests.wire import Wire

pytestmark = pytest.mark.both_databases

CREATE = 'mutation { createCustomer(node: {email: "%s@example.com"}) { _id } }'


def assert_consistent(url: str) -> None:
    result = run_regulars("verify", "--database-url", url)
    assert result.returncode == 0, result.stdout + result.stderr


def kill_again_and_again(url: str, times: int) -> None:
    """Kill a server during writes, start it again, and check every answered write."""
    writers = None
    for _ in range(times):
        with run_server(url, status=-signal.SIGKILL) as server:
            with background_writes(server, BOOTSTRAP_TOKEN, 6, writers) as writers:
                time.sleep(0.5 + 0.3 * os.urandom(1)[0] / 255)
                os.kill(server.pid, signal.SIGKILL)
        with run_server(url) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            assert audit(client, writers) > 5
            for writer in writers:  # the outcome of unanswered writes is known now
                for email, possible in writer.unacknowledged.items():
                    if possible:
                        edges = client.data(
                            "query($q: String) { customers(query: $q) { edges { node { phone } } } }",
                            q=f"email:{email}",
                        )["customers"]["edges"]
                        writer.acknowledged[email] = edges[0]["node"]["phone"] if edges else None
                        writer.unacknowledged[email] = set()
    assert_consistent(url)


@pytest.mark.slow
def test_answered_writes_survive_many_kills(new_database: str) -> None:
    """`REGULARS_TEST_KILLS=200 make test-slow` does it two hundred times on each database."""
    kill_again_and_again(new_database, int(os.environ.get("REGULARS_TEST_KILLS", "4")))


def wait_until_answered(server: Server) -> None:
    deadline = time.monotonic() + 60
    while get(f"{server.url}/readyz").status_code != 200:
        assert time.monotonic() < deadline, "the server does not recover"
        time.sleep(0.05)


def statuses_of(writers: list[Any]) -> set[str]:
    return {status for writer in writers for status in writer.statuses}


@pytest.mark.slow
def test_server_survives_a_restart_of_postgresql() -> None:
    with own_server() as database, run_server(database.dsn) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            with background_writes(server, BOOTSTRAP_TOKEN, 4) as writers:
                time.sleep(0.5)
                database.stop("immediate")
                time.sleep(0.3)
                for query in (
                    "{ customers { totalCount } }",
                    CREATE % "a",
                    '{ node(id: "Q3VzdG9tZXI6MQ==") { id } }',
                ):
                    answer = client.post(query)
                    assert answer.status_code == 503
                    assert answer.headers["retry-after"] == "1"
                    (error,) = answer.json()["errors"]
                    assert error["key"] == "errors_unavailable"
                    assert "127.0.0.1" not in answer.text
                assert get(f"{server.url}/healthz").status_code == 200
                assert get(f"{server.url}/readyz").status_code == 503
                before = sum(writer.success_count for writer in writers)
                database.start()
                wait_until_answered(server)
                time.sleep(0.5)
                assert sum(writer.success_count for writer in writers) > before
            assert audit(client, writers) > 20
            assert statuses_of(writers) == {"200", "503 errors_unavailable"}
        assert_consistent(database.dsn)


@pytest.mark.slow
def test_server_survives_cut_connections(postgresql: str) -> None:
    async def cut(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        for _ in range(10):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.05)
        await connection.close()

    with scratch_database(postgresql) as url, run_server(url) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            with background_writes(server, BOOTSTRAP_TOKEN, 4) as writers:
                time.sleep(0.3)
                asyncio.run(cut(url))
                wait_until_answered(server)
                time.sleep(0.3)
            audit(client, writers)
            assert statuses_of(writers) <= {"200", "503 errors_unavailable"}
            assert "503 errors_unavailable" in statuses_of(writers)
        assert_consistent(url)


@pytest.mark.slow
def test_a_failed_primary_is_replaced() -> None:
    """With synchronous replication and a DSN with both hosts, every answered write is on the standby
    when the primary is killed."""
    with with_standby() as (primary, standby, url):

        async def synchronous() -> None:
            connection = await asyncpg.connect(primary.dsn)
            await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await connection.execute("SELECT pg_reload_conf()")
            state = "SELECT sync_state FROM pg_stat_replication"
            for _ in range(200):
                if await connection.fetchval(state) == "sync":
                    break
                await asyncio.sleep(0.05)
            await connection.close()

        asyncio.run(synchronous())
        with run_server(url) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            with background_writes(server, BOOTSTRAP_TOKEN, 4) as writers:
                time.sleep(1)
                primary.kill()
                before = sum(writer.success_count for writer in writers)
                assert before > 10
                time.sleep(0.3)
                killed = time.monotonic()
                standby.promote()
                wait_until_answered(server)
                while sum(writer.success_count for writer in writers) < before + 20:
                    assert time.monotonic() < killed + 60, statuses_of(writers)
                    time.sleep(0.05)
            assert audit(client, writers) > before
            assert statuses_of(writers) <= {"200", "503 errors_unavailable"}
        assert_consistent(standby.dsn)


@contextlib.contextmanager
def full_disk(path: Path, pid: int) -> Iterator[None]:
    """Limit the size of a file of the server, so that its writes fail as on a full disk."""
    sizes = [file.stat().st_size for file in path.parent.glob(f"{path.name}*")]
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(sizes), before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def until_refused(client: Client) -> httpx.Response:
    """Write until a write is refused; return the response."""
    for number in range(3_000):
        note = "x" * 20_000
        answer = client.post(
            "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }",
            {"n": {"email": f"{number}.{time.monotonic_ns()}@example.com", "notes": note}},
        )
        if answer.status_code != 200:
            return answer
    pytest.fail("there is room for everything")


@pytest.mark.slow
def test_server_survives_a_full_database(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with run_server(f"sqlite:///{path}") as server, Client(server, BOOTSTRAP_TOKEN) as client:
        client.create("before@example.com")
        with full_disk(path, server.pid):
            answer = until_refused(client)
            assert answer.status_code == 503
            assert answer.json()["errors"][0]["key"] == "errors_unavailable"
            assert "before@example.com" in client.emails("before")
            # A small write may find a place where a large one did not.
            assert until_refused(client).status_code == 503
        assert client.create("after@example.com")
    assert_consistent(f"sqlite:///{path}")


@pytest.mark.slow
def test_full_disk_is_reported(tmp_path: Path) -> None:
    """Uses a file system of a few megabytes, if this machine can mount one."""
    folder = Path(tempfile.mkdtemp(prefix="regulars-small-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True
    )
    try:
        with run_server(f"sqlite:///{folder / 'r.db'}") as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                client.create("before@example.com")
                filling = folder / "filling"
                if mounted.returncode == 0:
                    filling.write_bytes(b"x" * 2_000_000)
                    answer = until_refused(client)
                    assert answer.status_code == 503
                    assert "disk of the server is full" in answer.json()["errors"][0]["message"]
                    assert client.emails("before") == ["before@example.com"]
                    filling.unlink()
                assert client.create("after@example.com")
        assert_consistent(f"sqlite:///{folder / 'r.db'}")
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)
        with contextlib.suppress(OSError):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


@pytest.mark.slow
def test_stopping_server_finishes_requests_in_flight(postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        with run_server(url) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            idle = Wire(client)
            with ThreadPoolExecutor(1) as pool:
                with hold_lock(url, ACCOUNTS):
                    waiting = pool.submit(client.post, CREATE % "a")
                    time.sleep(0.3)
                    server.end()
                    time.sleep(0.3)
                    assert idle.is_closed()
                    parts = urlsplit(server.url)
                    with socket.socket() as another:
                        port = int(parts.port or 0)
                        assert another.connect_ex((str(parts.hostname), port)) != 0
                assert waiting.result().json() == {"data": {"createCustomer": {"_id": 1}}}
            idle.socket.close()
        assert_consistent(url)


@pytest.mark.slow
def test_stopping_server_does_not_wait_without_end(postgresql: str) -> None:
    options = ("--shutdown-seconds", "1", "--request-seconds", "3")
    with scratch_database(postgresql) as url, contextlib.ExitStack() as stack:
        with run_server(url, *options) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            stack.enter_context(hold_lock(url, ACCOUNTS))
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(client.post, CREATE % "a")
                time.sleep(0.3)
                began = time.monotonic()
                server.end()
                with contextlib.suppress(httpx.TransportError):
                    waiting.result()
        assert time.monotonic() - began < 30
