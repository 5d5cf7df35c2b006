"""`regulars doctor`: each set-up that does not work is a real one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from regulars import __version__
from tests.conftest import DATABASES
from tests.postgres import PostgreSQL
from tests.support import (
    build_environment,
    copy_sqlite_template,
    replace_dsn,
    run_regulars,
    run_server,
    scratch_database,
)

pytestmark = pytest.mark.both_databases

Report = dict[str, tuple[str, str]]


def run_doctor(url: str, *options: str, env: dict[str, str] | None = None) -> Report:
    """Returns the state and the message of each subject. Of several messages, a failure or else a
    warning."""
    if "--port" not in options:
        options = (*options, "--port", "0")
    result = run_regulars("doctor", "--json", *options, "--database-url", url, env=env)
    rows = json.loads(result.stdout)
    rows.sort(key=lambda row: ("ok", "warn", "fail").index(row["state"]))
    assert result.returncode == int(any(row["state"] == "fail" for row in rows)), result.stderr
    assert not any("This check failed" in row["message"] for row in rows), rows
    return {row["what"]: (row["state"], row["message"]) for row in rows}


def execute(dsn: str, *statements: str) -> None:
    """Runs statements on PostgreSQL."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of SQLite with all tables."""
    path = tmp_path / "r.db"
    copy_sqlite_template(path)
    path.chmod(0o600)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_a_good_deployment_has_no_failure(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("durable_postgresql").dsn
    for command in ("migrate", "account create one", "token create --account one"):
        assert run_regulars(*command.split(), "--database-url", url).returncode == 0
    backup = ("backup", str(tmp_path / "r.backup"), "--database-url", url)
    has_backup = run_regulars(*backup).returncode == 0  # pg_dump may be older than the server
    report = run_doctor(url, "--backup-folder", str(tmp_path))
    assert "fail" not in {state for state, _ in report.values()}, report
    assert {report[name][0] for name in ("database", "network", "accounts")} == {"ok"}
    if has_backup:
        assert report["backup"][0] == "ok"
    result = run_regulars("doctor", "--port", "0", "--database-url", url)
    assert result.returncode == 0
    assert "state" in result.stdout


def test_a_database_without_accounts_is_reported_with_the_fix(new_database: str) -> None:
    state, message = run_doctor(new_database)["accounts"]
    assert state == "warn"
    assert message.startswith("No account exists.")
    assert "regulars account create NAME" in message
    run_regulars("account", "create", "one", "--database-url", new_database)
    report = run_doctor(new_database)["accounts"]
    assert report == ("ok", "1 account has 0 customers; the largest has 0.")


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "no" / "folder"
    public = {"REGULARS_RATE_LIMIT": "0", "REGULARS_CORS_ORIGINS": "*"}
    options = ("--host", "0.0.0.0", "--workers", "3", "--backup-folder", str(folder))
    report = run_doctor(f"sqlite:///{folder / 'r.db'}", *options, env=public)
    assert {name for name, (state, _) in report.items() if state == "warn"} == {
        *("network", "rate limit", "CORS"),
    }
    assert {name for name, (state, _) in report.items() if state == "fail"} == {
        *("workers", "database", "backup"),
    }
    assert "SQLite supports one process" in report["workers"][1]
    assert f"mkdir -p {folder}" in report["database"][1]
    assert not folder.exists()


def test_a_database_without_tables_is_reported(tmp_path: Path) -> None:
    report = run_doctor(f"sqlite:///{tmp_path / 'r.db'}")
    assert report["database"][0] == "fail"
    assert "regulars migrate" in report["database"][1]
    assert not list(tmp_path.iterdir())


def test_weak_permissions_and_missing_tokens_are_reported(path: Path) -> None:
    path.chmod(0o644)
    report = run_doctor(f"sqlite:///{path}")
    assert report["tokens"][0] == "warn"
    assert report["permissions"] == (
        "warn",
        f"Other users of this machine may open {path}. Run: chmod 600 {path}",
    )


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_missing_file_permissions_are_reported(path: Path) -> None:
    for folder in path.parents:
        if folder.owner() == "root" and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    command = [sys.executable, "-m", "regulars", "doctor", "--json", "--port", "0"]
    result = subprocess.run(
        [*command, "--database-url", f"sqlite:///{path}"],
        env=build_environment({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}),
        capture_output=True,
        user="nobody",
        group="nogroup",
        extra_groups=[],
        cwd="/",
        check=False,
    )
    assert result.returncode == 1, result.stderr
    messages = [r["message"] for r in json.loads(result.stdout) if r["what"] == "permissions"]
    assert f"This user may not read and write {path}" in messages[1]
    assert f"This user may not create files in {path.parent}" in messages[0]


def test_a_damaged_file_is_reported(path: Path) -> None:
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        for position in range(3 * 4096, size, 4096):
            file.seek(position)
            file.write(b"\xff" * 2048)
    state, message = run_doctor(f"sqlite:///{path}")["database"]
    assert state == "fail"
    assert "is damaged" in message
    assert "regulars restore" in message
    path.write_bytes(b"This is a text. " * 1000)
    state, message = run_doctor(f"sqlite:///{path}")["database"]
    assert (state, "is not a SQLite database" in message) == ("fail", True)
    path.unlink()
    path.mkdir()
    state, message = run_doctor(f"sqlite:///{path}")["database"]
    assert (state, "is a folder" in message) == ("fail", True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk")
def test_a_full_disk_is_a_failure(full_disk: Path) -> None:
    url = copy_sqlite_template(full_disk / "r.db")
    state, message = run_doctor(url)["disk"]
    assert state == "fail"
    assert "MiB are free" in message


class OtherProgram(BaseHTTPRequestHandler):
    """A web server that is not Regulars."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_port_in_use_is_reported(path: Path) -> None:
    url = f"sqlite:///{path}"
    with HTTPServer(("127.0.0.1", 0), OtherProgram) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        state, message = run_doctor(url, "--port", str(other.server_port))["port"]
        other.shutdown()
        thread.join()
    assert state == "fail"
    assert "in use by another program" in message
    with run_server(url) as server:
        report = run_doctor(url, "--port", str(urlsplit(server.url).port))
        assert report["port"][0] == "ok"
        assert f"Regulars {__version__} listens" in report["port"][1]
    assert run_doctor(url, "--host", "192.0.2.1", "--port", "8000")["port"][0] == "fail"
    assert run_doctor(url, "--host", "no.such.host.invalid", "--port", "1")["port"][0] == "fail"


def test_the_age_of_the_last_backup_is_reported(path: Path, tmp_path: Path) -> None:
    url, folder = f"sqlite:///{path}", tmp_path / "backups"
    assert run_doctor(url)["backup"][0] == "warn"
    folder.mkdir()
    (folder / "notes.txt").write_text("no backup")
    # A database that a server uses is not a backup.
    shutil.copy(path, folder / "regulars.db")
    options = ("--backup-folder", str(folder))
    assert "has no backup" in run_doctor(url, *options)["backup"][1]
    file = folder / "r.backup"
    assert run_regulars("backup", str(file), "--database-url", url).returncode == 0
    assert run_doctor(url, *options)["backup"] == (
        "ok",
        f"The newest backup, {file}, is 0 hours old.",
    )
    ten_days_ago = file.stat().st_mtime - 10 * 86_400
    os.utime(file, (ten_days_ago, ten_days_ago))
    state, message = run_doctor(url, *options)["backup"]
    assert (state, "10 days old" in message) == ("warn", True)


def test_a_missing_database_and_an_unreachable_server_have_different_messages(
    postgresql: str,
) -> None:
    report = run_doctor(replace_dsn(postgresql, "no_such_database"))
    assert report["database"][0] == "fail"
    assert "PostgreSQL answers, but the database 'no_such_database'" in report["database"][1]
    assert "CREATE DATABASE no_such_database" in report["database"][1]
    report = run_doctor("postgresql://127.0.0.1:1/x")
    assert "cannot be reached" in report["database"][1]
    assert "Check the host and the port" in report["database"][1]


@pytest.mark.slow
def test_missing_rights_are_reported_with_the_grant(new_postgresql: str) -> None:
    user = f"doctor_{os.getpid()}"
    parts = urlsplit(new_postgresql)
    url = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()
    execute(new_postgresql, f"CREATE ROLE {user} LOGIN", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    try:
        grants = []
        for _ in range(3):
            state, message = run_doctor(url)["rights"]
            if state == "ok":
                break
            grant = message.rpartition(": ")[2]
            grants.append(grant)
            execute(new_postgresql, grant)
        assert grants == [
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}",
            f"GRANT USAGE ON SCHEMA public TO {user}",
        ]
        report = run_doctor(url)
        assert report["rights"][0] == report["database"][0] == "ok"
        execute(new_postgresql, f"REVOKE UPDATE ON customers FROM {user}")
        assert "lacks UPDATE on 1 table of" in run_doctor(url)["rights"][1]
    finally:
        execute(new_postgresql, f"DROP OWNED BY {user}", f"DROP ROLE {user}")


def test_a_user_that_may_not_create_tables_is_reported(empty_postgresql: str) -> None:
    user = f"creator_{os.getpid()}"
    parts = urlsplit(empty_postgresql)
    url = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()
    execute(empty_postgresql, f"CREATE ROLE {user} LOGIN")
    try:
        state, message = run_doctor(url)["rights"]
        assert (state, message.rpartition(": ")[2]) == (
            "fail",
            f"GRANT CREATE ON SCHEMA public TO {user}",
        )
    finally:
        execute(empty_postgresql, f"DROP OWNED BY {user}", f"DROP ROLE {user}")


@pytest.mark.slow
def test_a_missing_or_old_pg_dump_is_reported(new_postgresql: str, tmp_path: Path) -> None:
    state, message = run_doctor(new_postgresql, "--tools", str(tmp_path))["pg_dump"]
    assert (state, f"pg_dump is not in {tmp_path}" in message) == ("warn", True)
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (tmp_path / "pg_dump").chmod(0o755)
    state, message = run_doctor(new_postgresql, "--tools", str(tmp_path))["pg_dump"]
    assert (state, "9.6" in message, "cannot back up" in message) == ("warn", True, True)


def test_a_read_only_database_is_reported(new_postgresql: str) -> None:
    name = urlsplit(new_postgresql).path.strip("/")
    execute(new_postgresql, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert run_doctor(new_postgresql)["writes"][0] == "fail"


@pytest.mark.slow
def test_the_settings_of_postgresql_are_checked(durable_postgresql: PostgreSQL) -> None:
    with scratch_database(durable_postgresql.dsn) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        report = run_doctor(url)
        assert report["version"][0] == report["durability"][0] == "ok"
        assert run_doctor(url, "--workers", "200")["connections"][0] == "warn"
        name = urlsplit(url).path.strip("/")
        execute(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
        assert run_doctor(url)["durability"][0] == "fail"
