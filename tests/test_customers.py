"""Create, retrieve, update and delete customers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support import Client

pytestmark = pytest.mark.both_databases

ALL_FIELDS: dict[str, Any] = {
    "phone": "+212 537-000000",
    "first_name": "Yassir",
    "last_name": "Ennazk",
    "accepts_marketing": True,
    "notes": "Two\nlines",
    "tags": ["vip", "B2B"],
    "custom": {"loyalty": "gold", "sizes": [38, 39.5], "deep": {"a": None, "b": True}},
    "shipping_address": {
        "line1": "1 Rue de Fès",
        "line2": "2nd floor",
        "city": "Rabat",
        "area": "Agdal",
        "country": "ma",
        "first_name": "Yassir",
        "last_name": "Ennazk",
        "zip": "10000",
        "state": "Rabat-Salé",
        "email": "office@example.com",
        "phone": "123",
    },
}
ADDRESS = "id _id line1 line2 city area country first_name last_name zip state email phone toString"


def test_create_returns_the_input_values(client: Client) -> None:
    fields = f"""email phone first_name last_name full_name accepts_marketing notes tags custom
        location avatar shipping_address {{ {ADDRESS} }} billing_address {{ id }} __typename"""
    created = client.create("Yassir@Example.COM", fields, **ALL_FIELDS)
    assert created == {
        "email": "Yassir@example.com",
        "phone": "+212 537-000000",
        "first_name": "Yassir",
        "last_name": "Ennazk",
        "full_name": "Yassir Ennazk",
        "accepts_marketing": True,
        "notes": "Two\nlines",
        "tags": ["vip", "B2B"],
        "custom": {"loyalty": "gold", "sizes": [38, 39.5], "deep": {"b": True}},
        "location": "MA, Rabat",
        "avatar": "//www.gravatar.com/avatar/" + hashlib.md5(b"yassir@example.com").hexdigest(),
        "shipping_address": {
            **ALL_FIELDS["shipping_address"],
            "id": "QWRkcmVzczoy",
            "_id": 2,
            "country": "MA",
            "toString": "1 Rue de Fès, 2nd floor, Rabat, Agdal, Rabat-Salé, 10000, MA",
        },
        "billing_address": None,
        "__typename": "Customer",
    }


def test_a_customer_with_only_an_email_has_empty_values(client: Client) -> None:
    fields = """phone first_name last_name full_name location accepts_marketing notes custom tags
        expenses orders_count leads { id } summary { visits orders { expenses count list {
        referrer } } } shipping_address { id } billing_address { id }"""
    assert client.create("a@example.com", fields) == {
        "phone": "",
        "first_name": "",
        "last_name": "",
        "full_name": "",
        "location": "",
        "accepts_marketing": False,
        "notes": None,
        "custom": None,
        "tags": [],
        "expenses": 0,
        "orders_count": 0,
        "leads": [],
        "summary": {"visits": 0, "orders": {"expenses": 0, "count": 0, "list": []}},
        "shipping_address": None,
        "billing_address": None,
    }


def test_omitted_address_fields_are_empty(client: Client) -> None:
    created = client.create(
        "a@example.com", f"billing_address {{ {ADDRESS} }}", billing_address={"city": "Fès"}
    )
    assert created["billing_address"] == {
        **dict.fromkeys(ADDRESS.split(), ""),
        "id": "QWRkcmVzczoz",
        "_id": 3,
        "city": "Fès",
        "country": None,
        "toString": "Fès",
    }


@pytest.mark.parametrize(
    ("shipping", "billing", "location"),
    [
        ({"city": "Rabat", "country": "MA"}, {"city": "Lyon", "country": "FR"}, "MA, Rabat"),
        ({"city": "Rabat"}, {"city": "Lyon", "country": "FR"}, "Rabat"),
        ({"country": "MA"}, None, "MA"),
        ({"line1": "1 Rue"}, {"city": "Lyon", "country": "FR"}, "FR, Lyon"),
        (None, {"country": "FR"}, "FR"),
        (None, None, ""),
    ],
)
def test_location_prefers_the_shipping_address(
    client: Client, shipping: Any, billing: Any, location: str
) -> None:
    node = {"shipping_address": shipping, "billing_address": billing}
    assert client.create("a@example.com", "location", **node) == {"location": location}


def test_strings_are_trimmed_and_normalized(client: Client) -> None:
    created = client.create(
        "  a@example.com\t",
        "email first_name last_name full_name tags",
        first_name="  Jose\u0301 ",
        last_name="\n",
        tags=[" a ", "", "a", "  ", "b", "A"],
    )
    assert created == {
        "email": "a@example.com",
        "first_name": "José",
        "last_name": "",
        "full_name": "José",
        "tags": ["a", "b", "A"],
    }


def test_ids_are_never_reused(client: Client) -> None:
    ids = [client.create(f"{n}@example.com")["_id"] for n in range(3)]
    client.delete("3")
    errors = client.errors(
        "mutation($node: InputCustomer!) { createCustomer(node: $node) { id } }",
        node={"email": "0@example.com"},
    )
    assert errors[0]["key"] == "errors_dup_email"
    assert [*ids, client.create("again@example.com")["_id"]] == [1, 2, 3, 4]


def test_an_update_merges_fields(client: Client) -> None:
    fields = (
        f"email phone first_name tags custom shipping_address {{ {ADDRESS} }} accepts_marketing"
    )
    before = client.create("a@example.com", fields, **ALL_FIELDS)
    after = client.update(
        "1",
        fields,
        first_name="Y.",
        custom={"loyalty": None, "deep": {"b": None, "c": [1]}, "new": 1},
        shipping_address={"line2": None, "city": "Salé"},
    )
    assert after == {
        **before,
        "first_name": "Y.",
        "custom": {"sizes": [38, 39.5], "deep": {"c": [1]}, "new": 1},
        "shipping_address": {
            **before["shipping_address"],
            "line2": "",
            "city": "Salé",
            "toString": "1 Rue de Fès, Salé, Agdal, Rabat-Salé, 10000, MA",
        },
    }
    assert client.update("1", "tags", tags=["new"]) == {"tags": ["new"]}


def test_null_clears_nullable_fields(client: Client) -> None:
    fields = "notes custom shipping_address { id } billing_address { id }"
    client.create("a@example.com", fields, billing_address={"city": "Fès"}, **ALL_FIELDS)
    cleared = {"notes": None, "custom": None, "shipping_address": None, "billing_address": None}
    assert client.update("1", fields, **cleared) == cleared


@pytest.mark.parametrize(
    "field", ["email", "phone", "first_name", "last_name", "accepts_marketing", "tags"]
)
def test_null_is_rejected_for_required_fields(client: Client, field: str) -> None:
    client.create("a@example.com", **ALL_FIELDS)
    mutation = "mutation($n: InputUpdateCustomer!) { updateCustomer(id: 1, node: $n) { id } }"
    error = client.expect_error("errors_invalid_input", mutation, n={field: None})
    assert error["extensions"]["input_path"] == ["node", field]


def test_an_address_without_values_is_null(client: Client) -> None:
    created = client.create(
        "a@example.com", "shipping_address { id }", shipping_address={"city": "  "}
    )
    assert created == {"shipping_address": None}


def test_a_write_without_changes_keeps_updated_at(client: Client) -> None:
    timestamp = 'updated_at(format: "x")'
    created = client.create("a@example.com", timestamp, **ALL_FIELDS)
    same = {**ALL_FIELDS, "email": "a@example.com", "custom": {"loyalty": "gold"}}
    assert client.update("1", timestamp, **same) == created
    assert client.update("1", timestamp) == created
    changed = client.update("1", timestamp, phone="1")
    assert int(changed["updated_at"]) > int(created["updated_at"])


def test_the_case_of_an_email_can_be_changed(client: Client) -> None:
    client.create("ana@example.com")
    assert client.update("1", "email", email="Ana@example.com") == {"email": "Ana@example.com"}


def test_emails_are_unique_case_insensitively(client: Client) -> None:
    client.create("ana@example.com")
    client.create("other@example.com")
    create = "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }"
    error = client.expect_error("errors_dup_email", create, n={"email": "ANA@EXAMPLE.com"})
    assert error["path"] == ["createCustomer"]
    assert error["extensions"]["input_path"] == ["node", "email"]
    update = "mutation($n: InputUpdateCustomer!) { updateCustomer(id: 2, node: $n) { id } }"
    client.expect_error("errors_dup_email", update, n={"email": "Ana@example.com"})
    assert client.create("josé@example.com")["_id"] == 3
    assert client.create("jose@example.com")["_id"] == 4


def test_the_email_of_a_deleted_customer_can_be_reused(client: Client) -> None:
    client.create("ana@example.com")
    assert client.delete("1") == ["Q3VzdG9tZXI6MQ=="]
    assert client.create("ana@example.com")["_id"] == 2
    assert client.node("Q3VzdG9tZXI6MQ==", "id") is None


def test_delete_returns_ids_in_input_order(client: Client) -> None:
    ids = [client.create(f"{n}@example.com")["id"] for n in range(3)]
    assert client.delete(ids[2], "1", ids[2]) == [ids[2], ids[0], ids[2]]
    assert client.emails() == ["1@example.com"]
    assert client.delete() == []


def test_delete_is_atomic(client: Client) -> None:
    client.create("a@example.com")
    mutation = "mutation($i: [ID!]!) { deleteCustomers(items: $i) }"
    missing = ["7", "T3JkZXI6MQ==", "rubbish"]
    error = client.expect_error("errors_customer_not_found", mutation, i=["1", *missing])
    assert error["extensions"]["ids"] == missing
    assert client.emails() == ["a@example.com"]


def test_an_update_of_an_unknown_customer_is_rejected(client: Client) -> None:
    mutation = "mutation($id: ID!) { updateCustomer(id: $id, node: {phone: 1}) { id } }"
    mutation = mutation.replace("phone: 1", 'phone: "1"')
    for invalid_id in ("1", "Q3VzdG9tZXI6MQ==", "T3JkZXI6MQ==", "", "9" * 40, "\u0000"):
        error = client.expect_error("errors_customer_not_found", mutation, id=invalid_id)
        assert error["extensions"]["ids"] == [invalid_id]


@pytest.mark.parametrize(
    "id_form", ["Q3VzdG9tZXI6MQ==", "Q3VzdG9tZXI6MQ", "Q3VzdG9tZXI6MQ=", "1", " 1 "]
)
def test_ids_are_accepted_without_padding_and_as_numbers(client: Client, id_form: str) -> None:
    client.create("a@example.com")
    assert client.update(id_form, "_id", phone="1") == {"_id": 1}


def test_delete_accepts_integer_ids(client: Client) -> None:
    client.create("a@example.com")
    assert client.data("mutation { deleteCustomers(items: [1]) }")["deleteCustomers"]


@pytest.mark.parametrize(
    "invalid_id",
    ["9", "", "Customer:1", "Q3VzdG9tZXI6MDE=", "VW5rbm93bjox", "Q3VzdG9tZXI6MQ==x", "\u0000", "é"]
    # Customer:0, Customer:-1, Customer:1073741824, Address:1, Address:99
    + ["Q3VzdG9tZXI6MA==", "Q3VzdG9tZXI6LTE=", "Q3VzdG9tZXI6MTA3Mzc0MTgyNA==", "QWRkcmVzczox"]
    + ["QWRkcmVzczo5OQ==", "QWRkcmVzczoz", "T3JkZXI6MQ==", "TGVhZDox", "Q3VzdG9tZXI6Mg=="],
)
def test_an_unknown_node_is_null(client: Client, invalid_id: str) -> None:
    client.create("a@example.com", shipping_address={"city": "Fès"})
    assert client.node(invalid_id, "id __typename") is None


def test_an_address_is_a_node_until_it_is_removed(client: Client) -> None:
    created = client.create(
        "a@example.com", "shipping_address { id }", shipping_address={"city": "Fès"}
    )
    address = created["shipping_address"]["id"]
    node = client.node(address, "__typename id ... on Address { city } ... on Customer { email }")
    assert node == {"__typename": "Address", "id": address, "city": "Fès"}
    client.update("1", shipping_address=None)
    assert client.node(address, "id") is None


def test_custom_fields_are_equal_as_literal_and_variable(client: Client) -> None:
    literal = '{a: 1, b: 2.50, c: "x", d: [true, null], e: {f: 12345678901234567890}, g: 1e2}'
    mutation = (
        f'mutation {{ createCustomer(node: {{email: "a@b.co", custom: {literal}}}) {{ custom }} }}'
    )
    expected = {"a": 1, "b": 2.5, "c": "x", "d": [True, None], "g": 100.0}
    expected["e"] = {"f": 12345678901234567890}
    assert client.data(mutation)["createCustomer"] == {"custom": expected}
    assert client.update("1", "custom", custom=expected) == {"custom": expected}
    nested = (
        "mutation($v: CustomFields) { updateCustomer(id: 1, node: {custom: {h: $v}}) { custom } }"
    )
    assert client.data(nested, v={"x": 1})["updateCustomer"]["custom"]["h"] == {"x": 1}


def test_text_of_all_scripts_is_preserved(client: Client) -> None:
    names = [
        "محمد",
        "王小明",
        "Мария",
        "Ελένη",
        "İpek",
        "ıpek",
        "Nguyễn",
        "👩‍👩‍👧",
        "كِتَاب",
        "हिन्दी",
    ]
    for index, name in enumerate(names):
        created = client.create(f"{index}@example.com", "first_name", first_name=name)
        assert created == {"first_name": name}
    for email in ("用户@例子.中国", "Ελένη@παράδειγμα.ελ", "josé@exämple.com"):
        assert client.create(email, "email") == {"email": email}


def test_mutations_of_a_document_run_in_order(client: Client) -> None:
    response = client.run(
        """mutation {
          a: createCustomer(node: {email: "a@example.com"}) { _id }
          b: updateCustomer(id: 1, node: {phone: "1"}) { phone }
          c: deleteCustomers(items: [1])
          d: createCustomer(node: {email: "a@example.com"}) { _id }
          e: createCustomer(node: {email: "A@example.com"}) { _id }
          f: createCustomer(node: {email: "never@example.com"}) { _id }
        }"""
    )
    assert response["data"] is None
    assert [(e["path"], e["key"]) for e in response["errors"]] == [(["e"], "errors_dup_email")]
    assert client.emails() == ["a@example.com"]
