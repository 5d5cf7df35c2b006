"""Exports with the comments of customers, and the import of such a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regulars.transfer import export_comments
from tests.support import Client, Server, create_token, find_account_name, run_regulars
from tests.test_comments import add

pytestmark = pytest.mark.both_databases


def export(client: Client, **options: str) -> list[dict[str, Any]]:
    params = {"format": "jsonl", "columns": "email", **options}
    answer = client.http.get("/export", params=params)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture
def commented(client: Client) -> Client:
    ana = client.create("ana@x.test")["id"]
    client.create("bo@x.test")
    add(client, ana, "First\nsecond line", pinned=True)
    add(client, ana, "Secret", private=True)
    return client


def test_comments_are_nested_in_json_lines(commented: Client) -> None:
    ana, bo = export(commented, include="comments")
    assert bo == {"email": "bo@x.test", "comments": []}
    first, secret = ana["comments"]
    assert first.pop("created_at") == first.pop("updated_at")
    assert first == {
        "text": "First\nsecond line",
        "pinned": True,
        "private": False,
        "edited": False,
        "author": {"kind": "token", "name": "test"},
    }
    assert (secret["text"], secret["private"]) == ("Secret", True)
    public = export(commented, include="public_comments")
    assert [[each["text"] for each in row["comments"]] for row in public] == [
        ["First\nsecond line"],
        [],
    ]
    assert "comments" not in export(commented)[0]
    assert [row["email"] for row in export(commented, include="comments", query="has:comment")] == [
        "ana@x.test"
    ]
    # Chosen customers, as the page of a customer exports its customer.
    ids = {"ids": ["Q3VzdG9tZXI6MQ=="]}
    params = {"format": "jsonl", "include": "public_comments"}
    (row,) = commented.http.post("/export", params=params, json=ids).text.splitlines()
    assert [comment["text"] for comment in json.loads(row)["comments"]] == ["First\nsecond line"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": "orders"}, "`include` is one of comments, public_comments, not 'orders'."),
        ({"include": "comments,public_comments"}, "not 'comments,public_comments'"),
        ({"include": "comments", "format": "csv"}, "Only the format jsonl can include comments."),
    ],
)
def test_errors(client: Client, options: dict[str, str], message: str) -> None:
    answer = client.http.get("/export", params={"format": "jsonl", **options})
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]


def test_the_command_exports_them_and_an_import_reports_them(
    commented: Client, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one character at a time, each customer is a group of its own."""
    monkeypatch.setattr(export_comments, "_CHARACTERS", 1)
    database = ("--database-url", server.database_url)
    account = find_account_name(server, commented.token)
    cy = commented.create("cy@x.test")["id"]
    add(commented, cy, "Third")
    file = tmp_path / "customers.jsonl"
    done = run_regulars(
        "export", str(file), "--include", "comments", "--account", account, *database
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [[each["text"] for each in row["comments"]] for row in rows] == [
        ["First\nsecond line", "Secret"],
        [],
        ["Third"],
    ]
    assert run_regulars("account", "create", "copy", *database).returncode == 0
    done = run_regulars("import", str(file), "--account", "copy", "--json", *database)
    assert done.returncode == 0, done.stderr
    report = json.dumps(json.loads(done.stdout))
    assert "The comments were not imported: an import writes customers only." in report
    with Client(server, create_token(server, "copy")) as copy:
        assert [row["email"] for row in export(copy)] == ["ana@x.test", "bo@x.test", "cy@x.test"]
        assert copy.data("{ customers { edges { node { custom } } } }") == {
            "customers": {"edges": [{"node": {"custom": None}}] * 3}
        }
