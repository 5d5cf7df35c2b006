"""Texts that break programs: none of them is an internal error, in any argument, on any database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.api.schema import schema
from tests.support import Client, Server, create_token

HOSTILE = {
    "NUL": "a\0b",
    "an unpaired surrogate": "a\ud800b",
    "NUL in base64": "WyJhXHUwMDAwYiIsMV0=",
    "a surrogate in base64": "WyJcdWQ4MDAiLDFd",
    "only NUL": "\0",
    "a noncharacter": "\uffff",
    "marks": "a" + "\u0301\u0316" * 300,
    "an expanding ligature": "\ufdfa" * 200,
    "digits of another script": "٣" * 40,
    "digits that are no decimals": "²³",
}
ALL_SCOPES = ("customers", "orders:write", "webhooks", "admin")
CREATE = "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }"
PLAIN = {"Int": 1, "Float": 1.5, "Boolean": True}


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client that may use every argument."""
    with Client(server, create_token(server, scopes=ALL_SCOPES)) as admin:
        yield admin


def post(client: Client, document: str, variables: dict[str, Any]) -> httpx.Response:
    """The answer to an operation in ASCII JSON, in which a lone surrogate is an escape."""
    body = json.dumps({"query": document, "variables": variables})
    headers = {"content-type": "application/json"}
    return client.http.post("/api/v2", content=body.encode(), headers=headers)


def arguments_with_text(
    type_: GraphQLInputType, text: str, depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Values of an input type with the text in one place each, and where that is."""
    if isinstance(type_, GraphQLNonNull):
        yield from arguments_with_text(type_.of_type, text, depth)
    elif isinstance(type_, GraphQLList):
        for path, value in arguments_with_text(type_.of_type, text, depth):
            yield f"[{path}]", [value]
    elif isinstance(type_, GraphQLInputObjectType):
        required = {
            name: plain(field.type)
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull)
        }
        for name, field in type_.fields.items():
            for path, value in arguments_with_text(field.type, text, depth + 1):
                yield f"{name} {path}", {**required, name: value}
    elif isinstance(type_, GraphQLScalarType) and type_.name not in PLAIN:
        if type_.name in ("CustomFields", "WebhookSettings", "JSON"):
            yield "value", {"key": text}
            yield "key", {text: "value"}
        else:
            yield "", text


def plain(type_: GraphQLInputType) -> Any:
    """A value of a type with nothing wrong."""
    if isinstance(type_, GraphQLNonNull):
        return plain(type_.of_type)
    if isinstance(type_, GraphQLList):
        return [plain(type_.of_type)]
    if isinstance(type_, GraphQLInputObjectType):
        return {
            name: plain(field.type)
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull)
        }
    if isinstance(type_, GraphQLScalarType):
        if type_.name in ("CustomFields", "WebhookSettings", "JSON"):
            return {}
        return PLAIN.get(type_.name, "plain@example.com")
    return next(iter(type_.values))


def requests(text: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """For each place of the schema that takes text: where it is, a document, its variables."""
    built = schema()
    for kind, root in (("query", built.query_type), ("mutation", built.mutation_type)):
        assert isinstance(root, GraphQLObjectType)
        for name, field in root.fields.items():
            yield from _requests_of(kind, name, field, text)


def _requests_of(
    kind: str, name: str, field: GraphQLField, text: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    required = {n: a for n, a in field.args.items() if isinstance(a.type, GraphQLNonNull)}
    selected = "" if str(field.type).strip("[]!") in ("ID", "String") else "{ __typename }"
    for name_of, argument in field.args.items():
        used = {**required, name_of: argument}
        declared = ", ".join(f"${n}: {a.type}" for n, a in used.items())
        passed = ", ".join(f"{n}: ${n}" for n in used)
        document = f"{kind}({declared}) {{ {name}({passed}) {selected} }}"
        for path, value in arguments_with_text(argument.type, text):
            variables = {n: plain(a.type) for n, a in required.items()}
            yield f"{name}({name_of} {path})", document, {**variables, name_of: value}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_in_an_argument_causes_no_internal_error(client: Client, name: str) -> None:
    tried = 0
    for path, document, variables in requests(HOSTILE[name]):
        response = post(client, document, variables)
        assert "errors_internal" not in response.text, (path, response.text)
        assert response.status_code in (200, 400), (path, response.text)
        tried += 1
    assert tried > 150


@pytest.mark.slow
@pytest.mark.parametrize("key", [{}, {"idempotency-key": "nested"}], ids=["", "with a key"])
def test_a_nested_value_in_an_argument_causes_no_internal_error(
    client: Client, key: dict[str, str]
) -> None:
    for path, document, variables in requests("x"):
        if '"x"' not in json.dumps(variables):
            continue  # the text is a key
        body = json.dumps({"query": document, "variables": variables})
        deep = body.replace('"x"', "[" * 600 + "]" * 600)
        headers = {"content-type": "application/json", **key}
        response = client.http.post("/api/v2", content=deep.encode(), headers=headers)
        assert "errors_internal" not in response.text, (path, response.text)
        assert response.status_code in (200, 400), (path, response.text)


@pytest.mark.parametrize("text", ["%00", "a%00b", "%ff", "%ed%a0%80", "%EF%BF%BF"])
def test_hostile_text_in_a_url_causes_no_internal_error(client: Client, text: str) -> None:
    for method, path in (
        ("POST", f"/in/{text}/contact/signup"),
        ("POST", f"/in/default/{text}"),
        ("GET", f"/import/{text}"),
        ("DELETE", f"/import/{text}"),
        ("GET", f"/import/{text}/rejected"),
        ("POST", f"/import?encoding={text}"),
        ("POST", f"/import?delimiter={text}&map={text}"),
        ("POST", f"/import?name={text}"),
        ("POST", f"/import/preview?encoding={text}&map={text}"),
        ("GET", f"/export?query={text}"),
        ("GET", f"/export?columns=custom.{text}"),
        ("GET", f"/export?format={text}"),
        ("GET", f"/api/v2?query={text}"),
        ("GET", f"/{text}"),
    ):
        response = client.http.request(method, path, content=b"email\na@example.com\n")
        assert response.status_code < 500, (method, path, response.text)
        assert "errors_internal" not in response.text


@pytest.mark.parametrize("header", ["idempotency-key", "regulars-change", "lightfunnels-hmac"])
def test_hostile_bytes_in_a_header_cause_no_internal_error(client: Client, header: str) -> None:
    body = json.dumps({"query": CREATE, "variables": {"n": {"email": "h@example.com"}}}).encode()
    for value in (b"\xff\xfe", b"\xed\xa0\x80", b"a" * 5_000):
        for path in ("/api/v2", "/in/default/contact/signup", "/import", "/session"):
            response = client.http.request(
                "POST", path, content=body, headers=[(header.encode(), value)]
            )
            assert response.status_code < 500, (path, response.text)


TEXT = st.text(max_size=20) | st.sampled_from(["Иван", "Søren", "山田", "!", "-", "€", "ﷺ", "ａ"])


@pytest.mark.slow
def test_any_text_in_a_customer_is_stored_or_refused(client: Client) -> None:
    numbers = iter(range(1_000_000))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TEXT, TEXT, st.lists(TEXT, max_size=4), st.none() | TEXT, TEXT)
    def store(first: str, last: str, tags: list[str], notes: str | None, city: str) -> None:
        node = {
            "email": f"any{next(numbers)}@example.com",
            "first_name": first,
            "last_name": last,
            "tags": tags,
            "notes": notes,
            "shipping_address": {"city": city},
        }
        answer = post(client, CREATE, {"n": node}).json()
        keys = {error["key"] for error in answer.get("errors", [])}
        assert keys <= {"errors_invalid_input"}, (node, answer)
        if keys:
            return
        change = {"tags": [*tags, "€"]}
        update = "mutation($i: ID!, $n: InputUpdateCustomer!) { updateCustomer(id: $i, node: $n) { id } }"
        client.data(update, i=answer["data"]["createCustomer"]["id"], n=change)

    store()


@pytest.mark.parametrize("tag", ["!", "-", "€"])
@pytest.mark.parametrize("name", ["Иван", "Søren", "山田"])
def test_a_tag_without_letters_is_stored(client: Client, name: str, tag: str) -> None:
    customer = client.create("plain@example.com", first_name=name, tags=[tag])
    client.data(
        'mutation($i: ID!) { updateCustomer(id: $i, node: {tags: ["€", "vip"]}) { id } }',
        i=customer["id"],
    )
    client.data(
        'mutation($i: [ID!]!) { addTags(items: $i, tags: ["!"]) { id } }', i=[customer["id"]]
    )
    rows = [{"email": f"{n}@example.com", "first_name": name, "tags": [tag]} for n in range(3)]
    result = client.data(
        "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { created } }", n=rows
    )
    assert result["setCustomers"]["created"] == 3
    data = client.data("query($q: String) { customers(query: $q) { totalCount } }", q=name)
    assert data["customers"]["totalCount"] == 4


def test_custom_fields_and_settings_of_php_are_objects(client: Client) -> None:
    customer = client.create("php@example.com", custom=[])
    node = client.data(
        "query($i: ID!) { node(id: $i) { ... on Customer { custom } } }", i=customer["id"]
    )
    assert node["node"]["custom"] == {}
    literal = (
        'mutation { createCustomer(node: {email: "literal@example.com", custom: []}) { custom } }'
    )
    assert client.data(literal)["createCustomer"]["custom"] == {}
    refused = client.run(literal.replace("custom: []", "custom: [1]"))
    assert refused["errors"][0]["key"] in ("errors_invalid_input", "errors_invalid_document")
