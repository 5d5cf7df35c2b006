"""`regulars tags`: on a database and on a server."""

from __future__ import annotations

import pytest

from tests.support import Client
from tests.test_cli_segments import Run, run_group
from tests.test_cli_segments import client as client

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["database", "server"])
def run(request: pytest.FixtureRequest, client: Client) -> Run:
    return run_group("tags", request.param, client)


def test_tags_on_the_command_line(client: Client, run: Run) -> None:
    nodes = [{"email": f"p{index}@x.test", "tags": ["old", "x"]} for index in range(130)]
    document = "mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes) { created } }"
    for start in range(0, 260, 130):
        for index, node in enumerate(nodes):
            node["email"] = f"p{start + index}@x.test"
        client.data(document, nodes=nodes)
    client.data('mutation { createSegment(node: {name: "S", query: "tag:old"}) { id } }')
    assert run("list", "o") == [{"name": "old", "customers_count": 260}]
    dry = run("rename", "old", "New tag", "--dry-run")
    assert dry["customers_count"] == 260
    assert run("list", "new") == []
    assert [each["name"] for each in dry["segments"]] == ["S"]
    output = run("rename", "OLD", "New tag", "--table", text=True)
    assert "Renamed the tag of 260 customers." in output
    assert "segment 'S'" in output
    assert run("list", "new") == [{"name": "New tag", "customers_count": 260}]
    kept = run("rename", "new tag", "old", "--keep-segments")
    assert kept == {"customers_count": 260, "segments": []}
    assert "old" in run("list", "--table", text=True)
    assert "No customer has such a tag." in run("list", "nothing", "--table", text=True)
