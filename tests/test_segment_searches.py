"""Segments in searches: `segment:VALUE` stands for the query of a segment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regulars.segments.table import segments
from regulars.store.query import Query
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    run_server,
    with_store,
)
from tests.test_segments import CREATE, DELETE, UPDATE, create, members, update

pytestmark = pytest.mark.both_databases

COUNT = "query($query: String!) { customersCount(query: $query) { count } }"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers",))) as each:
        yield each


@pytest.fixture
def crowd(client: Client) -> Client:
    for email, tags, country in (
        ("a", ["vip"], "FR"),
        ("b", ["vip"], "DE"),
        ("c", ["new"], "FR"),
        ("d", [], "DE"),
    ):
        client.create(f"{email}@x.test", tags=tags, shipping_address={"country": country})
    return client


def found(client: Client, query: str) -> str:
    """Return the first letters of the emails that a query finds, which is also counted."""
    letters = "".join(sorted(email[0] for email in client.emails(query)))
    assert client.data(COUNT, query=query)["customersCount"]["count"] == len(letters)
    return letters


def execute(server: Server, statement: Any) -> None:
    """Execute a statement in the database."""
    with_store(server.database_url, lambda store: store.execute([(Query(statement), {})]))


def refused(client: Client, query: str) -> dict[str, Any]:
    """Return the extensions of the error of a query, with its message."""
    error = client.expect_error("errors_invalid_query", COUNT, query=query)
    return {**error["extensions"], "message": error["message"]}


def test_a_segment_is_found_by_name_and_id(crowd: Client) -> None:
    vip = create(crowd, "VIP é", query="tag:vip")
    create(crowd, 'A "q" \\', query="country:FR OR tag:vip")
    for value in ('"VIP é"', "'vip E'", "VIP\\ e", "1", vip["id"], vip["id"].rstrip("=")):
        assert found(crowd, f"segment:{value}") == "ab"
    assert found(crowd, 'segment:"A \\"q\\" \\\\"') == "abc"
    # It stands for its query as in parentheses.
    assert found(crowd, "segment:2 -segment:1") == "c"
    assert found(crowd, "-segment:2") == "d"
    assert found(crowd, "segment:2 country:DE") == "b"
    assert found(crowd, "tag:new OR segment:1") == "abc"
    assert found(crowd, "(segment:1 country:FR) OR segment:1 country:DE") == "ab"
    assert found(crowd, "s\\egment:1") == "ab"
    assert crowd.emails("segment:2 order_by:email order_dir:asc")[0] == "a@x.test"
    page = crowd.page("email", query="segment:2", first=1)
    cursor = page["pageInfo"]["endCursor"]
    assert crowd.emails("segment:2", first=5, after=cursor) == ["b@x.test", "a@x.test"]
    # All customers.
    create(crowd, "All")
    assert found(crowd, "segment:all") == "abcd"
    assert found(crowd, "-segment:all") == ""
    # A name takes precedence over an id.
    create(crowd, "1", query="tag:new")
    assert found(crowd, "segment:1") == "c"


def test_a_wrong_segment_is_an_error_with_its_position(crowd: Client) -> None:
    create(crowd, "Buyers", query="tag:vip")
    error = refused(crowd, "tag:vip segment:buyer")
    assert error["message"] == ("No segment has the name or id 'buyer'. Did you mean `Buyers`?")
    assert (error["position"], error["suggestion"]) == (16, "Buyers")
    for query, position in (
        ("segment:9", 8),
        ("segment:>1", 8),
        ("segment:buy*", 8),
        ('segment:""', 8),
        ("segment:", 8),
        ('segment:"U2VnbWVudDo5"', 8),
    ):
        assert refused(crowd, query)["position"] == position, query
    for query, position in (("tag:vip order_by:id", 8), ("tag:vip bogus:1", 8), ("(", 0)):
        error = crowd.expect_error(
            "errors_invalid_query", CREATE, node={"name": "New", "query": query}
        )
        assert error["extensions"]["input_path"] == ["node", "query"]
        assert error["extensions"]["position"] == position
    for query, position in (("a" * 2_001, 2_000), ("a\0", 1), ("a " * 51, 100)):
        node = {"query": query}
        error = crowd.expect_error("errors_invalid_query", UPDATE, node=node, id="1")
        assert error["extensions"]["input_path"] == ["node", "query"]
        assert error["extensions"]["position"] == position
    assert found(crowd, "segment:buyers") == "ab"


def test_segments_can_be_nested_five_deep(crowd: Client) -> None:
    create(crowd, "s1", query="tag:vip")
    for n in range(2, 6):
        create(crowd, f"s{n}", query=f"segment:s{n - 1} country:FR")
    assert found(crowd, "segment:s5") == "a"
    node = {"name": "s6", "query": "tag:vip OR segment:s5"}
    error = crowd.expect_error("errors_invalid_query", CREATE, node=node)
    assert error["message"] == "Segments are nested more than 5 deep."
    assert error["extensions"]["position"] == 19
    # A new level at the bottom would be too deep for those above it.
    create(crowd, "s0", query="tag:vip")
    error = crowd.expect_error("errors_invalid_query", UPDATE, node={"query": "segment:s0"}, id="1")
    assert error["message"] == (
        'The segment "s5" uses this one. Segments are nested more than 5 deep.'
    )
    assert error["extensions"]["input_path"] == ["node", "query"]
    assert found(crowd, "segment:s5") == "a"
    # The same segment twice is no cycle, and is not deeper.
    assert update(crowd, "1", query="tag:vip -tag:none")["problem"] is None
    assert found(crowd, "segment:s1 OR segment:s1") == "ab"


def test_a_cycle_is_refused(crowd: Client) -> None:
    first = create(crowd, "one", query="tag:vip")
    create(crowd, "two", query="segment:one")
    create(crowd, "three", query="country:FR segment:two")
    for query, position, chain in (
        ("segment:one", 8, "one → one"),
        ("tag:vip segment:two", 16, "one → two → one"),
        ("segment:three", 8, "one → three → two → one"),
    ):
        node = {"query": query}
        error = crowd.expect_error("errors_invalid_query", UPDATE, node=node, id=first["id"])
        assert error["message"] == f'The segment "one" contains itself: {chain}.'
        assert error["extensions"]["position"] == position
    node = {"name": "new", "query": "segment:new"}
    error = crowd.expect_error("errors_invalid_query", CREATE, node=node)
    assert found(crowd, "segment:three") == "a"


def test_a_query_has_at_most_500_terms_with_its_segments(crowd: Client) -> None:
    tags = [f"t{n}" for n in range(249)]
    half = {"operator": "OR", "tags": [*tags, "vip"]}
    big = create(
        crowd, "big", settings={"include": half, "exclude": {**half, "tags": ["x"] + tags}}
    )
    assert members(crowd, big) == ["b@x.test", "a@x.test"]
    assert found(crowd, "segment:big") == "ab"
    error = refused(crowd, "tag:vip segment:big")
    assert error["message"] == "The query and its segments have more than 500 terms. Remove some."
    assert error["position"] == 16
    node = {"name": "bigger", "query": "segment:big tag:a"}
    error = crowd.expect_error("errors_invalid_query", CREATE, node=node)
    assert error["extensions"]["position"] == 12
    # One that another uses cannot become too large for it.
    create(crowd, "small", query="tag:vip")
    create(crowd, "user", query="segment:small tag:vip")
    crowd.expect_error("errors_invalid_query", UPDATE, node={"query": "segment:big"}, id="2")
    for key in ("first_name", "full_name", "state", "notes"):
        words = " OR ".join(f"{key}:w{n}" for n in range(50))
        create(crowd, key, query=words)
    free = " OR ".join(f"w{n}" for n in range(50))
    create(crowd, "free", query=free)
    terms = ("first_name", "full_name", "state", "notes", "free")
    union = " OR ".join(f"segment:{term}" for term in terms)
    assert found(crowd, f"{union} OR tag:vip") == "ab"
    assert found(crowd, f"-({union})") == "abcd"
    assert found(crowd, " ".join(f"-segment:{term}" for term in terms)) == "abcd"
    create(crowd, "more", query=" OR ".join([*[f"w{n}" for n in range(50, 99)], "a"]))
    assert crowd.emails(f"({union} OR segment:more OR segment:small) order_by:email") == [
        "b@x.test",
        "a@x.test",
    ]


def test_a_new_name_is_written_to_the_queries_that_use_it(crowd: Client) -> None:
    vip = create(crowd, "vip", query="tag:vip")
    user = create(crowd, "user", query='country:FR (segment:VIP OR -segment:"vip") segment:1')
    create(crowd, "other", query="segment:user")
    before = found(crowd, "segment:other")
    update(crowd, vip, name='New "name"')
    stored = crowd.node(user["id"], "... on Segment { query problem }")
    assert stored == {
        "query": 'country:FR (segment:"New \\"name\\"" OR -segment:"New \\"name\\"") segment:1',
        "problem": None,
    }
    assert found(crowd, "segment:other") == before == "a"
    # A name that captures an id: the query keeps its meaning.
    create(crowd, "1", query="tag:new")
    stored = crowd.node(user["id"], "... on Segment { query }")
    assert stored["query"].endswith(' segment:"New \\"name\\""')
    assert found(crowd, "segment:other") == "a"
    # Both at once, and a refused change keeps the names.
    changed = update(crowd, vip, name="plain", query="tag:new")
    assert (changed["name"], found(crowd, "segment:other")) == ("plain", "c")
    node = {"name": "loop", "query": "segment:other"}
    crowd.expect_error("errors_invalid_query", UPDATE, node=node, id=vip["id"])
    stored = crowd.node(user["id"], "... on Segment { query }")
    assert "segment:plain" in stored["query"]
    assert "loop" not in stored["query"]


def test_a_segment_in_use_cannot_be_deleted(crowd: Client) -> None:
    vip = create(crowd, "VIP", query="tag:vip")
    for name, query in (("Ramadan", "segment:vip"), ("By id", f"segment:{vip['_id']}")):
        create(crowd, name, query=query)
    error = crowd.expect_error("errors_in_use", DELETE, items=[vip["id"]])
    assert error["message"] == (
        'The segment "VIP" is used by the segment "Ramadan" and 1 more. Change or delete that one '
        "first."
    )
    assert error["extensions"]["code"] == "CONFLICT"
    assert error["extensions"]["used_by"] == [
        {"id": "U2VnbWVudDoy", "type": "Segment", "name": "Ramadan"},
        {"id": "U2VnbWVudDoz", "type": "Segment", "name": "By id"},
    ]
    # Together they can be deleted.
    assert len(crowd.data(DELETE, items=["1", "2", "3"])["deleteSegments"]) == 3


MEMBERS = """query($segment: String, $query: String, $first: Int, $after: String) {
  customers(segment: $segment, query: $query, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { email } } } }"""


def test_the_list_of_customers_can_be_limited_to_a_segment(crowd: Client) -> None:
    """The segment and the query are combined as if both were in parentheses."""
    vip = create(crowd, "5", query="tag:vip OR tag:new")

    def listed(segment: str | None, query: str = "", **page: Any) -> str:
        customers = crowd.data(MEMBERS, segment=segment, query=query, **page)["customers"]
        return "".join(edge["node"]["email"][0] for edge in customers["edges"])

    for segment in ("5", vip["id"], "1"):
        assert listed(segment, "order_by:email order_dir:asc") == "abc"
    assert listed(None) == "dcba"
    assert listed("5", "country:DE OR tag:new order_by:email order_dir:desc") == "cb"
    page = crowd.data(MEMBERS, segment="5", query="", first=2)["customers"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert listed("5", after=page["pageInfo"]["endCursor"]) == "a"
    # Neither parentheses nor OR in the query escape from the segment.
    error = crowd.expect_error("errors_invalid_query", MEMBERS, segment="5", query="x) OR (a")
    assert error["extensions"]["position"] == 1
    for unknown in ("nobody", "", "99", "Q3VzdG9tZXI6MQ=="):
        error = crowd.expect_error("segments_not_found", MEMBERS, segment=unknown)
        assert error["extensions"]["ids"] == [unknown]


def test_an_unreadable_query_is_a_problem_and_never_empty(crowd: Client, server: Server) -> None:
    """A query can become unreadable when the search language changes."""
    broken = create(crowd, "Broken", query="tag:vip")
    create(crowd, "User", query="country:FR segment:broken")
    change = segments.update().where(segments.c.query == "tag:vip").values(query="bogus:1")
    execute(server, change)
    problem = (
        "The segment \"Broken\" cannot be read: No filter is named 'bogus'. To search for these "
        "words, put them in quotes."
    )
    listing = "{ segments { edges { node { name problem query } } } }"
    nodes = [edge["node"] for edge in crowd.data(listing)["segments"]["edges"]]
    assert [(node["name"], node["problem"]) for node in nodes] == [
        ("User", problem),
        ("Broken", problem),
    ]
    for id_ in ("U2VnbWVudDox", "U2VnbWVudDoy"):
        for field in ("statistics", "customers { totalCount }", "customers { edges { cursor } }"):
            document = f'{{ node(id: "{id_}") {{ ... on Segment {{ {field} }} }} }}'
            error = crowd.expect_error("errors_invalid_query", document)
            assert error["message"] == problem
    for query in ("segment:broken", "-segment:user", "tag:x OR segment:user"):
        assert refused(crowd, query)["message"] == problem
    error = crowd.expect_error("errors_invalid_query", MEMBERS, segment="broken")
    assert error["message"] == problem
    export = crowd.http.get("/export", params={"segment": "broken"})
    assert export.status_code == 400
    # It can be renamed, repaired and deleted.
    assert update(crowd, broken, name="Renamed")["problem"]
    assert update(crowd, broken, query="tag:new")["problem"] is None
    assert found(crowd, "segment:renamed") == "c"


def test_a_change_applies_to_the_next_search_of_every_process(
    crowd: Client, server: Server
) -> None:
    segment = create(crowd, "Moving", query="tag:vip")
    with run_server(server.database_url) as second, Client(second, crowd.token) as elsewhere:
        for query, letters in (("tag:vip", "ab"), ("tag:new", "c"), ("country:DE", "bd")):
            update(elsewhere, segment, query=query)
            for _ in range(2):
                assert found(crowd, "segment:moving") == letters
                assert found(elsewhere, "segment:moving") == letters


def test_exports_of_a_segment(crowd: Client, server: Server, tmp_path: Path) -> None:
    vip = create(crowd, "Very important", query="tag:vip OR tag:new")

    def export(**params: str) -> list[str]:
        params = {"columns": "email", **params}
        response = crowd.http.get("/export", params=params)
        assert response.status_code == 200, response.text
        return response.text.split()[1:]

    for value in ("very important", vip["id"], "1"):
        assert export(segment=value) == ["a@x.test", "b@x.test", "c@x.test"]
    assert export(query='segment:"very important" country:FR') == ["a@x.test", "c@x.test"]
    query = "country:FR OR country:MA order_by:email order_dir:desc"
    assert export(segment="1", query=query) == ["c@x.test", "a@x.test"]
    response = crowd.http.get("/export", params={"segment": "none"})
    assert response.status_code == 400
    assert response.json()["errors"][0]["key"] == "segments_not_found"
    response = crowd.http.post("/export", params={"segment": "1"}, json={"ids": []})
    assert "`segment`" in response.json()["errors"][0]["message"]

    account = ("--account", find_account_name(server, crowd.token))
    location = (*account, "--database-url", server.database_url)
    target = tmp_path / "segment.csv"
    arguments = ("export", str(target), "--segment", "Very important", "--columns", "email")
    result = run_regulars(*arguments, *location)
    assert result.returncode == 0, result.stderr
    assert target.read_text().split()[1:] == ["a@x.test", "b@x.test", "c@x.test"]
    result = run_regulars("export", str(target), "--segment", "none", *location)
    assert result.returncode != 0
    assert "No segment has the name or id `none`." in result.stderr


def test_segments_are_described_and_completed(crowd: Client, server: Server) -> None:
    create(crowd, "vip", query="tag:vip")
    create(crowd, "At risk", query="tag:old")
    document = "{ searchLanguage { keys { name takes compared prefix values } } }"
    keys = {key["name"]: key for key in crowd.data(document)["searchLanguage"]["keys"]}
    assert keys["segment"] == {
        "name": "segment",
        "takes": "a segment",
        "compared": False,
        "prefix": False,
        "values": ['"At risk"', "vip"],
    }
    for value in keys["segment"]["values"]:
        refused_ = crowd.run(COUNT, query=f"segment:{value}")
        assert "errors" not in refused_
    with Client(server, create_token(server, scopes=("webhooks",))) as stranger:
        keys = {key["name"]: key for key in stranger.data(document)["searchLanguage"]["keys"]}
        assert keys["segment"]["values"] == []
