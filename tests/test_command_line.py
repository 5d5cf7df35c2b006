"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from regulars.cli.errors import NOT_MIGRATED, REFUSED, UNREACHABLE, USAGE
from tests.support import (
    BOOTSTRAP_TOKEN,
    START_SECONDS,
    CommandResult,
    build_environment,
    run_regulars,
    run_server,
    scratch_database,
)

COMMANDS = ["serve", "migrate", "schema", "sample", "version"]
COMMANDS += ["account create", "account list", "token create", "token list", "token revoke"]


@pytest.fixture
def database(new_database: str) -> str:
    """A migrated database."""
    return new_database


def run(database_url: str, *arguments: str) -> CommandResult:
    return run_regulars(*arguments, env={"REGULARS_DATABASE_URL": database_url})


def ok(database_url: str, *arguments: str) -> str:
    done = run(database_url, *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def refused(database_url: str, code: int, *arguments: str) -> str:
    """The sentence of a command that is refused."""
    done = run(database_url, *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    return done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = run_regulars(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert "--help" in done.stdout


def test_a_database_is_migrated_once(empty_database: str) -> None:
    first = json.loads(ok(empty_database, "migrate", "--json"))
    assert first["before"] is None
    assert json.loads(ok(empty_database, "migrate", "--json"))["before"] == first["after"]
    assert "already has tables" in ok(empty_database, "migrate")


def test_a_database_without_tables_is_not_changed(empty_database: str) -> None:
    assert "regulars migrate" in refused(empty_database, NOT_MIGRATED, "account", "list")


@pytest.mark.slow
def test_accounts_and_tokens_are_created_listed_and_revoked(database: str) -> None:
    assert "account create" in refused(database, REFUSED, "token", "create")
    assert "Created the account north" in ok(database, "account", "create", "north")
    token = ok(database, "token", "create").strip()
    assert re.fullmatch(r"rgl_[0-9a-f]{64}", token)
    created = json.loads(ok(database, "account", "create", "south", "--json"))
    assert created["name"] == "south"
    assert "--account" in refused(database, REFUSED, "token", "create")
    assert "already" in refused(database, REFUSED, "account", "create", "south")
    assert "east" in refused(database, REFUSED, "token", "create", "--account", "east")
    second = json.loads(
        ok(database, *"token create --account south --name app --expires 30d --json".split())
    )
    assert second["account"] == "south"
    assert second["token"] != token
    listed = json.loads(ok(database, "token", "list", "--json"))
    assert [(t["account"], t["name"], t["state"]) for t in listed] == [
        ("north", "unnamed", "valid"),
        ("south", "app", "valid"),
    ]
    table = ok(database, "token", "list")
    assert second["id"] in table
    assert token not in table + str(listed)
    assert second["token"] not in table + str(listed)
    ok(database, "token", "revoke", second["id"])
    assert "revoked" in ok(database, "token", "list")
    assert "No valid token" in refused(database, REFUSED, "token", "revoke", second["id"])
    names = [account["name"] for account in json.loads(ok(database, "account", "list", "--json"))]
    assert names == ["north", "south"]


@pytest.mark.parametrize("expires", ["tomorrow", "0d", "-1d", "2020-01-01", "30x", "2030-13-01"])
def test_an_invalid_expiry_is_refused(tmp_path: Path, expires: str) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    assert "--expires" in refused(url, USAGE, "token", "create", f"--expires={expires}")


@pytest.mark.slow
def test_a_sample_is_the_same_for_the_same_seed(database: str) -> None:
    for name in ("one", "two"):
        ok(database, "account", "create", name)
    first = ok(database, *"sample --customers 30 --seed 7 --account one --json".split())
    assert json.loads(first)["added"] == 30
    repeated = json.loads(
        ok(database, *"sample --customers 40 --seed 7 --account one --json".split())
    )
    assert (repeated["added"], repeated["present"]) == (10, 30)
    ok(database, *"sample --customers 40 --seed 7 --account two".split())
    accounts = json.loads(ok(database, "account", "list", "--json"))
    assert [account["customers"] for account in accounts] == [40, 40]
    answers = []
    with run_server(database) as server:
        for name in ("one", "two"):
            token = ok(database, "token", "create", "--account", name).strip()
            query = """{ accountSettings { currency } customers(first: 40) { edges { cursor node { email full_name tags custom
                notes expenses orders_count created_at(format: "ISO") shipping_address { toString }
                updated_at(format: "ISO") leads { subject created_at(format: "ISO") } summary {
                visits orders { list { referrer order { name total test cancelled_at(format: "x")
                currency net_payment financial_status } } } } } } } }"""
            headers = {"Authorization": f"Bearer {token}"}
            sent = httpx.post(f"{server.url}/graphql", json={"query": query}, headers=headers)
            answers.append(sent.json()["data"])
    assert answers[0] == answers[1]
    for edge in answers[0]["customers"]["edges"]:
        check_figures(edge["node"], answers[0]["accountSettings"]["currency"])


def check_figures(node: dict[str, object], currency: str) -> None:
    """A customer's figures are those of its orders; amounts are those in the account's currency."""
    summary = node["summary"]
    assert isinstance(summary, dict)
    orders = [entry["order"] for entry in summary["orders"]["list"]]
    counted = [o for o in orders if not o["test"] and o["cancelled_at"] is None]
    assert node["orders_count"] == len(counted)
    amounts = [order["net_payment"] for order in counted if order["currency"] == currency]
    assert node["expenses"] == pytest.approx(sum(amounts))
    for order in orders:
        if order["financial_status"] == "pending":
            assert order["net_payment"] == 0
        if order["financial_status"] == "paid":
            assert order["net_payment"] == order["total"]


@pytest.mark.slow
def test_the_version_is_printed() -> None:
    command = [sys.executable, "-m", "regulars", "version"]
    printed = subprocess.run(
        command, env=build_environment(), capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert re.fullmatch(
        r"regulars \d+\.\d+\.\d+ \(commit ([0-9a-f]{12}|unknown), tables \d{4}\)\n", printed
    )
    assert run_regulars("version").stdout == printed
    assert set(json.loads(run_regulars("version", "--json").stdout)) == {
        "version",
        "commit",
        "tables",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing"], USAGE, "No such command"),
        (["serve", "--port", "x"], USAGE, "--port must be a whole number"),
        (["serve", "--port", "65536"], USAGE, "--port must be a whole number from 0 to 65,535"),
        (["serve", "--workers", "2"], USAGE, "PostgreSQL"),
        (["serve", "--database-url", "mysql://x"], USAGE, "postgresql://"),
        (["serve", "--database-url", "regulars.db"], USAGE, "sqlite:///"),
        (["serve", "--database-url", "sqlite:///:memory:"], USAGE, "SQLite URL"),
        (
            ["migrate", "--database-url", "sqlite:////no/such/r.db"],
            UNREACHABLE,
            "mkdir -p /no/such",
        ),
        (["serve", "--database-url", "postgresql://u:pw@127.0.0.1:1/x"], UNREACHABLE, "reached"),
        (["sample", "--customers", "-1"], USAGE, "--customers"),
    ],
)
def test_an_invalid_argument_has_an_error_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_regulars(*arguments)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "pw" not in done.stderr
    assert code != USAGE or '"event":"start"' not in done.stderr


@pytest.mark.slow
def test_an_error_sets_the_exit_code_of_the_process() -> None:
    command = [sys.executable, "-m", "regulars", "migrate", "--database-url", "sqlite:////no/r.db"]
    done = subprocess.run(
        command, env=build_environment(), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == UNREACHABLE
    assert done.stdout == ""
    assert done.stderr.startswith("regulars: ")
    assert done.stderr.count("\n") == 1


def test_a_file_of_another_format_is_refused_as_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("These are my notes, and they are not a database at all.\n" * 50)
    for command in ("migrate", "account list", "verify"):
        message = refused(f"sqlite:///{path}", UNREACHABLE, *command.split())
        assert f"{path} is not a SQLite database. Check `REGULARS_DATABASE_URL`." in message
        assert f"{tmp_path} is a folder" in refused(
            f"sqlite:///{tmp_path}", UNREACHABLE, *command.split()
        )
        missing = tmp_path / "no" / "r.db"
        assert f"mkdir -p {missing.parent}" in refused(
            f"sqlite:///{missing}", UNREACHABLE, *command.split()
        )


def test_a_wrong_database_of_postgresql_has_an_error_message(
    postgresql: str, tmp_path: Path
) -> None:
    url = urlsplit(postgresql)._replace(path="/no_such_database").geturl()
    for command in ("account list", "migrate", f"backup {tmp_path / 'b'}"):
        message = refused(url, UNREACHABLE, *command.split())
        assert 'PostgreSQL answers, but the database "no_such_database" does not exist.' in message
    user = re.sub("postgres:?@", "no_such_user@", postgresql)
    assert "refuses the user or the password" in refused(user, UNREACHABLE, "account", "list")
    message = refused("postgresql://127.0.0.1:1/x", UNREACHABLE, "account", "list")
    assert "PostgreSQL cannot be reached: nothing listens on port 1 of 127.0.0.1." in message


def test_a_database_of_another_encoding_is_refused(postgresql: str) -> None:
    options = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    with scratch_database(postgresql, options) as url:
        assert "UTF8" in refused(url, USAGE, "migrate")


def test_a_role_without_create_privilege_has_an_error_message(postgresql: str) -> None:
    async def run(statement: str) -> None:
        connection = await asyncpg.connect(postgresql)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run("CREATE ROLE visitor LOGIN"))
    with scratch_database(postgresql) as url:
        message = refused(re.sub("postgres:?@", "visitor@", url), REFUSED, "migrate")
        assert "permission denied for schema public" in message
        assert "Run `regulars doctor`" in message
        assert message.count("\n") == 1
    asyncio.run(run("DROP ROLE visitor"))


def test_a_locked_database_has_an_error_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regulars.store.sqlite import file

    monkeypatch.setattr(file, "BUSY_SECONDS", 0.1)
    path = tmp_path / "r.db"
    ok(f"sqlite:///{path}", "migrate")
    with closing(file.connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert "locked" in refused(f"sqlite:///{path}", UNREACHABLE, "account", "create", "one")


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        url = f"sqlite:///{tmp_path / 'r.db'}"
        assert "--port" in refused(url, UNREACHABLE, "serve", "--port", port)


def test_a_database_of_a_newer_version_is_not_changed(database: str) -> None:
    import sqlalchemy as sa

    from regulars.store import parse_url
    from regulars.store.migrate import run_in_transaction

    def pretend(connection: sa.Connection) -> None:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(sa.text("UPDATE compatibility SET oldest = '9999'"))

    run_in_transaction(parse_url(database), pretend)
    for command in (["migrate"], ["serve"], ["account", "list"]):
        assert "newer" in refused(database, NOT_MIGRATED, *command)


@pytest.mark.slow
def test_the_first_start_shows_a_token_and_a_working_command(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "regulars", "serve", "--port", "0"],
        env=build_environment(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            lines: list[str] = []
            while not lines or "Ctrl-C" not in lines[-1]:
                lines.append(process.stdout.readline())
            curl = next(line for line in lines if line.strip().startswith("curl"))
            words = shlex.split(curl)
            token = next(word for word in words if word.startswith("Authorization")).split()[-1]
            address = next(word for word in words if word.startswith("http"))
            answer = httpx.post(
                address,
                content=words[words.index("-d") + 1],
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            assert answer.json() == {"data": {"customers": {"edges": []}}}
            assert (tmp_path / "regulars.db").exists()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(START_SECONDS) == 0


@pytest.mark.slow
def test_a_second_start_shows_no_token(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    for _ in range(2):
        with run_server(url) as server:
            headers = {"Authorization": f"Bearer {BOOTSTRAP_TOKEN}"}
            query = {"query": "{ __typename }"}
            assert httpx.post(f"{server.url}/graphql", json=query, headers=headers).is_success
    assert len(json.loads(ok(url, "token", "list", "--json"))) == 1


@pytest.mark.slow
def test_two_processes_may_start_on_one_empty_database(postgresql: str) -> None:
    with scratch_database(postgresql) as url, ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            starting = [pool.submit(stack.enter_context, run_server(url)) for _ in range(2)]
        for server in [start.result() for start in starting]:
            headers = {"Authorization": f"Bearer {BOOTSTRAP_TOKEN}"}
            query = {"query": "{ __typename }"}
            assert httpx.post(f"{server.url}/graphql", json=query, headers=headers).is_success
        assert len(json.loads(ok(url, "account", "list", "--json"))) == 1


@pytest.mark.slow
def test_several_workers_serve_one_postgresql(postgresql: str) -> None:
    from tests.support import Client, create_token

    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        with Client(server, create_token(server)) as client:
            for number in range(20):
                client.create(f"{number}@example.com")
            assert len(client.emails()) == 20
