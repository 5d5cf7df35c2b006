"""Accounts are renamed, disabled, enabled and deleted."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts import deletion
from regulars.accounts.accounts import Accounts
from regulars.accounts.sessions import Sessions
from regulars.cli.errors import REFUSED, USAGE
from regulars.core.clock import now_ms
from regulars.store import Store, account_deletion, imports, parse_url
from regulars.store.auth_tables import compatibility
from regulars.store.columns import Flag, Number
from regulars.store.imports import FILE, PENDING
from regulars.store.migrate import run_in_transaction
from regulars.store.tables import metadata
from regulars.transfer.import_repository import ImportRepository
from regulars.webhooks import delivery_queries
from tests.receiver import run_receiver
from tests.support import (
    Client,
    Server,
    background_load,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
    wait_until,
    with_store,
)
from tests.test_inbound import Shop

CREATE_WEBHOOK = "mutation($node: WebhookInput!) { createWebhook(node: $node) { id _id } }"


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of these tests has cached a token of a deleted account."""
    monkeypatch.setattr(deletion, "_WAIT_SECONDS", 0)


def run(url: str, *arguments: str, status: int = 0) -> str:
    result = run_regulars(*arguments, "--database-url", url)
    assert result.returncode == status, (result.stdout, result.stderr)
    return result.stdout if status == 0 else result.stderr


def row_of(table: sa.Table, account: int) -> dict[str, Any]:
    """Return a row of any table. Its texts and binaries are unique to the account, and its keys
    match those of other tables."""

    def value_of(column: sa.Column[Any]) -> Any:
        if column.name == "account_id":
            return account
        if column.type is Number:
            return 1
        if column.type is Flag:
            return False
        return f"x{account}".encode() if isinstance(column.type, sa.LargeBinary) else f"x{account}"

    return {str(column.name): value_of(column) for column in table.c}


def rows_of(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables with rows of accounts."""

    def read(connection: sa.Connection) -> dict[str, list[dict[str, Any]]]:
        return {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in metadata.sorted_tables
            if table is not compatibility
        }

    return run_in_transaction(parse_url(url), read)


@pytest.mark.both_databases
def test_deletion_leaves_no_row_in_any_table(new_database: str) -> None:
    """The tables come from the metadata: a table that is added later is in this test."""
    tables = [table for table in metadata.sorted_tables if table is not compatibility]

    def fill(connection: sa.Connection) -> None:
        for account in (1, 2):
            for table in tables:
                connection.execute(table.insert(), row_of(table, account))
            connection.execute(sa.update(metadata.tables["accounts"]).values(disabled_at=None))

    run_in_transaction(parse_url(new_database), fill)
    assert {len(rows) for rows in rows_of(new_database).values()} == {2}
    run(new_database, "account", "delete", "x1", "--yes")
    expected = {table.name: [row_of(table, 2)] for table in tables}
    expected["accounts"][0]["disabled_at"] = None
    assert rows_of(new_database) == expected


@pytest.mark.both_databases
def test_large_accounts_are_deleted_in_batches(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("north", "south"):
        run(new_database, "account", "create", name)
        run(new_database, "sample", "--account", name, "--customers", "60")
    before = rows_of(new_database)
    monkeypatch.setattr(account_deletion, "_BATCH", 25)
    batches: list[tuple[str, int]] = []

    async def delete(store: Store) -> dict[str, int]:
        account = await Accounts(store).resolve("north")
        return await deletion.delete_account(
            store, account, lambda table, rows: batches.append((table, rows))
        )

    deleted = with_store(new_database, delete)
    assert deleted["customers"] == 60
    assert [rows for table, rows in batches if table == "customers" and rows] == [25, 25, 10]
    after = rows_of(new_database)
    (south,) = after["accounts"]
    for table, rows in before.items():
        assert after[table] == [row for row in rows if row.get("account_id") == south["account_id"]]
    assert "consistent" in run(new_database, "verify")


def test_a_stopped_deletion_is_continued(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(new_database, "account", "create", "north")
    run(new_database, "sample", "--customers", "30")
    monkeypatch.setattr(account_deletion, "_BATCH", 10)

    async def delete(store: Store) -> None:
        account = await Accounts(store).resolve("north")

        def stop(table: str, _rows: int) -> None:
            if table == "customers":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await deletion.delete_account(store, account, stop)

    with_store(new_database, delete)
    (account,) = json.loads(run(new_database, "account", "list", "--json"))
    assert (account["customers"], account["state"]) == (20, "disabled")
    run(new_database, "account", "delete", "north", "--yes")
    assert not any(rows_of(new_database).values())


@pytest.mark.slow
def test_writes_in_progress_leave_no_row(server: Server) -> None:
    """Deletion does not wait here until the server refuses the token, so that writes meet it."""
    token, other = create_token(server, scopes=("admin",)), create_token(server)
    name = find_account_name(server, token)
    numbers = itertools.count()
    statuses: list[int] = []
    document = "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }"

    def write(client: Client) -> None:
        node = {"email": f"c{next(numbers)}@example.com", "tags": ["vip"]}
        statuses.append(client.post(document, {"n": node}).status_code)

    def find_id(connection: sa.Connection) -> int:
        accounts = metadata.tables["accounts"]
        found = sa.select(accounts.c.account_id).where(accounts.c.name == name)
        return int(connection.execute(found).scalar_one())

    address = parse_url(server.database_url)
    account_id = run_in_transaction(address, find_id)
    with background_load(server, write, token, 4):
        wait_until(lambda: len(statuses) > 100)
        run(server.database_url, "account", "delete", name, "--yes")
        wait_until(lambda: statuses[-4:] == [401] * 4)
    assert set(statuses[:100]) == {200}

    def count(connection: sa.Connection) -> dict[str, int]:
        return {
            table.name: connection.execute(
                sa.select(sa.func.count()).where(table.c.account_id == account_id)
            ).scalar_one()
            for table in metadata.sorted_tables
            if "account_id" in table.c
        }

    assert set(run_in_transaction(address, count).values()) == {0}
    with Client(server, other) as client:
        client.create("ada@example.com")


def test_the_id_of_a_deleted_account_is_not_used_again(new_database: str) -> None:
    """A running server caches values by account."""
    for name in ("one", "two", "three"):
        run(new_database, "account", "create", name)
    run(new_database, "account", "delete", "three", "--yes")
    run(new_database, "account", "delete", "one", "--yes")
    run(new_database, "account", "create", "four")
    ids = {row["name"]: row["account_id"] for row in rows_of(new_database)["accounts"]}
    assert ids == {"two": 2, "four": 4}


def test_deletion_needs_a_confirmation(new_database: str) -> None:
    run(new_database, "account", "create", "one")
    assert "--yes" in run(new_database, "account", "delete", "one", status=USAGE)
    assert "'two'" in run(new_database, "account", "delete", "two", "--yes", status=REFUSED)
    assert [row["name"] for row in rows_of(new_database)["accounts"]] == ["one"]


def test_a_name_that_cannot_be_part_of_a_url_is_refused(new_database: str) -> None:
    run(new_database, "account", "create", "one")
    for name in ("a/b", "a\\b", "a?b", "a#b", "100%", ".", ".."):
        for arguments in (("create", name), ("rename", "one", name)):
            message = run(new_database, "account", *arguments, status=REFUSED)
            assert repr(name) in message
            assert "URL" in message


def test_rename(client: Client) -> None:
    url = client.server.database_url
    name = find_account_name(client.server, client.token)
    run(url, "account", "create", f"{name} taken")
    assert "already" in run(url, "account", "rename", name, f"{name} taken", status=REFUSED)
    output = run(url, "account", "rename", name, f"{name} é")
    assert "/in/account%20" in output
    assert client.data("{ account { name } }") == {"account": {"name": f"{name} é"}}
    token_id = client.data("{ viewer { token { id } } }")["viewer"]["token"]["id"]
    run(url, "token", "rename", token_id, "till")
    assert client.data("{ viewer { token { name } } }")["viewer"]["token"]["name"] == "till"
    assert "'nothing'" in run(url, "token", "rename", "nothing", "x", status=REFUSED)
    assert "name" in run(url, "token", "rename", token_id, " ", status=REFUSED)


def disabled_account(server: Server) -> tuple[str, str]:
    """Create an account with a token that no server has cached, and disable the account. Return its
    name and the token."""
    token = create_token(server, scopes=("admin",))
    name = find_account_name(server, token)
    run(server.database_url, "account", "disable", name)
    return name, token


def test_a_disabled_account_is_refused_with_its_own_error(server: Server) -> None:
    name, token = disabled_account(server)

    async def sign_in(store: Store) -> tuple[str, str]:
        accounts = Accounts(store)
        token_id = (await accounts.tokens())[-1].token_id
        sessions = Sessions(store, accounts, 1)
        link = await sessions.link(token_id)
        return link, await sessions._create("session", token_id, 60_000)

    link, session = server.store.run(sign_in)
    port = server.url.rpartition(":")[2]
    same_site = {"sec-fetch-site": "same-origin"}
    with Client(server, token) as client:
        responses = {
            "token": client.post("{ account { name } }"),
            "import": client.http.get("/import"),
            "export": client.http.get("/export"),
            "metrics": client.http.get("/metrics"),
        }
        del client.http.headers["authorization"]
        for kind, credential in (("token", token), ("link", link)):
            responses[f"sign in by {kind}"] = client.http.post(
                "/session", json={kind: credential}, headers=same_site
            )
        client.http.cookies.set(f"regulars_{port}", session)
        responses["session"] = client.http.post(
            "/api/v2", json={"query": "{ account { name } }"}, headers=same_site
        )
    for what, response in responses.items():
        assert response.status_code == 403, what
        (error,) = response.json()["errors"]
        assert error["key"] == "errors_account_disabled", what
        assert error["extensions"]["code"] == "FORBIDDEN", what
    assert "disabled" in run(
        server.database_url, "token", "create", "--account", name, status=REFUSED
    )
    assert "already" in run(server.database_url, "account", "disable", name)
    assert "enabled now" in run(server.database_url, "account", "enable", name)
    with Client(server, token) as client:
        assert client.data("{ account { name } }") == {"account": {"name": name}}
        assert "already" in run(server.database_url, "account", "enable", name)


@pytest.mark.both_databases
def test_work_of_a_disabled_account_is_not_claimed(new_database: str, tmp_path: Path) -> None:
    """Neither a webhook nor an import, and a claim is not extended."""
    name = "north"
    run(new_database, "account", "create", name)
    node = {"node": {"type": "contact/signup", "url": "https://1.1.1.1/"}}
    document = tmp_path / "create.graphql"
    document.write_text(CREATE_WEBHOOK)
    output = run(new_database, "query", str(document), "--variables", json.dumps(node))
    webhook = json.loads(output)["data"]["createWebhook"]
    run(new_database, "customers", "create", "--email", "ada@example.com")

    async def look(store: Store) -> dict[str, bool]:
        account = await Accounts(store).resolve(name)
        key = {"account_id": account.account_id}
        imported = await ImportRepository(store, account.account_id).begin(
            PENDING, "f", "x", {"options": {}, "dry_run": True}, 1, now_ms(), claimed_until=0
        )
        of_import = {**key, "import_id": imported["import_id"], "claimed_by": "me"}
        of_webhook = {**key, "webhook_id": webhook["_id"], "worker_id": "me"}
        times = {"now": now_ms(), "until": now_ms() + 60_000}
        due_webhooks = await store.fetch(
            delivery_queries.webhooks_with_work(), {"now": 2**50, "limit": 1_000, "ids": None}
        )
        due_imports = await store.fetch(imports.due_imports(), {"now": 2**50, "ids": None})
        assert imported["kind"] == FILE
        return {
            "webhook is due": any(row[0] == account.account_id for row in due_webhooks),
            "import is due": any(row[0] == account.account_id for row in due_imports),
            **{
                what: bool((await store.run([(query, parameters)]))[0])
                for what, query, parameters in (
                    ("webhook", delivery_queries.claim_webhook(), of_webhook),
                    ("webhook again", delivery_queries.extend_claim(), of_webhook),
                    ("import", imports.claim_import(), of_import),
                    ("import again", imports.extend_claim(), of_import),
                )
                for parameters in [{**parameters, **times, "now": 2**50}]
            },
        }

    assert set(with_store(new_database, look).values()) == {True}
    run(new_database, "account", "disable", name)
    assert set(with_store(new_database, look).values()) == {False}


@pytest.mark.slow
def test_webhooks_of_a_disabled_account_wait(tmp_path: Path) -> None:
    options = ("--webhook-private-targets",)
    with (
        run_receiver() as receiver,
        run_server(f"sqlite:///{tmp_path / 'r.db'}", *options) as server,
        Client(server, create_token(server, scopes=("admin",))) as client,
    ):
        node = {"type": "contact/signup", "url": f"{receiver.url}/hook"}
        client.data(CREATE_WEBHOOK, node=node)
        name = find_account_name(server, client.token)
        run(server.database_url, "account", "disable", name)
        run(
            server.database_url,
            *("customers", "create", "--email", "ada@example.com", "--account", name),
        )
        received = partial(receiver.requests_to, "/hook")
        with pytest.raises(AssertionError):
            wait_until(received, 1.5)
        run(server.database_url, "account", "enable", name)
        wait_until(received, 60)


def test_events_of_a_disabled_account_are_refused(server: Server) -> None:
    shop = Shop(server)
    body = b'{"node": {}}'
    run(server.database_url, "account", "disable", shop.name)
    response = shop.post("contact/created", body)
    assert response.status_code == 403
    assert response.json()["errors"][0]["key"] == "errors_account_disabled"
    # Without the secret, the response does not reveal that the account exists.
    assert shop.post("contact/created", body, "wrong").status_code == 401
    shop.close()
