"""Tags are renamed and merged for all customers, in pages, with history, feed and segments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Client
from tests.test_tags import counts

pytestmark = pytest.mark.both_databases

RENAME = """mutation($name: String!, $newName: String!, $first: Int, $after: String,
    $segments: Boolean, $dryRun: Boolean) {
  renameTag(name: $name, newName: $newName, first: $first, after: $after, segments: $segments,
      dryRun: $dryRun) {
    customers_count hasNextPage endCursor segments { id _id name renamed } } }"""


def rename(client: Client, name: str, new_name: str, **arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = client.data(RENAME, name=name, newName=new_name, **arguments)[
        "renameTag"
    ]
    return result


def rename_all(client: Client, name: str, new_name: str, **arguments: Any) -> list[dict[str, Any]]:
    """Rename a tag page by page, and return the results."""
    results = []
    after = None
    while True:
        results.append(rename(client, name, new_name, after=after, **arguments))
        after = results[-1]["endCursor"]
        if not results[-1]["hasNextPage"]:
            assert after is None
            return results


def tags_of(client: Client) -> list[list[str]]:
    return [edge["node"]["tags"] for edge in client.page("tags", query="order_dir:asc")["edges"]]


def versions(client: Client) -> list[int]:
    return [edge["node"]["version"] for edge in client.page("version")["edges"]]


def create_segment(client: Client, **node: Any) -> str:
    document = "mutation($node: SegmentInput!) { createSegment(node: $node) { id } }"
    id_: str = client.data(document, node=node)["createSegment"]["id"]
    return id_


def queries(client: Client) -> dict[str, str]:
    edges = client.data("{ segments { edges { node { name query } } } }")["segments"]["edges"]
    return {edge["node"]["name"]: edge["node"]["query"] for edge in edges}


def test_a_tag_is_renamed_for_all_customers(client: Client, other: Client) -> None:
    other.create("other@example.com", tags=["vip"])
    client.create("ana@example.com", tags=["a", "VIP", "b"])
    client.create("bo@example.com", tags=["vip list"])
    client.create("cy@example.com", tags=["vip", "Víp"])
    result = rename(client, "vip", "Top customer")
    assert result == {
        "customers_count": 2,
        "hasNextPage": False,
        "endCursor": None,
        "segments": [],
    }
    assert tags_of(client) == [["a", "Top customer", "b"], ["vip list"], ["Top customer"]]
    assert counts(client) == {"a": 1, "b": 1, "Top customer": 2, "vip list": 1}
    assert counts(other) == {"vip": 1}
    # A repeated call changes nothing.
    assert rename(client, "vip", "Top customer")["customers_count"] == 0
    assert len(client.emails('tag:"top customer"')) == 2


def test_two_tags_become_one(client: Client) -> None:
    client.create("ana@example.com", tags=["v.i.p.", "x", "VIP"])
    client.create("bo@example.com", tags=["v.i.p."])
    client.create("cy@example.com", tags=["VIP"])
    assert rename(client, "V.I.P.", "VIP")["customers_count"] == 2
    assert tags_of(client) == [["VIP", "x"], ["VIP"], ["VIP"]]


def test_the_spelling_of_a_tag_changes(client: Client) -> None:
    for index in range(5):
        client.create(f"p{index}@example.com", tags=[("vip", "VIP")[index % 2]])
    results = rename_all(client, "vip", "VIP", first=2)
    assert [result["customers_count"] for result in results] == [1, 1, 1]
    assert tags_of(client) == [["VIP"]] * 5


def test_pages_rename_every_customer_once(client: Client) -> None:
    for index in range(7):
        client.create(f"p{index}@example.com", tags=["old"])
    results = rename_all(client, "old", "new", first=3)
    assert [result["customers_count"] for result in results] == [3, 3, 1]
    assert counts(client) == {"new": 7}
    # Without the cursor, the call renames those that are left.
    client.create("late@example.com", tags=["old"])
    assert rename(client, "old", "new", first=3)["customers_count"] == 1


def test_history_and_feed_have_each_change(client: Client) -> None:
    ana = client.create("ana@example.com", tags=["old", "x"])
    (version,) = versions(client)
    rename(client, "old", "new")
    document = """{ customerChanges { edges { node {
      kind customer_id fields { name before after } } } } }"""
    change = client.data(document)["customerChanges"]["edges"][-1]["node"]
    assert (change["kind"], change["customer_id"]) == ("updated", ana["id"])
    (field,) = change["fields"]
    assert (field["name"], field["before"], field["after"]) == ("tags", ["old", "x"], ["new", "x"])
    assert versions(client) == [version + 1]


def test_a_dry_run_saves_nothing(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    create_segment(client, name="S", query="tag:old")
    result = rename(client, "old", "new", dryRun=True)
    assert result["customers_count"] == 1
    assert [segment["renamed"] for segment in result["segments"]] == [True]
    assert tags_of(client) == [["old"]]
    assert queries(client) == {"S": "tag:old"}


def test_segments_name_the_new_tag(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    client.create("bo@example.com", tags=["old", "x"])
    create_segment(client, name="A", query='country:FR OR (-tag:"OLD" tag:old*) tag:older')
    create_segment(client, name="B", query='"tag:old" notes:old tag:other')
    settings = {
        "include": {"operator": "OR", "tags": ["old", "new tag"]},
        "exclude": {"tags": ["x"]},
    }
    create_segment(client, name="C", settings=settings)
    first, second = rename_all(client, "old", "new tag", first=1)
    assert first["segments"] == []
    assert {each["name"]: each["renamed"] for each in second["segments"]} == {"A": True, "C": True}
    assert queries(client) == {
        "A": 'country:FR OR (-tag:"new tag" tag:old*) tag:older',
        "B": '"tag:old" notes:old tag:other',
        "C": '(tag:"new tag") -(tag:"x")',
    }
    create_segment(client, name="D", query="tag:x")
    assert rename(client, "x", "y", segments=False)["segments"] == []
    assert queries(client)["D"] == "tag:x"


def test_a_segment_that_would_be_too_long_keeps_its_query(client: Client) -> None:
    query = " OR ".join(["tag:o"] * 49)
    create_segment(client, name="Long", query=query)
    (segment,) = rename(client, "o", "n" * 100)["segments"]
    assert (segment["name"], segment["renamed"]) == ("Long", False)
    assert queries(client) == {"Long": query}


def test_watched_segments_follow_without_entries(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    id_ = create_segment(client, name="W", query="tag:old", watched=True)
    rename(client, "old", "new")
    members = "query($id: ID!) { node(id: $id) { ... on Segment { query statistics } } }"
    assert client.data(members, id=id_)["node"] == {"query": "tag:new", "statistics": 1}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"name": " "}, ["name"]),
        ({"newName": ""}, ["newName"]),
        ({"newName": "\u200b"}, ["newName"]),
        ({"newName": "a" * 256}, ["newName", 0]),
        ({"first": 0}, ["first"]),
        ({"first": 251}, ["first"]),
        ({"after": "nonsense"}, ["after"]),
    ],
)
def test_invalid_arguments_are_refused(
    client: Client, arguments: dict[str, Any], path: list[str | int]
) -> None:
    client.create("ana@example.com", tags=["old"])
    (error,) = client.errors(RENAME, **{"name": "old", "newName": "new", **arguments})
    assert error["extensions"]["input_path"][0] == path[0]
    assert tags_of(client) == [["old"]]


def test_much_text_ends_a_call_early(client: Client) -> None:
    long_tags = [f"{index} {'t' * 250}" for index in range(200)]
    for index in range(4):
        client.create(f"p{index}@example.com", tags=["old", *long_tags])
    results = rename_all(client, "old", "new")
    assert len(results) > 1
    assert sum(result["customers_count"] for result in results) == 4
    assert counts(client, query="new") == {"new": 4}


def test_the_cost_grows_with_the_page(client: Client) -> None:
    costs = []
    for first in (1, 100, None):
        variables = {"name": "a", "newName": "b", "first": first}
        body = {"query": RENAME, "variables": variables}
        response = client.http.post("/api/v2", json=body, headers={"Regulars-Cost": "1"})
        costs.append(response.json()["extensions"]["cost"]["requested"])
    assert costs[0] < 50 < 1_000 <= costs[1] < 2_500 <= costs[2] < 3_000
