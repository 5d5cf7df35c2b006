"""Versions: a write with `ifVersion` is refused if the customer has changed since."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from regulars.store import Store
from regulars.store.query import Query
from regulars.store.tables import idempotency_records
from tests.support import Client, Server, create_token

UPDATE = """mutation($id: ID!, $v: Int, $node: InputUpdateCustomer!) {
    updateCustomer(id: $id, ifVersion: $v, node: $node) { version phone } }"""
DELETE = "mutation($items: [ID!]!, $v: Int) { deleteCustomers(items: $items, ifVersion: $v) }"


def test_only_changes_increment_the_version(client: Client) -> None:
    customer = client.create("a@example.com", "id version")
    assert customer["version"] == 1
    assert client.update(customer["id"], "version", phone="1")["version"] == 2
    assert client.update(customer["id"], "version", phone="1")["version"] == 2
    assert client.update(customer["id"], "version")["version"] == 2
    assert client.update(customer["id"], "version", notes="x")["version"] == 3


def test_an_update_of_an_older_version_is_refused(client: Client) -> None:
    customer = client.create("a@example.com")["id"]
    assert client.data(UPDATE, id=customer, v=1, node={"phone": "1"})
    error = client.expect_error(
        "errors_version_conflict", UPDATE, id=customer, v=1, node={"phone": "2"}
    )
    assert error["extensions"]["version"] == 2
    assert error["extensions"]["id"] == customer
    assert error["extensions"]["input_path"] == ["ifVersion"]
    version = error["extensions"]["version"]
    updated = client.data(UPDATE, id=customer, v=version, node={"phone": "2"})["updateCustomer"]
    assert updated == {"version": 3, "phone": "2"}
    assert client.data(UPDATE, id=customer, v=None, node={"phone": "3"})


def test_a_version_conflict_has_the_present_customer(server: Server) -> None:
    """Its form is that of a webhook's body, with `version` and `updated_at`."""
    scopes = ("customers", "orders:write")
    with Client(server, create_token(server, scopes=scopes)) as client:
        created = client.create("a@example.com", "id _id", tags=["vip"])
        lead = 'recordLead(node: {email: "a@example.com", message: "Hello"}) { id }'
        client.data(f"mutation {{ {lead} {lead.replace('recordLead', 'second: recordLead')} }}")
        client.update(created["id"], phone="1", shipping_address={"city": "Fès"})
        error = client.expect_error(
            "errors_version_conflict", UPDATE, id="1", v=1, node={"phone": "2"}
        )
        extensions = error["extensions"]
        assert (extensions["id"], extensions["_id"], extensions["version"]) == ("1", 1, 4)
        customer = extensions["customer"]
        present = client.node(
            created["id"], '... on Customer { updated_at(format: "ISO") version }'
        )
        assert {name: customer[name] for name in present} == present
        assert (customer["id"], customer["_id"]) == (created["id"], 1)
        assert (customer["email"], customer["phone"]) == ("a@example.com", "1")
        assert (customer["tags"], customer["shipping_address"]["city"]) == (["vip"], "Fès")
        assert [lead["_id"] for lead in customer["leads"]] == [2, 1]
        assert customer["__typename"] == "Customer"


def test_the_first_conflicts_of_a_request_have_their_customers(client: Client) -> None:
    items = [client.create(f"{n}@example.com")["id"] for n in range(12)]
    errors = client.errors(TAGS, items=items, v=2, tags=["vip"])
    assert [error["extensions"]["_id"] for error in errors] == list(range(1, 13))
    customers = [error["extensions"].get("customer") for error in errors]
    assert [c and c["email"] for c in customers] == [
        *(f"{n}@example.com" for n in range(10)),
        None,
        None,
    ]


def test_a_repeated_request_gets_the_present_customer(client: Client) -> None:
    """Nothing of the customer is stored with the refusal."""
    customer = client.create("secret@example.com")["id"]
    variables = {"id": customer, "v": 7, "node": {"phone": "1"}}
    header = {"Idempotency-Key": "one"}

    def send() -> dict[str, Any]:
        (error,) = client.post(UPDATE, variables, header).json()["errors"]
        assert (error["key"], error["extensions"]["version"]) == ("errors_version_conflict", 1)
        extensions: dict[str, Any] = error["extensions"]
        return extensions

    assert send()["customer"]["version"] == 1
    client.update(customer, phone="2")
    assert (send()["customer"]["version"], send()["customer"]["phone"]) == (2, "2")

    async def stored(store: Store) -> str:
        return str(await store.fetch(Query(sa.select(idempotency_records.c.outcome)), {}))

    assert "errors_version_conflict" in client.server.store.run(stored)
    assert "secret@example.com" not in client.server.store.run(stored)
    client.delete(customer)
    assert "customer" not in send()


def test_version_conflict_is_reported_with_other_errors(client: Client) -> None:
    customer = client.create("a@example.com")["id"]
    errors = client.errors(UPDATE, id=customer, v=7, node={"email": "nobody"})
    assert [e["key"] for e in errors] == ["errors_version_conflict", "errors_invalid_input"]


def test_customers_are_deleted_only_if_all_versions_match(client: Client) -> None:
    first, second = (client.create(f"{n}@example.com")["id"] for n in "ab")
    client.update(second, phone="1")
    error = client.expect_error("errors_version_conflict", DELETE, items=[first, second], v=1)
    assert error["extensions"]["id"] == second
    assert error["extensions"]["version"] == 2
    assert client.emails() == ["b@example.com", "a@example.com"]
    assert client.data(DELETE, items=[first], v=1) == {"deleteCustomers": [first]}
    assert client.data(DELETE, items=[second], v=2) == {"deleteCustomers": [second]}


TAGS = """mutation($items: [ID!]!, $v: Int, $tags: [String!]!) {
    add: addTags(items: $items, tags: $tags, ifVersion: $v) { version tags } }"""
UNTAG = """mutation($items: [ID!]!, $v: Int, $tags: [String!]!) {
    remove: removeTags(items: $items, tags: $tags, ifVersion: $v) { version tags } }"""
SET = """mutation($nodes: [InputSetCustomer!]!) {
    setCustomers(nodes: $nodes, errorPolicy: REJECT_ROW) {
      rows { outcome errors { key message input_path } customer { version phone } } } }"""


def test_tags_change_only_if_all_versions_match(client: Client) -> None:
    first, second = (client.create(f"{n}@example.com")["id"] for n in "ab")
    client.update(second, phone="1")
    items = [first, second]
    error = client.expect_error("errors_version_conflict", TAGS, items=items, v=1, tags=["vip"])
    assert error["extensions"]["id"] == second
    assert error["extensions"]["version"] == 2
    added = client.data(TAGS, items=[first], v=1, tags=["vip"])
    assert added == {"add": [{"version": 2, "tags": ["vip"]}]}
    client.expect_error("errors_version_conflict", UNTAG, items=[second], v=1, tags=["vip"])
    removed = client.data(UNTAG, items=items, v=2, tags=["vip"])
    assert removed == {"remove": [{"version": 3, "tags": []}, {"version": 2, "tags": []}]}


def test_rows_are_saved_only_with_their_versions(client: Client) -> None:
    customer = client.create("a@example.com")["id"]
    client.update(customer, phone="1")
    rows = client.data(
        SET,
        nodes=[
            {"id": customer, "if_version": 1, "phone": "2"},
            {"email": "new@example.com", "if_version": 1},
        ],
    )["setCustomers"]["rows"]
    assert [row["outcome"] for row in rows] == ["REJECTED", "REJECTED"]
    assert [(e["key"], e["input_path"]) for row in rows for e in row["errors"]] == [
        ("errors_version_conflict", ["nodes", 0, "if_version"]),
        ("errors_customer_not_found", ["nodes", 1, "if_version"]),
    ]
    assert "new@example.com" in rows[1]["errors"][0]["message"]
    assert client.emails() == ["a@example.com"]
    (row,) = client.data(SET, nodes=[{"email": "A@example.com", "if_version": 2, "phone": "3"}])[
        "setCustomers"
    ]["rows"]
    assert row == {"outcome": "UPDATED", "errors": [], "customer": {"version": 3, "phone": "3"}}


def test_one_of_several_concurrent_updates_with_the_same_version_succeeds(client: Client) -> None:
    customer = client.create("a@example.com")["id"]

    def write(number: int) -> str:
        response = client.run(UPDATE, id=customer, v=1, node={"phone": str(number)})
        return response["errors"][0]["key"] if "errors" in response else "written"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(write, range(8)))
    assert outcomes == ["errors_version_conflict"] * 7 + ["written"]
