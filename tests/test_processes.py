"""The processes of `regulars serve --workers N`: each may exit or hang."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.load import audit, background_writes, wait_for_writes
from tests.postgres import folders
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    find_worker_pids,
    get,
    read_metrics,
    run_server,
    wait_until,
)

pytestmark = pytest.mark.slow

TWO_WORKERS = ("--workers", "2")
READ = "{ customers(first: 1) { totalCount } }"


def wait_for_processes(server: Server) -> list[int]:
    """Waits until two processes respond. Returns their pids."""
    wait_until(lambda: len(find_worker_pids(server.pid)) == 2)
    for _ in range(20):
        assert get(f"{server.url}/readyz").status_code == 200
    return find_worker_pids(server.pid)


def test_a_process_that_starts_slowly_is_not_killed(new_postgresql: str, tmp_path: Path) -> None:
    """On a busy machine, a start may take longer than a health check may."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\nif '--multiprocessing-fork' in sys.orig_argv: time.sleep(6)\n"
    )
    with run_server(new_postgresql, *TWO_WORKERS, env={"PYTHONPATH": str(tmp_path)}) as server:
        wait_until(lambda: len(find_worker_pids(server.pid)) == 2)
        first = find_worker_pids(server.pid)
        assert wait_for_processes(server) == first


def is_replaced(server: Server, pid: int) -> bool:
    """Returns whether there are two processes apart from one that exits."""
    return len({*find_worker_pids(server.pid)} - {pid}) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
def test_a_killed_or_paused_process_is_replaced(new_postgresql: str, number: int) -> None:
    with run_server(new_postgresql, *TWO_WORKERS) as server:
        before = wait_for_processes(server)
        with background_writes(server, BOOTSTRAP_TOKEN, 6) as writers:
            wait_for_writes(writers, 50)
            for pid in before:
                os.kill(pid, number)
                wait_until(partial(is_replaced, server, pid), 120)
                wait_for_writes(writers, 50)
        with Client(server, BOOTSTRAP_TOKEN) as client:
            assert audit(client, writers) > 100
        # Requests in progress in that process get no response, and all others succeed.
        assert {status for writer in writers for status in writer.statuses} <= {
            "200",
            "no response",
        }


async def count_readers_of_inbox_size(dsn: str, seconds: float) -> int:
    """Locks the inbox, and returns how many connections wait to count its events, until some seconds
    after the first one."""
    locking, watching = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    waiting: set[asyncpg.Record] = set()
    async with locking.transaction():
        await locking.execute("LOCK TABLE inbox")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = await watching.fetch(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND query LIKE 'SELECT count(*)%FROM inbox'"
            )
            if found and not waiting:
                end = time.monotonic() + seconds
            waiting |= set(found)
            await asyncio.sleep(0.1)
    await locking.close()
    await watching.close()
    return len(waiting)


def test_one_process_reads_the_figures_of_waiting_work(new_postgresql: str) -> None:
    """Another process continues when it is killed. The metrics no longer count the killed one."""
    idle = ("--no-webhook-worker", *TWO_WORKERS)
    name, documents = "regulars_webhooks_waiting", "regulars_documents_cached"
    with run_server(new_postgresql, *idle) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        wait_until(lambda: len(find_worker_pids(server.pid)) == 2)
        assert asyncio.run(count_readers_of_inbox_size(new_postgresql, 4)) == 1
        node = {"type": "contact/signup", "url": "https://shop.example.com/hooks"}
        client.data("mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }", n=node)
        client.create("a@example.com")
        for _ in range(3):
            client.data("{ __typename }")
        wait_until(lambda: read_metrics(server.url).get(name) == 1, 120)
        assert read_metrics(server.url)[documents] >= 1
        for pid in wait_for_processes(server):
            os.kill(pid, signal.SIGKILL)
            wait_until(partial(is_replaced, server, pid))
        assert read_metrics(server.url).get(name) == 1
        assert read_metrics(server.url)[documents] == 0
        with Client(server, BOOTSTRAP_TOKEN) as other:
            other.data("mutation { deleteWebhook(id: 1) }")
        wait_until(lambda: read_metrics(server.url).get(name) == 0, 120)


def test_worker_processes_exit_with_the_supervisor(new_postgresql: str) -> None:
    """Otherwise the next server could not use the port."""
    with run_server(new_postgresql, *TWO_WORKERS, status=-signal.SIGKILL) as server:
        wait_for_processes(server)
        port = urlsplit(server.url).port
        with background_writes(server, BOOTSTRAP_TOKEN, 4) as writers:
            wait_for_writes(writers, 110)
            os.kill(server.pid, signal.SIGKILL)

            def is_port_free() -> bool:
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) != 0

            wait_until(is_port_free)
    with run_server(new_postgresql, *TWO_WORKERS, "--port", str(port)) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            assert audit(client, writers) > 100


def test_a_process_that_starts_without_the_database_responds_503() -> None:
    """A process exits while the database is unreachable. Its replacement starts, responds 503, and
    recovers with the database."""
    with folders(1) as (primary,):
        primary.initialise()
        primary.start()
        with (
            run_server(primary.dsn, *TWO_WORKERS) as server,
            Client(server, BOOTSTRAP_TOKEN) as client,
        ):
            first, second = wait_for_processes(server)
            primary.kill()
            os.kill(first, signal.SIGKILL)
            wait_until(partial(is_replaced, server, first))
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert get(f"{server.url}/healthz").status_code == 200
                assert get(f"{server.url}/readyz").status_code == 503
            third = find_worker_pids(server.pid)
            assert second in third
            assert client.post(READ).status_code == 503
            primary.start()
            for _ in range(20):
                wait_until(lambda: get(f"{server.url}/readyz").status_code == 200)
            assert client.post(READ).is_success
            assert find_worker_pids(server.pid) == third
