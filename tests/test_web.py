"""Tests of web security: forms and scripts of other sites, headers, host names and the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import BOOTSTRAP_TOKEN, Client, Server, create_token, get, run_server

MUTATION = 'mutation { createCustomer(node: {email: "a@example.com"}) { id } }'
ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def cross_origin_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    url = f"sqlite:///{tmp_path_factory.mktemp('web') / 'r.db'}"
    origins = f"{ORIGIN}/, https://b.example.com"
    with run_server(url, "--cors-origins", origins) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            yield client


def test_get_changes_nothing(client: Client) -> None:
    answer = client.http.get("/api/v2", params={"query": MUTATION})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    both = f"query Q {{ __typename }} {MUTATION.replace('mutation', 'mutation M')}"
    for name, status in (("Q", 200), ("M", 405)):
        params = {"query": both, "operationName": name}
        assert client.http.get("/api/v2", params=params).status_code == status
    assert client.emails() == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "",
    ],
)
def test_content_types_of_forms_are_rejected(client: Client, kind: str) -> None:
    body = json.dumps({"query": MUTATION}).encode()
    headers = {"Content-Type": kind} if kind else {}
    answer = client.http.post("/api/v2", content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["key"] == "errors_media_type"
    assert client.emails() == []


def test_other_origins_are_rejected_by_default(client: Client) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answers = [
        client.http.options("/api/v2", headers=preflight),
        client.post("{ __typename }", headers={"Origin": ORIGIN}),
    ]
    assert answers[0].status_code == 405
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_configured_origin_may_call_the_api(cross_origin_client: Client) -> None:
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = cross_origin_client.http.options("/api/v2", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "idempotency-key" in allowed
    answer = cross_origin_client.post("{ __typename }", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
    refused = cross_origin_client.http.post(
        "/api/v2", json={}, headers={"Origin": ORIGIN, "Authorization": "Bearer wrong"}
    )
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "https://app.example.com.evil.example", "null", ""]
)
def test_an_origin_that_is_not_configured_is_rejected(
    cross_origin_client: Client, origin: str
) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = cross_origin_client.http.options("/api/v2", headers=preflight)
    assert answer.status_code == 405
    for response in (
        answer,
        cross_origin_client.post("{ __typename }", headers={"Origin": origin}),
    ):
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["vary"] == "Origin"


def test_credentials_are_never_allowed(cross_origin_client: Client) -> None:
    answer = cross_origin_client.post("{ __typename }", headers={"Origin": ORIGIN})
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_every_response_has_the_security_headers(client: Client) -> None:
    answers = [
        client.post("{ __typename }"),
        client.post("{ nothing }"),
        client.http.post("/api/v2", content=b"x", headers={"Content-Type": "text/html"}),
        client.http.get("/api/v2"),
        client.http.get("/nothing"),
        client.http.get("/healthz"),
        client.http.get("/readyz"),
        get(f"{client.server.url}/metrics"),
        get(f"{client.server.url}/api/v2"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers


def test_metrics_require_a_local_client_or_a_scope(server: Server, client: Client) -> None:
    def status(**headers: str) -> int:
        return get(f"{server.url}/metrics", headers=headers).status_code

    assert status() == 200
    for name in ("evil.example.com", "127.0.0.1.evil.example", "localhost.evil.example:80"):
        assert status(Host=name) == 401
    for name in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"):
        assert status(Host=name) == 200
    for header in ("X-Forwarded-For", "Forwarded", "Via"):
        assert get(f"{server.url}/metrics", headers={header: "1.2.3.4"}).status_code == 401
    assert status(Authorization="Bearer nothing") == 401
    assert status(Authorization=f"Bearer {client.token}") == 403
    for scope in ("metrics", "admin"):
        token = create_token(server, scopes=(scope,))
        assert status(Authorization=f"Bearer {token}", Host="regulars.example.com") == 200


def test_clients_cannot_inject_log_lines(tmp_path: Path) -> None:
    """Each line is JSON and an event of the server, whatever a client sends."""
    path = tmp_path / "log"
    with path.open("w") as log, run_server(f"sqlite:///{tmp_path / 'r.db'}", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            evil = 'x"}\\n{"level":"error","event":"forged"}'
            for name in (evil, "a\tb", "é", "x" * 5_000):
                body = {"query": "query A { __typename }", "operationName": name}
                client.http.post("/api/v2", json=body)
                client.http.get("/api/v2", params={"query": name})
            client.post("query Secret_Person { __typename }")
            client.post("{ __typename }", headers={"X-Request-Id": 'a"b', "User-Agent": evil})
            client.post("{ __typename }", headers={"X-Request-Id": "mine-1"})
    events = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in events if line["event"] == "request"]
    assert lines
    assert {line["event"] for line in events} == {"request", "start", "ready", "stop"}
    assert "forged" not in path.read_text()
    assert lines[-1]["request_id"] == "mine-1"
