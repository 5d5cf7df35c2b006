"""The list of an account's tags, with their numbers of customers."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from tests.support import Client

pytestmark = pytest.mark.both_databases

TAGS = """query($query: String, $first: Int, $after: String) {
  tags(query: $query, first: $first, after: $after) {
    edges { cursor node { name customers_count } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def load(client: Client, **arguments: Any) -> dict[str, Any]:
    page: dict[str, Any] = client.data(TAGS, **arguments)["tags"]
    return page


def counts(client: Client, **arguments: Any) -> dict[str, int]:
    nodes = [edge["node"] for edge in load(client, **arguments)["edges"]]
    return {node["name"]: node["customers_count"] for node in nodes}


def remove_tag(client: Client, number: int, tag: str) -> None:
    document = "mutation($id: ID!, $tag: String!) { removeTags(items: [$id], tags: [$tag]) { id } }"
    client.data(document, id=number, tag=tag)


def cursor(value: Any) -> str:
    return base64.b64encode(orjson.dumps(value)).decode()


def test_tags_are_counted_by_name_without_case_and_accents(client: Client, other: Client) -> None:
    assert counts(client) == {}
    other.create("other@example.com", tags=["theirs"])
    client.create("ana@example.com", tags=["vip", "Été"], shipping_address={"country": "FR"})
    bo = client.create("bo@example.com", tags=["VIP", "été", "a: b, c"])
    client.create("gone@example.com", tags=["gone", "vip"])
    client.delete(client.create("deleted@example.com", tags=["only theirs"])["id"])
    remove_tag(client, 3, "gone")
    # The name is that of the newest customer with the tag.
    assert counts(client) == {"a: b, c": 1, "été": 2, "vip": 3}
    client.update(bo["id"], tags=[])
    assert counts(client) == {"Été": 1, "vip": 2}
    assert counts(client, query="") == counts(client, query=None) == counts(client)
    # Each name finds its customers.
    for name, count in counts(client).items():
        assert len(client.emails(f'tag:"{name}"')) == count


def test_a_name_is_not_that_of_the_newest_customer_of_another_tag(client: Client) -> None:
    client.create("ana@example.com", tags=["VIP", "visitor"])
    client.create("bo@example.com", tags=["vip"])
    assert counts(client) == {"vip": 2, "visitor": 1}


def test_tags_are_found_by_their_beginning(client: Client) -> None:
    client.create("ana@example.com", tags=["VIP", "vip 2024", "visitor", "B2B", "%", "v%p", "日本"])
    assert list(counts(client, query="vi")) == ["VIP", "vip 2024", "visitor"]
    assert list(counts(client, query=" ViP")) == ["VIP", "vip 2024"]
    assert list(counts(client, query="vip")) == ["VIP", "vip 2024"]
    assert list(counts(client, query="日")) == ["日本"]
    assert list(counts(client, query="%")) == ["%"]
    for text in ("ip", "tag:vip", "v_p", "\U0010ffff"):
        assert counts(client, query=text) == {}


def test_pages_of_tags_have_every_tag_once(client: Client) -> None:
    names = [f"tag {number:03}" for number in range(57)]
    client.create("ana@example.com", tags=names[:40])
    client.create("bo@example.com", tags=names[20:])
    assert len(counts(client)) == 25
    seen: list[str] = []
    after = None
    while True:
        page = load(client, query="TAG", first=10, after=after)
        seen += [edge["node"]["name"] for edge in page["edges"]]
        info = page["pageInfo"]
        assert info["startCursor"] == page["edges"][0]["cursor"]
        assert info["hasPreviousPage"] == (after is not None)
        after = info["endCursor"]
        if not info["hasNextPage"]:
            break
    assert seen == names
    assert len(counts(client, first=250)) == 57
    assert counts(client, first=0) == {}
    # A tag that is gone still has a position.
    gone = load(client, first=1)["edges"][0]["cursor"]
    remove_tag(client, 1, "tag 000")
    assert list(counts(client, first=1, after=gone)) == ["tag 001"]


@pytest.mark.parametrize(
    "after",
    ["nonsense", cursor([1]), cursor("tag:a"), cursor(["a\0b"]), cursor(["a" * 513]), cursor([])],
)
def test_an_invalid_cursor_of_tags_is_refused(client: Client, after: str) -> None:
    (error,) = client.errors(TAGS, after=after)
    assert error["key"] == "errors_invalid_cursor"
    assert "endCursor" in error["message"]


def test_invalid_arguments_of_tags_are_refused(client: Client) -> None:
    client.create("ana@example.com", tags=["vip"])
    (error,) = client.errors(TAGS, first=251)
    assert error["key"] == "errors_page_size"
    (error,) = client.errors(TAGS, first=-1)
    assert error["key"] == "errors_page_size"
    for query in ("a" * 2_001, "a\0"):
        (error,) = client.errors(TAGS, query=query)
        assert error["key"] == "errors_invalid_query"
    # A cursor of other terms reveals nothing else.
    assert counts(client, after=cursor(["w:ana"])) == {}
    assert counts(client, after=cursor([""])) == {"vip": 1}


def test_the_cost_grows_with_the_page(client: Client) -> None:
    document = "query($first: Int) { tags(first: $first) { edges { node { name } } } }"
    costs = []
    for first in (0, 10, 250):
        body = {"query": document, "variables": {"first": first}}
        response = client.http.post("/api/v2", json=body, headers={"Regulars-Cost": "1"})
        costs.append(response.json()["extensions"]["cost"]["requested"])
    assert costs[0] < 10 < 100 <= costs[1] < 2_500 <= costs[2] < 20_000
