"""Internal errors: the client gets a request id, and the log the place, without further data."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support import BOOTSTRAP_TOKEN, Client, run_server


def test_internal_error_shows_only_its_request_id(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    log_path = tmp_path / "log"
    with log_path.open("w") as log, run_server(f"sqlite:///{path}", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("secret.person@example.com")
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("DROP TABLE leads")
            query = "{ customers { edges { node { email leads { id } } } } }"
            answer = client.post(query)
            (error,) = answer.json()["errors"]
            assert error["key"] == "errors_internal"
            assert error["name"] == "InternalError"
            assert error["path"] == ["customers"]
            identity = answer.headers["x-request-id"]
            assert error["extensions"] == {
                "key": "errors_internal",
                "code": "INTERNAL_SERVER_ERROR",
                "request_id": identity,
            }
            assert "leads" not in error["message"]
            assert client.emails() == ["secret.person@example.com"]
    log_text = log_path.read_text()
    assert identity in log_text
    assert "SQLError" in log_text
    assert "secret.person" not in log_text
    assert BOOTSTRAP_TOKEN not in log_text


def test_server_without_request_log_logs_nothing(tmp_path: Path) -> None:
    log_path = tmp_path / "log"
    url = f"sqlite:///{tmp_path / 'r.db'}"
    with log_path.open("w") as log, run_server(url, "--no-log-requests", log=log) as server:
        with Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("a@example.com")
            client.errors("{ nothing }")
            client.http.post("/api/v2", headers={"Authorization": "Bearer wrong"})
    events = [json.loads(line)["event"] for line in log_path.read_text().splitlines()]
    assert events == ["start", "ready", "stop"]
