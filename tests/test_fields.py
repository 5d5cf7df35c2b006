"""An invented field works in every layer with one declaration and a generated migration.

The tests declare it in a copy of the program, as docs/explanation/architecture.md says ("Add a field"), and use
that copy over HTTP and by its commands.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.receiver import run_receiver
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    build_environment,
    create_token,
    run_server,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DECLARATION = (
    'Text("nickname", description="Nickname of the customer.", sort=True, search=True, max_length=40, '
    'headings="nickname alias"),'
)
BEFORE = '    LongText(\n        "notes"'
SOHNE = "Acme Söhne & Co."


@dataclass(frozen=True)
class Program:
    """A copy of the program that has the field."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment in which Python finds the copy."""
        return {"PYTHONPATH": str(self.folder / "src")}

    def python(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Runs Python with the copy; returns what it printed."""
        process = subprocess.run(
            [sys.executable, *arguments],
            env=build_environment({**self.env, **(env or {})}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def run_regulars(self, url: str, *arguments: str, **env: str) -> str:
        """Runs a command with a database."""
        variables = {"REGULARS_DATABASE_URL": url, **env}
        return self.python("-m", "regulars", *arguments, env=variables)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("program")
    for name in ("src/regulars", "tools"):
        shutil.copytree(ROOT / name, folder / name)  # with the bytecode
    fields = folder / "src/regulars/customers/fields.py"
    text = fields.read_text()
    assert text.count(BEFORE) == 1
    fields.write_text(text.replace(BEFORE, f"    {DECLARATION}\n{BEFORE}"))
    program_copy = Program(folder)
    program_copy.python(str(folder / "tools/schema.py"))
    program_copy.python(str(folder / "tools/migration.py"), "add_nickname")
    return program_copy


ACCOUNTS = """
import asyncio, json, sys
from regulars.accounts.accounts import Accounts
from regulars.directory.database import store_for

async def main():
    store = store_for(sys.argv[1])
    await store.open()
    accounts = Accounts(store)
    scopes = ("customers", "webhooks")
    made = [await accounts.create(f"shop {n}") for n in range(12)]
    tokens = [(await accounts.create_token(one, "test", scopes=scopes))[0] for one in made]
    print(json.dumps([[one.name, token] for one, token in zip(made, tokens)]))
    await store.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def copy(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the copy."""
    url = f"sqlite:///{tmp_path_factory.mktemp('copy') / 'copy.db'}"
    with run_server(
        url, "--webhook-private-targets", env=program.env, use_template=False
    ) as server:
        yield server


@pytest.fixture(scope="module")
def shops(program: Program, copy: Server) -> Iterator[tuple[str, str]]:
    """Accounts of the server, each with a token."""
    return iter(json.loads(program.python("-c", ACCOUNTS, copy.database_url)))


@dataclass(frozen=True)
class Shop:
    """An account of the copy's server, and a client of it."""

    name: str
    client: Client


@pytest.fixture
def shop(copy: Server, shops: Iterator[tuple[str, str]]) -> Iterator[Shop]:
    name, token = next(shops)
    with Client(copy, token) as client:
        yield Shop(name, client)


@pytest.fixture
def client(shop: Shop) -> Client:
    return shop.client


def nicknames(client: Client, query: str = "order_by:id order_dir:asc") -> list[str]:
    return [edge["node"]["nickname"] for edge in client.page("nickname", query=query)["edges"]]


def test_field_is_cleaned(client: Client) -> None:
    number = client.create("a@x.test", nickname=f"  {SOHNE}\u0308 ")["id"]
    assert nicknames(client) == [f"{SOHNE}\u0308"]
    mutation = (
        "mutation($id: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $id, node: $n) { id } }"
    )
    for value, message in (
        ("x" * 41, "The nickname has 41 characters; the maximum is 40."),
        ("a\nb", "The nickname has a control character (U+000A). Remove it."),
        (None, "`nickname` cannot be null. Omit it to keep the stored value."),
    ):
        (error,) = client.errors(mutation, id=number, n={"nickname": value})
        assert error["key"] == "errors_invalid_input"
        assert error["message"] == message
        assert error["extensions"]["input_path"] == ["node", "nickname"]


def test_field_is_searchable_and_sortable(client: Client) -> None:
    for n, nickname in enumerate(["Zeta", SOHNE, "", "beta works"]):
        client.create(email=f"c{n}@x.test", nickname=nickname)
    for query, expected in (
        ("sohne", [SOHNE]),
        ("works", ["beta works"]),
        ("zet", ["Zeta"]),
        ('nickname:"acme sohne & co."', [SOHNE]),
        ("nickname:acme*", [SOHNE]),
        ("nickname:acme", []),
        ("-has:nickname", [""]),
        ("has:nickname order_by:nickname order_dir:asc", [SOHNE, "beta works", "Zeta"]),
        ("order_by:nickname order_dir:desc", ["Zeta", "beta works", SOHNE, ""]),
    ):
        assert nicknames(client, query) == expected, query
    nicknames_seen: list[str] = []
    after = None
    for _ in range(4):
        page = client.page(
            "nickname", query="order_by:nickname order_dir:asc", first=1, after=after
        )
        nicknames_seen += [edge["node"]["nickname"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
    assert nicknames_seen == ["", SOHNE, "beta works", "Zeta"]
    keys = client.data("{ searchLanguage { keys { name takes } } }")["searchLanguage"]["keys"]
    assert {"name": "nickname", "takes": "text"} in keys


def test_history_has_the_field(client: Client) -> None:
    number = client.create("a@x.test", nickname="Acme")["id"]
    client.update(number, nickname="Beta")
    changes = client.data("{ customerChanges { edges { node { fields { name before after } } } } }")
    last = changes["customerChanges"]["edges"][-1]["node"]["fields"]
    assert last == [{"name": "nickname", "before": "Acme", "after": "Beta"}]


def test_events_have_the_field(client: Client) -> None:
    with run_receiver() as receiver:
        create_document = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
        settings = {"changes": True}
        client.data(
            create_document,
            n={"type": "contact/updated", "url": receiver.url, "settings": settings},
        )
        number = client.create("a@x.test", nickname="Acme")["id"]
        client.update(number, nickname="Beta")
        client.update(number, nickname="Gamma")
        first, second = [one.json for one in receiver.wait(2)]
    assert [first["node"]["nickname"], second["node"]["nickname"]] == ["Beta", "Gamma"]
    assert [first["changes"], second["changes"]] == [{"nickname": "Acme"}, {"nickname": "Beta"}]
    last_keys = ["nickname", "__typename", "external_ids", "emails", "phones", "addresses"]
    assert list(first["node"])[-6:] == last_keys


def test_exports_and_imports_have_the_field(shop: Shop, program: Program, tmp_path: Path) -> None:
    client = shop.client
    url, options = client.server.database_url, ("--account", shop.name)
    (tmp_path / "in.csv").write_text(
        f"E-mail,Alias\na@x.test,{SOHNE}\nb@x.test,\nc@x.test,{'x' * 41}\n"
    )
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "regulars",
            "import",
            str(tmp_path / "in.csv"),
            "--json",
            "--strict",
            *options,
        ],
        env=build_environment({**program.env, "REGULARS_DATABASE_URL": url}),
        capture_output=True,
        text=True,
        check=False,
    )
    (result,) = json.loads(process.stdout)
    assert (result["created"], result["rejected"]) == (2, 1)
    assert nicknames(client) == [SOHNE, ""]
    rows = csv.DictReader(io.StringIO(client.http.get("/export").text, newline=""))
    assert [row["nickname"] for row in rows] == [SOHNE, ""]
    lines = client.http.get("/export?format=jsonl").text.splitlines()
    assert [json.loads(line)["nickname"] for line in lines] == [SOHNE, ""]

    (tmp_path / "clear.csv").write_text("email,nickname\na@x.test,\n")
    program.run_regulars(url, "import", str(tmp_path / "clear.csv"), "--empty", "clear", *options)
    assert nicknames(client) == ["", ""]


def test_mirror_has_the_field(
    shop: Shop, copy: Server, shops: Iterator[tuple[str, str]], program: Program
) -> None:
    client, url = shop.client, copy.database_url
    number = client.create("a@x.test", nickname="Acme")["id"]
    name, token = next(shops)
    with Client(copy, token) as mirror:
        pull = ("pull", copy.url, "--account", name)
        program.run_regulars(url, *pull, REGULARS_REMOTE_TOKEN=client.token)
        assert nicknames(mirror) == ["Acme"]
        client.update(number, nickname="Beta")
        push = ("push", copy.url, "--account", shop.name)
        program.run_regulars(url, *push, REGULARS_REMOTE_TOKEN=token)
        assert nicknames(mirror) == ["Beta"]


def test_mirror_of_an_older_server_keeps_the_field(
    shop: Shop, program: Program, sqlite_server: Server
) -> None:
    client, server = shop.client, sqlite_server
    number = client.create("a@x.test", nickname="Acme", phone="1")["id"]
    url, options = client.server.database_url, ("--account", shop.name)
    with Client(server, create_token(server)) as remote:
        env = {"REGULARS_REMOTE_TOKEN": remote.token}
        program.run_regulars(url, "push", server.url, *options, **env)
        (edge,) = remote.page("id email phone")["edges"]
        assert edge["node"]["phone"] == "1"
        remote.update(edge["node"]["id"], phone="2")
        program.run_regulars(url, "pull", server.url, "--match", "email", *options, **env)
    node = client.page("id phone nickname")["edges"][0]["node"]
    assert node == {"id": number, "phone": "2", "nickname": "Acme"}


def test_shop_event_sets_the_field(shop: Shop, program: Program) -> None:
    client, name = shop.client, shop.name
    url = client.server.database_url
    secret = program.run_regulars(url, "webhook-secret", "show", "--account", name, "--json")
    key = json.loads(secret)["secret"].encode()

    def tell(type_: str, **node: Any) -> None:
        body = json.dumps({"node": {"id": "c1", "email": "a@x.test", **node}}).encode()
        proof = base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()
        path = f"/in/{quote(name)}/{type_}"
        answer = client.http.post(path, content=body, headers={"lightfunnels-hmac": proof})
        assert answer.status_code == 200, answer.text

    tell("contact/signup", first_name="Ana")
    tell("contact/signup", nickname="Acme")
    assert nicknames(client) == ["Acme"]  # it was missing
    tell("contact/signup", nickname="Beta")
    assert nicknames(client) == ["Acme"]
    tell("contact/updated", nickname="Gamma")
    assert nicknames(client) == ["Gamma"]
    tell("contact/updated", nickname=None)
    assert nicknames(client) == [""]


def test_schema_and_pages_have_the_field(client: Client) -> None:
    document = """{ customer: __type(name: "Customer") { fields { name type { ofType { name } } } }
      create: __type(name: "InputCustomer") { inputFields { name defaultValue } }
      update: __type(name: "InputUpdateCustomer") { inputFields { name } }
      set: __type(name: "InputSetCustomer") { inputFields { name } } }"""
    types = client.data(document)
    assert {"name": "nickname", "type": {"ofType": {"name": "String"}}} in types["customer"][
        "fields"
    ]
    assert {"name": "nickname", "defaultValue": '""'} in types["create"]["inputFields"]
    for name in ("update", "set"):
        assert {"name": "nickname"} in types[name]["inputFields"]
    page = client.http.get("/", headers={"Accept": "text/html"}).text
    folder = re.search(r"/assets/[^/\"]+/", page)
    assert folder
    script = client.http.get(f"{folder[0]}fields.js").text
    declared = re.search(r"FIELDS=(\[.*?\]);", script, re.DOTALL)
    assert declared
    nickname = {field["name"]: field for field in json.loads(declared[1])}["nickname"]
    assert (nickname["kind"], nickname["is_writable"], nickname["sort"]) == ("Text", True, True)


def test_database_is_upgraded_while_an_older_program_serves(
    program: Program, empty_database: str
) -> None:
    """Between the two parts of the migration an older program writes without indexing the field."""
    with run_server(empty_database) as old, Client(old, BOOTSTRAP_TOKEN) as client:
        first = client.create("a@x.test", first_name="Ana", tags=["vip"])["id"]
        program.run_regulars(empty_database, "migrate", "--expand")
        with run_server(empty_database, env=program.env) as new, Client(new, client.token) as other:
            other.update(first, nickname=SOHNE)
            assert nicknames(other, "sohne") == [SOHNE]
            client.update(first, tags=["new"])
            assert nicknames(other, "order_by:id") == [SOHNE]
            assert nicknames(other, "sohne") == []
    program.run_regulars(empty_database, "migrate")
    program.run_regulars(empty_database, "verify")
    with run_server(empty_database, env=program.env) as new, Client(new, BOOTSTRAP_TOKEN) as client:
        assert nicknames(client, "sohne") == nicknames(client, "tag:new") == [SOHNE]
