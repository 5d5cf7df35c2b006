"""Restoring values of the history with `revertChange`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Client

pytestmark = pytest.mark.both_databases

FIELDS = "id phone email notes tags custom version accepts_marketing shipping_address { city zip }"
REVERT = f"""mutation($s: Float!, $f: [String!], $force: Boolean, $v: Int, $d: Boolean) {{
  revertChange(sequence: $s, fields: $f, force: $force, ifVersion: $v, dryRun: $d) {{ {FIELDS} }} }}"""


def last_change(client: Client) -> float:
    query = "{ customerChanges(first: 250) { edges { node { sequence } } } }"
    sequences: list[float] = [
        e["node"]["sequence"] for e in client.data(query)["customerChanges"]["edges"]
    ]
    return max(sequences)


def update(client: Client, customer: dict[str, Any], **node: Any) -> float:
    client.update(customer["id"], **node)
    return last_change(client)


def revert(client: Client, sequence: float, **more: Any) -> dict[str, Any]:
    reverted: dict[str, Any] = client.data(REVERT, s=sequence, **more)["revertChange"]
    return without_version(reverted)


def without_version(customer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in customer.items() if name != "version"}


def refused(client: Client, sequence: float, **more: Any) -> dict[str, Any]:
    (error,) = client.errors(REVERT, s=sequence, **more)
    return error


@pytest.fixture
def customer(client: Client) -> dict[str, Any]:
    return client.create(
        "a@x.test",
        FIELDS,
        phone="1",
        tags=["a"],
        custom={"tier": "gold", "n": 1},
        shipping_address={"city": "Fes", "zip": "1"},
    )


def test_a_revert_and_the_revert_of_it(client: Client, customer: dict[str, Any]) -> None:
    change = update(
        client,
        customer,
        phone="2",
        notes="x",
        tags=["b"],
        custom={"tier": "silver", "n": None, "m": 2},
        shipping_address={"city": "Rabat"},
        email="b@x.test",
    )
    after = without_version(client.node(customer["id"], f"... on Customer {{ {FIELDS} }}"))
    tried = revert(client, change, d=True)
    assert tried == without_version(customer)
    assert last_change(client) == change
    assert revert(client, change) == without_version(customer)
    assert revert(client, last_change(client)) == after


def test_single_fields_and_parts_are_restored(client: Client, customer: dict[str, Any]) -> None:
    change = update(client, customer, phone="2", notes="x", custom={"tier": None, "n": 2})
    partly = revert(client, change, f=["phone", "custom.tier"])
    assert (partly["phone"], partly["notes"]) == ("1", "x")
    assert partly["custom"] == {"tier": "gold", "n": 2}


def test_a_field_that_changed_since_needs_force(client: Client, customer: dict[str, Any]) -> None:
    change = update(client, customer, phone="2", notes="x")
    update(client, customer, phone="3")
    error = refused(client, change)
    assert (error["key"], error["extensions"]["fields"]) == ("errors_version_conflict", ["phone"])
    assert error["extensions"]["customer"]["phone"] == "3"
    assert revert(client, change, force=True) == without_version(customer)


def test_a_revert_of_a_version(client: Client, customer: dict[str, Any]) -> None:
    change = update(client, customer, phone="2")
    assert refused(client, change, v=1)["key"] == "errors_version_conflict"
    assert revert(client, change, v=2)["phone"] == "1"


def test_values_of_other_customers_are_refused(client: Client, customer: dict[str, Any]) -> None:
    change = update(client, customer, email="b@x.test")
    client.create("a@x.test")
    assert refused(client, change)["key"] == "errors_dup_email"
    added = 'mutation($id: ID!) { addExternalIds(id: $id, externalIds: [{source: "crm", id: "1"}]) { id } }'
    removed = added.replace("addExternalIds", "removeExternalIds")
    client.data(added, id=customer["id"])
    client.data(removed, id=customer["id"])
    change = last_change(client)
    other = client.create("c@x.test")
    client.data(added, id=other["id"])
    assert refused(client, change)["key"] == "errors_dup_external_id"


def test_what_cannot_be_restored(client: Client, customer: dict[str, Any]) -> None:
    change = update(client, customer, accepts_marketing=True)
    for more in ({}, {"f": ["accepts_marketing"]}):
        assert refused(client, change, **more)["key"] == "errors_invalid_input"
    change = update(client, customer, phone="5")
    for fields in (["notes"], ["x"], [], ["phone"] * 101):
        assert refused(client, change, f=fields)["key"] == "errors_invalid_input"
    for sequence in (1, 0, -5, 1e9, 2.0**60):
        assert refused(client, sequence)["key"] == "changes_not_found"
    client.data("mutation($i: [ID!]!) { deleteCustomers(items: $i) }", i=[customer["id"]])
    assert refused(client, change)["key"] == "changes_not_found"
