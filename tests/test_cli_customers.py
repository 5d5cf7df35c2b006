"""The commands that use the API: the same against a database and against a server."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regulars.cli.contact_lists import with_retries
from regulars.cli.errors import REFUSED, UNREACHABLE, USAGE, APIError
from regulars.settings import SETTINGS
from tests.receiver import run_receiver
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    CommandResult,
    Server,
    build_environment,
    copy_sqlite_template,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
)

Run = Callable[..., CommandResult]


@pytest.fixture(params=["database", "server"])
def run(request: pytest.FixtureRequest, server: Server) -> Run:
    """Run a command for a new account, against the database or the server."""
    token = create_token(server, scopes=("admin",))
    if request.param == "server":
        options, env = ("--url", server.url), {"REGULARS_TOKEN": token}
    else:
        options = ("--account", find_account_name(server, token))
        env = {"REGULARS_DATABASE_URL": server.database_url}
    return lambda *arguments: run_regulars(*arguments, *options, env=env)


def ok(run: Run, *arguments: str) -> Any:
    """Return the JSON of a command that succeeds."""
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def refused(run: Run, status: int, *arguments: str) -> str:
    """Return the sentence of a command that fails."""
    result = run(*arguments)
    assert result.returncode == status, (result.stdout, result.stderr)
    assert result.stderr.startswith("regulars: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_a_customer_is_created_found_updated_and_deleted(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "ada.json"
    source.write_text('{"shipping_address": {"city": "London", "country": "GB"}, "notes": "x"}')
    created = ok(
        run,
        *("customers", "create", "--email", "Ada@example.com", "--first-name", "Ada"),
        *("--tag", "vip", "--tag", "new", "--custom", "size=M", "--accepts-marketing"),
        *("--notes", "Likes tea.", "--input", f"@{source}"),
    )
    assert created["shipping_address"]["city"] == "London"
    assert (created["tags"], created["custom"]) == (["vip", "new"], {"size": "M"})
    assert (created["notes"], created["accepts_marketing"]) == ("Likes tea.", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", created["created_at"])
    names = ("ada@EXAMPLE.com", created["id"], str(created["_id"]))
    for name in names:
        assert ok(run, "customers", "get", name) == created
    updated = ok(run, "customers", "update", names[0], "--phone", "123", "--if-version", "1")
    assert (updated["phone"], updated["tags"], updated["version"]) == ("123", ["vip", "new"], 2)
    message = refused(
        run, REFUSED, "customers", "update", names[0], "--phone", "4", "--if-version", "1"
    )
    assert "version" in message
    update, creation = ok(run, "customers", "history", names[0])
    assert (update["kind"], creation["kind"]) == ("updated", "created")
    assert update["fields"] == [{"name": "phone", "before": "", "after": "123"}]
    assert ok(run, "customers", "search", "tag:vip")["customers"] == [updated]
    assert ok(run, "customers", "delete", names[0], "--yes") == [created["id"]]
    for name, kind in zip(names[:2], ("email", "id"), strict=True):
        assert f"No customer has the {kind}" in refused(run, REFUSED, "customers", "get", name)


def test_a_dry_run_of_a_command_saves_nothing(run: Run) -> None:
    create = ("customers", "create", "--email", "ada@example.com", "--phone", "1")
    announced = run(*create, "--dry-run")
    assert announced.stderr == "Dry run: nothing was saved.\n"
    would_be = json.loads(announced.stdout)
    created = ok(run, *create)
    times = ("created_at", "updated_at")
    assert {**would_be, **{name: created[name] for name in times}} == created
    update = ("customers", "update", "ada@example.com", "--phone", "2", "--dry-run")
    assert ok(run, *update)["phone"] == "2"
    assert "version" in refused(run, REFUSED, *update, "--if-version", "7")
    assert ok(run, "customers", "delete", "ada@example.com", "--dry-run") == [created["id"]]
    assert ok(run, "customers", "get", "1")["phone"] == "1"


def test_external_ids_name_customers(run: Run) -> None:
    command = ("customers", "create", "--email", "ana@x.test", "--external-id")
    created = ok(run, *command, "mail:ana@x.test", "--external-id", "shop:cus_1", "--json")
    ids = [{"source": "mail", "id": "ana@x.test"}, {"source": "shop", "id": "cus_1"}]
    assert created["external_ids"] == ids
    for name in ("external:mail:ana@x.test", "cus_1", str(created["_id"]), "ana@x.test"):
        assert ok(run, "customers", "get", name, "--json")["_id"] == created["_id"]
    updated = ok(run, "customers", "update", "cus_1", "--external-id", "erp:1", "--json")
    assert updated["external_ids"] == [{"source": "erp", "id": "1"}]
    assert "erp:1" in run("customers", "get", "external:erp:1", "--table").stdout
    assert "An external id is written SOURCE:ID" in refused(
        run, USAGE, "customers", "update", "external:erp:1", "--external-id", "erp"
    )
    history = run("customers", "history", "external:erp:1").stdout
    assert "external_ids" in history
    assert run("customers", "delete", "external:erp:1", "--yes").returncode == 0


def test_search_reads_as_many_pages_as_needed(run: Run) -> None:
    nodes = [{"email": f"c{number}@example.com"} for number in range(130)]
    document = "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { created } }"
    result = execute(run, document, {"n": nodes})
    assert result == {"data": {"setCustomers": {"created": 130}}}
    first = ok(run, "customers", "search", "order_by:id order_dir:asc", "--limit", "120")
    assert [row["email"] for row in first["customers"]] == [n["email"] for n in nodes[:120]]
    assert first["total"] == 130
    rest = ok(run, "customers", "search", "order_by:id order_dir:asc", "--after", first["next"])
    assert [row["email"] for row in rest["customers"]] == [n["email"] for n in nodes[120:]]
    assert rest["next"] is None
    table = run("customers", "search", "--limit", "2", "--table").stdout
    assert "c129@example.com" in table
    assert "2 of 130 customers. Next page: --after " in table


def test_errors_are_sentences_with_the_documented_exit_codes(run: Run) -> None:
    ok(run, "customers", "create", "--email", "ada@example.com")
    message = refused(run, REFUSED, "customers", "create", "--email", "ADA@example.com")
    assert "Another customer has this email" in message
    assert "email" in refused(run, REFUSED, "customers", "create", "--email", "x")
    assert "--email" in refused(run, USAGE, "customers", "create", "--first-name", "Ada")
    assert "Nothing to update" in refused(run, USAGE, "customers", "update", "1")
    assert "--yes" in refused(run, USAGE, "customers", "delete", "1")
    assert "No customer has the id" in refused(run, REFUSED, "customers", "delete", "99", "--yes")
    assert "KEY=TEXT" in refused(
        run, USAGE, "customers", "update", "ada@example.com", "--custom", "size"
    )
    for text in ("{", "[]", "@/nowhere.json"):
        assert "--input" in refused(run, USAGE, "customers", "create", "--input", text)
    refused(run, REFUSED, "customers", "search", "country:nowhere")
    refused(run, REFUSED, "customers", "search", "--after", "x")
    # The quotes of a search are escaped.
    refused(run, REFUSED, "customers", "get", '"@\\example.com')


def execute(run: Run, document: str, variables: Any = None, *options: str) -> Any:
    """Return the response of `regulars query`."""
    return json.loads(run_query(run, document, variables, *options).stdout)


def run_query(run: Run, document: str, variables: Any = None, *options: str) -> CommandResult:
    path = Path(os.environ["PYTEST_FOLDER"]) / "document.graphql"
    path.write_text(document)
    extra = ("--variables", json.dumps(variables)) if variables is not None else ()
    return run("query", str(path), *extra, *options)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_FOLDER", str(tmp_path))


def test_query(run: Run, tmp_path: Path) -> None:
    document = "query A { __typename } query B($id: ID!) { node(id: $id) { id } }"
    assert execute(run, document, None, "--operation", "A") == {"data": {"__typename": "Query"}}
    variables = tmp_path / "variables.json"
    variables.write_text('{"id": "Q3VzdG9tZXI6MQ=="}')
    response = execute(run, document, None, "--operation", "B", "--variables", f"@{variables}")
    assert response == {"data": {"node": None}}
    for text in ("{", "{ nothing }", document, "{ customers(first: -1) { edges { cursor } } }"):
        result = run_query(run, text)
        assert result.returncode == REFUSED, text
        errors = json.loads(result.stdout)["errors"]
        assert errors[0]["message"] in result.stderr
    assert "cannot be read" in refused(run, USAGE, "query", str(tmp_path / "nowhere"))


def test_cost_is_limited_in_a_database_too(sqlite_server: Server) -> None:
    name = find_account_name(sqlite_server, create_token(sqlite_server))

    def call(*arguments: str) -> CommandResult:
        env = {"REGULARS_DATABASE_URL": sqlite_server.database_url, "REGULARS_MAX_COST": "100"}
        return run_regulars(*arguments, "--account", name, env=env)

    result = run_query(call, "{ customers(first: 250) { edges { node { id } } } }")
    assert result.returncode == REFUSED
    assert "REGULARS_MAX_COST" in result.stderr


def test_viewer_needs_a_token(sqlite_server: Server) -> None:
    token = create_token(sqlite_server)
    name = find_account_name(sqlite_server, token)

    def call(*arguments: str) -> CommandResult:
        return run_regulars(*arguments, "--account", name, "--database-url", database_url)

    database_url = sqlite_server.database_url
    result = run_query(call, "{ viewer { scopes } }")
    assert (result.returncode, "--url" in result.stderr) == (REFUSED, True)


def test_connections_that_do_not_work(sqlite_server: Server, tmp_path: Path) -> None:
    search = ("customers", "search")
    url = sqlite_server.url

    def call(*arguments: str, token: str = BOOTSTRAP_TOKEN) -> CommandResult:
        return run_regulars(*search, *arguments, env={"REGULARS_TOKEN": token})

    assert call("--url", url).returncode == 0
    assert "REGULARS_TOKEN" in refused(lambda *a: call(*a, token=""), USAGE, "--url", url)
    assert "does not contain a token" in refused(
        lambda *a: call(*a, token="a b"), USAGE, "--url", url
    )
    assert "does not accept the token" in refused(
        lambda *a: call(*a, token="wrong"), REFUSED, "--url", url
    )
    file = tmp_path / "token"
    file.write_text(f"{BOOTSTRAP_TOKEN}\n")
    result = run_regulars(*search, "--url", url, "--token-file", str(file))
    assert result.returncode == 0, result.stderr
    assert "cannot be read" in refused(call, USAGE, "--url", url, "--token-file", str(tmp_path))
    assert "--insecure" in refused(call, USAGE, "--url", "http://192.0.2.1")
    assert "needs --url" in refused(call, USAGE, "--insecure")
    assert "needs --url" in refused(call, USAGE, "--token-file", str(file))
    assert "--account" in refused(call, USAGE, "--url", url, "--account", "x")
    assert "--database-url" in refused(call, USAGE, "--url", url, "--database-url", "sqlite:///x")
    message = refused(call, UNREACHABLE, "--url", "http://127.0.0.1:1")
    assert "cannot be reached: no server accepts connections there. Check --url" in message
    message = refused(call, UNREACHABLE, "--url", sqlite_server.url.replace("http:", "https:"))
    assert "cannot be reached: the server does not use TLS there." in message
    assert "This path does not exist" in refused(call, REFUSED, "--url", f"{url}/else")
    assert "does not support the method" in refused(call, REFUSED, "--url", f"{url}/readyz")


@pytest.mark.slow
def test_a_server_that_accepts_and_does_not_answer_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started_at = time.monotonic()
        done = run_regulars("customers", "search", "--url", url, env={"REGULARS_TOKEN": "t"})
    assert time.monotonic() - started_at < 30
    assert done.returncode == UNREACHABLE
    assert f"{url}/api/v2 accepted the connection, but did not answer within 15 s." in done.stderr


def test_imports_are_listed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ok(run, "imports", "list") == []
    assert "within the last 30 days" in run("imports", "list", "--table").stdout


def test_import_list_is_an_alias(sqlite_server: Server, tmp_path: Path) -> None:
    """Unless there is a file with that name, as before."""
    name = find_account_name(sqlite_server, create_token(sqlite_server))
    options = ("--account", name, "--database-url", sqlite_server.database_url)
    csv = tmp_path / "customers.csv"
    csv.write_text("email\nada@example.com\n")
    assert run_regulars("import", str(csv), *options).returncode == 0
    (listed,) = json.loads(run_regulars("import", "list", *options).stdout)
    assert (listed["name"], listed["state"], listed["created"]) == ("customers.csv", "done", 1)
    assert "customers.csv" in run_regulars("imports", "list", *options, "--table").stdout
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        Path("list").write_text("email\nbob@example.com\n")
        assert "1" in run_regulars("import", "list", *options).stdout
    finally:
        os.chdir(before)
    found = json.loads(run_regulars("customers", "search", *options).stdout)
    assert {row["email"] for row in found["customers"]} == {"ada@example.com", "bob@example.com"}


@pytest.mark.slow
def test_webhooks(tmp_path: Path) -> None:
    options = ("--webhook-private-targets", "--webhook-retry-seconds", "0.5")
    with (
        run_receiver() as receiver,
        run_server(f"sqlite:///{tmp_path / 'r.db'}", *options) as server,
        Client(server, BOOTSTRAP_TOKEN) as client,
    ):
        local = {"REGULARS_DATABASE_URL": server.database_url}
        remote = {"REGULARS_TOKEN": BOOTSTRAP_TOKEN}
        ways: list[Run] = [
            lambda *arguments: run_regulars(*arguments, env=local),
            lambda *arguments: run_regulars(*arguments, "--url", server.url, env=remote),
        ]
        create = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
        url = f"{receiver.url}/hook"
        node = {"type": "contact/signup", "url": url}
        webhook_id = client.data(create, n=node)["createWebhook"]["id"]
        for run in ways:
            (listed,) = ok(run, "webhook", "list")
            assert (listed["id"], listed["url"], listed["paused"]) == (webhook_id, url, False)
            delivery = ok(run, "webhook", "test", "1")
            assert (delivery["state"], delivery["attempts"][0]["status"]) == ("delivered", 200)
            assert ok(run, "webhook", "retry", delivery["id"])[0]["state"] == "pending"
            assert ok(run, "webhook", "pause", webhook_id)["paused"]
            assert "paused" in run("webhook", "list", "--table").stdout
            waited = run("webhook", "test", "1", "--wait", "0.5", "--table")
            assert (waited.returncode, "Nothing was sent" in waited.stdout) == (REFUSED, True)
            assert not ok(run, "webhook", "resume", "1", "--skip-missed")["paused"]
            shown = run("webhook", "show", "1", "--table").stdout
            assert "status 200 at attempt" in shown
            assert ok(run, "webhook", "retry", "1") == []
            assert "99" in refused(run, REFUSED, "webhook", "show", "99")
            assert "99" in refused(run, REFUSED, "webhook", "retry", "99")
            refused(run, REFUSED, "webhook", "pause", "99")
            refused(run, REFUSED, "webhook", "retry", "x")


def test_config_lists_every_setting_without_secrets() -> None:
    env = {
        "REGULARS_DATABASE_URL": "postgresql://shop:secret1@db.example.com/regulars?password=secret2",
        "REGULARS_READ_DATABASE_URL": "postgresql://shop:secret3@replica.example.com/regulars",
        "REGULARS_BOOTSTRAP_TOKEN": "secret4-secret4-secret4-secret4-secret4",
        "REGULARS_PORT": "8001",
        "REGULARS_CORS_ORIGINS": "https://app.example.com",
    }
    output = run_regulars("config", env=env).stdout
    assert "secret" not in output
    settings = {row["setting"]: row for row in json.loads(output)}
    assert set(settings) == set(SETTINGS)
    assert settings["database_url"]["value"] == "postgresql://db.example.com/regulars"
    assert settings["read_database_url"]["value"] == "postgresql://replica.example.com/regulars"
    assert settings["port"] == {
        "setting": "port",
        "variable": "REGULARS_PORT",
        "value": 8001,
        "source": "REGULARS_PORT",
    }
    assert settings["cors_origins"]["value"] == ["https://app.example.com"]
    assert (settings["host"]["value"], settings["host"]["source"]) == ("127.0.0.1", "default")
    table = run_regulars("config", "--table", env=env).stdout
    assert re.search(r"^REGULARS_PORT +8001 +REGULARS_PORT", table, re.MULTILINE)
    assert run_regulars("config", env={"REGULARS_PORT": "x"}).returncode == USAGE


def test_open_prints_a_link_that_signs_in(sqlite_server: Server) -> None:
    name = find_account_name(sqlite_server, create_token(sqlite_server))
    options = ("--url", sqlite_server.url, "--account", name, "--print")
    link = run_regulars(
        "open", *options, env={"REGULARS_DATABASE_URL": sqlite_server.database_url}
    ).stdout.strip()
    pages, _, code = link.partition("/sign-in#")
    assert pages == sqlite_server.url
    with Client(sqlite_server, "") as client:
        headers = {"sec-fetch-site": "same-origin"}
        del client.http.headers["authorization"]
        assert client.http.post("/session", json={"link": code}, headers=headers).is_success
        response = client.http.post(
            "/api/v2", json={"query": "{ viewer { account { name } scopes } }"}, headers=headers
        ).json()
    assert response["data"]["viewer"]["account"]["name"] == name
    assert "admin" in response["data"]["viewer"]["scopes"]


def test_open_needs_a_server(new_database: str) -> None:
    assert run_regulars("account", "create", "x", "--database-url", new_database).returncode == 0
    options = ("--database-url", new_database)
    for url, status in (("http://127.0.0.1:1", UNREACHABLE), ("x", USAGE)):
        assert run_regulars("open", "--url", url, *options).returncode == status
    tokens = json.loads(run_regulars("token", "list", "--json", *options).stdout)
    assert tokens == []


@pytest.mark.slow
def test_open_opens_a_browser(sqlite_server: Server, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    name = find_account_name(sqlite_server, create_token(sqlite_server))
    result = run_process(
        *("open", "--url", sqlite_server.url, "--account", name),
        env={"REGULARS_DATABASE_URL": sqlite_server.database_url, "BROWSER": f"{browser} %s"},
    )
    assert result == f"Opened {sqlite_server.url} in your browser.\n"
    assert (tmp_path / "opened").read_text().startswith(f"{sqlite_server.url}/sign-in#")


def run_process(*arguments: str, env: dict[str, str]) -> str:
    program = [sys.executable, "-m", "regulars", *arguments]
    return subprocess.run(
        program, env=build_environment(env), capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def typed(sqlite_server: Server) -> Callable[..., tuple[int, str]]:
    """Run a command on a terminal, and type a line. Returns the exit code and the output."""

    def run(line: str, *arguments: str) -> tuple[int, str]:
        main, child = pty.openpty()
        env = {"REGULARS_DATABASE_URL": sqlite_server.database_url, "COLUMNS": "80"}
        process = subprocess.Popen(
            [sys.executable, "-m", "regulars", *arguments],
            env=build_environment(env),
            stdin=child,
            stdout=child,
            stderr=child,
        )
        os.close(child)
        os.write(main, f"{line}\n".encode())
        output = b""
        try:
            while chunk := os.read(main, 65_536):
                output += chunk
        except OSError:  # the terminal is closed
            pass
        os.close(main)
        return process.wait(30), output.decode()

    return run


@pytest.mark.slow
def test_deletions_ask_for_confirmation_on_a_terminal(
    sqlite_server: Server, typed: Callable[..., tuple[int, str]]
) -> None:
    token = create_token(sqlite_server)
    name = find_account_name(sqlite_server, token)
    with Client(sqlite_server, token) as client:
        client.create("ada@example.com")
        status, output = typed("n", "customers", "delete", "ada@example.com", "--account", name)
        assert (status, "Delete 1 customer?" in output) == (REFUSED, True)
        assert client.emails() == ["ada@example.com"]
        status, output = typed("", "customers", "search", "--account", name)
        assert (status, "1 of 1 customer." in output) == (0, True)
    status, output = typed("else", "account", "delete", name)
    assert (status, "Nothing was deleted" in output) == (USAGE, True)
    status, output = typed(name, "account", "delete", name)
    assert (status, f"Deleted the account {name}" in output) == (0, True)
    with Client(sqlite_server, token) as client:
        assert client.post("{ account { name } }").status_code == 401


def test_a_variable_selects_the_account(sqlite_server: Server, tmp_path: Path) -> None:
    copy_sqlite_template(tmp_path / "r.db")
    url = f"sqlite:///{tmp_path / 'r.db'}"
    for name in ("north", "south"):
        assert run_regulars("account", "create", name, "--database-url", url).returncode == 0
    database = {"REGULARS_DATABASE_URL": url}
    done = run_regulars("customers", "search", env=database)
    assert "Select one with `--account`, or set `REGULARS_ACCOUNT`." in done.stderr
    selected = {**database, "REGULARS_ACCOUNT": "north"}
    email = ("--email", "a@example.com")
    assert run_regulars("customers", "create", *email, env=selected).returncode == 0
    for options, count in (((), 1), (("--account", "south"), 0)):
        done = run_regulars("customers", "search", *options, env=selected)
        assert json.loads(done.stdout)["total"] == count
        exported = run_regulars("export", str(tmp_path / "e.csv"), *options, "--json", env=selected)
        assert json.loads(exported.stdout)["customers"] == count
    # The token of a server selects the account.
    server = {"REGULARS_TOKEN": BOOTSTRAP_TOKEN, "REGULARS_ACCOUNT": "north"}
    done = run_regulars("customers", "search", "--url", sqlite_server.url, env=server)
    assert done.returncode == 0, done.stderr


def test_lists_of_emails_and_phones_are_changed(run: Run) -> None:
    def lists(customer: Any) -> Any:
        emails, phones = (
            [(e[noun], e["label"], e["default"]) for e in customer[f"{noun}s"]]
            for noun in ("email", "phone")
        )
        return emails, phones

    create = ("customers", "create", "--email", "ada@x.test", "--add-email", "work <b@x.test>")
    created = ok(run, *create, "--add-phone", "1", "--add-phone", "home <+44 20 7946 0018>")
    assert lists(created) == (
        [("ada@x.test", "", True), ("b@x.test", "work", False)],
        [("1", "", True), ("+44 20 7946 0018", "home", False)],
    )
    update = ("customers", "update", "ada@x.test")
    change = ("--add-email", "C@x.test", "--remove-email", "B@X.test", "--remove-phone", "1")
    dry = ok(run, *update, *change, "--dry-run")
    assert ok(run, "customers", "get", "1") == created
    changed = ok(run, *update, *change, "--notes", "x")
    expected = (
        [("ada@x.test", "", True), ("C@x.test", "", False)],
        [("+44 20 7946 0018", "home", True)],
    )
    assert lists(dry) == lists(changed) == expected
    assert (changed["version"], changed["notes"]) == (2, "x")
    # The default is another of the list, or is replaced in place.
    changed = ok(run, *update, "--add-email", "own <c@x.test>", "--email", "c@x.test")
    assert lists(changed)[0] == [("c@x.test", "own", True), ("ada@x.test", "", False)]
    assert lists(ok(run, "customers", "get", "ada@x.test"))[0] == lists(changed)[0]
    changed = ok(run, *update, "--email", "d@x.test", "--add-email", "e@x.test")
    assert [email for email, *_ in lists(changed)[0]] == ["d@x.test", "ada@x.test", "e@x.test"]
    assert lists(changed)[0][0] == ("d@x.test", "own", True)
    assert "own <d@x.test>, ada@x.test" in run("customers", "get", "1", "--table").stdout
    message = refused(run, REFUSED, *update, "--add-email", "f@x.test", "--if-version", "1")
    assert "version" in message
    ok(run, "customers", "create", "--email", "taken@x.test")
    message = refused(run, REFUSED, *update, "--add-email", "TAKEN@x.test")
    assert "Another customer has this email" in message
    remove = [f"--remove-email={each}@x.test" for each in ("ada", "d", "e")]
    assert "email" in refused(run, REFUSED, "customers", "update", "1", *remove)
    unchanged = ok(run, "customers", "update", "1", "--remove-email", "nobody@x.test")
    assert unchanged["version"] == changed["version"]
    changed = ok(run, "customers", "update", "1", "--email", "", "--add-email", "g@x.test")
    assert [email for email, *_ in lists(changed)[0]] == ["ada@x.test", "e@x.test", "g@x.test"]
    for text in ('{"emails": null}', '{"emails": [{"label": "x"}]}'):
        message = refused(run, USAGE, *update, "--add-email", "h@x.test", "--input", text)
        assert "`emails` in --input" in message
    given = '{"emails": [{"email": "i@x.test", "label": "own"}], "notes": "y"}'
    changed = ok(run, *update, "--add-email", "j@x.test", "--input", given)
    assert lists(changed)[0] == [("i@x.test", "own", True), ("j@x.test", "", False)]


def test_a_change_of_lists_is_repeated_after_conflicts() -> None:
    """The lists are read and replaced, so another client can change the customer in between."""
    attempts = []

    async def write(conflicts: int) -> str:
        attempts.append(conflicts)
        if len(attempts) <= conflicts:
            raise APIError("The customer has another version.", "errors_version_conflict")
        return "done"

    assert asyncio.run(with_retries(write)(4)) == "done"  # type: ignore[arg-type]  # no client
    assert len(attempts) == 5
    attempts.clear()
    with pytest.raises(APIError):
        asyncio.run(with_retries(write)(5))  # type: ignore[arg-type]  # no client
    assert len(attempts) == 5
