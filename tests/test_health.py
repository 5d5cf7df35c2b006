"""Seeing it run: alive, ready, figures, and a line of the log for each request."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    eventually,
    figures,
    get,
    running,
    scratch_database,
)

SECRET = "secret.person@example.com"


def test_a_server_is_alive_and_ready(server: Server) -> None:
    alive, ready = (get(f"{server.url}/{name}") for name in ("healthz", "readyz"))
    assert (alive.status_code, alive.json()["status"]) == (200, "ok")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert httpx.head(f"{server.url}/healthz").status_code == 200
    assert httpx.post(f"{server.url}/healthz").status_code == 405


def test_a_server_with_other_tables_is_not_ready(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    path = tmp_path / "r.db"
    with running(f"sqlite:///{path}") as server:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.execute("UPDATE compatibility SET oldest = '9999'")
            connection.commit()
        answer = get(f"{server.url}/readyz")
        assert answer.status_code == 503
        assert "9999" in answer.json()["database"]
        assert get(f"{server.url}/healthz").status_code == 200


CREATE = "mutation($n: InputCustomer!) { createCustomer(node: $n) { id } }"


def assert_refuses_writes(server: Server, client: Client, email: str) -> None:
    ready = get(f"{server.url}/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] in ("not writable", "unreachable")
    assert get(f"{server.url}/healthz").status_code == 200
    answer = client.post(CREATE, {"n": {"email": email}})
    assert answer.status_code == 503, answer.text
    assert answer.json()["errors"][0]["key"] == "errors_unavailable"


@pytest.mark.parametrize("file", ["r.db", "r.db-wal"])
def test_a_server_whose_sqlite_file_is_gone_refuses_writes(tmp_path: Path, file: str) -> None:
    """A write to a deleted file would be answered, and gone after a restart."""
    path, elsewhere = tmp_path / file, tmp_path / "elsewhere"
    with running(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("before@example.com")
            path.rename(elsewhere)
            assert_refuses_writes(server, client, "deleted@example.com")
            path.write_bytes(elsewhere.read_bytes())  # another file, of the same name
            assert_refuses_writes(server, client, "replaced@example.com")
            elsewhere.rename(path)
            assert get(f"{server.url}/readyz").status_code == 200
            client.create("after@example.com")
            assert client.emails() == ["after@example.com", "before@example.com"]


def test_a_server_whose_postgresql_is_read_only_refuses_writes(new_postgresql: str) -> None:
    name = urlsplit(new_postgresql).path.strip("/")

    async def set_read_only(state: str) -> None:
        connection = await asyncpg.connect(
            new_postgresql.replace("postgresql+asyncpg", "postgresql")
        )
        try:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(
                f'ALTER DATABASE "{name}" SET default_transaction_read_only = {state}'
            )
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()

    with running(new_postgresql) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        client.create("before@example.com")
        asyncio.run(set_read_only("on"))
        eventually(lambda: get(f"{server.url}/readyz").status_code == 503)
        assert_refuses_writes(server, client, "read-only@example.com")
        asyncio.run(set_read_only("off"))
        eventually(lambda: get(f"{server.url}/readyz").status_code == 200)
        client.create("after@example.com")
        assert client.emails() == ["after@example.com", "before@example.com"]


def test_requests_are_counted_and_timed(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for _ in range(3):
                client.run("query Names { customers { totalCount } }")
            client.create(SECRET)
            client.errors(
                f'query Wrong {{ customers(query: "nothing:{SECRET}") {{ totalCount }} }}'
            )
        found = figures(server.url)
        names = '{kind="query",operation="Names",status="200"}'
        assert found[f"regulars_requests_total{names}"] == 3
        assert found['regulars_request_seconds_count{kind="query"}'] == 4
        assert found['regulars_request_seconds_count{kind="mutation"}'] == 1
        assert found['regulars_errors_total{key="errors_invalid_query"}'] == 1
        assert found['regulars_documents_total{result="miss"}'] == 4
        assert found['regulars_documents_total{result="hit"}'] == 1
        assert found["regulars_documents_kept"] == 1
        assert found["regulars_writes_waiting"] == 0
        assert found["regulars_requests_in_flight"] == 0
        assert found["process_resident_memory_bytes"] > 0
        assert SECRET not in get(f"{server.url}/metrics").text


def test_the_names_of_operations_are_bounded(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.run(f"query {'Long' * 10_000} {{ __typename }}")
            for number in range(150):
                client.run(f"query Name{number} {{ __typename }}")
        found = [name for name in figures(server.url) if name.startswith("regulars_requests_total")]
        assert len(found) == 101
        assert any('operation="other"' in name for name in found)
        assert max(len(name) for name in found) < 200


@pytest.mark.slow
def test_the_figures_are_those_of_all_processes(postgresql: str) -> None:
    with scratch_database(postgresql) as url, running(url, "--workers", "2") as server:
        for _ in range(30):
            with Client(server, BOOTSTRAP_TOKEN) as client:  # a new connection each
                client.run("query Spread { __typename }")
        name = 'regulars_requests_total{kind="query",operation="Spread",status="200"}'
        deadline = time.monotonic() + 15
        while figures(server.url).get(name) != 30:
            assert time.monotonic() < deadline, figures(server.url)
            time.sleep(0.5)
        assert figures(server.url)["regulars_connections_free"] >= 1


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_request_is_a_line_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as log, running(f"sqlite:///{tmp_path / 'r.db'}", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            created = client.post(
                'mutation Add($e: String!) { createCustomer(node: {email: $e, notes: "sécret"}) { email } }',
                {"e": SECRET},
            )
            client.errors(f'{{ customers(query: "nothing:{SECRET}") {{ totalCount }} }}')
            client.refused(
                "errors_dup_email",
                f'mutation {{ createCustomer(node: {{email: "{SECRET}"}}) {{ id }} }}',
            )
            client.http.post("/api/v2", headers={"Authorization": "Bearer wrong-token"})
    added, search, duplicate, stranger = lines_of(path)
    assert added["event"] == "request"
    assert added["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", added["time"])
    assert added["request_id"] == created.headers["x-request-id"]
    assert (added["operation"], added["kind"]) == ("Add", "mutation")
    assert (added["status"], added["cost"], added["errors"]) == (200, 11, [])
    assert 0 < added["ms"] < 10_000
    assert added["account"] == 1
    assert search["errors"] == ["errors_invalid_query"]
    assert duplicate["errors"] == ["errors_dup_email"]
    assert (stranger["status"], stranger["errors"]) == (401, ["errors_unauthenticated"])
    assert (stranger["account"], stranger["token"]) == (None, None)
    written = path.read_text()
    for secret in (SECRET, "sécret", BOOTSTRAP_TOKEN, "wrong-token"):
        assert secret not in written


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_that_is_ours_is_left_when_the_log_is_closed(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """A reader of the log that goes away takes no request with it."""
    import os

    url = f"sqlite:///{tmp_path / 'r.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("postgresql")
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as log, running(url, log=log) as server:
        os.close(reading)
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for _ in range(5):
                assert client.post("{ __typename }").status_code in (200, 401)
                time.sleep(0.05)
