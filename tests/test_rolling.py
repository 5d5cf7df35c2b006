"""Restarts and upgrades while requests come: none of them is lost."""

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
    environment,
    eventually,
    get,
    regulars,
    running,
    workers,
)

pytestmark = pytest.mark.slow

CREATE = "mutation($e: String!) { createCustomer(node: {email: $e}) { _id } }"
READ = "{ customers(first: 1) { totalCount } }"
DRAIN = {"REGULARS_DRAIN_SECONDS": "1.5"}
THREADS = 8


class Load:
    """Clients that write and read all the time, through whichever server takes them: as a proxy
    does, each goes to another server when one says that it ends the connection, or takes none."""

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
        client = httpx.Client(headers=headers, verify=TLS, timeout=20)
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


def everything_there(server: Server, load: Load) -> None:
    """What was answered is stored, once."""
    assert load.lost == []
    assert load.answered > 200
    with Client(server, BOOTSTRAP_TOKEN) as client:
        total = client.data("{ customers(first: 1) { totalCount } }")["customers"]["totalCount"]
        assert total == len(load.created)
        for email in load.created[:: max(1, len(load.created) // 50)]:
            assert len(client.emails(f"email:{email}")) == 1


def test_processes_are_replaced_one_after_another(new_postgresql: str) -> None:
    with running(new_postgresql, "--workers", "2", env=DRAIN) as server:
        with Load([server.url]) as load:
            time.sleep(1)
            before = workers(server.pid)
            os.kill(server.pid, signal.SIGHUP)
            end = time.monotonic() + 40
            while set(workers(server.pid)) & set(before):
                assert time.monotonic() < end, "the processes were not replaced"
                time.sleep(0.1)
            time.sleep(1)
        everything_there(server, load)


def test_a_process_that_begins_slowly_is_waited_for(new_postgresql: str) -> None:
    """As on a machine that is busy."""
    with running(new_postgresql, "--workers", "2") as server:
        eventually(lambda: len(workers(server.pid)) == 2)
        before = set(workers(server.pid))
        os.kill(server.pid, signal.SIGHUP)
        eventually(lambda: set(workers(server.pid)) - before)
        (slow,) = set(workers(server.pid)) - before
        os.kill(slow, signal.SIGSTOP)
        time.sleep(7)
        os.kill(slow, signal.SIGCONT)
        eventually(lambda: not set(workers(server.pid)) & before)
        assert slow in workers(server.pid)
        assert get(f"{server.url}/readyz").status_code == 200


def test_a_server_that_drains_says_so(new_postgresql: str) -> None:
    with running(new_postgresql, env={"REGULARS_DRAIN_SECONDS": "3"}) as server:
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


def test_told_twice_a_server_that_drains_stops_at_once(new_postgresql: str) -> None:
    with running(new_postgresql, env={"REGULARS_DRAIN_SECONDS": "60"}) as server:
        os.kill(server.pid, signal.SIGTERM)
        time.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 10


NEXT = "9001"


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The next version of the program: this one, with a migration in two parts, which a program of
    these tables can work with until the second."""
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


def run_newer(newer: Path, url: str, *command: str) -> None:
    env = environment({"PYTHONPATH": str(newer), "REGULARS_DATABASE_URL": url})
    subprocess.run([sys.executable, "-m", "regulars", *command], env=env, check=True)


def test_an_upgrade_loses_no_request(new_postgresql: str, newer: Path) -> None:
    """The old version and the new one serve one database side by side; then the old one is gone,
    and may not come back."""
    with contextlib.ExitStack() as stack:
        old = running(new_postgresql, env=DRAIN)
        first = old.__enter__()
        urls = [first.url]
        load = stack.enter_context(Load(urls))
        try:
            time.sleep(1)
            run_newer(newer, new_postgresql, "migrate", "--expand")
            env = {**DRAIN, "PYTHONPATH": str(newer)}
            second = stack.enter_context(running(new_postgresql, env=env))
            assert get(f"{second.url}/healthz").json()["version"] == "99.0"
            assert get(f"{first.url}/healthz").json()["version"] == package.__version__
            urls.append(second.url)
            time.sleep(2)
            for server in (first, second):
                assert get(f"{server.url}/readyz").status_code == 200
            # An older program may still be started, and knows that it need not migrate.
            with running(new_postgresql) as third:
                assert get(f"{third.url}/readyz").status_code == 200
            done = regulars("migrate", "--database-url", new_postgresql)
            assert done.returncode == 0
            assert "newer" in done.stdout
        finally:
            old.__exit__(None, None, None)
        urls.remove(first.url)
        run_newer(newer, new_postgresql, "migrate")
        time.sleep(1)
        load.__exit__()
        everything_there(second, load)
        refused = regulars("serve", "--database-url", new_postgresql)
        assert refused.returncode == 4
        assert "newer Regulars" in refused.stderr
