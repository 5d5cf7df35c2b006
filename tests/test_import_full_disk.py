"""An import that has no space on a disk says so, loses nothing, and continues."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import USER as POSTGRESQL_USER
from tests.postgres import PostgreSQL, ask
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    build_environment,
    run_regulars,
    run_server,
    scratch_database,
)
from tests.test_import import Shop, local
from tests.test_import_http import ENDED, send, wait

__all__ = ["local"]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the size of files."),
    pytest.mark.slow,
]

_ROWS = 20_000


def limited(shop: Shop, file: str, max_bytes: int) -> subprocess.CompletedProcess[str]:
    """An import that can write no file beyond a size."""
    return subprocess.run(
        [sys.executable, "-m", "regulars", "import", file, "--account", "shop", "--silent"],
        env=build_environment(shop.env),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes)),
    )


def rows(count: int, every_bad: int = 0) -> str:
    lines = ["email,first_name,notes"]
    for n in range(count):
        email = "no email" if every_bad and n % every_bad == 0 else f"a{n}@x.test"
        lines.append(f"{email},Ann {n},{'Ordered by phone. ' * 22}")
    return "\n".join(lines) + "\n"


def test_an_import_without_space_in_the_database_can_be_resumed(local: Shop) -> None:
    file = local.file("a.csv", rows(_ROWS))
    stopped = limited(local, file, 4_000_000)
    assert stopped.returncode == 3
    assert "Continue with the same command and --resume." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert 0 < len(local.emails()) < _ROWS
    done = local.run("import", file, "--account", "shop", "--resume", "--json")
    assert json.loads(done.stdout)[0]["created"] == _ROWS
    assert len(local.emails()) == _ROWS


def test_an_import_without_space_for_rejected_rows_can_be_resumed(local: Shop) -> None:
    # The file of the rejected rows is longer than the database's.
    content = rows(1_100, every_bad=1) + "a@x.test,Ann,\n"
    file = local.file("a.csv", content)
    stopped = limited(local, file, len(content))
    assert stopped.returncode == 1
    assert "a.rejected.csv cannot be written: File too large." in stopped.stderr
    assert "--resume" in stopped.stderr
    done = local.run("import", file, "--account", "shop", "--resume", "--json")
    assert done.returncode == 5, done.stderr
    result = json.loads(done.stdout)[0]
    assert (result["created"], result["rejected"]) == (1, 1_100)
    assert len((local.folder / "a.rejected.csv").read_text().splitlines()) == 1_101


@pytest.fixture
def small_disk(durable_postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a database of PostgreSQL on a disk with little room, and the disk's folder."""
    folder = Path(
        tempfile.mkdtemp(dir="/tmp")
    )  # PostgreSQL, as another user, may not enter tmp_path
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)
    try:
        shutil.chown(folder, POSTGRESQL_USER)
        ask(durable_postgresql, f"CREATE TABLESPACE small LOCATION '{folder}'")
        with scratch_database(durable_postgresql.dsn, "TABLESPACE small") as url:
            assert run_regulars("migrate", "--database-url", url).returncode == 0
            yield url, folder
        ask(durable_postgresql, "DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk")
def test_an_import_without_space_in_postgresql_can_be_resumed(
    small_disk: tuple[str, Path], tmp_path: Path
) -> None:
    url, disk = small_disk
    shop = Shop(url, tmp_path)
    file = shop.file("a.csv", rows(_ROWS))
    stopped = shop.run("import", file, "--account", "shop", "--silent")
    assert stopped.returncode == 3
    assert "The disk of PostgreSQL is full." in stopped.stderr
    assert "Continue with the same command and --resume." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert 0 < len(shop.emails()) < _ROWS
    subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
    done = shop.run("import", file, "--account", "shop", "--resume", "--json")
    assert json.loads(done.stdout)[0]["created"] == _ROWS
    assert len(shop.emails()) == _ROWS


def test_an_import_over_http_waits_for_space(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    content = rows(_ROWS)
    with (
        run_server(f"sqlite:///{path}", in_new_python=True) as server,
        Client(server, BOOTSTRAP_TOKEN) as client,
    ):
        client.create("before@example.com")
        # There is space for the file, and not for its customers. Processes inherit the limit.
        before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (16_000_000, -1))
        location = send(client, content).headers["location"]
        ends = time.monotonic() + 15
        while time.monotonic() < ends:
            state = client.http.get(location).json()["data"]["state"]
            assert state in ("pending", "running")
            time.sleep(0.5)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
        done = wait(client, location, *ENDED)
        assert (done["state"], done["created"], done["message"]) == ("done", _ROWS, None)
