"""GraphQL over HTTP: methods, media types, status codes."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support import Client

QUERY = "{ __typename }"
GRAPHQL_RESPONSE = "application/graphql-response+json"
MUTATION = 'mutation { createCustomer(node: {email: "a@example.com"}) { id } }'


def post_body(client: Client, body: bytes, **headers: str) -> httpx.Response:
    """Sends a body with the content type of JSON."""
    all_headers = {"Content-Type": "application/json", **headers}
    return client.http.post("/api/v2", content=body, headers=all_headers)


def expect(answer: httpx.Response, status: int, key: str) -> dict[str, Any]:
    """Checks a GraphQL response with one error and no data. Returns the error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert error["key"] == error["extensions"]["key"] == key
    assert error["name"] == "ReportedError"
    return dict(error)


@pytest.mark.parametrize("path", ["/api/v2", "/graphql"])
def test_post_and_get_return_the_same_response(client: Client, path: str) -> None:
    posted = client.http.post(path, json={"query": QUERY, "extensions": {}})
    fetched = client.http.get(path, params={"query": QUERY, "extensions": "{}", "variables": ""})
    for answer in (posted, fetched):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert answer.headers["x-request-id"]


def test_get_accepts_variables_and_an_operation_name(client: Client) -> None:
    client.create("a@example.com")
    query = "query a { __typename } query b($n: Int) { customers(first: $n) { edges { node { _id } } } }"
    answer = client.http.get(
        "/api/v2", params={"query": query, "operationName": "b", "variables": '{"n": 1}'}
    )
    assert answer.json() == {"data": {"customers": {"edges": [{"node": {"_id": 1}}]}}}


def test_get_refuses_mutations(client: Client) -> None:
    answer = client.http.get("/api/v2", params={"query": MUTATION})
    expect(answer, 405, "errors_method")
    assert answer.headers["allow"] == "POST"
    assert client.emails() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    answer = client.http.request(method, "/api/v2")
    expect(answer, 405, "errors_method")
    assert answer.headers["allow"] == "GET, POST"


def test_an_unknown_path_is_not_found(client: Client) -> None:
    expect(client.http.get("/elsewhere"), 404, "errors_not_found")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "Bearer é"],
)
def test_a_request_without_a_valid_token_is_refused(
    client: Client, authorization: str | None
) -> None:
    headers = []
    if authorization is not None:
        value = authorization.format(token=client.token)
        headers = [(b"Authorization", value.encode("latin-1"))]
    answer = httpx.post(f"{client.server.url}/api/v2", json={"query": QUERY}, headers=headers)
    expect(answer, 401, "errors_unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_authorization_scheme_is_case_insensitive(client: Client) -> None:
    headers = {"Authorization": f"bearer {client.token}"}
    assert post_body(client, b'{"query":"{__typename}"}', **headers).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'"{ __typename }"',
        b"[]",
        b'[{"query":"{ __typename }"}]',
        b"{}",
        b'{"query":null}',
        b'{"query":1}',
        b'{"query":"{ __typename }","variables":[]}',
        b'{"query":"{ __typename }","variables":"{}"}',
        b'{"query":"{ __typename }","operationName":1}',
        b'{"query":"{ __typename }","extensions":1}',
        b'{"query":"{ __typename }"} x',
        b'{"query":"\\ud800"}',
        b'{"query":"\xff"}',
        b'{"query":"{ __typename }","variables":{"a":NaN}}',
        b"[" * 100_000,
        b'{"query":"{ __typename }","variables":' + b'{"a":' * 100_000,
    ],
)
def test_an_invalid_body_is_refused(client: Client, body: bytes) -> None:
    expect(post_body(client, body), 400, "errors_bad_request")


@pytest.mark.parametrize(
    "query_string",
    [
        "",
        "variables={}",
        "query=%FF",
        "query={__typename}&variables=x",
        "query={__typename}&variables=[]",
    ]
    + ["query={__typename}&extensions=1", "query={__typename}&variables=%FF"],
)
def test_an_invalid_query_string_is_refused(client: Client, query_string: str) -> None:
    address = f"{client.server.url}/api/v2?{query_string}"
    expect(client.http.get(address), 400, "errors_bad_request")


@pytest.mark.parametrize("name", ["variables", "operationName", "extensions"])
def test_a_null_parameter_is_ignored(client: Client, name: str) -> None:
    body = json.dumps({"query": QUERY, name: None}).encode()
    assert post_body(client, body).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    + ["application/graphql", "application/json; charset=utf-16", "application/jsonx"],
)
def test_another_content_type_is_refused(client: Client, content_type: str) -> None:
    answer = post_body(client, b'{"query":"{ __typename }"}', **{"Content-Type": content_type})
    expect(answer, 415, "errors_media_type")


def test_a_compressed_body_is_refused(client: Client) -> None:
    answer = post_body(client, b"x", **{"Content-Encoding": "gzip"})
    expect(answer, 415, "errors_media_type")


def test_a_body_with_the_identity_encoding_is_read(client: Client) -> None:
    encoding = {"Content-Encoding": "identity"}  # RFC 9110, 8.4.1 and 12.5.3: no encoding
    assert post_body(client, b'{"query":"{ __typename }"}', **encoding).status_code == 200
    file = client.http.post("/import/preview", content=b"email\na@example.com\n", headers=encoding)
    assert file.status_code == 200


@pytest.mark.parametrize("content_type", ["application/json;charset=UTF-8", "Application/JSON"])
def test_the_content_type_is_case_insensitive(client: Client, content_type: str) -> None:
    answer = post_body(client, b'{"query":"{ __typename }"}', **{"Content-Type": content_type})
    assert answer.status_code == 200


def test_the_body_limit_is_exact(client: Client) -> None:
    limit = 2 * 1024 * 1024
    body = b'{"query":"{ __typename }","extensions":{"x":"%s"}}'
    fits = body % (b"x" * (limit - len(body) + 2))
    assert len(fits) == limit
    assert post_body(client, fits).status_code == 200
    expect(post_body(client, fits + b" "), 413, "errors_body_limit")
    expect(post_body(client, b"x" * 10_000_000), 413, "errors_body_limit")


def test_a_chunked_body_is_limited(client: Client) -> None:
    answer = client.http.post(
        "/api/v2",
        content=(b" " * 65_536 for _ in range(100)),
        headers={"Content-Type": "application/json"},
    )
    expect(answer, 413, "errors_body_limit")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, application/json;q=0.9", GRAPHQL_RESPONSE),
        (f"application/json, {GRAPHQL_RESPONSE};q=0.5", "application/json"),
        (f"{GRAPHQL_RESPONSE};q=0", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_the_media_type_is_negotiated(client: Client, accept: str, media: str) -> None:
    answer = post_body(client, b'{"query":"{ __typename }"}', Accept=accept)
    assert answer.headers["content-type"] == media
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{", {}),
        ("{ nothing }", {}),
        ("query a { __typename } query b { __typename }", {}),
        ("fragment f on Query { __typename }", {}),
        ("query($n: Int!) { customers(first: $n) { edges { cursor } } }", {}),
        ("query($n: Int) { customers(first: $n) { edges { cursor } } }", {"n": "1"}),
        ("subscription { x }", {}),
    ],
)
def test_the_status_of_an_invalid_document_depends_on_the_media_type(
    client: Client, query: str, variables: dict[str, Any]
) -> None:
    body = json.dumps({"query": query, "variables": variables}).encode()
    for accept, status in (("application/json", 200), (GRAPHQL_RESPONSE, 400)):
        answer = post_body(client, body, Accept=accept)
        assert answer.status_code == status
        assert list(answer.json()) == ["errors"]


def test_a_field_error_has_status_200(client: Client) -> None:
    body = json.dumps({"query": "{ customers(first: -1) { edges { cursor } } }"}).encode()
    for accept in ("application/json", GRAPHQL_RESPONSE):
        answer = post_body(client, body, Accept=accept)
        assert answer.status_code == 200
        assert answer.json()["data"] is None


def test_a_valid_request_id_of_the_client_is_returned(client: Client) -> None:
    body = b'{"query":"{ __typename }"}'
    request_id = "01HV-abc_1.2"
    assert (
        post_body(client, body, **{"X-Request-Id": request_id}).headers["x-request-id"]
        == request_id
    )
    for invalid_id in ("a b", "x" * 65, "a;b"):
        answer = post_body(client, body, **{"X-Request-Id": invalid_id})
        assert answer.headers["x-request-id"] != invalid_id
    first, second = (post_body(client, body).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_an_incomplete_request_does_not_affect_others(client: Client) -> None:
    address = urlsplit(client.server.url)
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 0)) as connection:
        head = f"POST /api/v2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        connection.sendall(head.encode())
    assert client.data(QUERY) == {"__typename": "Query"}


def test_a_long_query_string_is_read(client: Client) -> None:
    query = quote("{ __typename " + " " * 5_000 + "}")
    assert client.http.get(f"/api/v2?query={query}").status_code == 200
