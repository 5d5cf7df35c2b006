"""The history: each change appears once and in order, and a consumer of the feed misses none."""

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
from tests.support import Client, create_token, run_regulars, run_server, scratch_database
from tests.test_statements import run_document

pytestmark = pytest.mark.both_databases

FEED = """query($after: String, $first: Int) { customerChanges(after: $after, first: $first) {
    edges { cursor node { sequence kind at(format: "x") actor { kind name } request_id customer_id
      customer { email } fields { name before after } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def read_feed(client: Client, after: str | None = None, first: int | None = None) -> Any:
    return client.data(FEED, after=after, first=first)["customerChanges"]


def summarize(page: Any) -> list[tuple[int, str, str]]:
    return [
        (edge["node"]["sequence"], edge["node"]["kind"], edge["node"]["customer_id"])
        for edge in page["edges"]
    ]


def encode_cursor(sequence: int) -> str:
    return base64.b64encode(b'["change",%d]' % sequence).decode()


def test_each_write_appends_a_change(client: Client) -> None:
    first_id = client.create("one@example.com")["id"]
    second_id = client.create("two@example.com", tags=["a"])["id"]
    client.post(
        'mutation($id: ID!) { updateCustomer(id: $id, node: {phone: "1", tags: ["a"]}) { id } }',
        {"id": second_id},
        headers={"X-Request-Id": "mine-42"},
    )
    page = read_feed(client)
    assert summarize(page) == [
        (1, "created", first_id),
        (2, "created", second_id),
        (3, "updated", second_id),
    ]
    assert page["edges"][2]["node"]["fields"] == [{"name": "phone", "before": "", "after": "1"}]
    assert page["edges"][2]["node"]["request_id"] == "mine-42"
    assert page["edges"][2]["node"]["actor"] == {"kind": "token", "name": "test"}
    assert page["edges"][0]["node"]["fields"] == []
    assert page["edges"][0]["node"]["customer"] == {"email": "one@example.com"}
    assert [edge["cursor"] for edge in page["edges"]] == [encode_cursor(n) for n in (1, 2, 3)]
    assert page["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": encode_cursor(1),
        "endCursor": encode_cursor(3),
    }
    timestamps = [int(edge["node"]["at"]) for edge in page["edges"]]
    assert timestamps == sorted(timestamps)
    assert abs(timestamps[0] - time.time() * 1000) < 60_000


def test_a_write_without_changes_appends_nothing(client: Client) -> None:
    customer = client.create("one@example.com", tags=["a"], custom={"n": 1}, phone="1")["id"]
    client.update(customer, tags=["a", " a"], custom={"n": 1}, phone=" 1 ", notes=None)
    client.expect_error(
        "errors_dup_email",
        'mutation { createCustomer(node: {email: "ONE@example.com"}) { id } }',
    )
    assert len(read_feed(client)["edges"]) == 1


def test_a_change_has_the_old_and_new_value_of_every_field(client: Client) -> None:
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
    fields = read_feed(client)["edges"][1]["node"]["fields"]
    changes = {field["name"]: (field["before"], field["after"]) for field in fields}
    assert changes == {
        **{name: (before.get(name), after[name]) for name in after},
        "shipping_address": ({"city": "Fès", "zip": "1"}, {"city": "Rabat", "zip": "1"}),
        "custom": (before["custom"], {**before["custom"], "n": 2}),
    }


def test_the_history_of_a_deleted_customer_has_no_values(client: Client) -> None:
    deleted_id = client.create("gone@example.com", first_name="Secret")["id"]
    client.update(deleted_id, notes="secret", first_name="Secretly")
    other_id = client.create("here@example.com")["id"]
    client.update(other_id, phone="1")
    client.data("mutation($id: ID!) { deleteCustomers(items: [$id]) }", id=deleted_id)
    page = read_feed(client)
    assert summarize(page) == [
        (1, "created", deleted_id),
        (2, "updated", deleted_id),
        (3, "created", other_id),
        (4, "updated", other_id),
        (5, "deleted", deleted_id),
    ]
    assert [len(edge["node"]["fields"]) for edge in page["edges"]] == [0, 0, 0, 1, 0]
    assert page["edges"][0]["node"]["customer"] is None
    assert "ecret" not in str(page)
    assert "gone@example.com" not in str(page)


def test_create_and_delete_in_one_request_leave_no_values(client: Client) -> None:
    client.data(
        """mutation { a: createCustomer(node: {email: "a@example.com"}) { id }
        b: updateCustomer(id: 1, node: {first_name: "Secret"}) { id }
        c: deleteCustomers(items: [1]) }"""
    )
    page = read_feed(client)
    assert [kind for _, kind, _ in summarize(page)] == ["created", "updated", "deleted"]
    assert "Secret" not in str(page)


def test_the_feed_resumes_at_a_cursor(client: Client) -> None:
    for number in range(7):
        client.create(f"{number}@example.com")
    changes, after, page_count = [], None, 0
    while True:
        page = read_feed(client, after, 3)
        changes += summarize(page)
        page_count += 1
        after = page["pageInfo"]["endCursor"] or after
        assert page["pageInfo"]["hasPreviousPage"] == (page_count > 1)
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [sequence for sequence, _, _ in changes] == list(range(1, 8))
    assert page_count == 3
    assert read_feed(client, after)["edges"] == []
    client.create("late@example.com")
    assert [sequence for sequence, _, _ in summarize(read_feed(client, after))] == [8]
    assert read_feed(client, after, 0)["edges"] == []


def test_accounts_have_separate_histories(client: Client, other: Client) -> None:
    client.create("one@example.com")
    assert read_feed(other)["edges"] == []
    other.create("two@example.com")
    assert [edge["node"]["sequence"] for edge in read_feed(other)["edges"]] == [1]


@pytest.mark.parametrize(
    "text", ["x", "WzEsMV0=", "WyJjaGFuZ2UiLDEuNV0=", "WyJjaGFuZ2UiLC0xXQ==", "W10="]
)
def test_an_invalid_cursor_is_rejected(client: Client, text: str) -> None:
    client.create("one@example.com")
    error = client.expect_error("errors_invalid_cursor", FEED, after=text)
    assert error["extensions"]["input_path"] == ["after"]
    document = "query($after: String) { customers { edges { node { changes(after: $after) "
    client.expect_error(
        "errors_invalid_cursor", document + "{ edges { cursor } } } } } }", after=text
    )


def test_a_cursor_beyond_the_history_is_rejected(client: Client) -> None:
    """After a restore, a reader with a later cursor gets an error instead of empty pages."""
    client.create("one@example.com")
    assert read_feed(client, encode_cursor(1))["edges"] == []
    error = client.expect_error("errors_invalid_cursor", FEED, after=encode_cursor(2))
    assert "restored from a backup" in error["message"]


@pytest.mark.parametrize("size", [-1, 251])
def test_an_invalid_page_size_is_rejected(client: Client, size: int) -> None:
    client.create("one@example.com")
    client.expect_error("errors_page_size", FEED, first=size)
    document = "query($n: Int) { customers { edges { node { changes(first: $n) "
    client.expect_error("errors_page_size", document + "{ edges { cursor } } } } } }", n=size)


CHANGES = """query($first: Int, $after: String) { customers(query: "order_by:id order_dir:asc") {
    edges { node { email changes(first: $first, after: $after) {
      edges { cursor node { kind fields { name } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } } }"""


def test_changes_of_a_customer_are_newest_first(client: Client) -> None:
    first_id, second_id = (client.create(f"{n}@example.com")["id"] for n in ("one", "two"))
    for number in range(3):
        client.update(first_id, phone=str(number))
    client.update(second_id, notes="x")
    nodes = [edge["node"] for edge in client.data(CHANGES, first=2)["customers"]["edges"]]
    kinds = [[edge["node"]["kind"] for edge in node["changes"]["edges"]] for node in nodes]
    assert kinds == [["updated", "updated"], ["updated", "created"]]
    assert [node["changes"]["pageInfo"] for node in nodes] == [
        {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": encode_cursor(5),
            "endCursor": encode_cursor(4),
        },
        {
            "hasNextPage": False,
            "hasPreviousPage": False,
            "startCursor": encode_cursor(6),
            "endCursor": encode_cursor(2),
        },
    ]
    rest = client.data(CHANGES, first=5, after=encode_cursor(4))["customers"]["edges"][0]["node"]
    assert [edge["node"]["kind"] for edge in rest["changes"]["edges"]] == ["updated", "created"]
    assert rest["changes"]["pageInfo"]["hasPreviousPage"]


def test_aliased_pages_of_changes_are_independent(client: Client) -> None:
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
def test_changes_of_many_customers_take_one_statement(new_database: str) -> None:
    for command in ("account create one", "sample --customers 60"):
        assert run_regulars(*command.split(), "--database-url", new_database).returncode == 0
    statements, answer = run_document(
        new_database,
        """{ customers(first: 50) { edges { node { changes(first: 2) {
        edges { node { kind actor { kind name } customer { email } } } } } } } }""",
    )
    assert len(statements) == 3, statements
    change = answer["data"]["customers"]["edges"][49]["node"]["changes"]["edges"][0]["node"]
    assert change["actor"] == {"kind": "command_line", "name": "regulars sample"}
    assert len(run_document(new_database, "{ customerChanges { edges { cursor } } }")[0]) == 1


def test_the_cost_of_changes_grows_with_the_page_size(client: Client) -> None:
    def cost(document: str, size: int) -> Any:
        response = client.post(document, {"n": size}, {"Regulars-Cost": "1"}).json()
        return response["extensions"]["cost"]["requested"]

    feed_query = "query($n: Int) { customerChanges(first: $n) { edges { node { kind } cursor } } }"
    nested = (
        "query($n: Int) { customers(first: 10) { edges { node { changes(first: $n) "
        "{ edges { cursor } } } } } }"
    )
    for size in (1, 100):
        assert cost(feed_query, size) == 1 + size
        assert cost(nested, size) == 1 + 10 * (1 + 1 + size)


@pytest.mark.slow
def test_the_feed_misses_no_late_commit(postgresql: str) -> None:
    """The feed waits for a transaction that has an earlier sequence number and commits late."""

    async def run(dsn: str) -> None:
        store = store_for(dsn)
        await store.open()
        directory = Directory(store)
        account = (await Accounts(store).create("one")).account_id
        await directory.write(account, CreateCustomer.from_node({"email": "first@b.co"}, 1))
        # A batch as the writer saves it, in a transaction that stays open.
        command = CreateCustomer(*clean(email="slow@b.co"))
        connection = await asyncpg.connect(dsn)
        transaction = connection.transaction()
        await transaction.start()
        keys = command.lookup_keys()
        rows = await fetch(
            connection, ENTITIES.state_query(keys), ENTITIES.state_parameters(account, keys)
        )
        state = ENTITIES.build_state(rows, [])
        _, changes = decide(account, [command], state)
        query = saving.save(saving.shape_of(ENTITIES, changes))
        parameters = saving.save_parameters(ENTITIES, account, state, changes)
        result = await fetch(connection, query, parameters)
        assert result[0][0] == 1
        later_write = asyncio.create_task(
            directory.write(account, CreateCustomer.from_node({"email": "quick@b.co"}, 3))
        )
        await asyncio.sleep(0.3)
        assert not later_write.done()
        assert [n for (n, _), _ in await read(directory, account, 0)] == [1]
        await transaction.commit()
        await connection.close()
        row = await later_write
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
        request = KeysetPage(10, after=(after,))
        page = await directory.changes(account, request, ("sequence", "customer_id"))
        return [(tuple(row), page.has_next) for row in page.rows]

    with scratch_database(postgresql) as dsn:
        assert run_regulars("migrate", "--database-url", dsn).returncode == 0
        asyncio.run(run(dsn))


@pytest.mark.slow
def test_the_feed_is_complete_during_writes(new_database: str) -> None:
    """Many clients write, on PostgreSQL to two processes, while a consumer polls the feed."""
    options = () if new_database.startswith("sqlite") else ("--workers", "2")
    writer_count, writes_each = 6, 20
    with run_server(new_database, *options) as server:
        token = create_token(server, "default")

        def write(number: int) -> list[str]:
            ids = []
            with Client(server, token) as client:
                for index in range(writes_each // 2):
                    ids.append(client.create(f"{number}-{index}@example.com")["id"])
                    client.update(ids[-1], phone=str(index))
            return ids

        def follow() -> list[tuple[int, str, str]]:
            changes: list[tuple[int, str, str]] = []
            after = None
            with Client(server, token) as client:
                while len(changes) < writer_count * writes_each:
                    assert time.monotonic() < deadline, f"only {len(changes)} changes"
                    page = read_feed(client, after, 7)
                    changes += summarize(page)
                    after = page["pageInfo"]["endCursor"] or after
            return changes

        deadline = time.monotonic() + 120
        with ThreadPoolExecutor(writer_count + 1) as pool:
            consumer = pool.submit(follow)
            ids = [i for written in pool.map(write, range(writer_count)) for i in written]
            changes = consumer.result()
        assert [sequence for sequence, _, _ in changes] == list(range(1, len(changes) + 1))
        for kind in ("created", "updated"):
            assert sorted(i for _, k, i in changes if k == kind) == sorted(ids)
