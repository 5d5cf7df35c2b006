"""Bad input: each gets its documented answer, and the database is as it was."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import Client

pytestmark = pytest.mark.any_database

CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { id } }"
UPDATE = "mutation($node: InputUpdateCustomer!) { updateCustomer(id: 1, node: $node) { id } }"
LONG = 10_000_000


def paths(errors: list[dict[str, Any]]) -> list[list[Any]]:
    """Where the faults of errors lie; all of them are of the input."""
    assert {error["key"] for error in errors} == {"errors_invalid_input"}, errors
    return [error["extensions"]["input_path"] for error in errors]


@pytest.mark.parametrize(
    ("field", "value", "place"),
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
def test_a_value_that_cannot_be_kept_is_refused(
    client: Client, field: str, value: Any, place: list[Any]
) -> None:
    client.create("kept@example.com", phone="1")
    expected = [["node", field, *place]]
    assert paths(client.errors(CREATE, node={"email": "a@example.com", field: value})) == expected
    assert paths(client.errors(UPDATE, node={field: value})) == expected
    assert client.page("email phone", first=5)["edges"][0]["node"]["phone"] == "1"
    assert client.emails() == ["kept@example.com"]


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
def test_a_value_at_the_limit_is_kept(client: Client, field: str, value: Any) -> None:
    selection = {"shipping_address": "city", "billing_address": "country"}.get(field)
    fields = f"{field} {{ {selection} }}" if selection else field
    node = {"email": "a@example.com", field: value}
    kept = client.data(CREATE.replace("{ id }", f"{{ {fields} }}"), node=node)["createCustomer"]
    if field == "tags":
        assert kept["tags"] == list(dict.fromkeys(value))
    elif field == "notes":
        assert kept["notes"] == value.strip()
    elif field == "billing_address":
        assert kept["billing_address"] == {"country": "FR"}
    else:
        assert kept == {field: value}


def test_every_fault_is_reported(client: Client) -> None:
    client.create("taken@example.com")
    node = {
        "email": "Taken@example.com",
        "phone": "1" * 65,
        "tags": ["x" * 256, "ok", "\u0000"],
        "shipping_address": {"country": "ZZ", "city": "\u0000"},
    }
    for document in (CREATE, UPDATE.replace("id: 1", "id: 7")):
        errors = client.errors(document, node=node)
        found = [(error["key"], error["extensions"]["input_path"]) for error in errors]
        expected = [
            ("errors_invalid_input", ["node", "phone"]),
            ("errors_invalid_input", ["node", "tags", 0]),
            ("errors_invalid_input", ["node", "tags", 2]),
            ("errors_invalid_input", ["node", "shipping_address", "country"]),
            ("errors_invalid_input", ["node", "shipping_address", "city"]),
        ]
        by_database = {
            CREATE: ("errors_dup_email", ["node", "email"]),
        }.get(document, ("errors_customer_not_found", ["id"]))
        assert sorted(found, key=str) == sorted([*expected, by_database], key=str)
        assert {tuple(error["path"]) for error in errors} == {
            ("createCustomer",) if document == CREATE else ("updateCustomer",)
        }
    assert client.emails() == ["taken@example.com"]


@pytest.mark.parametrize(
    ("node", "place"),
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
def test_a_value_of_the_wrong_type_says_where(client: Client, node: str, place: list[Any]) -> None:
    expected = [["node", *place]]
    literal = f"mutation {{ createCustomer(node: {node}) {{ id }} }}"
    assert paths(client.errors(literal)) == expected
    value = json.loads(
        node.replace("{", '{"').replace(": ", '": ').replace(", ", ', "').replace('{"}', "{}")
        .replace(', "1]', ", 1]").replace('""', '"')
    ) if place != ["tags", 1] else {"email": "a@b.co", "tags": ["a", 1]}  # fmt: skip
    assert paths(client.errors(CREATE, node=value)) == expected
    assert client.emails() == []


def test_an_unknown_field_may_have_any_name(client: Client) -> None:
    for name in ("İ", "\u0000", "", "fist_name"):
        (error,) = client.errors(CREATE, node={"email": "a@b.co", name: 1})
        assert error["key"] == "errors_invalid_input"
        assert error["extensions"]["input_path"][0] == "node"
    assert "Did you mean 'first_name'" in error["message"]


def test_a_refusal_repeats_no_value(client: Client) -> None:
    node = {"email": ["Jane Doe"], "first_name": {"x": "Jane Doe"}, "tags": "x", "nothing": "Jane"}
    for error in client.errors(CREATE, node={**node, "custom": "Jane Doe"}):
        assert "Jane" not in error["message"]
        assert error["message"].endswith((".", "?"))
    literal = 'mutation { createCustomer(node: {first_name: ["Jane"], nothing: "Jane"}) { id } }'
    for error in client.errors(literal):
        assert "Jane" not in error["message"]
    null = client.errors('mutation { createCustomer(node: {email: "a@b.co", phone: null}) { id } }')
    assert null[0]["message"] == "Expected value of non-null type 'String!' not to be null."


def test_a_variable_within_a_literal_says_where(client: Client) -> None:
    document = """mutation($e: String!, $t: String!) {
        createCustomer(node: {email: $e, tags: ["a", $t]}) { id } }"""
    assert paths(client.errors(document, e="a@b.co")) == [["node", "tags", 1]]
    assert paths(client.errors(document, e=1, t=None)) == [["node", "email"], ["node", "tags", 1]]


def test_an_unused_variable_needs_no_value_but_a_right_one(client: Client) -> None:
    document = "query($n: Int!, $s: String!) { customers(first: 1) { edges { cursor } } }"
    assert client.data(document) == {"customers": {"edges": []}}
    assert client.data(document, n=1) == {"customers": {"edges": []}}
    assert paths(client.errors(document, n="1")) == [["n"]]
    assert paths(client.errors(document, n=None, s="x")) == [["n"]]
    assert client.data(document, unknown=1) == {"customers": {"edges": []}}


def test_integers_beyond_32_bits_are_refused(client: Client) -> None:
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
def test_strings_of_10_mb_are_refused(client: Client, field: str) -> None:
    huge = "x" * LONG
    value: Any = {"tags": [huge], "custom": {"x": huge}, "shipping_address": {"city": huge}}.get(
        field, huge
    )
    node = {"email": "a@example.com", field: value}
    answer = client.post(CREATE, {"node": node})
    assert answer.status_code == 413
    assert client.emails() == []


@pytest.mark.parametrize("field", ["email", "phone", "first_name", "notes"])
def test_strings_just_under_the_body_limit_are_refused(client: Client, field: str) -> None:
    node = {"email": "a@example.com", field: "é" * 1_000_000}
    assert paths(client.errors(CREATE, node=node)) == [["node", field]]


@pytest.mark.parametrize("depth", [33, 200, 900])
def test_custom_fields_nested_too_deeply_are_refused(client: Client, depth: int) -> None:
    nested: Any = 1
    for _ in range(depth):
        nested = {"x": nested}
    assert paths(client.errors(CREATE, node={"email": "a@example.com", "custom": nested})) == [
        ["node", "custom"]
    ]


def test_251_ids_are_too_many_to_delete(client: Client) -> None:
    client.create("a@example.com")
    document = "mutation($items: [ID!]!) { deleteCustomers(items: $items) }"
    assert paths(client.errors(document, items=["1"] * 251)) == [["items"]]
    assert client.emails() == ["a@example.com"]
    assert len(client.delete(*["1"] * 250)) == 250


@pytest.mark.parametrize("items", [None, [None], [1.5], [True], [{}], {}])
def test_ids_that_are_none_are_refused(client: Client, items: Any) -> None:
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
def test_a_document_that_is_invalid_is_refused(client: Client, document: str) -> None:
    for error in client.errors(document):
        assert error["key"] == "errors_invalid_document"


CYCLE = "summary { orders { list { order { customer { "


def many(count: int) -> str:
    """Fields of three tokens each."""
    return " ".join(f"a{number}: __typename" for number in range(count))


def nested(cycles: int) -> str:
    """A valid document: an order's customer's orders' customers, and so on."""
    start, end = "{ customers(first: 1) { edges { node { ", " } } } }"
    return start + CYCLE * cycles + "id" + " } } } } }" * cycles + end


@pytest.mark.parametrize(
    "document",
    [
        "{ " + many(3_400) + "}",
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
def test_a_document_that_is_too_large_or_deep_is_refused(client: Client, document: str) -> None:
    error = client.expect_error("errors_document_limit", document)
    assert re.search(r"\d", error["message"])


def test_a_document_at_the_limit_is_answered(client: Client) -> None:
    client.create("a@example.com")
    assert client.data(nested(3))


def test_a_format_that_is_too_long_is_refused(client: Client) -> None:
    client.create("a@example.com")
    document = """query($f: String) { customers { edges { node {
        a: created_at(format: $f) b: created_at } } } }"""
    assert client.data(document, f="[" + "x" * 253 + "]")
    assert paths(client.errors(document, f="Y" * 256)) == [["format"]]
    update = 'mutation($f: String) { createCustomer(node: {email: "b@b.co"}) { created_at(format: $f) } }'
    assert paths(client.errors(update, f="Y" * 256)) == [["format"]]
    assert client.emails() == ["a@example.com"]
