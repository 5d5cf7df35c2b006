"""Citus: accounts spread over nodes. Run by `make test-citus DSN=…`, with the rest of the suite."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
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
from starlette.routing import Router

from regulars.accounts.accounts import Accounts
from regulars.app import Application
from regulars.settings import Settings
from regulars.store import Store, imports
from regulars.store.tables import metadata
from regulars.store.writes import forget_idempotency_records
from regulars.webhooks import delivery_queries
from regulars.webhooks.signatures import secrets_of
from tests.load import audit, writing
from tests.postgres import PostgreSQL, folders
from tests.receiver import receiving
from tests.support import (
    Client,
    add_node,
    busy,
    elsewhere,
    eventually,
    new_token,
    regulars,
    running,
    scratch_database,
    with_store,
)
from tests.test_import_http import ended, send
from tests.test_webhooks import hook

pytestmark = pytest.mark.citus

# What no request asks: what is looked after for all accounts at once.
_OF_ALL = {
    query.compiled("postgresql").text
    for query in (
        *(
            imports.due_imports(),
            imports.delete_old(),
            delivery_queries.webhooks_with_work(),
            delivery_queries.delete_old_attempts(),
        ),
        *(delivery_queries.delete_old_deliveries(), forget_idempotency_records()),
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
    '{ customers(last: 2, before: "WzIwMCwyMDBd") { edges { node { _id } } pageInfo { hasNextPage hasPreviousPage } } }',
    "{ customerChanges(first: 5) { edges { node { kind } } pageInfo { endCursor } } }",
    "{ statistics { customers accepts_marketing ordered expenses new_by_week { start customers }"
    " countries { country customers } spend_by_month { month currency amount } } }",
    'mutation { recordVisit(id: "ID") { id } }',
    """mutation { addTags(items: ["ID"], tags: ["x"]) { id }
        removeTags(items: ["ID"], tags: ["x"]) { id } }""",
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
            assert regulars(*command.split(), "--database-url", url).returncode == 0
        yield url


def plans_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan and those within it."""
    yield plan
    for below in plan.get("Plans", []):
        yield from plans_of(below)


def wrong_with(plan: dict[str, Any]) -> str | None:
    """Why a statement is not one task of one node; None if it is."""
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


class Explained:
    """Every statement that goes over a connection, and its plan."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[str, str | None] = {}
        ask = asyncpg.Connection.fetch

        async def fetch(connection: Any, text: str, *arguments: Any, **options: Any) -> Any:
            if text not in self.seen and text not in _OF_ALL:
                self.seen[text] = None
                rows = await ask(connection, f"EXPLAIN (FORMAT JSON) {text}", *arguments)
                self.seen[text] = wrong_with(json.loads(rows[0][0])[0]["Plan"])
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
    explained = Explained(monkeypatch)
    settings = Settings(
        database_url=database,
        rate_limit=1_000_000,
        webhook_worker=False,
        webhook_private_targets=True,
        log_requests=False,
    )

    async def work() -> list[str]:
        app = Application(settings)
        router: Router = app._rest.router
        problems: list[str] = []
        async with router.lifespan_context(app._rest):
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://127.0.0.1",
                headers={"Authorization": f"Bearer {token}"},
            )

            async def ask(document: str, **headers: str) -> Any:
                given = {name.replace("_", "-"): value for name, value in headers.items()}
                answer = await client.post("/api/v2", json={"query": document}, headers=given)
                if "errors" in answer.json():
                    problems.append(f"{document[:60]}: {answer.text[:300]}")
                return answer.json().get("data")

            async with client:
                await everything(client, ask, secret)
        return problems

    assert asyncio.run(work()) == []
    wrong = {text: why for text, why in explained.seen.items() if why}
    assert not wrong, "\n\n".join(f"{why}:\n{text}" for text, why in wrong.items())
    assert len(explained.seen) > 60


async def everything(client: httpx.AsyncClient, ask: Any, secret: str) -> None:
    """Asks for everything that can be asked for."""
    create = 'mutation { createCustomer(node: {email: "%s", notes: "n", tags: ["x"]}) %s }'
    made = [await ask(create % (f"a{n}@example.com", _NODE)) for n in range(3)]
    await ask(create % ("key@example.com", "{ id }"), Idempotency_Key="1")
    await ask(create % ("key@example.com", "{ id }"), Idempotency_Key="1")
    ids = [each["createCustomer"]["id"] for each in made]
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
    await ask(f'mutation {{ deleteCustomers(items: ["{ids[2]}"]) }}')
    order = """mutation { recordOrder(node: {name: "#1", email: "a0@example.com", total: 10,
        currency: "EUR"}) { id } }"""
    await ask(order)
    await ask(order)
    await ask(
        'mutation { recordLead(node: {email: "a0@example.com", subject: "s", message: "m"}) { id } }'
    )
    webhook = """mutation { createWebhook(node: {type: "contact/signup",
        url: "http://127.0.0.1:9/x"}) { id } }"""
    hook = (await ask(webhook))["createWebhook"]["id"]
    await ask(f'mutation {{ testWebhook(id: "{hook}") {{ id }} }}')
    await ask("{ webhooks { id deliveries(first: 2) { edges { node { id attempts { at } } } } } }")
    await ask(f'mutation {{ deleteWebhook(id: "{hook}") }}')
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


def ask_of(url: str, statement: str, *arguments: Any) -> Any:
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


def of_a_node(url: str) -> tuple[str, ...]:
    """The settings of one more node of a cluster."""
    return (
        "shared_preload_libraries=citus",
        "citus.node_conninfo=sslmode=disable",
        "ssl=off",
        "max_worker_processes=32",
        f"wal_level={ask_of(url, 'SHOW wal_level')}",
    )


def how_to_move(url: str) -> tuple[str, ...]:
    """How accounts are moved there: while others write, where the cluster allows it."""
    return () if ask_of(url, "SHOW wal_level") == "logical" else ("--block-writes",)


def place(node: PostgreSQL) -> str:
    """How Citus calls a node."""
    return f"127.0.0.1:{node.port}"


def placed(url: str) -> dict[str, list[str]]:
    """The accounts on each node, as `regulars doctor` tells."""
    done = regulars("doctor", "--json", "--database-url", url)
    found = [f for f in json.loads(done.stdout) if f["what"].startswith("node ")]
    names = re.compile(r"(?:: |, )([\w ]+) \([\d,]+(?:, alone)?\)")
    return {f["what"].removeprefix("node "): names.findall(f["message"]) for f in found}


@contextmanager
def another_node(url: str, *settings: str) -> Iterator[PostgreSQL]:
    """One more node of the cluster, which is added to a database and taken away again."""
    tools = next(
        (each.parent.parent / "bin" for each in Path("/usr/lib/postgresql").glob("*/lib/citus.so")),
        None,
    )
    if tools is None:
        pytest.skip("Citus is not installed on this machine, so that no node can be added here.")
    name = urlsplit(url).path[1:]
    with folders(1, tools) as (node,):
        node.initialise()
        node.start(*of_a_node(url), *settings)
        ask_of(node.dsn, f"CREATE DATABASE {name}")
        ask_of(elsewhere(node.dsn, name), "CREATE EXTENSION citus")
        asyncio.run(add_node(url, "127.0.0.1", node.port))
        yield node
        ask_of(
            url,
            "SELECT citus_set_node_property('127.0.0.1', $1, 'shouldhaveshards', false)",
            node.port,
        )
        ask_of(url, "SELECT citus_drain_node('127.0.0.1', $1, 'block_writes')", node.port)
        ask_of(url, "SELECT citus_remove_node('127.0.0.1', $1)", node.port)


def test_nodes_are_added_and_accounts_moved_while_it_serves(database: str) -> None:
    """A node comes, an account is moved there and has it alone, another comes and goes: no write
    fails, and none is lost."""
    assert regulars("account", "create", "two", "--database-url", database).returncode == 0
    with running(database) as server, another_node(database) as node:
        tokens = [new_token(server, name) for name in ("one", "two")]
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server, token)) for token in tokens]
            loads = [ExitStack() for _ in tokens]
            writers = [
                load.enter_context(writing(server, token, 3))
                for load, token in zip(loads, tokens, strict=True)
            ]
            time.sleep(1)
            home = next(name for name, accounts in placed(database).items() if "one" in accounts)
            there = place(node)
            commands = (("one", there, "--alone"), ("two", there), ("one", home), ("two", home))
            for command in commands:
                done = regulars(
                    "account", "move", *command, *how_to_move(database), "--database-url", database
                )
                assert done.returncode == 0, done.stderr
                assert command[0] in placed(database)[command[1]]
                if "--alone" in command:
                    assert placed(database)[there] == ["one"]
                time.sleep(0.5)
            for load in loads:
                load.close()
            for client, each in zip(clients, writers, strict=True):
                assert {status for writer in each for status in writer.statuses} == {"200"}
                assert audit(client, each) > 30
    assert regulars("verify", "--database-url", database).returncode == 0


def test_a_node_without_workers_for_a_move_is_told(database: str) -> None:
    """Citus would wait for them without end."""
    if how_to_move(database):
        pytest.skip("The cluster has no logical replication (wal_level).")
    with another_node(database, "max_worker_processes=2") as node:
        done = regulars("account", "move", "one", place(node), "--database-url", database)
        assert done.returncode != 0
        assert f"{place(node)} has too few background workers left" in done.stderr
        assert "raise max_worker_processes there" in done.stderr
        assert "one" not in placed(database)[place(node)]


def assert_told(url: str, node: PostgreSQL, account: str) -> None:
    """`regulars doctor` says which node is away, and whose accounts it has."""
    done = regulars("doctor", "--json", "--database-url", url)
    assert done.returncode == 1
    found = {one["what"]: one for one in json.loads(done.stdout)}
    told = found[f"node {place(node)}"]
    assert told["state"] == "fail"
    assert "does not answer" in told["message"]
    assert account in told["message"]


def test_a_node_that_is_killed_takes_only_its_accounts_away(database: str) -> None:
    """Who is there is told to try again; everybody else is served, and everything that was answered
    is there once the node is back."""
    assert regulars("account", "create", "two", "--database-url", database).returncode == 0
    with running(database) as server, another_node(database) as node:
        move = ("account", "move", "two", place(node), *how_to_move(database))
        assert regulars(*move, "--database-url", database).returncode == 0
        one, two = (new_token(server, name) for name in ("one", "two"))
        with Client(server, one) as here, Client(server, two) as there:
            with writing(server, one, 2) as others, writing(server, two, 2) as theirs:
                time.sleep(1)
                node.kill()
                eventually(lambda: "503 errors_unavailable" in set(theirs[0].statuses))
                answer = there.post(COUNT)
                assert answer.status_code == 503
                assert answer.json()["errors"][0]["key"] == "errors_unavailable"
                before = sum(writer.answered for writer in others)
                created = regulars(
                    "token", "create", "--account", "one", "--database-url", database
                )
                assert "cannot be reached" in created.stderr, created.stderr
                assert_told(database, node, "two")
                time.sleep(1)
                assert sum(writer.answered for writer in others) > before
                node.start(*of_a_node(database))
                before = sum(writer.answered for writer in theirs)
                eventually(lambda: sum(writer.answered for writer in theirs) > before)
            assert {status for writer in others for status in writer.statuses} == {"200"}
            possible = {"200", "503 errors_unavailable"}
            assert {status for writer in theirs for status in writer.statuses} <= possible
            audit(here, others)
            audit(there, theirs)
    assert regulars("verify", "--database-url", database).returncode == 0


def test_a_node_that_stands_still_takes_only_its_accounts_away(database: str) -> None:
    """Whoever waits for it has no connection that others need: soon it is not asked any more."""
    theirs = ("two", "three", "four")
    with (
        receiving() as receiver,
        running(database, "--webhook-private-targets") as server,
        another_node(database) as node,
        ExitStack() as stack,
    ):
        for name in theirs:
            for command in (("create", name), ("move", name, place(node), *how_to_move(database))):
                done = regulars("account", *command, "--database-url", database)
                assert done.returncode == 0, done.stderr
        tokens = [new_token(server, name) for name in theirs]
        scopes = ("customers", "webhooks")
        here = stack.enter_context(Client(server, new_token(server, "one", scopes=scopes)))
        hook(here, "contact/signup", receiver.url)
        for token in tokens:
            stack.enter_context(busy(server, lambda client: client.post(COUNT), token, 4))
        writers = [stack.enter_context(writing(server, token, 2)) for token in tokens]
        others = stack.enter_context(writing(server, here.token, 2))
        time.sleep(1)
        with node.paused():
            assert_told(database, node, "two")
            eventually(lambda: "503 errors_unavailable" in writers[0][0].statuses, 15)
            for _ in range(20):
                began = time.monotonic()
                here.data(COUNT)
                assert time.monotonic() - began < 2
            before = sum(writer.answered for writer in others)
            eventually(lambda: sum(writer.answered for writer in others) > before + 10)
            # What happens to others is told of, too, and their files are taken in and sent.
            here.create("told@example.com")
            eventually(
                lambda: "told@example.com" in [r.json["node"]["email"] for r in receiver.requests]
            )
            file = "email\n" + "\n".join(f"i{n}@example.com" for n in range(500))
            assert ended(here, send(here, file))["created"] == 500
            assert "i499@example.com" in here.http.get("/export").text
        before = sum(writer.answered for writer in writers[0])
        eventually(lambda: sum(writer.answered for writer in writers[0]) > before)
    assert {status for writer in others for status in writer.statuses} == {"200"}
    possible = {"200", "503 errors_unavailable"}
    assert {status for each in writers for w in each for status in w.statuses} <= possible
    with running(database) as server:
        for token, each in zip([here.token, *tokens], [others, *writers], strict=True):
            with Client(server, token) as client:
                audit(client, each)


def test_a_write_between_a_split_and_a_move_is_whole(database: str) -> None:
    """A write waits for a split of the account's part, whose end lets it begin on the new part
    without a lock; the part moves away before the write is done. Citus would save it in halves."""

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
        running(database) as server,
        Client(server, new_token(server, "one")) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        asyncio.run(split_and_move())
        assert written[0].result(30)["id"]
        client.create("later@example.com")
        assert client.emails("late@example.com") == ["late@example.com"]
    done = regulars("verify", "--database-url", database)
    assert done.returncode == 0, done.stdout


def test_a_move_waits_for_who_writes_since_before_the_split(database: str) -> None:
    homes = placed(database)
    home = next(name for name, accounts in homes.items() if "one" in accounts)
    target = next(name for name in homes if name != home)
    split = f"{_HELD} AND mode = 'ExclusiveLock' AND objsubid = 8"
    move = ("account", "move", "one", target, *how_to_move(database))

    async def write_meanwhile() -> None:
        connection = await asyncpg.connect(database)
        try:
            moving = pool.submit(regulars, *move, "--database-url", database)
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
    assert "one" in placed(database)[target]


def test_what_cannot_be_moved_is_told(database: str) -> None:
    def refused(*arguments: str) -> str:
        done = regulars("account", "move", *arguments, "--database-url", database)
        assert done.returncode != 0
        return done.stderr

    assert "no node 127.0.0.1:1" in refused("one", "127.0.0.1:1", "--block-writes")
    (node, *_) = placed(database)
    assert "no account named" in refused("zwei", node, "--block-writes")
    if ask_of(database, "SHOW wal_level") != "logical":
        assert "--block-writes" in refused("one", node)


def test_a_database_is_distributed_once(database: str) -> None:
    count = "SELECT count(*) FROM pg_dist_partition"
    assert ask_of(database, count) == len(metadata.tables) + 1  # and Alembic's own
    assert "already" in regulars("migrate", "--database-url", database).stdout
    assert ask_of(database, count) == len(metadata.tables) + 1
