"""GraphQL over HTTP: methods, media types, status codes."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support import Client

pytestmark = pytest.mark.any_database

QUERY = "{ __typename }"
GRAPHQL_RESPONSE = "application/graphql-response+json"
MUTATION = 'mutation { createCustomer(node: {email: "a@example.com"}) { id } }'


def raw(client: Client, body: bytes, **headers: str) -> httpx.Response:
    """The answer to a body that is JSON by its own account."""
    given = {"Content-Type": "application/json", **headers}
    return client.http.post("/api/v2", content=body, headers=given)


def expect(answer: httpx.Response, status: int, key: str) -> dict[str, Any]:
    """The error of an answer that is a GraphQL response with one error and no data."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert error["key"] == error["extensions"]["key"] == key
    assert error["name"] == "ReportedError"
    return dict(error)


@pytest.mark.parametrize("path", ["/api/v2", "/graphql"])
def test_post_and_get_answer_the_same(client: Client, path: str) -> None:
    posted = client.http.post(path, json={"query": QUERY, "extensions": {}})
    got = client.http.get(path, params={"query": QUERY, "extensions": "{}", "variables": ""})
    for answer in (posted, got):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert answer.headers["x-request-id"]


def test_get_takes_variables_and_an_operation_name(client: Client) -> None:
    client.create("a@example.com")
    query = "query a { __typename } query b($n: Int) { customers(first: $n) { edges { node { _id } } } }"
    answer = client.http.get(
        "/api/v2", params={"query": query, "operationName": "b", "variables": '{"n": 1}'}
    )
    assert answer.json() == {"data": {"customers": {"edges": [{"node": {"_id": 1}}]}}}


def test_get_changes_nothing(client: Client) -> None:
    answer = client.http.get("/api/v2", params={"query": MUTATION})
    expect(answer, 405, "errors_method")
    assert answer.headers["allow"] == "POST"
    assert client.emails() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    answer = client.http.request(method, "/api/v2")
    expect(answer, 405, "errors_method")
    assert answer.headers["allow"] == "GET, POST"


def test_there_is_nothing_elsewhere(client: Client) -> None:
    expect(client.http.get("/elsewhere"), 404, "errors_not_found")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "Bearer é"],
)
def test_without_a_valid_token_nothing_is_answered(
    client: Client, authorization: str | None
) -> None:
    headers = []
    if authorization is not None:
        value = authorization.format(token=client.token)
        headers = [(b"Authorization", value.encode("latin-1"))]
    answer = httpx.post(f"{client.server.url}/api/v2", json={"query": QUERY}, headers=headers)
    expect(answer, 401, "errors_unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_is_read_without_case(client: Client) -> None:
    headers = {"Authorization": f"bearer {client.token}"}
    assert raw(client, b'{"query":"{__typename}"}', **headers).status_code == 200


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
def test_a_body_that_is_no_request_is_refused(client: Client, body: bytes) -> None:
    expect(raw(client, body), 400, "errors_bad_request")


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
def test_a_query_string_that_is_no_request_is_refused(client: Client, query_string: str) -> None:
    address = f"{client.server.url}/api/v2?{query_string}"
    expect(client.http.get(address), 400, "errors_bad_request")


@pytest.mark.parametrize("name", ["variables", "operationName", "extensions"])
def test_null_is_as_good_as_absent(client: Client, name: str) -> None:
    body = json.dumps({"query": QUERY, name: None}).encode()
    assert raw(client, body).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    + ["application/graphql", "application/json; charset=utf-16", "application/jsonx"],
)
def test_another_content_type_is_refused(client: Client, content_type: str) -> None:
    answer = raw(client, b'{"query":"{ __typename }"}', **{"Content-Type": content_type})
    expect(answer, 415, "errors_media_type")


def test_a_compressed_body_is_refused(client: Client) -> None:
    answer = raw(client, b"x", **{"Content-Encoding": "gzip"})
    expect(answer, 415, "errors_media_type")


def test_a_body_with_the_identity_encoding_is_read(client: Client) -> None:
    encoding = {"Content-Encoding": "identity"}  # RFC 9110, 8.4.1 and 12.5.3: no encoding
    assert raw(client, b'{"query":"{ __typename }"}', **encoding).status_code == 200
    file = client.http.post("/import/preview", content=b"email\na@example.com\n", headers=encoding)
    assert file.status_code == 200


@pytest.mark.parametrize("content_type", ["application/json;charset=UTF-8", "Application/JSON"])
def test_json_in_utf_8_is_taken_however_it_is_written(client: Client, content_type: str) -> None:
    answer = raw(client, b'{"query":"{ __typename }"}', **{"Content-Type": content_type})
    assert answer.status_code == 200


def test_a_body_over_the_limit_is_refused_and_one_at_it_is_read(client: Client) -> None:
    limit = 2 * 1024 * 1024
    body = b'{"query":"{ __typename }","extensions":{"x":"%s"}}'
    fits = body % (b"x" * (limit - len(body) + 2))
    assert len(fits) == limit
    assert raw(client, fits).status_code == 200
    expect(raw(client, fits + b" "), 413, "errors_body_limit")
    expect(raw(client, b"x" * 10_000_000), 413, "errors_body_limit")


def test_a_body_without_a_length_is_limited_too(client: Client) -> None:
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
def test_the_answer_is_of_the_type_that_the_client_prefers(
    client: Client, accept: str, media: str
) -> None:
    answer = raw(client, b'{"query":"{ __typename }"}', Accept=accept)
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
def test_a_request_that_cannot_run_is_200_or_400_by_the_media_type(
    client: Client, query: str, variables: dict[str, Any]
) -> None:
    body = json.dumps({"query": query, "variables": variables}).encode()
    for accept, status in (("application/json", 200), (GRAPHQL_RESPONSE, 400)):
        answer = raw(client, body, Accept=accept)
        assert answer.status_code == status
        assert list(answer.json()) == ["errors"]


def test_a_field_that_fails_is_200_in_both(client: Client) -> None:
    body = json.dumps({"query": "{ customers(first: -1) { edges { cursor } } }"}).encode()
    for accept in ("application/json", GRAPHQL_RESPONSE):
        answer = raw(client, body, Accept=accept)
        assert answer.status_code == 200
        assert answer.json()["data"] is None


def test_the_request_id_of_the_client_is_kept_when_it_is_decent(client: Client) -> None:
    body = b'{"query":"{ __typename }"}'
    given = "01HV-abc_1.2"
    assert raw(client, body, **{"X-Request-Id": given}).headers["x-request-id"] == given
    for wrong in ("a b", "x" * 65, "a;b"):
        answer = raw(client, body, **{"X-Request-Id": wrong})
        assert answer.headers["x-request-id"] != wrong
    first, second = (raw(client, body).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_a_sender_that_hangs_up_harms_nobody(client: Client) -> None:
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
