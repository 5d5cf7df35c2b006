"""Versions: a write with `ifVersion` is refused if the customer has changed since."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support import Client

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
