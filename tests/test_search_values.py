"""The terms of a query, and the values that customers have for a key of the search."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.core.errors import Rejected
from regulars.customers.search.splitting import split
from tests.support import Client

pytestmark = pytest.mark.both_databases

TERMS = """query($query: String!) { searchTerms(query: $query) {
  start end text negated key operator value prefix } }"""
VALUES = """query($key: String!, $query: String, $first: Int) {
  searchValues(key: $key, query: $query, first: $first) { value text customers_count } }"""


def terms(client: Client, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.data(TERMS, query=query)["searchTerms"]
    for term in found:
        assert query[term["start"] : term["end"]] == term["text"]
    return found


def values(client: Client, key: str, **arguments: Any) -> list[tuple[str, str, int | None]]:
    found = client.data(VALUES, key=key, **arguments)["searchValues"]
    return [(each["value"], each["text"], each["customers_count"]) for each in found]


def test_a_query_is_split_into_its_terms(client: Client) -> None:
    query = r'ana 🙂 -tag:"a \"b\""  AND created_at:>=-7d NOT custom.a\:b:Lon* (x OR y) order_by:id'
    split_terms = [
        (t["text"], t["negated"], t["key"], t["operator"], t["value"], t["prefix"])
        for t in terms(client, query)
    ]
    assert split_terms == [
        ("ana", False, None, "", None, False),
        ("🙂", False, None, "", None, False),
        (r'-tag:"a \"b\""', True, "tag", "", 'a "b"', False),
        ("created_at:>=-7d", False, "created_at", ">=", "-7d", False),
        (r"NOT custom.a\:b:Lon*", True, "custom.a:b", "", "Lon", True),
        ("(x OR y)", False, None, "", None, False),
        ("order_by:id", False, "order_by", "", "id", False),
    ]
    assert terms(client, "") == terms(client, "  ") == []
    # No segment needs to exist.
    (term,) = terms(client, "segment:'no such'")
    assert (term["key"], term["value"]) == ("segment", "no such")


def test_alternatives_are_one_term(client: Client) -> None:
    for query in ("tag:a OR tag:b", "tag:a tag:c OR tag:b", " x OR (y z) "):
        (term,) = terms(client, query)
        assert term["text"] == query.strip()
        assert term["key"] is None
    # A word in quotes is no operator.
    assert len(terms(client, 'tag:a "OR" tag:b')) == 3


def test_an_invalid_query_has_the_errors_of_a_search(client: Client) -> None:
    for query in ("tag:", "(a", "acepts_marketing:yes", "a" * 2_001, "a OR", " ".join("a" * 51)):
        (error,) = client.errors(TERMS, query=query)
        (expected,) = client.errors(
            "query($query: String) { customers(query: $query) { totalCount } }", query=query
        )
        assert error["key"] == expected["key"] == "errors_invalid_query"
        assert error["message"] == expected["message"]


WORDS = st.sampled_from(
    [
        "tag:vip",
        "-city:'Paris'",
        "(a OR b)",
        "AND",
        "OR",
        "NOT",
        "ana",
        '"q r"',
        "id:>3",
        "(",
        ")",
        "\\ x",
        "created_at:-1d",
    ]
)


@given(st.lists(WORDS, max_size=9), st.sampled_from([" ", "  ", "\t"]))
@settings(max_examples=300, deadline=None)
def test_the_terms_cover_a_query(words: list[str], space: str) -> None:
    query = space.join(words)
    try:
        found = split(query)
    except Rejected:
        return
    end = 0
    for term in found:
        assert query[end : term.start].strip() in ("", "AND")
        assert query[term.start : term.end] == term.text == term.text.strip() != ""
        end = term.end
    assert not query[end:].strip()


def test_values_are_listed_as_they_are_written(client: Client, other: Client) -> None:
    other.create("other@example.com", tags=["theirs"], shipping_address={"city": "Rome"})
    client.create(
        "ana@example.com",
        tags=["VIP"],
        shipping_address={"country": "MA", "city": "Fès", "company": "A: B"},
        billing_address={"country": "MA", "city": "Casablanca"},
        custom={"Loyalty Tier": "Gold", "size": {"eu": 42}, "a:b": ["x", "y"], "none": ""},
    )
    client.create("bo@example.com", tags=["vip"], shipping_address={"city": "Lake Lawrence"})
    client.create("cy@example.com", custom={"loyalty tier": "gold", "size": {"eu": 38}})
    assert values(client, "city") == [
        ("Casablanca", "Casablanca", 1),
        ("Fès", "Fès", 1),
        ("Lake Lawrence", '"Lake Lawrence"', 1),
    ]
    assert values(client, "city", query="FE") == [("Fès", "Fès", 1)]
    assert values(client, "city", first=1) == [("Casablanca", "Casablanca", 1)]
    assert values(client, "country") == [("MA", "MA", 1)]
    assert values(client, "company") == [("A: B", '"A: B"', 1)]
    assert [count for _, _, count in values(client, "tag")] == [2]
    assert values(client, "zip") == []
    keys = values(client, "custom.")
    assert [text.lower() for _, text, _ in keys] == [
        r"custom.a\:b",
        r"custom.loyalty\ tier",
        "custom.size.eu",
    ]
    assert values(client, "custom.", query="SIZE") == [("size.eu", "custom.size.eu", None)]
    assert values(client, "custom.size.eu") == [("38", "38", 1), ("42", "42", 1)]
    assert values(client, r"custom.a\:b") == [("x", "x", 1), ("y", "y", 1)]
    ((name, text, count),) = values(client, r"custom.LOYALTY\ tier")
    assert (name.lower(), text.lower(), count) == ("gold", "gold", 2)
    # Each value finds its customers.
    for key in ("tag", "city", "country", "company", *(text for _, text, _ in keys)):
        for _, text, count in values(client, key):
            assert len(client.emails(f"{key}:{text}")) == count


def test_only_keys_with_values_are_listed(client: Client) -> None:
    for key in ("email", "nonsense", "custom", "custom.a b", "", "w"):
        (error,) = client.errors(VALUES, key=key)
        assert error["key"] == "errors_invalid_input"
        assert "custom.KEY" in error["message"]
    (error,) = client.errors(VALUES, key="city", first=251)
    assert error["key"] == "errors_page_size"
    for arguments in ({"key": "city", "query": "a" * 2_001}, {"key": "custom." + "a" * 2_000}):
        (error,) = client.errors(VALUES, **arguments)
        assert error["key"] == "errors_invalid_query"


def test_many_names_of_custom_fields_are_cut(client: Client) -> None:
    client.create("ana@example.com", custom={f"k{number:03}": "v" for number in range(60)})
    assert len(values(client, "custom.")) == 25
    assert len(values(client, "custom.", first=250)) == 50
