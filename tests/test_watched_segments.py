"""Watched segments: entries and exits in the history, and the members of customers."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.core.commands import Origin
from regulars.core.ids import decode
from regulars.customers.commands import CreateCustomer
from regulars.directory.verify import verify
from regulars.segments.members import customers_known_in
from regulars.store import Store, parse_url
from regulars.store.query import Query
from tests.receiver import Receiver
from tests.support import Client, Server, create_token, wait_until, with_store
from tests.test_webhooks import SCOPES, create_webhook
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

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
DELETE = "mutation($i: [ID!]!) { deleteSegments(items: $i) }"
RESTORE = "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { id } } }"
NAMES = """query($q: String!) { segments(query: $q) { edges { node { name } } } }"""


def create_segment(client: Client, name: str, announce: bool = False, **node: Any) -> str:
    node = {"name": name, "watched": True, **node}
    id_: str = client.data(CREATE, node=node, announce=announce)["createSegment"]["id"]
    if node["watched"]:
        wait_until(lambda: is_ready(client, id_))
    return id_


def is_ready(client: Client, id_: str) -> bool:
    """Return whether the first evaluation of a segment has ended."""
    segment = client.node(id_, '... on Segment { watched_since(format: "x") }')
    return segment["watched_since"] is not None


def update_segment(client: Client, id_: str, announce: bool = False, **node: Any) -> None:
    client.data(UPDATE, id=id_, node=node, announce=announce)


def number_of(id_: str) -> int:
    """Return the `_id` in a global id."""
    number = decode(id_)
    assert number is not None
    return number[1]


def members(client: Client, id_: str) -> list[str]:
    """Return the names of the watched segments of a customer."""
    node = client.node(id_, "... on Customer { segments { name } }")
    return [segment["name"] for segment in node["segments"]]


def settle(client: Client, server: Server) -> None:
    """Wait until nothing is to be evaluated."""
    text = """SELECT count(*) FROM segments JOIN counters ON counters.account_id =
      segments.account_id WHERE watched AND (position < changes OR due_at IS NOT NULL)"""

    async def count(store: Store) -> int:
        ((number,),) = await store.fetch(Query(sa.text(text)), {})
        return int(number)

    wait_until(lambda: with_store(server.database_url, count) == 0)


def run_sql(server: Server, text: str) -> None:
    async def work(store: Store) -> None:
        await store.execute([(Query(sa.text(text)), {})])

    with_store(server.database_url, work)


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
    assert client.node(old["id"], "... on Customer { segments { name } }") == {
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
    client.data(DELETE, i=[segment])
    assert [c["segment"] for c in feed(client) if c["kind"] == "segment_left"] == [None]
    assert client.node(new["id"], "... on Customer { segments { name } }") == {"segments": []}


def test_a_first_evaluation_is_announced_on_request(client: Client, open_server: Server) -> None:
    customers = [client.create(f"u{n}@x.test", tags=["vip"]) for n in range(3)]
    create_segment(client, "Quiet", query="tag:vip")
    loud = create_segment(client, "Loud", announce=True, query="tag:vip")
    assert segment_entries(client) == [("entered", "Loud")] * 3
    assert members(client, customers[0]["id"]) == ["Quiet", "Loud"]
    # Without watching, nothing is known about the members, and nothing is recorded.
    update_segment(client, loud, watched=False)
    client.update(customers[0]["id"], tags=[])
    settle(client, open_server)
    assert segment_entries(client)[3:] == [("left", "Quiet")]
    assert members(client, customers[1]["id"]) == ["Quiet"]
    node = client.node(loud, '... on Segment { watched watched_since(format: "x") }')
    assert node == {"watched": False, "watched_since": None}
    update_segment(client, loud, watched=True, announce=True)
    wait_until(lambda: segment_entries(client)[4:] == [("entered", "Loud")] * 2)


def test_a_new_query_is_announced_on_request(client: Client, open_server: Server) -> None:
    a, b = (client.create(f"{tag}@x.test", tags=[tag])["id"] for tag in "ab")
    base = create_segment(client, "Base", query="tag:a", watched=False)
    user = create_segment(client, "User", query="segment:base -tag:old")
    update_segment(client, base, query="tag:b")
    wait_until(lambda: members(client, b) == ["User"])
    assert (members(client, a), segment_entries(client)) == ([], [])
    # A new name and a new description mean the same query.
    update_segment(client, base, name="Renamed", announce=True)
    update_segment(client, base, query="tag:a", announce=True)
    expected = [("entered", "User"), ("left", "User")]
    wait_until(lambda: segment_entries(client) == expected)
    update_segment(client, user, description="Other", announce=True)
    settle(client, open_server)
    assert (members(client, a), segment_entries(client)) == (["User"], expected)


def test_a_deletion_ends_memberships_and_a_restore_begins_them(
    client: Client, open_server: Server
) -> None:
    segment = create_segment(client, "VIP", query="tag:vip")
    other = create_segment(client, "Other", query="tag:other")
    customer = client.create("a@x.test", tags=["vip"])
    wait_until(lambda: len(segment_entries(client)) == 1)
    client.delete(customer["id"])
    settle(client, open_server)
    assert [c["kind"] for c in feed(client)] == ["created", "segment_entered", "deleted"]

    def known(*ids: str) -> set[int]:
        numbers = [number_of(each) for each in ids]
        account_id = find_account_id(client, open_server)
        return with_store(
            open_server.database_url,
            lambda store: customers_known_in(store, account_id, numbers, [customer["_id"], 99]),
        )

    assert known(segment, other) == known(segment) == {customer["_id"]}
    assert known(other) == set()
    client.data(RESTORE, i=[customer["id"]])
    wait_until(lambda: len(segment_entries(client)) == 2)
    assert [c["kind"] for c in feed(client)][3:] == ["restored", "segment_entered"]
    assert members(client, customer["id"]) == ["VIP"]
    # Deleted and restored before an evaluation, the customer has left and entered nevertheless.
    client.data(
        "mutation($i: [ID!]!) { deleteCustomers(items: $i) restoreCustomers(items: $i) "
        "{ customers { id } } }",
        i=[customer["id"]],
    )
    wait_until(lambda: len(segment_entries(client)) == 3)
    client.delete(customer["id"], permanent=True)
    settle(client, open_server)
    assert len(segment_entries(client)) == 3
    assert verify(parse_url(open_server.database_url)).problems == []


def find_account_id(client: Client, server: Server) -> int:
    async def find(store: Store) -> int:
        grant = await Accounts(store).authenticate(client.token)
        assert grant is not None
        return grant.account_id

    return with_store(server.database_url, find)


def test_a_broken_query_records_no_exits(client: Client, open_server: Server) -> None:
    ids = [client.create(f"u{n}@x.test", tags=["vip"])["id"] for n in range(3)]
    create_segment(client, "VIP", query="tag:vip")
    fine = create_segment(client, "Fine", query="-tag:vip")
    account_id = find_account_id(client, open_server)
    of_vip = f"WHERE name = 'VIP' AND account_id = {account_id}"
    run_sql(open_server, f"UPDATE segments SET query = 'gone:vip' {of_vip}")
    client.update(ids[0], tags=[])
    wait_until(lambda: segment_entries(client) == [("entered", "Fine")])
    problem = client.data("{ segments { edges { node { name problem watched } } } }")["segments"]
    by_name = {edge["node"]["name"]: edge["node"] for edge in problem["edges"]}
    assert "gone" in by_name["VIP"]["problem"]
    assert by_name["VIP"]["watched"]
    assert members(client, ids[1]) == ["VIP"]
    # After a repair, only real differences are recorded.
    run_sql(open_server, f"UPDATE segments SET query = 'tag:vip' {of_vip}")
    wait_until(lambda: segment_entries(client)[1:] == [("left", "VIP")])
    client.data(DELETE, i=[fine])
    settle(client, open_server)
    assert len(segment_entries(client)) == 1 + 1


def test_the_limit_of_watched_segments(client: Client) -> None:
    ids = []
    for n in range(51):
        node = {"name": f"S{n}", "query": f"tag:t{n}", "watched": n < 50}
        ids.append(client.data(CREATE, node=node)["createSegment"]["id"])
    message = "50 segments are watched, the maximum. Stop watching one first."
    error = client.expect_error("errors_limit", UPDATE, id=ids[50], node={"watched": True})
    assert (error["message"], error["extensions"]["input_path"]) == (message, ["node", "watched"])
    node = {"name": "More", "watched": True}
    assert client.expect_error("errors_limit", CREATE, node=node)["message"] == message
    update_segment(client, ids[0], watched=False)
    update_segment(client, ids[50], watched=True)
    null = client.expect_error("errors_invalid_input", UPDATE, id=ids[0], node={"watched": None})
    assert "`watched` cannot be null" in null["message"]


def test_watched_is_a_key_of_the_list(client: Client) -> None:
    create_segment(client, "Watched", query="tag:a")
    create_segment(client, "Other", query="tag:a", watched=False)

    def names(query: str) -> list[str]:
        edges = client.data(NAMES, q=query)["segments"]["edges"]
        return [edge["node"]["name"] for edge in edges]

    assert names("watched:true") == ["Watched"]
    assert names("watched:false") == names("watched:false other") == ["Other"]
    assert names("watched:true other") == []
    for query in ("watched:yes", "watched:>true", "watched:tru*"):
        error = client.expect_error("errors_invalid_query", NAMES, q=query)
        assert "must be true or false" in error["message"]
    error = client.expect_error("errors_invalid_query", NAMES, q="watchd:true")
    assert "name, watched" in error["message"]


def test_a_dry_run_watches_nothing(client: Client) -> None:
    client.create("a@x.test", tags=["vip"])
    node = {"name": "VIP", "query": "tag:vip", "watched": True}
    created = client.data(CREATE, node=node, dry=True, announce=True)["createSegment"]
    assert (created["watched"], created["watched_since"]) == (True, None)
    assert client.data(NAMES, q="")["segments"]["edges"] == []


def test_webhooks_get_entries_and_exits(
    client: Client, open_server: Server, receiver: Receiver
) -> None:
    vip = create_segment(client, "VIP", query="tag:vip")
    create_segment(client, "French", query="country:FR")
    create_webhook(client, "segment/entered", f"{receiver.url}/entered")
    create_webhook(client, "segment/left", f"{receiver.url}/left")
    settings = {"query": "country:FR", "include": ["email"]}
    create_webhook(client, "segment/entered", f"{receiver.url}/some", settings=settings)
    address = {"line1": "1 Rue", "city": "Lyon", "country": "FR"}
    a = client.create("a@x.test", tags=["vip"], shipping_address=address)
    client.create("b@x.test", tags=["vip"])
    bodies = [request.json for request in receiver.wait(3, "/entered")]
    assert sorted((each["node"]["email"], each["segment"]["name"]) for each in bodies) == [
        ("a@x.test", "French"),
        ("a@x.test", "VIP"),
        ("b@x.test", "VIP"),
    ]
    segment = {"id": vip, "_id": number_of(vip), "name": "VIP"}
    assert segment in [each["segment"] for each in bodies]
    assert all(each.keys() == {"node", "segment"} for each in bodies)
    some = [request.json for request in receiver.wait(2, "/some")]
    assert [each["node"] for each in some] == [{"email": "a@x.test"}] * 2
    client.update(a["id"], tags=[])
    (left,) = receiver.wait(1, "/left")
    assert left.json["segment"] == segment
    assert left.headers["lightfunnels-topic"] == "segment/left"
    # The name is that at the time of the event.
    update_segment(client, vip, name="Renamed")
    client.update(a["id"], tags=["vip"])
    assert receiver.wait(4, "/entered")[3].json["segment"] == {**segment, "name": "Renamed"}
    fields = {"type": "segment/left", "url": receiver.url, "settings": {"fields": ["tags"]}}
    create = "mutation($n: WebhookInput!) { createWebhook(node: $n) { id } }"
    error = client.expect_error("errors_invalid_input", create, n=fields)
    assert "cannot filter events of the type `segment/left`" in error["message"]


def test_entries_that_follow_from_silent_changes_are_silent(
    client: Client, open_server: Server, receiver: Receiver
) -> None:
    create_segment(client, "VIP", query="tag:vip")
    create_webhook(client, "segment/entered", f"{receiver.url}/entered")
    account_id = find_account_id(client, open_server)

    async def create_silently(store: Store) -> None:
        origin = Origin("import", "file.csv", silent=True)
        for n in range(150):
            node = {"email": f"s{n}@x.test", "tags": ["vip"]}
            command = CreateCustomer.from_node(node, 1_700_000_000_000, origin=origin)
            await store.write(account_id, command)

    with_store(open_server.database_url, create_silently)
    client.create("loud@x.test", tags=["vip"])
    wait_until(lambda: len(segment_entries(client)) == 151)
    entries = [c for c in feed(client) if c["kind"] == "segment_entered"]
    assert [c["silent"] for c in entries] == [True] * 150 + [False]
    (request,) = receiver.wait(1, "/entered")
    assert request.json["node"]["email"] == "loud@x.test"


def test_segments_of_two_accounts_are_separate(client: Client, open_server: Server) -> None:
    with Client(open_server, create_token(open_server, scopes=SCOPES)) as other:
        ours, theirs = (create_segment(each, "VIP", query="tag:vip") for each in (client, other))
        assert ours == theirs
        customer = client.create("a@x.test", tags=["vip"])
        wait_until(lambda: len(segment_entries(client)) == 1)
        settle(client, open_server)
        assert segment_entries(other) == []
        same = other.create("a@x.test")
        assert same["id"] == customer["id"]
        assert (members(client, customer["id"]), members(other, same["id"])) == (["VIP"], [])
