"""Invalid input returns the documented error and leaves the database unchanged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import Client

CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { id } }"
UPDATE = "mutation($node: InputUpdateCustomer!) { updateCustomer(id: 1, node: $node) { id } }"
LONG_CHARACTERS = 10_000_000


def paths(errors: list[dict[str, Any]]) -> list[list[Any]]:
    """Returns the input paths of errors, all of which must be about the input."""
    assert {error["key"] for error in errors} == {"errors_invalid_input"}, errors
    return [error["extensions"]["input_path"] for error in errors]


@pytest.mark.parametrize(
    ("field", "value", "subpath"),
    [
        ("email", "", []),
        ("email", "nobody", []),
        ("email", "a@b@c.de", []),
        ("email", "a b@example.com", []),
        ("email", "@example.com", []),
        ("email", "a@", []),
        ("email", "a@example", []),
        ("email", "a\u0000@example.com", []),
        ("email", "a\n@example.com", []),
        ("email", "a" * 243 + "@example.com", []),
        ("phone", "1" * 65, []),
        ("phone", "1\u0000", []),
        ("phone", "1\n2", []),
        ("first_name", "x" * 256, []),
        ("first_name", "a\u0000b", []),
        ("first_name", "a\u0085b", []),
        ("last_name", "a\tb", []),
        ("notes", "x" * 65_536, []),
        ("notes", "a\u0007b", []),
        ("tags", ["ok", "x" * 256], [1]),
        ("tags", ["a\u0000"], [0]),
        ("tags", [f"t{n}" for n in range(251)], []),
        ("custom", {"x": "y" * 65_536}, []),
        ("custom", {"x": "\u0000"}, []),
        ("custom", {"\u0000": 1}, []),
        ("shipping_address", {"city": "x" * 256}, ["city"]),
        ("shipping_address", {"phone": "1" * 65}, ["phone"]),
        ("billing_address", {"email": "x" * 255}, ["email"]),
        ("billing_address", {"line1": "a\nb"}, ["line1"]),
        ("billing_address", {"country": "Morocco"}, ["country"]),
        ("billing_address", {"country": "XX"}, ["country"]),
    ],
)
def test_an_invalid_value_is_rejected(
    client: Client, field: str, value: Any, subpath: list[Any]
) -> None:
    client.create("unchanged@example.com", phone="1")
    expected = [["node", field, *subpath]]
    assert paths(client.errors(CREATE, node={"email": "a@example.com", field: value})) == expected
    assert paths(client.errors(UPDATE, node={field: value})) == expected
    assert client.page("email phone", first=5)["edges"][0]["node"]["phone"] == "1"
    assert client.emails() == ["unchanged@example.com"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "a" * 242 + "@example.com"),
        ("phone", "1" * 64),
        ("first_name", "x" * 255),
        ("last_name", "\U0001f600" * 255),
        ("first_name", "\ufdfa" * 255),
        ("notes", "x" * 65_535),
        ("notes", "\U0001f600\n" * 32_767),
        ("tags", [f"{n:0255}" for n in range(250)]),
        ("tags", ["a"] * 1_000),
        ("custom", {"x": "y" * (65_535 - 8)}),
        ("custom", {}),
        ("custom", {"x": 2**63 - 1, "y": -(2**63), "z": 2**64 - 1, "w": 1e308}),
        ("shipping_address", {"city": "x" * 255}),
        ("billing_address", {"country": "fr"}),
    ],
)
def test_a_value_at_the_limit_is_stored(client: Client, field: str, value: Any) -> None:
    selection = {"shipping_address": "city", "billing_address": "country"}.get(field)
    fields = f"{field} {{ {selection} }}" if selection else field
    node = {"email": "a@example.com", field: value}
    created = client.data(CREATE.replace("{ id }", f"{{ {fields} }}"), node=node)["createCustomer"]
    if field == "tags":
        assert created["tags"] == list(dict.fromkeys(value))
    elif field == "notes":
        assert created["notes"] == value.strip()
    elif field == "billing_address":
        assert created["billing_address"] == {"country": "FR"}
    else:
        assert created == {field: value}


def test_all_errors_are_reported_at_once(client: Client) -> None:
    client.create("taken@example.com")
    node = {
        "email": "Taken@example.com",
        "phone": "1" * 65,
        "tags": ["x" * 256, "ok", "\u0000"],
        "shipping_address": {"country": "ZZ", "city": "\u0000"},
    }
    for document in (CREATE, UPDATE.replace("id: 1", "id: 7")):
        errors = client.errors(document, node=node)
        problems = [(error["key"], error["extensions"]["input_path"]) for error in errors]
        expected = [
            ("errors_invalid_input", ["node", "phone"]),
            ("errors_invalid_input", ["node", "tags", 0]),
            ("errors_invalid_input", ["node", "tags", 2]),
            ("errors_invalid_input", ["node", "shipping_address", "country"]),
            ("errors_invalid_input", ["node", "shipping_address", "city"]),
        ]
        from_database = {
            CREATE: ("errors_dup_email", ["node", "email"]),
        }.get(document, ("errors_customer_not_found", ["id"]))
        assert sorted(problems, key=str) == sorted([*expected, from_database], key=str)
        assert {tuple(error["path"]) for error in errors} == {
            ("createCustomer",) if document == CREATE else ("updateCustomer",)
        }
    assert client.emails() == ["taken@example.com"]


@pytest.mark.parametrize(
    ("node", "subpath"),
    [
        ("{}", ["email"]),
        ("{email: null}", ["email"]),
        ("{email: 1}", ["email"]),
        ('{email: "a@b.co", phone: null}', ["phone"]),
        ('{email: "a@b.co", accepts_marketing: "yes"}', ["accepts_marketing"]),
        ('{email: "a@b.co", tags: [null]}', ["tags", 0]),
        ('{email: "a@b.co", tags: ["a", 1]}', ["tags", 1]),
        ('{email: "a@b.co", nothing: 1}', ["nothing"]),
        ('{email: "a@b.co", custom: "x"}', ["custom"]),
        ('{email: "a@b.co", custom: [1]}', ["custom"]),
        ('{email: "a@b.co", shipping_address: {city: 1}}', ["shipping_address", "city"]),
        ('{email: "a@b.co", shipping_address: {town: "x"}}', ["shipping_address", "town"]),
        ("null", []),
        ("[]", []),
        ("1", []),
    ],
)
def test_a_value_of_the_wrong_type_is_rejected_with_its_path(
    client: Client, node: str, subpath: list[Any]
) -> None:
    expected = [["node", *subpath]]
    literal = f"mutation {{ createCustomer(node: {node}) {{ id }} }}"
    assert paths(client.errors(literal)) == expected
    value = json.loads(
        node.replace("{", '{"').replace(": ", '": ').replace(", ", ', "').replace('{"}', "{}")
        .replace(', "1]', ", 1]").replace('""', '"')
    ) if subpath != ["tags", 1] else {"email": "a@b.co", "tags": ["a", 1]}  # fmt: skip
    assert paths(client.errors(CREATE, node=value)) == expected
    assert client.emails() == []


def test_unknown_fields_of_any_name_are_rejected(client: Client) -> None:
    for name in ("İ", "\u0000", "", "fist_name"):
        (error,) = client.errors(CREATE, node={"email": "a@b.co", name: 1})
        assert error["key"] == "errors_invalid_input"
        assert error["extensions"]["input_path"][0] == "node"
    assert "Did you mean 'first_name'" in error["message"]


def test_errors_do_not_contain_input_values(client: Client) -> None:
    node = {"email": ["Jane Doe"], "first_name": {"x": "Jane Doe"}, "tags": "x", "nothing": "Jane"}
    for error in client.errors(CREATE, node={**node, "custom": "Jane Doe"}):
        assert "Jane" not in error["message"]
        assert error["message"].endswith((".", "?"))
    literal = 'mutation { createCustomer(node: {first_name: ["Jane"], nothing: "Jane"}) { id } }'
    for error in client.errors(literal):
        assert "Jane" not in error["message"]
    null = client.errors('mutation { createCustomer(node: {email: "a@b.co", phone: null}) { id } }')
    assert null[0]["message"] == "Expected value of non-null type 'String!' not to be null."


def test_a_variable_inside_a_literal_is_rejected_with_its_path(client: Client) -> None:
    document = """mutation($e: String!, $t: String!) {
        createCustomer(node: {email: $e, tags: ["a", $t]}) { id } }"""
    assert paths(client.errors(document, e="a@b.co")) == [["node", "tags", 1]]
    assert paths(client.errors(document, e=1, t=None)) == [["node", "email"], ["node", "tags", 1]]


def test_an_unused_variable_is_optional_but_checked(client: Client) -> None:
    document = "query($n: Int!, $s: String!) { customers(first: 1) { edges { cursor } } }"
    assert client.data(document) == {"customers": {"edges": []}}
    assert client.data(document, n=1) == {"customers": {"edges": []}}
    assert paths(client.errors(document, n="1")) == [["n"]]
    assert paths(client.errors(document, n=None, s="x")) == [["n"]]
    assert client.data(document, unknown=1) == {"customers": {"edges": []}}


def test_integers_beyond_32_bits_are_rejected(client: Client) -> None:
    document = "query($n: Int) { customers(first: $n) { edges { cursor } } }"
    for number in (2**31, -(2**31) - 1, 2**63, 2**64, 10**30, 1.5, "1", True):
        assert paths(client.errors(document, n=number)) == [["first"]]
        if not isinstance(number, str | bool):
            literal = f"{{ customers(first: {number}) {{ edges {{ cursor }} }} }}"
            if "e" not in str(number):
                assert paths(client.errors(literal)) == [["first"]]
    assert client.data(document, n=1.0) == {"customers": {"edges": []}}


@pytest.mark.parametrize(
    "field", ["email", "phone", "first_name", "notes", "tags", "custom", "shipping_address"]
)
def test_strings_of_10_mb_are_rejected(client: Client, field: str) -> None:
    huge = "x" * LONG_CHARACTERS
    value: Any = {"tags": [huge], "custom": {"x": huge}, "shipping_address": {"city": huge}}.get(
        field, huge
    )
    node = {"email": "a@example.com", field: value}
    response = client.post(CREATE, {"node": node})
    assert response.status_code == 413
    assert client.emails() == []


@pytest.mark.parametrize("field", ["email", "phone", "first_name", "notes"])
def test_strings_just_under_the_body_limit_are_rejected(client: Client, field: str) -> None:
    node = {"email": "a@example.com", field: "é" * 1_000_000}
    assert paths(client.errors(CREATE, node=node)) == [["node", field]]


@pytest.mark.parametrize("depth", [33, 200, 900])
def test_custom_fields_nested_too_deeply_are_rejected(client: Client, depth: int) -> None:
    nested: Any = 1
    for _ in range(depth):
        nested = {"x": nested}
    assert paths(client.errors(CREATE, node={"email": "a@example.com", "custom": nested})) == [
        ["node", "custom"]
    ]


def test_delete_rejects_251_ids(client: Client) -> None:
    client.create("a@example.com")
    document = "mutation($items: [ID!]!) { deleteCustomers(items: $items) }"
    assert paths(client.errors(document, items=["1"] * 251)) == [["items"]]
    assert client.emails() == ["a@example.com"]
    assert len(client.delete(*["1"] * 250)) == 250


@pytest.mark.parametrize("items", [None, [None], [1.5], [True], [{}], {}])
def test_invalid_ids_are_rejected(client: Client, items: Any) -> None:
    document = "mutation($items: [ID!]!) { deleteCustomers(items: $items) }"
    assert paths(client.errors(document, items=items))[0][0] == "items"


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "query { customers { edges { node { nothing } } } }",
        "query { customers { edges } }",
        "query { customers(nothing: 1) { edges { cursor } } }",
        "{ node { id } }",
        "mutation { createCustomer { id } }",
        "query { ...missing }",
        "query { ...a } fragment a on Query { ...a }",
        "query { customers(first: $n) { edges { cursor } } }",
        "query($n: Nothing) { __typename }",
        "query a { __typename } query a { __typename }",
        "query { __typename @nothing }",
        "\u0000",
        "type Query { a: Int }",
        '{ node(id: "\\ud800") { id } }',
    ],
)
def test_an_invalid_document_is_rejected(client: Client, document: str) -> None:
    for error in client.errors(document):
        assert error["key"] == "errors_invalid_document"


CYCLE = "summary { orders { list { order { customer { "


def many_fields(count: int) -> str:
    """Returns fields of three tokens each."""
    return " ".join(f"a{number}: __typename" for number in range(count))


def nested(cycles: int) -> str:
    """Returns a valid document that repeatedly selects the customer of an order of a customer."""
    start, end = "{ customers(first: 1) { edges { node { ", " } } } }"
    return start + CYCLE * cycles + "id" + " } } } } }" * cycles + end


@pytest.mark.parametrize(
    "document",
    [
        "{ " + many_fields(3_400) + "}",
        "{ " + "__typename " * 5_000 + "}",
        "{" + "a{" * 5_000,
        nested(4),
        nested(30),
        nested(190),
        "{ node(id: " + "[" * 5_000 + "]" * 5_000 + ") { id } }",
        "{ ...f0 } "
        + " ".join(f"fragment f{n} on Query {{ ...f{n + 1} }}" for n in range(1_200))
        + " fragment f1200 on Query { __typename }",
    ],
    ids=["tokens", "repetitions", "unclosed", "deep", "deeper", "deepest", "lists", "fragments"],
)
def test_a_document_that_is_too_large_or_deep_is_rejected(client: Client, document: str) -> None:
    error = client.expect_error("errors_document_limit", document)
    assert re.search(r"\d", error["message"])


def test_a_document_at_the_limit_is_accepted(client: Client) -> None:
    client.create("a@example.com")
    assert client.data(nested(3))


def test_a_format_that_is_too_long_is_rejected(client: Client) -> None:
    client.create("a@example.com")
    document = """query($f: String) { customers { edges { node {
        a: created_at(format: $f) b: created_at } } } }"""
    assert client.data(document, f="[" + "x" * 253 + "]")
    assert paths(client.errors(document, f="Y" * 256)) == [["format"]]
    update = 'mutation($f: String) { createCustomer(node: {email: "b@b.co"}) { created_at(format: $f) } }'
    assert paths(client.errors(update, f="Y" * 256)) == [["format"]]
    assert client.emails() == ["a@example.com"]
