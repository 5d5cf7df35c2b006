"""Segments: saved searches, defined by tags or by a query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import Client, Server, create_token, example_count

pytestmark = pytest.mark.both_databases

CREATE = """mutation($node: SegmentInput!) { createSegment(node: $node) {
    id uid _id name description query problem statistics
    settings { include { operator tags } exclude { operator tags } } } }"""
UPDATE = """mutation($node: SegmentInput!, $id: ID!) { updateSegment(node: $node, id: $id) {
    id name description query problem updated_at(format: "x")
    settings { include { operator tags } exclude { operator tags } } } }"""
DELETE = "mutation($items: [ID!]!) { deleteSegments(items: $items) }"
LIST = """query($query: String!, $first: Int, $last: Int, $after: String, $before: String) {
  segments(query: $query, first: $first, last: $last, after: $after, before: $before) {
    totalCount edges { cursor node { name } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
MEMBERS = """query($id: ID!, $order: String, $first: Int, $after: String) { node(id: $id) {
  ... on Segment { statistics customers(order: $order, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { email } } } } } }"""
EMPTY = {part: {"operator": "AND", "tags": []} for part in ("include", "exclude")}


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers",))) as each:
        yield each


def create(client: Client, name: str, **node: Any) -> dict[str, Any]:
    created: dict[str, Any] = client.data(CREATE, node={"name": name, **node})["createSegment"]
    return created


def update(client: Client, segment: Any, **node: Any) -> dict[str, Any]:
    id_ = segment["id"] if isinstance(segment, dict) else segment
    updated: dict[str, Any] = client.data(UPDATE, node=node, id=id_)["updateSegment"]
    return updated


def members(client: Client, segment: dict[str, Any], **arguments: Any) -> list[str]:
    node = client.data(MEMBERS, id=segment["id"], **arguments)["node"]
    emails = [edge["node"]["email"] for edge in node["customers"]["edges"]]
    if not arguments:
        assert node["statistics"] == node["customers"]["totalCount"] == len(emails)
    return emails


def names(client: Client, query: str = "", **arguments: Any) -> list[str]:
    edges = client.data(LIST, query=query, **arguments)["segments"]["edges"]
    return [edge["node"]["name"] for edge in edges]


def test_the_documented_operations_work_as_printed(client: Client) -> None:
    """As in the developer documentation of the imitated API, "Segments" and "Segment types"."""
    for name in ("Segment test", "Second"):
        create(client, name, description="description ...", settings=EMPTY)
    listing = """query SegmentsQuery($first: Int, $after: String, $query: String!){
        segments(query: "order_by:id order_dir:desc", first: 10%s){
            edges{ node{ id name description } cursor }
            pageInfo{ endCursor hasNextPage } } }"""
    body = client.data(listing % "", query="")
    second, first = body["segments"]["edges"]
    assert first["node"] == {
        "id": "U2VnbWVudDox",
        "name": "Segment test",
        "description": "description ...",
    }
    assert body["segments"]["pageInfo"] == {"endCursor": first["cursor"], "hasNextPage": False}
    after = f', after: "{second["cursor"]}"'
    assert client.data(listing % after, query="")["segments"]["edges"] == [first]
    # The cursor in the documentation is not base64.
    printed = ', after: "WzVE4OTA5LDEe/4OTA5XQ=="'
    client.expect_error("errors_invalid_cursor", listing % printed, query="")

    one = "query SegmentQuery($id: ID!){ node(id: $id){ ... on Segment { id uid _id name } } }"
    expected = {"id": "U2VnbWVudDox", "uid": "U2VnbWVudDox", "_id": 1, "name": "Segment test"}
    assert client.data(one, id="U2VnbWVudDox")["node"] == expected
    change = """mutation updateSegmentMutation($node: SegmentInput!, $id: ID!){
        updateSegment(node: $node, id: $id){ id name } }"""
    changed = client.data(change, node={"name": "Renamed"}, id=1)["updateSegment"]
    assert changed == {"id": "U2VnbWVudDox", "name": "Renamed"}
    delete = "mutation deleteSegmentsMutation($items: [ID!]!){ deleteSegments(items: $items) }"
    ids = ["U2VnbWVudDox", "U2VnbWVudDoy"]
    assert client.data(delete, items=["U2VnbWVudDox", "2"]) == {"deleteSegments": ids}
    assert names(client) == []
    # No id is assigned again.
    assert create(client, "Third")["_id"] == 3


def test_a_client_that_writes_back_what_it_has_read_changes_nothing(client: Client) -> None:
    condition = {"operator": "OR", "tags": ["a", "b"]}
    segment = create(client, "Tags", settings={"include": condition})
    before = update(client, segment)
    node = {name: segment[name] for name in ("name", "description", "settings")}
    assert update(client, segment, **node) == before
    # One defined by a query has empty settings, which would mean everybody.
    by_query = create(client, "Query", query="tag:a")
    assert by_query["settings"] == EMPTY
    node = {name: by_query[name] for name in ("name", "description", "settings")}
    error = client.expect_error("errors_invalid_input", UPDATE, node=node, id=by_query["id"])
    assert error["message"] == "This segment is defined by a query. Pass `query` to change it."
    assert client.node(by_query["id"], "... on Segment { query }") == {"query": "tag:a"}


def test_settings_select_customers_by_their_tags(client: Client) -> None:
    for email, tags in (("a", ["A"]), ("b", ["b"]), ("ab", ["a", "b"]), ("c", ["c"])):
        client.create(f"{email}@x.test", tags=tags)
    a_b, c = {"tags": ["a", "b"]}, {"tags": ["c"]}
    either = {"operator": "OR", **a_b}
    for settings_, query, emails in (
        ({}, "", "c ab b a"),
        ({"include": a_b}, 'tag:"a" tag:"b"', "ab"),
        ({"include": either}, '(tag:"a" OR tag:"b")', "ab b a"),
        ({"exclude": a_b}, '-(tag:"a" tag:"b")', "c b a"),
        ({"exclude": either}, '-tag:"a" -tag:"b"', "c"),
        ({"include": either, "exclude": a_b}, '(tag:"a" OR tag:"b") -(tag:"a" tag:"b")', "b a"),
        ({"include": c, "exclude": either}, 'tag:"c" -tag:"a" -tag:"b"', "c"),
    ):
        segment = create(client, query or "All", settings=settings_)
        assert segment["query"] == query
        assert members(client, segment) == [f"{email}@x.test" for email in emails.split()]
        assert client.emails(query) == members(client, segment)


def test_an_update_merges_settings_and_query(client: Client) -> None:
    include, exclude = {"operator": "OR", "tags": ["a", "b"]}, {"operator": "AND", "tags": ["c"]}
    segment = create(client, "Merged", description="Old.", settings={"include": include})
    changed = update(client, segment, settings={"exclude": exclude})
    assert changed["settings"] == {"include": include, "exclude": exclude}
    assert (changed["name"], changed["description"]) == ("Merged", "Old.")
    # An operator that is left out is AND. Null empties a part.
    changed = update(client, segment, settings={"include": {"tags": ["a"]}, "exclude": None})
    assert changed["settings"] == {**EMPTY, "include": {"operator": "AND", "tags": ["a"]}}
    # A query replaces settings, settings with tags replace a query.
    changed = update(client, segment, query=" country:FR ")
    assert (changed["settings"], changed["query"]) == (EMPTY, "country:FR")
    changed = update(client, segment, settings={"exclude": exclude})
    assert changed["settings"] == {**EMPTY, "exclude": exclude}
    assert changed["query"] == '-(tag:"c")'
    assert update(client, segment, settings={"exclude": None})["query"] == ""

    invalid: list[tuple[dict[str, Any], list[Any]]] = [
        ({"query": "a", "settings": {}}, ["node"]),
        *(({name: None}, ["node", name]) for name in ("name", "description", "query", "settings")),
        (
            {"settings": {"include": {"operator": None, "tags": []}}},
            ["node", "settings", "include", "operator"],
        ),
        ({"name": " "}, ["node", "name"]),
        ({"name": "\u200b"}, ["node", "name"]),
        ({"name": "n" * 256}, ["node", "name"]),
        ({"description": "d" * 2_001}, ["node", "description"]),
        (
            {"settings": {"include": {"tags": ["t" * 256]}}},
            ["node", "settings", "include", "tags", 0],
        ),
        (
            {"settings": {"exclude": {"tags": ["a", "\u200b"]}}},
            ["node", "settings", "exclude", "tags", 1],
        ),
        (
            {"settings": {"include": {"tags": [str(n) for n in range(251)]}}},
            ["node", "settings", "include", "tags"],
        ),
    ]
    for node, path in invalid:
        error = client.expect_error("errors_invalid_input", UPDATE, node=node, id=segment["id"])
        assert error["extensions"]["input_path"] == path, node
        if "name" not in node:
            node = {"name": "New", **node}
        error = client.expect_error("errors_invalid_input", CREATE, node=node)
        assert error["extensions"]["input_path"] == path, node
    error = client.expect_error("errors_invalid_input", CREATE, node={"query": "a"})
    assert error["extensions"]["input_path"] == ["node", "name"]
    names_of_255 = {"name": "n" * 255, "description": "d\n" * 1_000}
    assert update(client, segment, **names_of_255)["name"] == "n" * 255


ODD = st.text(
    st.sampled_from("aA\"'\\*()-:<>=, éßıŁ\u200b\u0301日ＡＢ|&%_`") | st.characters(codec="utf-8"),
    max_size=8,
)


def test_odd_tags_are_found_exactly(client: Client) -> None:
    """Whatever a tag contains, the settings select the customers that have it."""
    check = """query($query: String!) { customers(query: $query) { totalCount } }"""
    numbers = iter(range(10_000))
    segment = create(client, "Odd")

    @given(st.lists(ODD, min_size=1, max_size=3), st.sampled_from(("AND", "OR")))
    @settings(max_examples=example_count(100), deadline=None)
    def run(tags: list[str], operator: str) -> None:
        email = f"odd{next(numbers)}@x.test"
        mutation = """mutation($node: InputCustomer!) { createCustomer(node: $node) { tags } }"""
        body = client.run(mutation, node={"email": email, "tags": tags})
        condition = {"operator": operator, "tags": tags}
        changed = client.run(UPDATE, node={"settings": {"include": condition}}, id=segment["id"])
        if "errors" in body:
            assert "errors" in changed
            return
        if "errors" in changed:
            # Only what no search finds is refused.
            assert all("no visible" in error["message"] for error in changed["errors"])
            return
        stored = body["data"]["createCustomer"]["tags"]
        written = changed["data"]["updateSegment"]
        assert written["settings"]["include"]["tags"] == stored
        assert written["problem"] is None
        query = f"segment:Odd email:{email}"
        assert client.data(check, query=query)["customers"]["totalCount"] == 1
        reread = create(client, email, query=written["query"])
        excluded = update(client, segment, settings={"include": None, "exclude": condition})
        total = client.data(check, query="")["customers"]["totalCount"]
        if stored:
            assert client.data(check, query=query)["customers"]["totalCount"] == 0
            # The two have each customer once.
            assert reread["statistics"] + _count(client, excluded) == total
        else:
            assert reread["statistics"] == _count(client, excluded) == total
        client.data(DELETE, items=[reread["id"]])
        update(client, segment, settings={"exclude": None})

    run()


def _count(client: Client, segment: dict[str, Any]) -> int:
    count: int = client.node(segment["id"], "... on Segment { statistics }")["statistics"]
    return count


def test_names_are_unique_without_case_and_accents(client: Client) -> None:
    vip = create(client, "VIP é")
    for name in ("vip e", "ViP É", " vip é "):
        error = client.expect_error("segments_duplicated", CREATE, node={"name": name})
        assert error["message"] == 'A segment is named "VIP é" already. Choose a different name.'
        assert (error["extensions"]["input_path"], error["extensions"]["code"]) == (
            ["node", "name"],
            "CONFLICT",
        )
    assert update(client, vip, name="vip E")["name"] == "vip E"
    other = create(client, "Other")
    client.expect_error("segments_duplicated", UPDATE, node={"name": "VIP E"}, id=other["id"])
    client.data(DELETE, items=[vip["id"]])
    assert update(client, other, name="VIP E")["name"] == "VIP E"


def test_unknown_ids_and_other_accounts(client: Client, other: Client) -> None:
    mine = create(client, "Mine", query="tag:a")
    theirs = create(other, "Mine", query="tag:b")
    client.create("mine@x.test", tags=["a"])
    assert client.emails("segment:mine") == ["mine@x.test"]
    assert other.emails("segment:mine") == []
    assert names(client) == names(other) == ["Mine"]
    for _ in range(2):
        create(other, f"Only theirs {_}")
    error = client.expect_error("segments_not_found", UPDATE, node={}, id="3")
    assert error["message"] == "No segment has the id `3`."
    assert error["extensions"]["ids"] == ["3"]
    assert error["extensions"]["code"] == "NOT_FOUND"
    error = client.expect_error("segments_not_found", DELETE, items=[mine["id"], "2", "x"])
    assert (error["extensions"]["input_path"], error["extensions"]["ids"]) == (
        ["items"],
        ["2", "x"],
    )
    assert names(client) == ["Mine"]
    assert client.node("U2VnbWVudDoz", "... on Segment { name }") is None
    document = "query($q: String) { customers(query: $q) { totalCount } }"
    error = client.expect_error("errors_invalid_query", document, q='segment:"Only theirs 0"')
    assert "suggestion" not in error["extensions"]
    assert theirs["id"] == mine["id"]


def test_the_list_has_filters_orders_and_pages(client: Client) -> None:
    for name, description in (("Beta", "Buyers of tea"), ("alpha", ""), ("Émile", "tea lovers")):
        create(client, name, description=description)
    assert names(client) == ["Émile", "alpha", "Beta"]
    assert names(client, "order_by:name order_dir:asc") == ["alpha", "Beta", "Émile"]
    assert names(client, "order_by:created_at order_dir:asc") == ["Beta", "alpha", "Émile"]
    assert names(client, "tea order_by:name") == ["Émile", "Beta"]
    assert names(client, '"of te"') == ["Beta"]
    assert names(client, "name:EMILE") == ["Émile"]
    assert names(client, "name:al*") == ["alpha"]
    assert names(client, "nothing") == []
    update(client, "1", description="Changed.")
    assert names(client, "order_by:updated_at")[0] == "Beta"
    for order in ("order_by:id", "order_by:name order_dir:asc", "order_by:updated_at"):
        everything = names(client, order)
        seen: list[str] = []
        after = None
        while True:
            page = client.data(LIST, query=order, first=1, after=after)["segments"]
            assert page["totalCount"] == 3
            assert page["pageInfo"]["hasPreviousPage"] is bool(seen)
            seen += [edge["node"]["name"] for edge in page["edges"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == everything
        backward = client.data(LIST, query=order, last=2, before=after)["segments"]
        assert [edge["node"]["name"] for edge in backward["edges"]] == everything[:2]
        assert backward["pageInfo"]["hasNextPage"] is True
        assert backward["pageInfo"]["hasPreviousPage"] is False
    for query, position in (
        ("order_by:size", 9),
        ("bogus:1", 0),
        ("a (b)", 2),
        ("...", 0),
        ("name:<a", 5),
        ("order_dir:asc order_dir:asc", 14),
        ("a " * 51, 100),
        ("a" * 2_001, 2_000),
    ):
        error = client.expect_error("errors_invalid_query", LIST, query=query)
        assert error["extensions"]["position"] == position, query
    client.expect_error("errors_page_size", LIST, query="", first=251)
    cursor = client.data(LIST, query="order_by:name")["segments"]["pageInfo"]["endCursor"]
    client.expect_error("errors_invalid_cursor", LIST, query="", after=cursor)


def test_the_members_are_a_page_in_an_order(client: Client) -> None:
    for index, tags in enumerate((["a"], ["a"], [], ["a"])):
        client.create(f"{index}@x.test", tags=tags, last_name="zyxw"[index])
    segment = create(client, "A", query="tag:a")
    assert segment["statistics"] == 3
    assert members(client, segment) == ["3@x.test", "1@x.test", "0@x.test"]
    by_name = "order_by:last_name order_dir:asc"
    assert members(client, segment, order=by_name) == ["3@x.test", "1@x.test", "0@x.test"]
    assert members(client, segment, order="order_dir:asc")[0] == "0@x.test"
    page = client.data(MEMBERS, id=segment["id"], first=2)["node"]["customers"]
    assert page["pageInfo"]["hasNextPage"] is True
    after = page["pageInfo"]["endCursor"]
    assert members(client, segment, first=2, after=after) == ["0@x.test"]
    error = client.expect_error("errors_invalid_query", MEMBERS, id=segment["id"], order="tag:a")
    assert error["extensions"]["input_path"] == ["order"]
    client.expect_error("errors_invalid_query", MEMBERS, id=segment["id"], order="order_by:bogus")
    both = '{ nodes(ids: [1, 2]) { id } a: node(id: "U2VnbWVudDox") { ... on Segment { name } } }'
    assert client.data(both)["a"] == {"name": "A"}


def test_a_dry_run_shows_the_segment_and_saves_nothing(client: Client) -> None:
    client.create("a@x.test", tags=["a"])
    old = create(client, "Old", query="tag:none")
    create_dry = CREATE.replace("(node: $node)", "(node: $node, dryRun: true)")
    body = client.run(create_dry, node={"name": "Dry", "query": "segment:old OR tag:a"})
    assert body["data"]["createSegment"]["statistics"] == 1
    assert body["extensions"]["dry_run"] == {"changes": [], "events": []}
    client.expect_error("segments_duplicated", create_dry, node={"name": "OLD"})
    update_dry = UPDATE.replace("id: $id)", "id: $id, dryRun: true)").replace(
        "problem", "statistics"
    )
    changed = client.data(update_dry, node={"query": "tag:a"}, id=old["id"])["updateSegment"]
    assert (changed["query"], changed["statistics"]) == ("tag:a", 1)
    delete_dry = DELETE.replace("(items: $items)", "(items: $items, dryRun: true)")
    assert client.data(delete_dry, items=["1"]) == {"deleteSegments": [old["id"]]}
    assert names(client) == ["Old"]
    assert client.node(old["id"], "... on Segment { query }") == {"query": "tag:none"}


def test_a_repeated_request_returns_the_first_outcome(client: Client) -> None:
    headers = {"Idempotency-Key": "segment"}
    variables = {"node": {"name": "Once"}}
    first = client.post(CREATE, variables, headers).json()
    assert client.post(CREATE, variables, headers).json() == first
    assert names(client) == ["Once"]
    delete = {"items": [first["data"]["createSegment"]["id"]]}
    headers = {"Idempotency-Key": "delete"}
    assert (
        client.post(DELETE, delete, headers).json() == client.post(DELETE, delete, headers).json()
    )
    assert names(client) == []


def test_an_account_has_at_most_500_segments(client: Client) -> None:
    for start in range(0, 500, 50):
        fields = "\n".join(
            f's{n}: createSegment(node: {{name: "s{n}"}}) {{ id }}'
            for n in range(start, start + 50)
        )
        client.data(f"mutation {{ {fields} }}")
    error = client.expect_error("errors_limit", CREATE, node={"name": "One more"})
    assert error["message"] == "This account has 500 segments, the maximum. Delete one first."
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    client.data(DELETE, items=["1"])
    create(client, "One more")
    error = client.expect_error("errors_invalid_input", DELETE, items=["2"] * 251)
    assert error["extensions"]["input_path"] == ["items"]


def test_the_segments_of_an_account_have_at_most_2_mi_characters(client: Client) -> None:
    tags = [f"{n:03}{'x' * 250}" for n in range(250)]
    settings = {"include": {"tags": tags}, "exclude": {"tags": tags}}
    for number in range(8):
        create(client, f"Large {number}", settings=settings)
    node = {"name": "One more", "settings": settings}
    error = client.expect_error("errors_limit", CREATE, node=node)
    assert error["message"] == (
        "The segments of this account would have more than 2,097,152 characters together. "
        "Delete one first, or use fewer tags."
    )
    assert len(names(client)) == 8
    create(client, "Small")


def test_scopes(server: Server) -> None:
    create_ = "mutation { createSegment(node: {%s}%s) { %s } }"
    with Client(server, create_token(server, scopes=("customers:write",))) as writer:
        writer.data(create_ % ('name: "a"', "", "id _id name query settings { include { tags } }"))
        for document in (
            create_ % ('name: "b"', "", "statistics"),
            create_ % ('name: "b"', "", "customers { totalCount }"),
            create_ % ('name: "b"', ", dryRun: true", "id"),
            create_ % ('name: "b", query: "segment:a"', "", "id"),
            'mutation { updateSegment(node: {}, id: "1") { name } }',
            "{ segments { totalCount } }",
            '{ node(id: "U2VnbWVudDox") { id } }',
        ):
            writer.expect_error("errors_scope", document)
        writer.data('mutation { updateSegment(node: {}, id: "1") { id } }')
        assert writer.data(DELETE, items=["1"])
    with Client(server, create_token(server, scopes=("customers:read",))) as reader:
        for document in (
            create_ % ('name: "b"', "", "id"),
            'mutation { updateSegment(node: {}, id: "1") { id } }',
            'mutation { deleteSegments(items: ["1"]) }',
        ):
            reader.expect_error("errors_scope", document)
