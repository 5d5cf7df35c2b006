"""Liveness, readiness, metrics, and the log of requests."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from regulars.core.clock import now_ms
from regulars.store import Store
from regulars.webhooks.signatures import secrets_of
from tests.support import (
    BOOTSTRAP_TOKEN,
    Client,
    Server,
    get,
    read_metrics,
    run_server,
    scratch_database,
    wait_until,
    with_store,
)

SECRET = "secret.person@example.com"


def test_a_server_is_alive_and_ready(server: Server) -> None:
    alive, ready = (get(f"{server.url}/{name}") for name in ("healthz", "readyz"))
    assert (alive.status_code, alive.json()["status"]) == (200, "ok")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert httpx.head(f"{server.url}/healthz").status_code == 200
    assert httpx.post(f"{server.url}/healthz").status_code == 405


def test_a_server_with_an_incompatible_schema_is_not_ready(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    path = tmp_path / "r.db"
    with run_server(f"sqlite:///{path}") as server:
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


@pytest.mark.slow
@pytest.mark.parametrize("file", ["r.db", "r.db-wal"])
def test_a_server_whose_sqlite_file_is_gone_refuses_writes(tmp_path: Path, file: str) -> None:
    """A write to a deleted file would succeed, and be lost after a restart."""
    path, moved_path = tmp_path / file, tmp_path / "elsewhere"
    with run_server(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("before@example.com")
            path.rename(moved_path)
            assert_refuses_writes(server, client, "deleted@example.com")
            path.write_bytes(moved_path.read_bytes())  # another file, of the same name
            assert_refuses_writes(server, client, "replaced@example.com")
            moved_path.rename(path)
            assert get(f"{server.url}/readyz").status_code == 200
            client.create("after@example.com")
            assert client.emails() == ["after@example.com", "before@example.com"]


@pytest.mark.slow
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

    with run_server(new_postgresql) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        client.create("before@example.com")
        asyncio.run(set_read_only("on"))
        wait_until(lambda: get(f"{server.url}/readyz").status_code == 503)
        assert_refuses_writes(server, client, "read-only@example.com")
        asyncio.run(set_read_only("off"))
        wait_until(lambda: get(f"{server.url}/readyz").status_code == 200)
        client.create("after@example.com")
        assert client.emails() == ["after@example.com", "before@example.com"]


def test_requests_are_counted_and_timed(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for _ in range(3):
                client.run("query Names { customers { totalCount } }")
            client.create(SECRET)
            client.errors(
                f'query Wrong {{ customers(query: "nothing:{SECRET}") {{ totalCount }} }}'
            )
        metrics = read_metrics(server.url)
        names = '{kind="query",operation="Names",status="200"}'
        assert metrics[f"regulars_requests_total{names}"] == 3
        assert metrics['regulars_request_duration_seconds_count{kind="query"}'] == 4
        assert metrics['regulars_request_duration_seconds_count{kind="mutation"}'] == 1
        # The old name, for one version.
        assert metrics['regulars_request_seconds_count{kind="query"}'] == 4
        assert metrics["regulars_connections_cut_off"] == 0
        assert metrics["regulars_slow_connections_closed_total"] == 0
        assert metrics["regulars_database_duration_seconds_count"] > 5
        assert (
            metrics['regulars_database_duration_seconds_bucket{le="+Inf"}']
            == (metrics["regulars_database_duration_seconds_count"])
        )
        assert any(name.startswith("regulars_build_info{") for name in metrics)
        assert metrics['regulars_errors_total{key="errors_invalid_query"}'] == 1
        assert metrics['regulars_documents_total{result="miss"}'] == 4
        assert metrics['regulars_documents_total{result="hit"}'] == 1
        assert metrics["regulars_documents_cached"] == 1
        # The uses of tokens are written in the background.
        wait_until(lambda: read_metrics(server.url)["regulars_writes_waiting"] == 0)
        assert metrics["regulars_requests_in_flight"] == 0
        assert metrics["process_resident_memory_bytes"] > 0
        assert SECRET not in get(f"{server.url}/metrics").text


@pytest.mark.slow
def test_operation_labels_are_limited(tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path / 'r.db'}") as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.run(f"query {'Long' * 10_000} {{ __typename }}")
            for number in range(150):
                client.run(f"query Name{number} {{ __typename }}")
        series = [
            name for name in read_metrics(server.url) if name.startswith("regulars_requests_total")
        ]
        assert len(series) == 101
        assert any('operation="other"' in name for name in series)
        assert max(len(name) for name in series) < 200


@pytest.mark.slow
def test_metrics_include_all_processes(postgresql: str) -> None:
    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        for _ in range(30):
            with Client(server, BOOTSTRAP_TOKEN) as client:  # a new connection each
                client.run("query Spread { __typename }")
        name = 'regulars_requests_total{kind="query",operation="Spread",status="200"}'
        deadline = time.monotonic() + 60
        while read_metrics(server.url).get(name) != 30:
            assert time.monotonic() < deadline, read_metrics(server.url)
            time.sleep(0.5)
        metrics = read_metrics(server.url)
        # Housekeeping may use every open connection at this moment.
        states = ("idle", "in_use")
        assert sum(metrics[f"regulars_database_connections_{state}"] for state in states) >= 1
        # One process reads the figures of the database, soon after it has started.
        wait_until(lambda: read_metrics(server.url).get("regulars_webhooks_waiting") == 0)


def read_log(path: Path, event: str = "request") -> list[dict[str, Any]]:
    """Returns the lines of the log about an event."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_each_request_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as log, run_server(f"sqlite:///{tmp_path / 'r.db'}", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            created = client.post(
                'mutation Add($e: String!) { createCustomer(node: {email: $e, notes: "sécret"}) { email } }',
                {"e": SECRET},
            )
            client.errors(f'{{ customers(query: "nothing:{SECRET}") {{ totalCount }} }}')
            client.expect_error(
                "errors_dup_email",
                f'mutation {{ createCustomer(node: {{email: "{SECRET}"}}) {{ id }} }}',
            )
            client.http.post("/api/v2", headers={"Authorization": "Bearer wrong-token"})
    added, search, duplicate, stranger = read_log(path)
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
    log_text = path.read_text()
    for secret in (SECRET, "sécret", BOOTSTRAP_TOKEN, "wrong-token"):
        assert secret not in log_text


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_closed_log_does_not_fail_requests(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """Requests succeed after the reader of the log has closed the pipe."""
    import os

    url = f"sqlite:///{tmp_path / 'r.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("postgresql")
    reading, background_writes = os.pipe()
    with os.fdopen(background_writes, "w") as log, run_server(url, log=log) as server:
        os.close(reading)
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for _ in range(5):
                assert client.post("{ __typename }").status_code in (200, 401)
                time.sleep(0.05)


TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID_TRACE = f"00-{TRACE_ID}-{SPAN_ID}-01"
INVALID_TRACES = (
    f"ff-{TRACE_ID}-{SPAN_ID}-01",
    f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
    f"00-{'0' * 32}-{SPAN_ID}-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    f"00-{TRACE_ID}-{SPAN_ID}-01-more",
    f'00-{TRACE_ID}-{SPAN_ID}-01","x":"y',
    "x" * 3_000,
    "",
)


def test_the_trace_of_a_request_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "log"
    valid = (VALID_TRACE, f"cc-{TRACE_ID}-{SPAN_ID}-01-what-comes-later")
    with path.open("w") as log, run_server(f"sqlite:///{tmp_path / 'r.db'}", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for trace in (*valid, *INVALID_TRACES):
                answer = client.post("{ __typename }", headers={"traceparent": trace})
                assert answer.status_code == 200
            client.http.get("/export", headers={"traceparent": VALID_TRACE})
    lines = read_log(path)
    traces = [(line.get("trace_id"), line.get("parent_span_id")) for line in lines]
    assert traces[: len(valid)] == [(TRACE_ID, SPAN_ID)] * len(valid)
    assert traces[len(valid) : -1] == [(None, None)] * len(INVALID_TRACES)
    assert traces[-1] == (TRACE_ID, SPAN_ID)


def test_slow_statements_are_logged_without_values(new_database: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    env = {"REGULARS_SLOW_STATEMENT_SECONDS": "0.001"}
    with path.open("w") as log, run_server(new_database, log=log, env=env) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            for number in range(5):
                rows = [{"email": f"{n}.{number}.{SECRET}", "notes": SECRET} for n in range(200)]
                client.data(
                    "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { ok: __typename } }",
                    n=rows,
                )
    slow = read_log(path, "slow_statement")
    assert slow
    assert all(line["ms"] >= 1 and line["level"] == "warning" for line in slow)
    assert any("INSERT INTO" in line["statement"] or "COMMIT" in line["statement"] for line in slow)
    assert SECRET not in path.read_text()


@pytest.mark.slow
@pytest.mark.both_databases
def test_waiting_and_failed_work_is_measured(new_database: str, tmp_path: Path) -> None:
    backup = tmp_path / "backups" / "r.backup"
    backup.parent.mkdir()
    backup.write_bytes(b"PGDMP")
    env = {
        "REGULARS_BACKUP_FOLDER": str(backup.parent),
        "REGULARS_WEBHOOK_PRIVATE_TARGETS": "true",
    }

    async def read_secret(store: Store) -> str:
        return (await secrets_of(store, 1, now_ms())).current

    with run_server(new_database, env=env) as server, Client(server, BOOTSTRAP_TOKEN) as client:
        create = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
        node = {"type": "contact/signup", "url": "http://127.0.0.1:1/nobody-listens"}
        client.data(create, n=node)
        client.create("a@example.com")
        body = b"not JSON"
        secret = with_store(server.database_url, read_secret)
        signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
        headers = {"lightfunnels-hmac": signature, "content-type": "application/json"}
        assert client.http.post("/in/default/nothing", content=body, headers=headers).is_success

        def are_measured() -> bool:
            metrics = read_metrics(server.url)
            return (
                metrics["regulars_webhooks_failing"] == 1
                and metrics["regulars_webhooks_waiting"] == 1
                and metrics["regulars_webhook_oldest_event_age_seconds"] > 0
                and metrics["regulars_inbox_events"] == 1
            )

        wait_until(are_measured, 120)
        metrics = read_metrics(server.url)
        assert metrics["regulars_webhooks_disabled"] == 0
        assert metrics["regulars_imports_waiting"] == metrics["regulars_imports_failed"] == 0
        age = time.time() - metrics["regulars_backup_last_success_timestamp_seconds"]
        assert 0 < age < 300
