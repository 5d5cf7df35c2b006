"""`regulars tags`: on a database and on a server."""

from __future__ import annotations

import pytest

from tests.support import Client
from tests.test_cli_segments import client as client
from tests.test_cli_segments import run_group

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("kind", ["database", "server"])
def test_tags_on_the_command_line(client: Client, kind: str) -> None:
    run = run_group("tags", kind, client)
    nodes = [{"email": f"p{index}@x.test", "tags": ["old", "x"]} for index in range(130)]
    document = "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { created } }"
    for start in range(0, 260, 130):
        for index, node in enumerate(nodes):
            node["email"] = f"p{start + index}@x.test"
        client.data(document, nodes=nodes)
    client.data('mutation { createSegment(node: {name: "S", query: "tag:old"}) { id } }')
    assert run("list", "o") == [{"name": "old", "customers_count": 260}]
    dry = run("rename", "old", "New tag", "--dry-run")
    assert (dry["state"], dry["changed"]) == ("done", 260)
    assert run("list", "new") == []
    output = run("rename", "OLD", "x", "New tag", "--table", text=True)
    assert "The segment 'S' names the new tag." in output
    assert run("list") == [{"name": "New tag", "customers_count": 260}]
    kept = run("rename", "new tag", "other", "--keep-segments")
    assert (kept["changed"], kept["segments"]) == (260, [])
    undone = run_group("jobs", kind, client)("undo", kept["id"])
    assert (undone["state"], undone["changed"]) == ("done", 260)
    assert run("list") == [{"name": "New tag", "customers_count": 260}]
    assert "New tag" in run("list", "--table", text=True)
    assert "No customer has such a tag." in run("list", "nothing", "--table", text=True)
