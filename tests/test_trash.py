"""The trash: deleted customers are out of sight until they are restored or purged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.store import Store, parse_url
from regulars.store.migrate import run_in_snapshot
from regulars.store.query import Query
from regulars.trash.table import trash
from tests.support import Client, Server, create_token, find_account_name, run_regulars, with_store

pytestmark = pytest.mark.both_databases

FEED = "{ customerChanges(first: 250) { edges { node { kind customer_id fields { name } } } } }"
DELETE = """mutation($i: [ID!]!, $permanent: Boolean) {
    deleteCustomers(items: $i, permanent: $permanent) }"""
UPDATE = "mutation($i: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $i, node: $n) { id } }"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as each:
        yield each


def changes(client: Client) -> list[tuple[str, int]]:
    """Return the kind of each change and its number of fields."""
    edges = client.data(FEED)["customerChanges"]["edges"]
    return [(edge["node"]["kind"], len(edge["node"]["fields"])) for edge in edges]


def set_trash_days(client: Client, server: Server, days: int) -> None:
    options = ("--account", find_account_name(server, client.token), "--set", f"trash_days={days}")
    result = run_regulars("account", "settings", *options, "--database-url", server.database_url)
    assert result.returncode == 0, result.stderr


def read_trash(server: Server, email: str) -> list[Any]:
    """Return the rows of the trash with an email."""

    def read(connection: sa.Connection) -> list[Any]:
        rows = connection.execute(trash.select().where(trash.c.email == email))
        return [dict(row) for row in rows.mappings()]

    return run_in_snapshot(parse_url(server.database_url), read)


def verify(server: Server) -> None:
    result = run_regulars("verify", "--json", "--database-url", server.database_url)
    assert json.loads(result.stdout)["problems"] == []


def test_a_deleted_customer_is_out_of_sight_and_its_values_are_free(
    server: Server, client: Client
) -> None:
    email = f"gone.{server.pid}@example.com"
    customer = client.create(email, first_name="Ana", tags=["vip"])
    record = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
    order = client.data(record, n={"name": "#1", "email": email, "total": 5})["recordOrder"]["id"]
    headers = {"Idempotency-Key": "once"}
    variables = {"i": customer["id"], "n": {"notes": "A note."}}
    assert "errors" not in client.post(UPDATE, variables, headers).json()
    kinds = [("created", 0), ("order_created", 2), ("order_confirmed", 0), ("updated", 1)]
    assert changes(client) == kinds
    assert client.data(DELETE, i=[customer["_id"], customer["id"]]) == {
        "deleteCustomers": [customer["id"]] * 2
    }
    (row,) = read_trash(server, email)
    assert (row["full_name"], row["orders_count"], row["actor"]) == ("Ana", 1, "test")
    assert row["purge_at"] == row["deleted_at"] + 30 * 86_400_000

    for object_id in (customer["id"], order):
        assert client.node(object_id, "id") is None
    assert client.emails() == client.emails("ana") == client.emails("tag:vip") == []
    assert client.data("{ statistics { customers } }") == {"statistics": {"customers": 0}}
    assert changes(client) == [*((kind, 0) for kind, _ in kinds), ("deleted", 0)]
    repeated = client.post(UPDATE, variables, headers).json()
    assert repeated["errors"][0]["key"] == "errors_customer_not_found"
    client.expect_error("errors_customer_not_found", DELETE, i=[customer["id"]])
    again = client.create(email)
    assert again["_id"] > customer["_id"]
    assert client.data(record, n={"name": "#1", "email": email, "total": 7})["recordOrder"]["id"]
    verify(server)


@pytest.mark.parametrize("is_permanent", [True, False])
def test_a_customer_is_deleted_at_once(server: Server, client: Client, is_permanent: bool) -> None:
    """With `permanent`, and without a trash."""
    email = f"once.{server.pid}.{is_permanent}@example.com"
    customer = client.create(email)
    if not is_permanent:
        set_trash_days(client, server, 0)
    assert client.delete(customer["id"], permanent=is_permanent) == [customer["id"]]
    assert read_trash(server, email) == []
    assert changes(client) == [("created", 0), ("deleted", 0)]


def test_a_setting_applies_to_the_next_request(server: Server, client: Client) -> None:
    for days in (1, 3_650, 2):
        email = f"days.{server.pid}.{days}@example.com"
        customer = client.create(email)
        set_trash_days(client, server, days)
        client.delete(customer["id"])
        (row,) = read_trash(server, email)
        assert row["purge_at"] - row["deleted_at"] == days * 86_400_000


@pytest.mark.slow
def test_a_customer_with_too_much_data_is_only_deleted_permanently(
    server: Server, client: Client
) -> None:
    large = client.create("large@example.com")
    small = client.create("small@example.com")
    leads = sa.text(
        """INSERT INTO leads (account_id, lead_id, customer_id, subject, message, created_at)
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1100)
        SELECT (SELECT max(account_id) FROM customers WHERE email_key = 'large@example.com'), n,
            :customer, '', :message, 0 FROM numbers"""
    )

    async def fill(store: Store) -> None:
        values = {"customer": large["_id"], "message": "x" * 64_000}
        await store.execute([(Query(leads), values)])

    with_store(server.database_url, fill)
    error = client.expect_error("errors_invalid_input", DELETE, i=[large["id"]])
    assert "64 MiB. Pass `permanent: true`" in error["message"]
    error = client.expect_error("errors_invalid_input", DELETE, i=[small["id"], large["id"]])
    assert "Send fewer customers" in error["message"]
    assert sorted(client.emails()) == ["large@example.com", "small@example.com"]
    assert client.delete(small["id"])
    assert client.delete(large["id"], permanent=True)


def test_the_trash_of_an_account_is_deleted_with_the_account(server: Server) -> None:
    name = f"trash of {server.pid}"
    database = ("--database-url", server.database_url)
    assert run_regulars("account", "create", name, *database).returncode == 0
    email = f"account.{server.pid}@example.com"
    with Client(server, create_token(server, name)) as client:
        client.delete(client.create(email)["id"])
    assert len(read_trash(server, email)) == 1
    assert run_regulars("account", "delete", name, "--yes", *database).returncode == 0
    assert read_trash(server, email) == []
