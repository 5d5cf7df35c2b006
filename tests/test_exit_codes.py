"""The exit codes of commands: the same fault has the same code in every command."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from regulars.cli.errors import NOT_MIGRATED, REFUSED, UNREACHABLE
from regulars.cli.groups import ENTRIES
from tests.support import Client, run_regulars

EMAIL = "a@example.com"
# The arguments with which each command uses a database.
ON_DATABASE = {
    "serve": ("--port", "0"),
    "open": ("--url", "{server}"),
    "worker": (),
    "migrate": (),
    "sample": ("--customers", "1"),
    "customers search": (),
    "customers get": (EMAIL,),
    "customers create": ("--email", EMAIL),
    "customers update": (EMAIL, "--notes", "x"),
    "customers delete": (EMAIL, "--yes"),
    "customers history": (EMAIL,),
    "query": ("{folder}/document.graphql",),
    "import": ("{folder}/customers.csv",),
    "imports list": (),
    "comments list": ("1",),
    "comments add": ("1", "Text"),
    "comments update": ("1", "--pinned"),
    "comments delete": ("1", "--yes"),
    "trash list": (),
    "trash restore": ("1",),
    "trash empty": ("--yes",),
    "tags list": (),
    "tags rename": ("old", "new"),
    "update": ("--query", "", "--add-tag", "vip"),
    "jobs list": (),
    "jobs show": ("job_1",),
    "jobs cancel": ("job_1",),
    "jobs undo": ("job_1",),
    "people list": (),
    "people invite": ("Ana",),
    "people link": ("Ana",),
    "people role": ("Ana", "owner"),
    "people remove": ("Ana", "--yes"),
    "segments list": (),
    "segments show": ("vip",),
    "segments create": ("vip",),
    "segments update": ("vip", "--name", "new"),
    "segments delete": ("vip", "--yes"),
    "segments members": ("vip",),
    "segments export": ("-",),
    "segments load": ("{folder}/segments.json",),
    "export": (),
    "pull": ("{server}",),
    "push": ("{server}",),
    "account create": ("shop",),
    "account list": (),
    "account rename": ("old", "new"),
    "account settings": (),
    "account disable": ("shop",),
    "account enable": ("shop",),
    "account delete": ("shop", "--yes"),
    "account move": ("shop", "node"),
    "token create": (),
    "token list": (),
    "token revoke": ("id",),
    "token rename": ("id", "new"),
    "webhook list": (),
    "webhook show": ("1",),
    "webhook test": ("1",),
    "webhook retry": ("1",),
    "webhook pause": ("1",),
    "webhook resume": ("1",),
    "webhook filter": ("1", "--query", "ana"),
    "webhook-secret show": (),
    "webhook-secret rotate": (),
    "inbox list": (),
    "inbox retry": ("id",),
    "inbox delete": ("id",),
    "inbox secret": (),
    "verify": (),
    "backup": ("{folder}/new.backup",),
    "copy": ("{database}", "sqlite:///{folder}/new.db"),
}
# `doctor` reports the fault as a finding. `restore` writes a new database.
OTHER = {"schema", "version", "help", "config", "doctor", "restore"}
NEED_POSTGRESQL = {"worker", "account move"}
CREATE_TABLES = {"serve", "migrate"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.stdin", io.StringIO("a-secret-of-32-characters-or-more"))
    (tmp_path / "document.graphql").write_text("{ __typename }")
    (tmp_path / "segments.json").write_text('[{"name": "vip"}]')
    (tmp_path / "customers.csv").write_text(f"email\n{EMAIL}\n")
    return tmp_path


def run(command: str, database: str, folder: Path, server: str) -> tuple[int, str]:
    """Runs a command on a database. Returns its exit code and its message."""
    values = {"database": database, "folder": folder, "server": server}
    arguments = [text.format(**values) for text in ON_DATABASE[command]]
    env = {
        "REGULARS_DATABASE_URL": database,
        "REGULARS_REMOTE_TOKEN": "token",
    }
    done = run_regulars(*command.split(), *arguments, env=env)
    return done.returncode, done.stderr


def test_the_table_has_every_command() -> None:
    commands = {entry.name for entry in ENTRIES if entry.module and not entry.is_hidden}
    assert commands == {*ON_DATABASE, *OTHER}


@pytest.mark.slow
@pytest.mark.parametrize("command", ON_DATABASE)
def test_a_database_that_cannot_be_opened(command: str, folder: Path, client: Client) -> None:
    database = f"sqlite:///{folder}/missing/r.db"
    if command in NEED_POSTGRESQL:
        database = "postgresql://127.0.0.1:1/x"
    code, message = run(command, database, folder, client.server.url)
    assert code == UNREACHABLE, message


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({*ON_DATABASE} - NEED_POSTGRESQL - CREATE_TABLES))
def test_a_database_without_tables(command: str, folder: Path, client: Client) -> None:
    (folder / "empty.db").touch()
    code, message = run(command, f"sqlite:///{folder}/empty.db", folder, client.server.url)
    assert code == NOT_MIGRATED, message


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        name
        for name in ON_DATABASE
        if name.split()[0] in ("customers", "comments", "segments", "webhook", "query")
    ],
)
def test_a_server_that_is_not_reached_or_refuses_the_token(
    command: str, folder: Path, client: Client
) -> None:
    arguments = [text.format(folder=folder) for text in ON_DATABASE[command]]
    for url, expected in (("http://127.0.0.1:1", UNREACHABLE), (client.server.url, REFUSED)):
        env = {"REGULARS_TOKEN": "unknown"}
        done = run_regulars(*command.split(), *arguments, "--url", url, env=env)
        assert done.returncode == expected, done.stderr


@pytest.mark.parametrize("command", ["pull", "push"])
def test_another_server_that_refuses_the_token(command: str, client: Client) -> None:
    env = {
        "REGULARS_DATABASE_URL": client.server.database_url,
        "REGULARS_REMOTE_TOKEN": "unknown",
        "REGULARS_ACCOUNT": "default",
    }
    options = ("--match", "email") if command == "pull" else ()
    done = run_regulars(command, client.server.url, *options, env=env)
    assert done.returncode == REFUSED, done.stderr
