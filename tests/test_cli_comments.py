"""`regulars comments`: on a database and on a server."""

from __future__ import annotations

import io
import sys

import pytest

from tests.support import Client, run_regulars
from tests.test_cli_segments import Run, run_group
from tests.test_cli_segments import client as client

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["database", "server"])
def run(request: pytest.FixtureRequest, client: Client) -> Run:
    return run_group("comments", request.param, client)


def test_comments_on_the_command_line(client: Client, run: Run) -> None:
    customer = client.create("ana@x.test")
    planned = run("add", "ana@x.test", "Planned", "--dry-run")
    assert planned["text"] == "Planned"
    assert run("list", customer["id"]) == []
    first = run("add", "ANA@x.test", "Called back")
    assert (first["text"], first["pinned"], first["private"]) == ("Called back", False, False)
    second = run("add", str(customer["_id"]), "Secret", "--private")
    assert second["private"] is True
    pinned = run("update", str(first["_id"]), "--pinned")
    assert (pinned["text"], pinned["pinned"], pinned["edited"]) == ("Called back", True, False)
    changed = run("update", second["id"], "--text", "Public", "--no-private", "--dry-run")
    assert changed["text"] == "Public"
    changed = run("update", second["id"], "--text", "Public", "--no-private")
    assert (changed["private"], changed["edited"]) == (False, True)
    listed = run("list", "ana@x.test")
    assert [comment["text"] for comment in listed] == ["Called back", "Public"]
    table = run("list", "ana@x.test", "--limit", "1", "--table", text=True)
    assert "Called back" in table
    assert "1 of 2 comments." in table
    shown = run("update", second["id"], "--no-pinned", "--table", text=True)
    assert "Public" in shown
    assert "Would delete 1 comment." in run(
        "delete", second["id"], "--dry-run", "--table", text=True
    )
    deleted = run("delete", first["id"], second["id"], "--yes")
    assert deleted == [first["id"], second["id"]]
    assert "The customer has no comments." in run("list", "ana@x.test", "--table", text=True)


def test_long_lists_are_read_page_by_page(client: Client, run: Run) -> None:
    id_ = client.create("ana@x.test")["id"]
    one = 'a%d: addComment(customer: $id, node: {text: "%d"}) { id }'
    for start in range(0, 120, 40):
        fields = " ".join(one % (n, n) for n in range(start, start + 40))
        client.data(f"mutation($id: ID!) {{ {fields} }}", id=id_)
    texts = [int(comment["text"]) for comment in run("list", id_, "--limit", "110")]
    assert texts == list(range(119, 9, -1))


def test_errors(client: Client, run: Run) -> None:
    client.create("ana@x.test")
    assert "No customer has the email 'bo@x.test'." in run("list", "bo@x.test", code=1)
    assert "No customer has the id '99'." in run("list", "99", code=1)
    assert "No comment has the id `99`." in run("update", "99", "--pinned", code=1)
    assert "No comment has the id `99`." in run("delete", "99", "--yes", code=1)
    assert "Nothing to update." in run("update", "1", code=2)
    assert "This deletes comments. Pass --yes" in run("delete", "1", code=2)
    assert "The comment is empty." in run("add", "ana@x.test", " ", code=1)


def test_a_text_from_standard_input(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = client.create("ana@x.test")["id"]
    env = {"REGULARS_TOKEN": client.token}
    arguments = ("comments", "add", id_, "-", "--url", client.server.url)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"One\nTwo\n")))
    done = run_regulars(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    page = client.node(id_, "... on Customer { comments { edges { node { text } } } }")["comments"]
    assert [edge["node"]["text"] for edge in page["edges"]] == ["One\nTwo"]
