"""The history: each change is told once, in order, and nothing is missed by who follows it."""

from __future__ import annotations

import asyncio
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.paging import KeysetPage
from regulars.customers.commands import CreateCustomer
from regulars.customers.values import clean_values
from regulars.directory.database import store_for
from regulars.directory.decide import decide
from regulars.directory.directory import Directory
from regulars.directory.entities import ENTITIES
from regulars.store import saving
from regulars.store.query import Query
from tests.support import Client, new_token, regulars, running, scratch_database
from tests.test_statements import asked

FEED = """query($after: String, $first: Int) { customerChanges(after: $after, first: $first) {
    edges { cursor node { sequence kind at(format: "x") actor { kind name } request_id customer_id
      customer { email } fields { name before after } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def feed(client: Client, after: str | None = None, first: int | None = None) -> Any:
    return client.data(FEED, after=after, first=first)["customerChanges"]


def told(page: Any) -> list[tuple[int, str, str]]:
    return [
        (edge["node"]["sequence"], edge["node"]["kind"], edge["node"]["customer_id"])
        for edge in page["edges"]
    ]


def cursor(sequence: int) -> str:
    return base64.b64encode(b'["change",%d]' % sequence).decode()


def test_each_write_appends_a_change(client: Client) -> None:
    one = client.create("one@example.com")["id"]
    two = client.create("two@example.com", tags=["a"])["id"]
    client.post(
        'mutation($id: ID!) { updateCustomer(id: $id, node: {phone: "1", tags: ["a"]}) { id } }',
        {"id": two},
        headers={"X-Request-Id": "mine-42"},
    )
    page = feed(client)
    assert told(page) == [(1, "created", one), (2, "created", two), (3, "updated", two)]
    assert page["edges"][2]["node"]["fields"] == [{"name": "phone", "before": "", "after": "1"}]
    assert page["edges"][2]["node"]["request_id"] == "mine-42"
    assert page["edges"][2]["node"]["actor"] == {"kind": "token", "name": "test"}
    assert page["edges"][0]["node"]["fields"] == []
    assert page["edges"][0]["node"]["customer"] == {"email": "one@example.com"}
    assert [edge["cursor"] for edge in page["edges"]] == [cursor(n) for n in (1, 2, 3)]
    assert page["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": cursor(1),
        "endCursor": cursor(3),
    }
    timestamps = [int(edge["node"]["at"]) for edge in page["edges"]]
    assert timestamps == sorted(timestamps)
    assert abs(timestamps[0] - time.time() * 1000) < 60_000


def test_what_changes_nothing_appends_nothing(client: Client) -> None:
    customer = client.create("one@example.com", tags=["a"], custom={"n": 1}, phone="1")["id"]
    client.update(customer, tags=["a", " a"], custom={"n": 1}, phone=" 1 ", notes=None)
    client.refused(
        "errors_dup_email",
        'mutation { createCustomer(node: {email: "ONE@example.com"}) { id } }',
    )
    assert len(feed(client)["edges"]) == 1


def test_every_field_is_told_with_its_values_before_and_after(client: Client) -> None:
    before: dict[str, Any] = {
        "email": "one@example.com",
        "phone": "1",
        "first_name": "Ana",
        "last_name": "Sá",
        "accepts_marketing": False,
        "notes": "a\nb",
        "shipping_address": {"city": "Fès", "zip": "1"},
        "custom": {"n": 1.5, "kept": [None, {"deep": "\u2028"}]},
        "tags": ["a", "b"],
    }
    after: dict[str, Any] = {
        "email": "two@example.com",
        "phone": "",
        "first_name": "Anna",
        "last_name": "Sa",
        "accepts_marketing": True,
        "notes": None,
        "shipping_address": {"city": "Rabat"},
        "billing_address": {"country": "MA"},
        "custom": {"n": 2},
        "tags": ["b"],
    }
    customer = client.create(**before)["id"]
    client.update(customer, **after)
    fields = feed(client)["edges"][1]["node"]["fields"]
    found = {field["name"]: (field["before"], field["after"]) for field in fields}
    assert found == {
        **{name: (before.get(name), after[name]) for name in after},
        "shipping_address": ({"city": "Fès", "zip": "1"}, {"city": "Rabat", "zip": "1"}),
        "custom": (before["custom"], {**before["custom"], "n": 2}),
    }


def test_a_deleted_customers_history_keeps_the_facts_alone(client: Client) -> None:
    gone = client.create("gone@example.com", first_name="Secret")["id"]
    client.update(gone, notes="secret", first_name="Secretly")
    here = client.create("here@example.com")["id"]
    client.update(here, phone="1")
    client.data("mutation($id: ID!) { deleteCustomers(items: [$id]) }", id=gone)
    page = feed(client)
    assert told(page) == [
        (1, "created", gone),
        (2, "updated", gone),
        (3, "created", here),
        (4, "updated", here),
        (5, "deleted", gone),
    ]
    assert [len(edge["node"]["fields"]) for edge in page["edges"]] == [0, 0, 0, 1, 0]
    assert page["edges"][0]["node"]["customer"] is None
    assert "ecret" not in str(page)
    assert "gone@example.com" not in str(page)


def test_a_customer_who_comes_and_goes_in_one_request_leaves_facts(client: Client) -> None:
    client.data(
        """mutation { a: createCustomer(node: {email: "a@example.com"}) { id }
        b: updateCustomer(id: 1, node: {first_name: "Secret"}) { id }
        c: deleteCustomers(items: [1]) }"""
    )
    page = feed(client)
    assert [kind for _, kind, _ in told(page)] == ["created", "updated", "deleted"]
    assert "Secret" not in str(page)


def test_the_feed_goes_on_where_it_stopped(client: Client) -> None:
    for number in range(7):
        client.create(f"{number}@example.com")
    read, after, pages = [], None, 0
    while True:
        page = feed(client, after, 3)
        read += told(page)
        pages += 1
        after = page["pageInfo"]["endCursor"] or after
        assert page["pageInfo"]["hasPreviousPage"] == (pages > 1)
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [sequence for sequence, _, _ in read] == list(range(1, 8))
    assert pages == 3
    assert feed(client, after)["edges"] == []
    client.create("late@example.com")
    assert [sequence for sequence, _, _ in told(feed(client, after))] == [8]
    assert feed(client, after, 0)["edges"] == []


def test_an_accounts_history_is_its_own(client: Client, other: Client) -> None:
    client.create("one@example.com")
    assert feed(other)["edges"] == []
    other.create("two@example.com")
    assert [edge["node"]["sequence"] for edge in feed(other)["edges"]] == [1]


@pytest.mark.parametrize(
    "text", ["x", "WzEsMV0=", "WyJjaGFuZ2UiLDEuNV0=", "WyJjaGFuZ2UiLC0xXQ==", "W10="]
)
def test_what_is_no_cursor_is_refused(client: Client, text: str) -> None:
    client.create("one@example.com")
    error = client.refused("errors_invalid_cursor", FEED, after=text)
    assert error["extensions"]["input_path"] == ["after"]
    document = "query($after: String) { customers { edges { node { changes(after: $after) "
    client.refused("errors_invalid_cursor", document + "{ edges { cursor } } } } } }", after=text)


def test_a_cursor_beyond_the_history_is_refused(client: Client) -> None:
    """After a restore, a reader that is further than the history must not wait in silence."""
    client.create("one@example.com")
    assert feed(client, cursor(1))["edges"] == []
    error = client.refused("errors_invalid_cursor", FEED, after=cursor(2))
    assert "restored from a backup" in error["message"]


@pytest.mark.parametrize("size", [-1, 251])
def test_a_page_of_changes_has_a_size(client: Client, size: int) -> None:
    client.create("one@example.com")
    client.refused("errors_page_size", FEED, first=size)
    document = "query($n: Int) { customers { edges { node { changes(first: $n) "
    client.refused("errors_page_size", document + "{ edges { cursor } } } } } }", n=size)


CHANGES = """query($first: Int, $after: String) { customers(query: "order_by:id order_dir:asc") {
    edges { node { email changes(first: $first, after: $after) {
      edges { cursor node { kind fields { name } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } } }"""


def test_a_customers_changes_come_newest_first(client: Client) -> None:
    one, two = (client.create(f"{name}@example.com")["id"] for name in ("one", "two"))
    for number in range(3):
        client.update(one, phone=str(number))
    client.update(two, notes="x")
    found = [edge["node"] for edge in client.data(CHANGES, first=2)["customers"]["edges"]]
    kinds = [[edge["node"]["kind"] for edge in node["changes"]["edges"]] for node in found]
    assert kinds == [["updated", "updated"], ["updated", "created"]]
    assert [node["changes"]["pageInfo"] for node in found] == [
        {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": cursor(5),
            "endCursor": cursor(4),
        },
        {
            "hasNextPage": False,
            "hasPreviousPage": False,
            "startCursor": cursor(6),
            "endCursor": cursor(2),
        },
    ]
    rest = client.data(CHANGES, first=5, after=cursor(4))["customers"]["edges"][0]["node"]
    assert [edge["node"]["kind"] for edge in rest["changes"]["edges"]] == ["updated", "created"]
    assert rest["changes"]["pageInfo"]["hasPreviousPage"]


def test_pages_of_changes_under_two_names_are_two_pages(client: Client) -> None:
    client.update(client.create("one@example.com")["id"], phone="1")
    node = client.data(
        """{ customers { edges { node {
        a: changes(first: 1) { edges { node { kind } } }
        b: changes(first: 2) { edges { node { kind customer { email } } } } } } } }"""
    )["customers"]["edges"][0]["node"]
    assert [edge["node"]["kind"] for edge in node["a"]["edges"]] == ["updated"]
    assert [edge["node"]["kind"] for edge in node["b"]["edges"]] == ["updated", "created"]
    assert node["b"]["edges"][0]["node"]["customer"] == {"email": "one@example.com"}


@pytest.mark.slow
def test_the_changes_of_many_customers_take_one_statement(new_database: str) -> None:
    for command in ("account create one", "sample --customers 60"):
        assert regulars(*command.split(), "--database-url", new_database).returncode == 0
    statements, answer = asked(
        new_database,
        """{ customers(first: 50) { edges { node { changes(first: 2) {
        edges { node { kind actor { kind name } customer { email } } } } } } } }""",
    )
    assert len(statements) == 3, statements
    change = answer["data"]["customers"]["edges"][49]["node"]["changes"]["edges"][0]["node"]
    assert change["actor"] == {"kind": "command_line", "name": "regulars sample"}
    assert len(asked(new_database, "{ customerChanges { edges { cursor } } }")[0]) == 1


def test_a_page_of_changes_costs_what_it_can_hold(client: Client) -> None:
    def cost(document: str, size: int) -> Any:
        answer = client.post(document, {"n": size}, {"Regulars-Cost": "1"}).json()
        return answer["extensions"]["cost"]["requested"]

    feed = "query($n: Int) { customerChanges(first: $n) { edges { node { kind } cursor } } }"
    nested = (
        "query($n: Int) { customers(first: 10) { edges { node { changes(first: $n) "
        "{ edges { cursor } } } } } }"
    )
    for size in (1, 100):
        assert cost(feed, size) == 1 + size
        assert cost(nested, size) == 1 + 10 * (1 + 1 + size)


def test_who_follows_misses_no_late_commit(postgresql: str) -> None:
    """A change that is numbered first and committed late comes first, and nothing before it."""

    async def run(dsn: str) -> None:
        store = store_for(dsn)
        await store.open()
        directory = Directory(store)
        account = (await Accounts(store).create("one")).account_id
        await directory.write(account, CreateCustomer.from_node({"email": "first@b.co"}, 1))
        # A batch as a writer saves it, in a transaction that does not end yet.
        command = CreateCustomer(*clean(email="slow@b.co"))
        connection = await asyncpg.connect(dsn)
        transaction = connection.transaction()
        await transaction.start()
        keys = command.lookup_keys()
        rows = await fetch(connection, ENTITIES.state(keys), ENTITIES.parameters(account, keys))
        state = ENTITIES.loaded(rows, [])
        _, changes = decide(account, [command], state)
        query = saving.save(saving.shape_of(ENTITIES, changes))
        parameters = saving.save_parameters(ENTITIES, account, state, changes)
        saved = await fetch(connection, query, parameters)
        assert saved[0][0] == 1
        quick = asyncio.create_task(
            directory.write(account, CreateCustomer.from_node({"email": "quick@b.co"}, 3))
        )
        await asyncio.sleep(0.3)
        assert not quick.done()
        assert [n for (n, _), _ in await read(directory, account, 0)] == [1]
        await transaction.commit()
        await connection.close()
        row = await quick
        assert isinstance(row, dict)
        assert row["customer_id"] == 3
        assert [row for row, _ in await read(directory, account, 1)] == [(2, 2), (3, 3)]
        await store.close()

    def clean(**node: str) -> tuple[dict[str, Any], int, list[Any]]:
        values, problems = clean_values(node, ())
        return values, 2, problems

    async def fetch(connection: Any, query: Query, parameters: dict[str, Any]) -> Any:
        compiled = query.compiled("postgresql")
        return await connection.fetch(compiled.text, *compiled.arguments(parameters))

    async def read(directory: Directory, account: int, after: int) -> Any:
        selected = KeysetPage(10, after=(after,))
        page = await directory.changes(account, selected, ("sequence", "customer_id"))
        return [(tuple(row), page.has_next) for row in page.rows]

    with scratch_database(postgresql) as dsn:
        assert regulars("migrate", "--database-url", dsn).returncode == 0
        asyncio.run(run(dsn))


@pytest.mark.slow
def test_who_follows_sees_everything_once_while_others_write(new_database: str) -> None:
    """Many writers, on PostgreSQL in two processes, and a reader that polls meanwhile."""
    processes = () if new_database.startswith("sqlite") else ("--workers", "2")
    writers, writes_each = 6, 20
    with running(new_database, *processes) as server:
        token = new_token(server, "default")

        def write(number: int) -> list[str]:
            ids = []
            with Client(server, token) as client:
                for turn in range(writes_each // 2):
                    ids.append(client.create(f"{number}-{turn}@example.com")["id"])
                    client.update(ids[-1], phone=str(turn))
            return ids

        def follow() -> list[tuple[int, str, str]]:
            read: list[tuple[int, str, str]] = []
            after = None
            with Client(server, token) as client:
                while len(read) < writers * writes_each:
                    assert time.monotonic() - began < 60, f"only {len(read)} changes came"
                    page = feed(client, after, 7)
                    read += told(page)
                    after = page["pageInfo"]["endCursor"] or after
            return read

        began = time.monotonic()
        with ThreadPoolExecutor(writers + 1) as pool:
            following = pool.submit(follow)
            ids = [one for each in pool.map(write, range(writers)) for one in each]
            read = following.result()
        assert [sequence for sequence, _, _ in read] == list(range(1, len(read) + 1))
        for kind in ("created", "updated"):
            assert sorted(i for _, k, i in read if k == kind) == sorted(ids)
