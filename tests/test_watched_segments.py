"""Watched segments: entries and exits in the history, and the members of customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Client, Server, create_token, wait_until

pytestmark = pytest.mark.both_databases

CREATE = """mutation($node: SegmentInput!, $announce: Boolean, $dry: Boolean) {
  createSegment(node: $node, announce: $announce, dryRun: $dry) {
    id _id name watched watched_since(format: "x") } }"""
UPDATE = """mutation($id: ID!, $node: SegmentInput!, $announce: Boolean) {
  updateSegment(id: $id, node: $node, announce: $announce) {
    id name watched watched_since(format: "x") } }"""
FEED = """query($after: String) { customerChanges(after: $after, first: 250) {
  pageInfo { hasNextPage endCursor }
  edges { node { sequence kind silent cause customer_id request_id actor { kind name }
    customer { _id version } segment { name } fields { name } } } } }"""
SEGMENTS = "segments { name }"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(
        server, create_token(server, scopes=("customers", "orders:write", "webhooks"))
    ) as each:
        yield each


def create_segment(client: Client, name: str, announce: bool = False, **node: Any) -> str:
    node = {"name": name, "watched": True, **node}
    id_: str = client.data(CREATE, node=node, announce=announce)["createSegment"]["id"]
    if node["watched"]:
        wait_until(lambda: is_ready(client, id_))
    return id_


def is_ready(client: Client, id_: str) -> bool:
    return client.node(id_, '... on Segment { watched_since(format: "x") }')["watched_since"]


def feed(client: Client) -> list[dict[str, Any]]:
    """Return all entries of the history."""
    changes, after = [], None
    while True:
        page = client.data(FEED, after=after)["customerChanges"]
        changes += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return changes
        after = page["pageInfo"]["endCursor"]


def segment_entries(client: Client) -> list[tuple[str, str]]:
    """Return the entries and exits: the kind without its prefix, and the segment's name."""
    return [
        (change["kind"].removeprefix("segment_"), change["actor"]["name"])
        for change in feed(client)
        if change["kind"].startswith("segment_")
    ]


def test_entries_and_exits_are_recorded(client: Client) -> None:
    old = client.create("old@x.test", tags=["vip"])
    segment = create_segment(client, "VIP", query="tag:vip")
    assert segment_entries(client) == []
    assert client.node(old["id"], f"... on Customer {{ {SEGMENTS} }}") == {
        "segments": [{"name": "VIP"}]
    }
    new = client.create("new@x.test")
    client.update(new["id"], tags=["vip"])
    wait_until(lambda: segment_entries(client) == [("entered", "VIP")])
    client.update(old["id"], tags=[])
    wait_until(lambda: segment_entries(client) == [("entered", "VIP"), ("left", "VIP")])
    entry = next(change for change in feed(client) if change["kind"] == "segment_entered")
    assert entry == {
        "sequence": 4,
        "kind": "segment_entered",
        "silent": False,
        "cause": "seg_1",
        "customer_id": new["id"],
        "request_id": None,
        "actor": {"kind": "segment", "name": "VIP"},
        "customer": {"_id": 2, "version": 2},
        "segment": {"name": "VIP"},
        "fields": [],
    }
    client.data("mutation($i: [ID!]!) { deleteSegments(items: $i) }", i=[segment])
    assert [c["segment"] for c in feed(client) if c["kind"] == "segment_left"] == [None]
    assert client.node(new["id"], f"... on Customer {{ {SEGMENTS} }}") == {"segments": []}
