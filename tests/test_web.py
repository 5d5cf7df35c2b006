"""The web's own traps: other pages' scripts and forms, headers, names that point here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import BOOTSTRAP_TOKEN, Client, Server, create_token, get, run_server

MUTATION = 'mutation { createCustomer(node: {email: "a@example.com"}) { id } }'
ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def open_to_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
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
def test_what_a_form_can_send_is_refused(client: Client, kind: str) -> None:
    body = json.dumps({"query": MUTATION}).encode()
    headers = {"Content-Type": kind} if kind else {}
    answer = client.http.post("/api/v2", content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["key"] == "errors_media_type"
    assert client.emails() == []


def test_a_page_of_another_origin_gets_nothing_by_default(client: Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answers = [
        client.http.options("/api/v2", headers=asked),
        client.post("{ __typename }", headers={"Origin": ORIGIN}),
    ]
    assert answers[0].status_code == 405
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_page_of_an_origin_that_is_configured_may_call(open_to_pages: Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = open_to_pages.http.options("/api/v2", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "idempotency-key" in allowed
    answer = open_to_pages.post("{ __typename }", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
    refused = open_to_pages.http.post(
        "/api/v2", json={}, headers={"Origin": ORIGIN, "Authorization": "Bearer wrong"}
    )
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "https://app.example.com.evil.example", "null", ""]
)
def test_no_other_page_may_call(open_to_pages: Client, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = open_to_pages.http.options("/api/v2", headers=asked)
    assert answer.status_code == 405
    for one in (answer, open_to_pages.post("{ __typename }", headers={"Origin": origin})):
        assert "access-control-allow-origin" not in one.headers
        assert one.headers["vary"] == "Origin"


def test_credentials_are_never_allowed(open_to_pages: Client) -> None:
    answer = open_to_pages.post("{ __typename }", headers={"Origin": ORIGIN})
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_every_answer_keeps_browsers_from_making_anything_of_it(client: Client) -> None:
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


def test_the_figures_are_for_this_machine_or_a_token(server: Server, client: Client) -> None:
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


def test_nobody_writes_a_line_of_the_log(tmp_path: Path) -> None:
    """Whatever a client sends: each line is JSON, and one of ours."""
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
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines
    assert {line["event"] for line in lines} == {"request"}
    assert "forged" not in path.read_text()
    assert lines[-1]["request_id"] == "mine-1"
