"""Restarts and upgrades under load lose no request."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

import regulars as package
from regulars.store.schema_version import newest_version
from tests.support import (
    BOOTSTRAP_TOKEN,
    TLS,
    Client,
    Server,
    build_environment,
    find_worker_pids,
    get,
    run_regulars,
    run_server,
    wait_until,
)

pytestmark = pytest.mark.slow

CREATE = "mutation($e: String!) { createCustomer(node: {email: $e}) { _id } }"
READ = "{ customers(first: 1) { totalCount } }"
DRAIN = {"REGULARS_DRAIN_SECONDS": "1.5"}
THREADS = 8


class Load:
    """Clients that write and read continuously. Like a proxy, each changes to another server when a
    server closes the connection or refuses one."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]
        self.created: list[str] = []
        self.lost: list[str] = []
        self.answered = 0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        at, count = number, 0
        headers = {"Authorization": f"Bearer {BOOTSTRAP_TOKEN}"}
        client = httpx.Client(headers=headers, verify=TLS, timeout=120)
        while not self._stop.is_set():
            email = f"{number}-{count}@example.com"
            body = {"query": CREATE, "variables": {"e": email}} if count % 2 else {"query": READ}
            try:
                answer = client.post(f"{self._urls[at % len(self._urls)]}/api/v2", json=body)
            except httpx.ConnectError:
                at += 1
                time.sleep(0.01)
                continue
            except httpx.HTTPError as error:
                self.lost.append(f"{email}: {error!r}")
                at, count = at + 1, count + 1
                continue
            if answer.status_code != 200 or "errors" in answer.json():
                self.lost.append(f"{email}: {answer.status_code} {answer.text[:200]}")
            elif count % 2:
                self.created.append(email)
            if answer.headers.get("connection") == "close":
                at += 1
            self.answered += 1
            count += 1
        client.close()


def expect_nothing_lost(server: Server, load: Load) -> None:
    """What was answered is stored, once."""
    assert load.lost == []
    assert load.answered > 200
    with Client(server, BOOTSTRAP_TOKEN) as client:
        total = client.data("{ customers(first: 1) { totalCount } }")["customers"]["totalCount"]
        assert total == len(load.created)
        for email in load.created[:: max(1, len(load.created) // 50)]:
            assert len(client.emails(f"email:{email}")) == 1


def test_processes_are_replaced_one_after_another(new_postgresql: str) -> None:
    with run_server(new_postgresql, "--workers", "2", env=DRAIN) as server:
        with Load([server.url]) as load:
            wait_until(lambda: load.answered > 100)
            before = find_worker_pids(server.pid)
            os.kill(server.pid, signal.SIGHUP)
            wait_until(lambda: not set(find_worker_pids(server.pid)) & set(before), 120)
            answered = load.answered
            wait_until(lambda: load.answered > max(200, answered + 100))
        expect_nothing_lost(server, load)


def find_new(pid: int, before: set[int]) -> int:
    """Returns a worker process of a server that is not one of `before`, or 0."""
    return next(iter(set(find_worker_pids(pid)) - before), 0)


def test_a_reload_waits_for_a_slow_process(new_postgresql: str) -> None:
    """As on a busy machine."""
    with run_server(new_postgresql, "--workers", "2") as server:
        wait_until(lambda: len(find_worker_pids(server.pid)) == 2)
        before = set(find_worker_pids(server.pid))
        os.kill(server.pid, signal.SIGHUP)
        # A process can be seen for a moment before it is one of the workers.
        seen = [0, 0]

        def is_settled() -> bool:
            seen[:] = [seen[1], find_new(server.pid, before)]
            return seen[0] == seen[1] != 0

        wait_until(is_settled)
        slow = seen[1]
        os.kill(slow, signal.SIGSTOP)
        time.sleep(7)
        os.kill(slow, signal.SIGCONT)
        wait_until(lambda: not set(find_worker_pids(server.pid)) & before)
        assert slow in find_worker_pids(server.pid)
        assert get(f"{server.url}/readyz").status_code == 200


def test_a_draining_server_reports_that_it_is_stopping(new_postgresql: str) -> None:
    with run_server(new_postgresql, env={"REGULARS_DRAIN_SECONDS": "3"}) as server:
        assert get(f"{server.url}/readyz").status_code == 200
        with Client(server, BOOTSTRAP_TOKEN) as client:
            assert "connection" not in client.post(READ).headers
            os.kill(server.pid, signal.SIGTERM)
            time.sleep(0.3)
            answer = get(f"{server.url}/readyz")
            assert answer.status_code == 503
            assert answer.json()["status"] == "stopping"
            assert get(f"{server.url}/healthz").status_code == 200
            answer = client.post(READ)
            assert answer.status_code == 200
            assert answer.headers["connection"] == "close"
            assert client.http.get("/export").headers["connection"] == "close"


def test_a_second_signal_stops_a_draining_server(new_postgresql: str) -> None:
    with run_server(new_postgresql, env={"REGULARS_DRAIN_SECONDS": "60"}) as server:
        os.kill(server.pid, signal.SIGTERM)
        time.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 40


NEXT = "9001"


@pytest.fixture
def newer_source(tmp_path: Path) -> Path:
    """The source of a next version, with a migration in two parts. This version works until the
    second part."""
    folder = tmp_path / "next" / "regulars"
    shutil.copytree(Path(str(package.__file__)).parent, folder)
    (folder / "store/migrations/versions" / f"v{NEXT}_next.py").write_text(
        f"""import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{newest_version()}"
works_with = "{newest_version()}"


def upgrade() -> None:
    op.add_column("customers", sa.Column("next", sa.Text(), server_default="", nullable=False))


def contract() -> None:
    op.drop_index("customers_accepts_marketing", "customers")
"""
    )
    (folder / "__init__.py").write_text('__version__ = "99.0"\n')
    return folder.parent


def run_newer(newer_source: Path, url: str, *command: str) -> None:
    env = build_environment({"PYTHONPATH": str(newer_source), "REGULARS_DATABASE_URL": url})
    subprocess.run([sys.executable, "-m", "regulars", *command], env=env, check=True)


def test_an_upgrade_loses_no_request(new_postgresql: str, newer_source: Path) -> None:
    """Both versions serve one database at the same time. Then the old version stops, and cannot
    start again."""
    with contextlib.ExitStack() as stack:
        old = run_server(new_postgresql, env=DRAIN)
        first = old.__enter__()
        urls = [first.url]
        load = stack.enter_context(Load(urls))
        try:
            time.sleep(1)
            run_newer(newer_source, new_postgresql, "migrate", "--expand")
            env = {**DRAIN, "PYTHONPATH": str(newer_source)}
            second = stack.enter_context(run_server(new_postgresql, env=env))
            assert get(f"{second.url}/healthz").json()["version"] == "99.0"
            assert get(f"{first.url}/healthz").json()["version"] == package.__version__
            urls.append(second.url)
            time.sleep(2)
            for server in (first, second):
                assert get(f"{server.url}/readyz").status_code == 200
            # The old version can still start, and does not migrate.
            with run_server(new_postgresql) as third:
                assert get(f"{third.url}/readyz").status_code == 200
            result = run_regulars("migrate", "--database-url", new_postgresql)
            assert result.returncode == 0
            assert "newer" in result.stdout
        finally:
            old.__exit__(None, None, None)
        urls.remove(first.url)
        run_newer(newer_source, new_postgresql, "migrate")
        time.sleep(1)
        wait_until(lambda: load.answered > 200)
        load.__exit__()
        expect_nothing_lost(second, load)
        result = run_regulars("serve", "--database-url", new_postgresql)
        assert result.returncode == 4
        assert "newer version" in result.stderr
