"""Maintenance: doctor, verify, backup, restore."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.cli.errors import NOT_MIGRATED
from regulars.store import parse_url
from regulars.store.migrate import run_in_transaction
from regulars.store.schema_version import newest_version
from tests.conftest import DATABASES
from tests.postgres import BIN
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    CommandResult,
    run_regulars,
    run_server,
    scratch_database,
)

pytestmark = pytest.mark.both_databases

# A newer pg_restore than the server is of sets what that does not know.
TOOLS = BIN
if os.environ.get("REGULARS_TEST_DSN"):
    TOOLS = Path(shutil.which("pg_dump") or BIN / "pg_dump").parent


def fill(url: str) -> None:
    """Write customers of many kinds into a database."""
    for command in ("migrate", "account create one", "account create two"):
        assert run_regulars(*command.split(), "--database-url", url).returncode == 0
    for name, count in (("one", "120"), ("two", "30")):
        sample = ("sample", "--account", name, "--customers", count)
        assert run_regulars(*sample, "--database-url", url).returncode == 0


@pytest.fixture(scope="module")
def templates(
    postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A database of each kind with customers: a file, and the name of one in PostgreSQL."""
    path = tmp_path_factory.mktemp("keeping") / "template.db"
    fill(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with scratch_database(postgresql) as url:
        fill(url)
        yield path, url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(params=DATABASES)
def filled_database(
    request: pytest.FixtureRequest, templates: tuple[Path, str], postgresql: str, tmp_path: Path
) -> Iterator[str]:
    """The URL of a database with customers of many kinds."""
    file, name = templates
    if request.param == "sqlite":
        shutil.copyfile(file, tmp_path / "filled.db")
        (tmp_path / "filled.db").chmod(0o600)
        yield f"sqlite:///{tmp_path / 'filled.db'}"
        return
    with scratch_database(postgresql, template=name) as url:
        yield url


def run(url: str, *arguments: str) -> CommandResult:
    return run_regulars(*arguments, "--database-url", url)


def change(url: str, statement: str) -> None:
    """Run a statement on a database, outside Regulars."""
    run_in_transaction(parse_url(url), lambda c: c.execute(sa.text(statement)))


@pytest.mark.slow
def test_a_sound_database_is_consistent(filled_database: str) -> None:
    result = run(filled_database, "verify")
    assert result.returncode == 0, result.stdout
    assert "customers 150," in result.stdout
    assert result.stdout.endswith("The data is consistent.\n")
    read = json.loads(run(filled_database, "verify", "--json").stdout)["read"]
    assert read["customers"] == 150
    assert read["terms"] > 1_000


FIRST = "WHERE account_id = 1 AND customer_id = 3"
DAMAGE = {
    "a name": (f"UPDATE customers SET first_name = 'Someone' {FIRST}", "derived values are wrong"),
    "an email": (f"UPDATE customers SET email = 'Else@Example.com' {FIRST}", "the email"),
    "the spend": (f"UPDATE customers SET expenses = expenses + 1 {FIRST}", "expenses"),
    "a term": ("DELETE FROM terms WHERE account_id = 1 AND customer_id = 3", "search index"),
    "a wrong term": ("INSERT INTO terms VALUES (1, 'w:nobody', 3)", "search index"),
    "a term of nobody": ("INSERT INTO terms VALUES (1, 'w:nobody', 9999)", "who is missing"),
    "the facets": (f"UPDATE customers SET facets = '' {FIRST}", "facets"),
    "tags": (f"UPDATE customers SET tags = '[' {FIRST}", "tags is not a JSON array"),
    "an address": (
        f'UPDATE customers SET shipping_address = \'{{"city":  "X"}}\' {FIRST}',
        "shipping_address",
    ),
    "the counters": ("UPDATE counters SET customers = 5 WHERE account_id = 1", "never assigned"),
    "an amount": (
        "UPDATE orders SET net_payment = net_payment + 5 WHERE account_id = 1",
        "net_payment",
    ),
    "a version": (f"UPDATE customers SET version = 0 {FIRST}", "version is not positive"),
    "no counters": ("DELETE FROM counters WHERE account_id = 2", "counters are missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.slow
def test_damage_is_found(filled_database: str, name: str) -> None:
    statement, said = DAMAGE[name]
    change(filled_database, statement)
    result = run(filled_database, "verify")
    assert result.returncode == 1
    assert said in result.stdout, result.stdout
    assert "example." not in result.stdout


@pytest.mark.slow
def test_many_problems_are_counted(filled_database: str) -> None:
    change(filled_database, "DELETE FROM terms WHERE account_id = 1")
    report = json.loads(run(filled_database, "verify", "--json").stdout)
    assert report["found"] == 120
    assert len(report["problems"]) == 100
    assert "… and 20 more." in run(filled_database, "verify").stdout


@pytest.mark.slow
def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    url = f"sqlite:///{path}"
    for command in ("migrate", "account create one", "sample --customers 200"):
        assert run(url, *command.split()).returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'customers_email_key'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek(root * size - 400)
        file.write(b"\xff" * 400)
    result = run(url, "verify")
    assert result.returncode != 0
    assert "SQLite" in result.stdout + result.stderr
    rejected = run(url, "backup", str(tmp_path / "copy"))
    assert rejected.returncode == 1
    assert f"{path} is damaged: " in rejected.stderr
    assert "***" not in rejected.stderr
    assert list(tmp_path.glob("copy*")) == []


def dump_tables(url: str) -> dict[str, list[Any]]:
    """Return every row of a database, by table."""
    from regulars.store.tables import metadata

    def read(connection: sa.Connection) -> dict[str, list[Any]]:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(table.select().order_by(*table.primary_key.columns))
            ]
            for table in metadata.sorted_tables
        }

    return run_in_transaction(parse_url(url), read)


@pytest.fixture
def another_database(
    request: pytest.FixtureRequest, filled_database: str, tmp_path: Path
) -> Iterator[str]:
    """Another database of the same kind, empty or missing."""
    if filled_database.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'another.db'}"
        return
    with scratch_database(request.getfixturevalue("postgresql")) as url:
        yield url


@pytest.mark.slow
def test_a_backup_is_restored(filled_database: str, another_database: str, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    result = run(filled_database, "backup", str(file), "--tools", str(TOOLS))
    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part*"))
    result = run(another_database, "restore", str(file), "--tools", str(TOOLS))
    assert result.returncode == 0, result.stderr
    assert dump_tables(another_database) == dump_tables(filled_database)
    assert run(another_database, "verify").returncode == 0
    assert newest_version() in result.stdout
    again = run(another_database, "restore", str(file), "--tools", str(TOOLS))
    assert again.returncode == 1
    assert "already" in again.stderr or "not empty" in again.stderr
    again = run(filled_database, "backup", str(file), "--tools", str(TOOLS))
    assert again.returncode == 1
    assert "already exists" in again.stderr


@pytest.mark.slow
def test_a_backup_is_made_while_others_write(
    filled_database: str, another_database: str, tmp_path: Path
) -> None:
    stop, started = threading.Event(), threading.Event()
    with run_server(filled_database) as server:
        token = json.loads(
            run(filled_database, "token", "create", "--account", "one", "--json").stdout
        )["token"]

        def write() -> None:
            number = 0
            with Client(server, token) as client:
                while not stop.is_set():
                    number += 1
                    client.create(f"meanwhile.{number}@example.com", tags=["x"])
                    started.set()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert started.wait(30)
            for number in range(3):
                file = tmp_path / f"copy{number}"
                result = run(filled_database, "backup", str(file), "--tools", str(TOOLS))
                assert result.returncode == 0, result.stderr
            assert run(filled_database, "verify").returncode == 0
        finally:
            stop.set()
            thread.join()
    assert run(another_database, "restore", str(file), "--tools", str(TOOLS)).returncode == 0
    report = json.loads(run(another_database, "verify", "--json").stdout)
    assert report["problems"] == []
    assert report["read"]["customers"] > 150
    with run_server(another_database) as server, Client(server, token) as client:
        assert client.page()["edges"]


def test_file_that_is_no_backup_is_not_restored(tmp_path: Path, postgresql: str) -> None:
    target = f"sqlite:///{tmp_path / 'r.db'}"
    (tmp_path / "text").write_text("hello")
    (tmp_path / "broken").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    (tmp_path / "dump").write_bytes(b"PGDMP" + b"\0" * 100)
    for name, said in (
        ("text", "not a backup"),
        ("broken", "damaged"),
        ("dump", "PostgreSQL"),
        ("missing", "cannot be read"),
    ):
        result = run(target, "restore", str(tmp_path / name))
        assert result.returncode == 1
        assert said in result.stderr, result.stderr
        assert not (tmp_path / "r.db").exists()
    with scratch_database(postgresql) as url:
        result = run(url, "restore", str(tmp_path / "dump"), "--tools", str(TOOLS))
        assert result.returncode == 1
        assert "pg_restore failed" in result.stderr


def test_a_database_without_tables_is_not_backed_up(empty_database: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    result = run(empty_database, "backup", str(tmp_path / "copy"), "--tools", str(TOOLS))
    assert result.returncode == NOT_MIGRATED
    assert "no tables of Regulars" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_without_tables_is_not_restored(tmp_path: Path, postgresql: str) -> None:
    empty_file = tmp_path / "other.db"
    with closing(sqlite3.connect(empty_file)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    content = empty_file.read_bytes()
    result = run(f"sqlite:///{tmp_path / 'new.db'}", "restore", str(empty_file))
    assert result.returncode == 1
    assert "no tables of Regulars" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.db"]
    assert empty_file.read_bytes() == content
    with scratch_database(postgresql) as empty, scratch_database(postgresql) as target:
        dump = tmp_path / "dump"
        command = [str(TOOLS / "pg_dump"), "--format=custom", f"--file={dump}", f"--dbname={empty}"]
        subprocess.run(command, check=True)
        result = run(target, "restore", str(dump), "--tools", str(TOOLS))
        assert result.returncode == 1
        assert "no tables of Regulars" in result.stderr


@pytest.mark.slow
def test_missing_tool_is_reported(tmp_path: Path, postgresql: str) -> None:
    with scratch_database(postgresql) as url:
        assert run(url, "migrate").returncode == 0
        result = run(url, "backup", str(tmp_path / "copy"), "--tools", str(tmp_path))
        assert result.returncode == 1
        assert "`pg_dump` was not found" in result.stderr
        assert not (tmp_path / "copy").exists()
        # As pg_dump reports that it is older than the server.
        tool = tmp_path / "pg_dump"
        tool.write_text(
            "#!/bin/sh\necho 'pg_dump: error: aborting because of server version mismatch' >&2\n"
            "echo 'pg_dump: detail: server version: 18.6; pg_dump version: 15.2 (Debian)' >&2\n"
            "exit 1\n"
        )
        tool.chmod(0o755)
        result = run(url, "backup", str(tmp_path / "copy"), "--tools", str(tmp_path))
        assert "pg_dump 15.2 cannot back up PostgreSQL 18.6. Install" in result.stderr
        assert not (tmp_path / "copy").exists()
    assert run(f"sqlite:///{tmp_path / 'r.db'}", "migrate").returncode == 0
    result = run(f"sqlite:///{tmp_path / 'r.db'}", "backup", str(tmp_path / "no" / "such" / "x"))
    assert result.returncode == 1
    assert "cannot be written" in result.stderr


@pytest.mark.slow
def test_new_database_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    with (
        run_server(url, use_template=False) as server,
        Client(server, BOOTSTRAP_TOKEN) as client,
    ):
        client.create("a@example.com")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("r.db*")}
        assert modes == {0o600}
