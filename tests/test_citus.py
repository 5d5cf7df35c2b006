"""Citus: accounts spread over nodes. Run by `make test-citus DSN=…`, with the rest of the suite."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from starlette.routing import Router

from regulars import housekeeping
from regulars.accounts.accounts import Accounts
from regulars.app import Application
from regulars.cli.errors import UNREACHABLE
from regulars.core.packages import all_tables
from regulars.directory.database import upgrade
from regulars.segments import evaluation_queries
from regulars.segments import queries as segment_queries
from regulars.settings import Settings
from regulars.store import Store, imports, parse_url
from regulars.store.citus.distribution import distribute_tables, use_sequential_mode
from regulars.store.migrate import run_in_transaction
from regulars.store.operator_figures import import_figures, inbox_figures, webhook_figures
from regulars.store.writes import (
    blank_late_attempts,
    forget_deleted_shop_ids,
    forget_idempotency_records,
)
from regulars.trash import queries as trash_queries
from regulars.webhooks import delivery_queries, inbox_queries
from regulars.webhooks.signatures import secrets_of
from tests.load import audit, background_writes
from tests.postgres import PostgreSQL, folders
from tests.receiver import run_receiver
from tests.support import (
    Client,
    add_node,
    background_load,
    create_token,
    replace_dsn,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
    with_store,
)
from tests.test_import_http import ended, send
from tests.test_upgrades import FOLDER, in_order, insert
from tests.test_webhooks import create_webhook

pytestmark = pytest.mark.citus

# Statements of the workers, the housekeeping and the metrics, which read or delete rows of all
# accounts.
_STATEMENTS_OF_ALL_ACCOUNTS = {
    query.compiled("postgresql").text
    for query in (
        imports.due_imports(),
        imports.delete_old(),
        imports.clear_old_problems(),
        delivery_queries.webhooks_with_work(),
        delivery_queries.delete_old_attempts(),
        delivery_queries.delete_old_deliveries(),
        inbox_queries.delete_old_events(),
        inbox_queries.delete_orphaned_keys(),
        forget_idempotency_records(),
        forget_deleted_shop_ids(),
        blank_late_attempts(),
        trash_queries.due(),
        segment_queries.delete_old_memberships(),
        segment_queries.orphaned_segments(),
        evaluation_queries.lag(),
        import_figures(),
        inbox_figures(),
        webhook_figures(),
    )
}

COUNT = "{ customers(first: 1) { totalCount } }"
_NODE = "{ id _id email full_name summary { orders { list { order { name total } } } } }"
_REQUESTS = [
    "{ viewer { account { name } token { id } } tokens { id } tokenScopes { name } }",
    """{ customers(first: 3) { edges { cursor node { id full_name leads { subject }
        shipping_address { city } changes(first: 2) { edges { node { kind } } }
        summary { visits orders { list { referrer order { name customer { email } } } } } } }
        pageInfo { hasNextPage hasPreviousPage } totalCount } }""",
    """{ customers(first: 3) { edges { node { leads(first: 1, after: "TGVhZDox") { id subject }
        summary { orders { list(first: 1, after: "T3JkZXI6MQ==") { order { name } } } } } } } }""",
    '{ customers(last: 2, before: "WzIwMCwyMDBd") { edges { node { _id } } pageInfo { hasNextPage hasPreviousPage } } }',
    "{ customerChanges(first: 5) { edges { node { kind } } pageInfo { endCursor } } }",
    "{ statistics { customers accepts_marketing ordered expenses new_by_week { start customers }"
    " countries { country customers } spend_by_month { month currency amount } } }",
    'mutation { recordVisit(id: "ID") { id } }',
    """mutation { addTags(items: ["ID"], tags: ["x"]) { id }
        removeTags(items: ["ID"], tags: ["x"]) { id } }""",
    """mutation { addExternalIds(id: "ID", externalIds: [{source: "stripe", id: "cus_1"},
        {id: "shop_a"}]) { id external_ids { source id } } }""",
    '{ node(id: "external:stripe:cus_1") { id } nodes(ids: ["shop_a", "ID"]) { id } }',
    """{ a: customer(by: {external_id: {source: "stripe", id: "cus_1"}}) { id }
        b: customer(by: {email: "a0@example.com"}) { id } c: customer(by: {_id: 1}) { id } }""",
    '{ customersCount(query: "external_id:stripe:*") { count precision } }',
    """mutation { removeExternalIds(id: "external:stripe:cus_1", externalIds: [{id: "shop_a"}],
        dryRun: true) { id } }""",
    'mutation { removeExternalIds(id: "ID", externalIds: [{id: "shop_a"}]) { id } }',
    """mutation { addEmails(id: "ID", emails: [{email: "other@example.com", label: "work"}]) { id
        emails { id email } } }""",
    '{ customer(by: {email: "other@example.com"}) { id } }',
    '{ customers(query: "email:other@example.com emails_count:>1") { edges { node { id } } } }',
    """mutation { setCustomers(nodes: [{email: "other@example.com", last_name: "C"}]) { updated } }""",
    'mutation { removeEmails(id: "ID", emails: ["other@example.com"]) { id } }',
    """mutation { addPhones(id: "ID", phones: [{phone: "+212612345678"}]) { id
        phones { e164 country valid } } }""",
    'mutation { removePhones(id: "ID", phones: ["+212612345678"]) { id } }',
    'mutation { addComment(customer: "external:stripe:cus_1", node: {text: "A"}) { id author { name } } }',
    'mutation { updateComment(id: "1", node: {pinned: true}) { id } }',
    """{ customers(first: 2) { edges { node { comments(first: 1, after: "WyJjb21tZW50IiwxLDEsMV0=") {
        totalCount edges { node { text } } } } } } node(id: "Q29tbWVudDox") { id } }""",
    'mutation { deleteComments(items: ["1"]) }',
    'mutation { deleteCustomers(items: ["ID"], dryRun: true) }',
    """mutation { setCustomers(nodes: [{external_ids: [{source: "stripe", id: "cus_1"}], last_name: "B"},
        {email: "dry@example.com"}], dryRun: true) { created updated } }""",
    "{ accountSettings { trash_days } trash { totalCount edges { node { id } } } }",
    "mutation { updateAccountSettings(node: {trash_days: 20}) { trash_days } }",
    'mutation { createSegment(node: {name: "S", query: "tag:x"}) { id statistics problem } }',
    """mutation { createSegment(node: {name: "T", settings: {include: {operator: OR,
        tags: ["x", "y"]}}}) { id } }""",
    """{ segments(query: "S", first: 2) { edges { cursor node { id name query statistics customers(first: 2) { edges { node { id } } } } }
        pageInfo { hasNextPage } } }""",
    'mutation { updateSegment(id: "U2VnbWVudDox", node: {name: "U"}) { id } }',
    '{ node(id: "U2VnbWVudDox") { id } customersCount(query: "segment:U") { count } }',
    '{ customers(first: 2, query: "segment:U -segment:T order_by:email") { totalCount edges { cursor } } }',
    'mutation { deleteSegments(items: ["U2VnbWVudDox"]) }',
    """mutation { setCustomers(nodes: [{email: "a0@example.com", first_name: "A"},
        {email: "set@example.com", tags: ["z"]}], errorPolicy: REJECT_ROW) { created updated } }""",
]
_SEARCHES = [
    *("example", "tag:x", "first_name:A", "orders_count:>0", "expenses:>1", "n*", "-tag:x"),
    *("city:Paris OR accepts_marketing:true", "created_at:>2020-01-01 country:FR", 'notes:"n"'),
]


@pytest.fixture
def database(postgresql: str) -> Iterator[str]:
    with scratch_database(postgresql) as url:
        for command in ("migrate", "account create one", "sample --customers 200"):
            assert run_regulars(*command.split(), "--database-url", url).returncode == 0
        yield url


def plans_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan and its nested plans."""
    yield plan
    for below in plan.get("Plans", []):
        yield from plans_of(below)


def describe_problem(plan: dict[str, Any]) -> str | None:
    """Return why a statement is not one task of one node; None if it is."""
    for each in plans_of(plan):
        if each.get("Custom Plan Provider", "").startswith("Citus INSERT"):
            return "the coordinator inserts what it has read"
        job = each.get("Distributed Query", {})
        if job.get("Subplans"):
            return "a part of it is run before"
        count = job.get("Job", {}).get("Task Count", 1)
        if count > 1:
            return f"it takes {count} tasks"
    return None


class ExplainedStatements:
    """Explains every statement of all connections. `problems` has the problem of each, or None."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.problems: dict[str, str | None] = {}
        ask = asyncpg.Connection.fetch

        async def fetch(connection: Any, text: str, *arguments: Any, **options: Any) -> Any:
            if text not in self.problems and text not in _STATEMENTS_OF_ALL_ACCOUNTS:
                self.problems[text] = None
                rows = await ask(connection, f"EXPLAIN (FORMAT JSON) {text}", *arguments)
                self.problems[text] = describe_problem(json.loads(rows[0][0])[0]["Plan"])
            return await ask(connection, text, *arguments, **options)

        execute = asyncpg.Connection.execute

        async def run(connection: Any, text: str, *arguments: Any, **options: Any) -> Any:
            if arguments:
                await fetch(connection, text, *arguments)
                return "UPDATE 1"
            return await execute(connection, text, **options)

        monkeypatch.setattr(asyncpg.Connection, "fetch", fetch)
        monkeypatch.setattr(asyncpg.Connection, "execute", run)


def test_every_statement_of_a_request_goes_to_one_node(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prepare(store: Store) -> tuple[str, str]:
        accounts = Accounts(store)
        token, _ = await accounts.create_token(await accounts.resolve(None), "t", scopes=("admin",))
        return token, (await secrets_of(store, 1, 0))[0]

    token, secret = with_store(database, prepare)
    statements = ExplainedStatements(monkeypatch)
    monkeypatch.setattr(housekeeping, "_START_DELAY_SECONDS", 0)
    settings = Settings(
        database_url=database,
        rate_limit=1_000_000,
        webhook_worker=False,
        webhook_private_targets=True,
        log_requests=False,
    )

    async def work() -> list[str]:
        app = Application(settings)
        router: Router = app._starlette.router
        problems: list[str] = []
        async with router.lifespan_context(app._starlette):
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://127.0.0.1",
                headers={"Authorization": f"Bearer {token}"},
            )

            async def ask(document: str, **headers: str) -> Any:
                http_headers = {name.replace("_", "-"): value for name, value in headers.items()}
                answer = await client.post(
                    "/api/v2", json={"query": document}, headers=http_headers
                )
                if "errors" in answer.json():
                    problems.append(f"{document[:60]}: {answer.text[:300]}")
                return answer.json().get("data")

            async with client:
                await send_every_request(client, ask, secret)
        return problems

    assert asyncio.run(work()) == []
    wrong = {text: why for text, why in statements.problems.items() if why}
    assert not wrong, "\n\n".join(f"{why}:\n{text}" for text, why in wrong.items())
    assert len(statements.problems) > 60


def test_workers_read_only_from_the_nodes_of_their_accounts(database: str) -> None:
    """While a node does not respond, the workers name the accounts of the others."""

    async def explain() -> list[str | None]:
        connection = await asyncpg.connect(database)
        try:
            problems = []
            for query in (
                delivery_queries.webhooks_with_work(True),
                evaluation_queries.accounts_with_work(True),
                imports.due_imports(True),
            ):
                compiled = query.compiled("postgresql")
                arguments = compiled.arguments({"now": 1, "limit": 1, "ids": [1]})
                text = f"EXPLAIN (FORMAT JSON) {compiled.text}"
                rows = await connection.fetch(text, *arguments)
                problems.append(describe_problem(json.loads(rows[0][0])[0]["Plan"]))
            return problems
        finally:
            await connection.close()

    assert asyncio.run(explain()) == [None, None, None]


async def send_every_request(client: httpx.AsyncClient, ask: Any, secret: str) -> None:
    """Send a request of every kind."""
    create = 'mutation { createCustomer(node: {email: "%s", notes: "n", tags: ["x"]}) %s }'
    responses = [await ask(create % (f"a{n}@example.com", _NODE)) for n in range(3)]
    await ask(create % ("key@example.com", "{ id }"), Idempotency_Key="1")
    await ask(create % ("key@example.com", "{ id }"), Idempotency_Key="1")
    ids = [response["createCustomer"]["id"] for response in responses]
    for document in _REQUESTS:
        await ask(document.replace("ID", ids[0]))
    for search in _SEARCHES:
        for order in ("", " order_by:expenses", " order_by:first_name order_dir:desc"):
            query = json.dumps(f"{search}{order}")
            await ask(f"{{ customers(first: 2, query: {query}) {{ edges {{ node {{ id }} }} }} }}")
        await ask(f"{{ customers(query: {json.dumps(search)}) {{ totalCount }} }}")
    update = 'mutation { updateCustomer(id: "%s", node: {first_name: "B", tags: ["y"]}) { id } }'
    await ask(update % ids[1])
    await ask(f'{{ node(id: "{ids[1]}") {{ id }} }}')
    await delete_and_restore(ask, ids[2])
    order = """mutation { recordOrder(node: {name: "#1", email: "a0@example.com", total: 10,
        currency: "EUR"}) { id } }"""
    await ask(order)
    await ask(order)
    await ask(
        'mutation { recordLead(node: {email: "a0@example.com", subject: "s", message: "m"}) { id } }'
    )
    webhook = """mutation { createWebhook(node: {type: "contact/signup",
        url: "http://127.0.0.1:9/x"}) { id } }"""
    webhook_id = (await ask(webhook))["createWebhook"]["id"]
    await ask(f'mutation {{ testWebhook(id: "{webhook_id}") {{ id }} }}')
    await ask("{ webhooks { id deliveries(first: 2) { edges { node { id attempts { at } } } } } }")
    await ask(f'mutation {{ deleteWebhook(id: "{webhook_id}") }}')
    body = json.dumps({"node": {"id": "shop_1", "email": "shop@example.com"}}).encode()
    digest = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    headers = {"lightfunnels-hmac": digest, "content-type": "application/json"}
    for content in (body, b'{"node": {"strange": 1}}'):
        signed = base64.b64encode(hmac.digest(secret.encode(), content, hashlib.sha256)).decode()
        headers["lightfunnels-hmac"] = signed
        await client.post("/in/one/contact/signup", content=content, headers=headers)
    await client.get("/export")
    answer = await client.post("/import?name=x.csv", content=b"email\nimported@example.com\n")
    assert answer.status_code == 202, answer.text
    await client.get("/import")
    await client.get(answer.headers["location"])


async def delete_and_restore(ask: Any, customer_id: str) -> None:
    """Move a customer to the trash, restore it, delete it again, and purge it."""
    delete = f'mutation {{ deleteCustomers(items: ["{customer_id}"]) }}'
    restore = f'restoreCustomers(items: ["{customer_id}"], conflictPolicy: skip'
    await ask(delete)
    await ask('{ trash(email: "a2@example.com", first: 2) { totalCount edges { node { id } } } }')
    await ask(f"mutation {{ {restore}, dryRun: true) {{ customers {{ id }} }} }}")
    await ask(f"mutation {{ {restore}) {{ customers {{ id }} skipped {{ field }} }} }}")
    await ask(delete)
    await ask(f'mutation {{ emptyTrash(items: ["{customer_id}"], dryRun: true) }}')
    await ask(f'mutation {{ emptyTrash(items: ["{customer_id}"]) }}')
    await ask("mutation { emptyTrash }")


def fetch_value(url: str, statement: str, *arguments: Any) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(run())


# How Citus holds the parts of a database.
_HELD = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def node_settings(url: str) -> tuple[str, ...]:
    """Return the settings of an additional node."""
    return (
        "shared_preload_libraries=citus",
        "citus.node_conninfo=sslmode=disable",
        "ssl=off",
        "max_worker_processes=32",
        f"wal_level={fetch_value(url, 'SHOW wal_level')}",
    )


def move_options(url: str) -> tuple[str, ...]:
    """Return the options of a move: writers continue if the cluster has logical replication."""
    return () if fetch_value(url, "SHOW wal_level") == "logical" else ("--block-writes",)


def node_name(node: PostgreSQL) -> str:
    """Return the name of a node."""
    return f"127.0.0.1:{node.port}"


def accounts_by_node(url: str) -> dict[str, list[str]]:
    """Return the accounts on each node, as `regulars doctor` reports them."""
    result = run_regulars("doctor", "--json", "--database-url", url)
    findings = [f for f in json.loads(result.stdout) if f["what"].startswith("node ")]
    names = re.compile(r"(?:: |, )([\w ]+) \([\d,]+(?:, alone)?\)")
    return {f["what"].removeprefix("node "): names.findall(f["message"]) for f in findings}


@contextmanager
def another_node(url: str, *settings: str) -> Iterator[PostgreSQL]:
    """Add a node to the cluster of a database until the block ends."""
    tools = next(
        (each.parent.parent / "bin" for each in Path("/usr/lib/postgresql").glob("*/lib/citus.so")),
        None,
    )
    if tools is None:
        pytest.skip("Citus is not installed on this machine, so that no node can be added here.")
    name = urlsplit(url).path[1:]
    with folders(1, tools) as (node,):
        node.initialise()
        node.start(*node_settings(url), *settings)
        fetch_value(node.dsn, f"CREATE DATABASE {name}")
        fetch_value(replace_dsn(node.dsn, name), "CREATE EXTENSION citus")
        asyncio.run(add_node(url, "127.0.0.1", node.port))
        yield node
        fetch_value(
            url,
            "SELECT citus_set_node_property('127.0.0.1', $1, 'shouldhaveshards', false)",
            node.port,
        )
        fetch_value(url, "SELECT citus_drain_node('127.0.0.1', $1, 'block_writes')", node.port)
        fetch_value(url, "SELECT citus_remove_node('127.0.0.1', $1)", node.port)


def test_nodes_are_added_and_accounts_moved_while_it_serves(database: str) -> None:
    """A node is added, an account gets it exclusively, and another account moves there and back: no
    write fails, and none is lost."""
    assert run_regulars("account", "create", "two", "--database-url", database).returncode == 0
    with run_server(database) as server, another_node(database) as node:
        tokens = [create_token(server, name) for name in ("one", "two")]
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server, token)) for token in tokens]
            loads = [ExitStack() for _ in tokens]
            writers = [
                load.enter_context(background_writes(server, token, 3))
                for load, token in zip(loads, tokens, strict=True)
            ]
            time.sleep(1)
            home = next(
                name for name, accounts in accounts_by_node(database).items() if "one" in accounts
            )
            target = node_name(node)
            commands = (
                ("one", target, "--alone"),
                ("two", target),
                ("one", home),
                ("two", home),
            )
            for command in commands:
                result = run_regulars(
                    "account", "move", *command, *move_options(database), "--database-url", database
                )
                assert result.returncode == 0, result.stderr
                assert command[0] in accounts_by_node(database)[command[1]]
                if "--alone" in command:
                    assert accounts_by_node(database)[target] == ["one"]
                time.sleep(0.5)
            for load in loads:
                load.close()
            for client, each in zip(clients, writers, strict=True):
                assert {status for writer in each for status in writer.statuses} == {"200"}
                assert audit(client, each) > 30
    assert run_regulars("verify", "--database-url", database).returncode == 0


def test_move_to_a_node_without_free_workers_is_refused(database: str) -> None:
    """Citus would wait for free workers without end."""
    if move_options(database):
        pytest.skip("The cluster has no logical replication (wal_level).")
    with another_node(database, "max_worker_processes=2") as node:
        result = run_regulars("account", "move", "one", node_name(node), "--database-url", database)
        assert result.returncode != 0
        assert f"{node_name(node)} has 0 free background workers" in result.stderr
        assert "Raise `max_worker_processes` there" in result.stderr
        assert "one" not in accounts_by_node(database)[node_name(node)]


def assert_reported(url: str, node: PostgreSQL, account: str) -> None:
    """Assert that `regulars doctor` reports the node that does not answer, with its accounts."""
    result = run_regulars("doctor", "--json", "--database-url", url)
    assert result.returncode == 1
    findings = {row["what"]: row for row in json.loads(result.stdout)}
    finding = findings[f"node {node_name(node)}"]
    assert finding["state"] == "fail"
    assert "does not respond" in finding["message"]
    assert account in finding["message"]


def test_killed_node_affects_only_its_accounts(database: str) -> None:
    """Requests to accounts of the node get 503, others succeed, and every answered write is stored when
    the node is back."""
    assert run_regulars("account", "create", "two", "--database-url", database).returncode == 0
    with run_server(database) as server, another_node(database) as node:
        move = ("account", "move", "two", node_name(node), *move_options(database))
        assert run_regulars(*move, "--database-url", database).returncode == 0
        one, two = (create_token(server, name) for name in ("one", "two"))
        with Client(server, one) as first_client, Client(server, two) as second_client:
            with (
                background_writes(server, one, 2) as others,
                background_writes(server, two, 2) as second_writers,
            ):
                time.sleep(1)
                node.kill()
                wait_until(lambda: "503 errors_unavailable" in set(second_writers[0].statuses))
                answer = second_client.post(COUNT)
                assert answer.status_code == 503
                assert answer.json()["errors"][0]["key"] == "errors_unavailable"
                before = sum(writer.success_count for writer in others)
                created = run_regulars(
                    "token", "create", "--account", "one", "--database-url", database
                )
                assert created.returncode == UNREACHABLE
                assert f"The Citus node {node_name(node)} does not respond" in created.stderr
                assert "Start it" in created.stderr
                verified = run_regulars("verify", "--database-url", database)
                assert verified.returncode == UNREACHABLE
                assert f"The Citus node {node_name(node)} does not respond" in verified.stderr
                assert_reported(database, node, "two")
                time.sleep(1)
                assert sum(writer.success_count for writer in others) > before
                node.start(*node_settings(database))
                before = sum(writer.success_count for writer in second_writers)
                wait_until(lambda: sum(writer.success_count for writer in second_writers) > before)
            assert {status for writer in others for status in writer.statuses} == {"200"}
            possible = {"200", "503 errors_unavailable"}
            assert {status for writer in second_writers for status in writer.statuses} <= possible
            audit(first_client, others)
            audit(second_client, second_writers)
    assert run_regulars("verify", "--database-url", database).returncode == 0


def test_paused_node_affects_only_its_accounts(database: str) -> None:
    """The circuit breaker opens, so that waiting statements do not use up the connections."""
    names = ("two", "three", "four")
    with (
        run_receiver() as receiver,
        run_server(database, "--webhook-private-targets") as server,
        another_node(database) as node,
        ExitStack() as stack,
    ):
        for name in names:
            for command in (
                ("create", name),
                ("move", name, node_name(node), *move_options(database)),
            ):
                result = run_regulars("account", *command, "--database-url", database)
                assert result.returncode == 0, result.stderr
        tokens = [create_token(server, name) for name in names]
        scopes = ("customers", "webhooks")
        first_client = stack.enter_context(
            Client(server, create_token(server, "one", scopes=scopes))
        )
        create_webhook(first_client, "contact/signup", receiver.url)
        for token in tokens:
            stack.enter_context(
                background_load(server, lambda client: client.post(COUNT), token, 4)
            )
        writers = [stack.enter_context(background_writes(server, token, 2)) for token in tokens]
        others = stack.enter_context(background_writes(server, first_client.token, 2))
        time.sleep(1)
        with node.paused():
            assert_reported(database, node, "two")
            listed = run_regulars("account", "list", "--database-url", database)
            assert listed.returncode == UNREACHABLE
            assert f"The Citus node {node_name(node)} does not respond" in listed.stderr
            wait_until(lambda: "503 errors_unavailable" in writers[0][0].statuses, 15)
            for _ in range(20):
                began = time.monotonic()
                first_client.data(COUNT)
                assert time.monotonic() - began < 2
            before = sum(writer.success_count for writer in others)
            wait_until(lambda: sum(writer.success_count for writer in others) > before + 10)
            # Other accounts get their webhooks, imports and exports.
            first_client.create("told@example.com")
            wait_until(
                lambda: "told@example.com" in [r.json["node"]["email"] for r in receiver.requests]
            )
            file = "email\n" + "\n".join(f"i{n}@example.com" for n in range(500))
            assert ended(first_client, send(first_client, file))["created"] == 500
            assert "i499@example.com" in first_client.http.get("/export").text
        before = sum(writer.success_count for writer in writers[0])
        wait_until(lambda: sum(writer.success_count for writer in writers[0]) > before)
    assert {status for writer in others for status in writer.statuses} == {"200"}
    possible = {"200", "503 errors_unavailable"}
    assert {status for each in writers for w in each for status in w.statuses} <= possible
    with run_server(database) as server:
        for token, each in zip([first_client.token, *tokens], [others, *writers], strict=True):
            with Client(server, token) as client:
                audit(client, each)


def test_write_between_a_split_and_a_move_is_saved_completely(database: str) -> None:
    """A write waits for the split of the account's shard and then runs on the new shard without a
    lock. The shard moves before the write ends. Citus alone would save half of the write."""

    async def split_and_move() -> None:
        connection = await asyncpg.connect(database)
        waits = f"{_HELD} AND NOT granted"
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT isolate_tenant_to_new_shard('counters', 1, 'CASCADE', 'block_writes')"
                )
                written.append(pool.submit(client.create, "late@example.com"))
                while not await connection.fetchval(waits):  # noqa: ASYNC110  # of another process
                    await asyncio.sleep(0.01)
            shard, *source = await connection.fetchrow(
                """SELECT shardid, nodename, nodeport FROM citus_shards
                WHERE table_name = 'counters'::regclass
                AND shardid = get_shard_id_for_distribution_column('counters', 1)"""
            )
            target = await connection.fetchrow(
                """SELECT nodename, nodeport FROM pg_dist_node
                WHERE nodeport <> $1 AND shouldhaveshards LIMIT 1""",
                source[1],
            )
            await connection.execute(
                "SELECT citus_move_shard_placement($1, $2, $3, $4, $5, 'block_writes')",
                *(shard, *source, *target),
            )
        finally:
            await connection.close()

    written: list[Future[dict[str, Any]]] = []
    with (
        run_server(database) as server,
        Client(server, create_token(server, "one")) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        asyncio.run(split_and_move())
        assert written[0].result(30)["id"]
        client.create("later@example.com")
        assert client.emails("late@example.com") == ["late@example.com"]
    result = run_regulars("verify", "--database-url", database)
    assert result.returncode == 0, result.stdout


def test_move_waits_for_transactions_that_began_before_the_split(database: str) -> None:
    homes = accounts_by_node(database)
    home = next(name for name, accounts in homes.items() if "one" in accounts)
    target = next(name for name in homes if name != home)
    split = f"{_HELD} AND mode = 'ExclusiveLock' AND objsubid = 8"
    move = ("account", "move", "one", target, *move_options(database))

    async def write_meanwhile() -> None:
        connection = await asyncpg.connect(database)
        try:
            moving = pool.submit(run_regulars, *move, "--database-url", database)
            # Another process splits it.
            while not (await connection.fetchval(split) or moving.done()):  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.01)
            async with connection.transaction():
                await connection.execute("UPDATE counters SET leads = leads WHERE account_id = 1")
                await asyncio.sleep(3)
                assert not moving.done(), "it was moved under a writer"
            assert moving.result(30).returncode == 0
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(write_meanwhile())
    assert "one" in accounts_by_node(database)[target]


def test_impossible_moves_are_refused_with_a_reason(database: str) -> None:
    def expect_error(*arguments: str) -> str:
        result = run_regulars("account", "move", *arguments, "--database-url", database)
        assert result.returncode != 0
        return result.stderr

    assert "No node is named 127.0.0.1:1." in expect_error("one", "127.0.0.1:1", "--block-writes")
    (node, *_) = accounts_by_node(database)
    assert "No account is named" in expect_error("zwei", node, "--block-writes")
    if fetch_value(database, "SHOW wal_level") != "logical":
        assert "--block-writes" in expect_error("one", node)


def test_distribution_is_idempotent(database: str) -> None:
    count = "SELECT count(*) FROM pg_dist_partition"
    assert fetch_value(database, count) == len(all_tables()) + 1  # and Alembic's own
    assert "already" in run_regulars("migrate", "--database-url", database).stdout
    assert fetch_value(database, count) == len(all_tables()) + 1


@pytest.mark.parametrize("version", ["0001", "0007", "0012"])
def test_distributed_database_of_an_earlier_version_is_upgraded(
    postgresql: str, version: str
) -> None:
    """A migration may read its new tables together with those that are distributed already."""
    dump = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))

    def distribute_rows(connection: sa.Connection) -> None:
        insert(connection, in_order(dump["tables"]))
        names = sa.inspect(connection).get_table_names()
        use_sequential_mode(connection)
        distribute_tables(connection, [table for table in all_tables() if table.name in names])

    with scratch_database(postgresql) as url:
        address = parse_url(url)
        assert upgrade(address, version) == version
        run_in_transaction(address, distribute_rows)
        result = run_regulars("migrate", "--database-url", url)
        assert result.returncode == 0, result.stderr
        count = "SELECT count(*) FROM pg_dist_partition"
        assert fetch_value(url, count) == len(all_tables()) + 1
        result = run_regulars("verify", "--database-url", url)
        assert result.returncode == 0, result.stdout


def test_a_restored_database_is_distributed_completely(
    database: str, postgresql: str, tmp_path: Path
) -> None:
    """The command runs in a Python of its own: no other code has imported the packages."""
    file = str(tmp_path / "c.backup")
    assert run_regulars("backup", file, "--database-url", database).returncode == 0
    with scratch_database(postgresql) as restored:
        command = [sys.executable, "-m", "regulars", "restore", file, "--database-url", restored]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        count = "SELECT count(*) FROM pg_dist_partition"
        assert fetch_value(restored, count) == len(all_tables()) + 1
        copy = run_regulars("copy", database, restored, "--resume", "--json")
        assert copy.returncode == 0, copy.stderr
        tables = json.loads(copy.stdout)["tables"].values()
        assert {(table["added"], table["removed"]) for table in tables} == {(0, 0)}
