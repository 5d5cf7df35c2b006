"""Versions: a write that says which version it has seen is refused when somebody else was faster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support import Client

UPDATE = """mutation($id: ID!, $v: Int, $node: InputUpdateCustomer!) {
    updateCustomer(id: $id, ifVersion: $v, node: $node) { version phone } }"""
DELETE = "mutation($items: [ID!]!, $v: Int) { deleteCustomers(items: $items, ifVersion: $v) }"


def test_every_change_counts_and_nothing_else_does(client: Client) -> None:
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
    seen = error["extensions"]["version"]
    changed = client.data(UPDATE, id=customer, v=seen, node={"phone": "2"})["updateCustomer"]
    assert changed == {"version": 3, "phone": "2"}
    assert client.data(UPDATE, id=customer, v=None, node={"phone": "3"})


def test_a_conflict_is_told_with_all_else_that_is_wrong(client: Client) -> None:
    customer = client.create("a@example.com")["id"]
    errors = client.errors(UPDATE, id=customer, v=7, node={"email": "nobody"})
    assert [e["key"] for e in errors] == ["errors_version_conflict", "errors_invalid_input"]


def test_customers_are_deleted_if_all_are_of_the_version(client: Client) -> None:
    first, second = (client.create(f"{n}@example.com")["id"] for n in "ab")
    client.update(second, phone="1")
    error = client.expect_error("errors_version_conflict", DELETE, items=[first, second], v=1)
    assert error["extensions"]["id"] == second
    assert error["extensions"]["version"] == 2
    assert client.emails() == ["b@example.com", "a@example.com"]
    assert client.data(DELETE, items=[first], v=1) == {"deleteCustomers": [first]}
    assert client.data(DELETE, items=[second], v=2) == {"deleteCustomers": [second]}


def test_of_those_who_have_seen_the_same_version_one_writes(client: Client) -> None:
    customer = client.create("a@example.com")["id"]

    def write(number: int) -> str:
        response = client.run(UPDATE, id=customer, v=1, node={"phone": str(number)})
        return response["errors"][0]["key"] if "errors" in response else "written"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(write, range(8)))
    assert outcomes == ["errors_version_conflict"] * 7 + ["written"]
