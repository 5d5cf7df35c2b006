"""`regulars segments`: on a database and on a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    wait_until,
)
from tests.test_segments import create

pytestmark = pytest.mark.both_databases

Run = Callable[..., Any]


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers",))) as each:
        yield each


def run_group(group: str, kind: str, client: Client) -> Run:
    """Return a function that runs a command of a group, on the `database` or the `server`, and
    returns its JSON; its output as `text`; its standard error if a `code` other than 0 is
    expected."""
    server = client.server
    if kind == "server":
        location, env = ["--url", server.url], {"REGULARS_TOKEN": client.token}
    else:
        account = find_account_name(server, client.token)
        location, env = ["--account", account, "--database-url", server.database_url], {}

    def run_command(*arguments: str, code: int = 0, text: bool = False) -> Any:
        result = run_regulars(group, *arguments, *location, env=env)
        assert result.returncode == code, result.stderr + result.stdout
        if code:
            return result.stderr
        return result.stdout if text else json.loads(result.stdout)

    return run_command


@pytest.fixture(params=["database", "server"])
def run(request: pytest.FixtureRequest, client: Client) -> Run:
    return run_group("segments", request.param, client)


def test_segments_on_the_command_line(client: Client, run: Run) -> None:
    client.create("a@x.test", tags=["vip"])
    client.create("b@x.test", tags=["vip", "old"])
    vip = run("create", "VIP", "--query", "tag:vip", "--description", "Best.")
    assert (vip["name"], vip["query"], vip["description"]) == ("VIP", "tag:vip", "Best.")
    settings = '{"include": {"tags": ["vip"]}, "exclude": {"tags": ["old"]}}'
    assert run("create", "New", "--settings", settings)["query"] == 'tag:"vip" -(tag:"old")'
    assert run("create", "Dry", "--dry-run")["name"] == "Dry"
    listed = [(each["name"], each["statistics"]) for each in run("list")]
    assert listed == [("New", 1), ("VIP", 2)]
    assert run("show", "vip")["statistics"] == run("show", vip["id"])["statistics"] == 2
    emails = [each["email"] for each in run("members", "VIP")["customers"]]
    assert emails == ["b@x.test", "a@x.test"]
    page = run("members", "1", "--limit", "1")
    assert (page["total"], len(page["customers"])) == (2, 1)
    rest = run("members", "1", "--after", page["next"])["customers"]
    assert [each["email"] for each in rest] == ["a@x.test"]

    assert run("update", "vip", "--name", "Very important")["name"] == "Very important"
    assert run("update", "1", "--query", "tag:old", "--dry-run")["query"] == "tag:old"
    assert run("show", "1")["query"] == "tag:vip"
    assert "Very important" in run("show", "1", "--table", text=True)
    assert "include AND" in run("show", "New", "--table", text=True)
    assert run("delete", "New", "--dry-run") == ["U2VnbWVudDoy"]
    assert "This deletes segments." in run("delete", "New", code=2)
    assert run("delete", "New", "1", "--yes") == ["U2VnbWVudDoy", "U2VnbWVudDox"]
    assert run("list") == []
    assert "No segment exists." in run("list", "--table", text=True)

    assert "No segment has the name or id 'vip'." in run("show", "vip", code=1)
    assert "Nothing to update." in run("update", "vip", code=2)
    assert "valid JSON" in run("create", "x", "--settings", "{", code=2)
    assert "No filter is named" in run("create", "x", "--query", "bogus:1", code=1)
    assert "No segment has the name" in run("members", "none", code=1)


def test_segments_are_watched_on_the_command_line(client: Client, run: Run, tmp_path: Path) -> None:
    customer = client.create("a@x.test", tags=["vip"])

    def entries() -> int:
        selection = "... on Customer { changes(first: 50) { edges { node { kind } } } }"
        kinds = [
            edge["node"]["kind"]
            for edge in client.node(customer["id"], selection)["changes"]["edges"]
        ]
        return kinds.count("segment_entered")

    assert run("create", "VIP", "--query", "tag:vip", "--watched", "--announce")["watched"]
    wait_until(lambda: entries() == 1)
    assert run("update", "vip", "--no-watched")["watched"] is False
    assert run("show", "vip")["watched_since"] is None
    assert run("update", "vip", "--watched", "--announce")["watched"] is True
    wait_until(lambda: entries() == 2)
    assert run("show", "vip")["watched_since"]
    assert "watched" in run("list", "--table", text=True)
    # A file of definitions says which segments are watched.
    file = tmp_path / "segments.json"
    run("export", str(file), text=True)
    (definition,) = json.loads(file.read_text())
    assert definition["watched"] is True
    file.write_text(json.dumps([{**definition, "watched": False}]))
    assert run("load", str(file)) == {"created": 0, "updated": 1, "unchanged": 0}
    assert run("show", "vip")["watched"] is False
    file.write_text(json.dumps([{**definition, "watched": "yes"}]))
    assert "invalid 'watched'" in run("load", str(file), code=2)


def test_definitions_move_to_another_account(
    client: Client, other: Client, server: Server, run: Run, tmp_path: Path
) -> None:
    create(client, "Tags", settings={"include": {"operator": "OR", "tags": ["a", "b"]}})
    create(client, "Base", query="tag:vip", description="Two\nlines.")
    create(client, "All", settings={})
    create(client, "Above", query="segment:2 -segment:tags")
    create(client, "Top", query='country:FR OR segment:"above"')
    file = tmp_path / "segments.json"
    assert run("export", str(file), text=True) == f"Exported 5 segments to {file}.\n"
    exported = json.loads(file.read_text())
    assert run("export", "-") == exported
    assert [each["name"] for each in exported] == ["Above", "All", "Base", "Tags", "Top"]
    assert exported[0] == {
        "name": "Above",
        "description": "",
        "query": "segment:Base -segment:Tags",
        "watched": False,
    }
    # In the account of the file, only the form of queries changes, and only once.
    assert run("load", str(file)) == {"created": 0, "updated": 3, "unchanged": 2}
    assert run("load", str(file)) == {"created": 0, "updated": 0, "unchanged": 5}
    assert run("export", "-") == exported

    # Another account, in which a segment has the name already.
    for name in ("base", "Own"):
        create(other, name, query="tag:other")
    account = ("--account", find_account_name(server, other.token))
    location = (*account, "--database-url", server.database_url)

    def load(source: Any) -> Any:
        file.write_text(json.dumps(source))
        result = run_regulars("segments", "load", str(file), *location)
        return json.loads(result.stdout) if not result.returncode else result.stderr

    assert load(exported[::-1]) == {"created": 4, "updated": 1, "unchanged": 0}
    assert load(exported) == {"created": 0, "updated": 0, "unchanged": 5}
    result = run_regulars("segments", "export", "-", *location)
    there = [each for each in json.loads(result.stdout) if each["name"] != "Own"]
    assert there == exported
    # Two that change places.
    swapped = [
        {"name": "Above", "query": "tag:x"},
        {"name": "Base", "query": "segment:above"},
    ]
    assert load(swapped) == {"created": 0, "updated": 2, "unchanged": 0}

    for source, message in (
        ({}, "not a JSON array"),
        ([1], "not a JSON array"),
        ([{"name": 1}], "invalid 'name'"),
        ([{"name": "a", "size": 1}], "invalid 'size'"),
        ([{"query": "a"}], "has no name"),
        ([{"name": "a"}, {"name": "A"}], "two segments"),
        ([{"name": str(n)} for n in range(501)], "the maximum is 500"),
    ):
        assert message in load(source)
