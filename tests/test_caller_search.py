"""Searches for what callers say: the last digits of a phone, a street, a city, a postal code."""

from __future__ import annotations

from typing import Any

import pytest

from regulars.customers.search import address_words
from tests.support import Client, Server
from tests.test_no_email import problems

pytestmark = pytest.mark.both_databases

ADD = """mutation($c: ID!, $n: InputAddressEntry!) {
  createAddress(customer: $c, node: $n) { id } }"""
DELETE = "mutation($items: [ID!]!) { deleteAddresses(items: $items) }"


def names(client: Client, query: str) -> list[str]:
    edges = client.page("first_name", query=f"{query} order_dir:asc")["edges"]
    return [edge["node"]["first_name"] for edge in edges]


def create_all(client: Client) -> None:
    home = {"line1": "12 Rue des Orangers", "city": "Fès", "zip": "30000", "country": "MA"}
    client.create(email="a@example.com", first_name="Ana", phone="+212 6 12 34 56 78")
    client.create(email="b@example.com", first_name="Bob", shipping_address=home)
    work = {"line1": "Unter den Linden 5", "line2": "Hinterhaus", "city": "Berlin"}
    client.create(
        email="c@example.com",
        first_name="Cem",
        phone="5550100",
        billing_address={**work, "company": "Acme Söhne", "state": "BE", "area": "Mitte"},
    )
    client.create(email="d@example.com", first_name="Dora", last_name="Rue")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("5678", ["Ana"]),
        ("345678", ["Ana"]),
        ("34 56 78", ["Ana"]),
        ("612345678", ["Ana"]),
        ("0612345678", ["Ana"]),
        ("0100", ["Cem"]),
        ("678", []),
        ("orangers", ["Bob"]),
        ("oran", ["Bob"]),
        ("rue", ["Dora"]),
        ("12", []),
        ("12 rue", []),
        ("12 rue orangers", ["Bob"]),
        ("rue des orangers fes", ["Bob"]),
        ('"rue des orangers"', ["Bob"]),
        ('"des rue orangers"', []),
        ("bob orangers", ["Bob"]),
        ("ana orangers", []),
        ("fes", ["Bob"]),
        ("30000", ["Bob"]),
        ("linden hinterhaus", ["Cem"]),
        ("mitte", ["Cem"]),
        ("sohne", ["Cem"]),
        ("acme berlin", ["Cem"]),
        ("-orangers", ["Ana", "Cem", "Dora"]),
        ("orangers OR linden", ["Bob", "Cem"]),
        ('address:"rue des orangers"', ["Bob"]),
        ("address:orangers", ["Bob"]),
        ("address:oran", []),
        ("address:oran*", ["Bob"]),
        ("address:rue", []),
        ("address:fes", ["Bob"]),
        ("has:address", ["Bob", "Cem"]),
        ("-has:address", ["Ana", "Dora"]),
        ("valid:phone", ["Ana"]),
        ("valid:PHONE", ["Ana"]),
        ("has:phone -valid:phone", ["Cem"]),
    ],
)
def test_callers_are_found(client: Client, query: str, expected: list[str]) -> None:
    create_all(client)
    assert names(client, query) == expected


def test_all_addresses_of_a_book_are_searched(server: Server, client: Client) -> None:
    made = client.create(email="a@example.com", first_name="Ana")
    entries = [
        {"address": {"line1": "7 Quai Voltaire", "city": "Paris"}},
        {"address": {"line1": "!!!"}},
        {"address": {"country": "FR"}},
    ]
    ids: list[str] = []
    for index, entry in enumerate(entries):
        if index == 1:
            client.data(DELETE, items=ids)
            assert (names(client, "voltaire"), names(client, "has:address")) == ([], [])
            ids = []
        ids.append(client.data(ADD, c=made["id"], n=entry)["createAddress"]["id"])
        assert names(client, "has:address") == ["Ana"]
        if index == 0:
            assert names(client, "7 quai voltaire paris") == ["Ana"]
    assert problems(server, client) == []


def test_values_of_the_keys_are_checked(client: Client) -> None:
    document = "query($q: String) { customers(query: $q) { totalCount } }"
    for query, message, expected, suggestion in (
        ("valid:email", "`valid:` supports only `valid:phone`", "phone", None),
        ("valid:phones", "`valid:` supports only `valid:phone`", "phone", "phone"),
        ("valid:>phone", "does not support `>`", "a value", None),
        ("address:!!", "no letters and no digits", "a word", None),
        ("adress:rue", "No filter is named 'adress'", "a key", "address"),
        ("has:adress", "`has:` does not support", "a key", "address"),
    ):
        error = client.expect_error("errors_invalid_query", document, q=query)
        assert message in error["message"]
        extensions: dict[str, Any] = error["extensions"]
        assert extensions["expected"] == expected
        assert extensions.get("suggestion") == suggestion, query


def test_the_language_lists_the_keys(client: Client) -> None:
    language = client.data("{ searchLanguage { keys { name values } } }")["searchLanguage"]
    keys = {key["name"]: key["values"] for key in language["keys"]}
    assert keys["valid"] == ["phone"]
    assert "address" in keys
    assert "address" in keys["has"]


def test_long_queries_do_not_search_addresses(client: Client) -> None:
    create_all(client)
    many = " OR ".join(f"nobody{n}" for n in range(23))
    assert names(client, f"{many} OR orangers") == ["Bob"]
    assert names(client, f"{many} OR orangers OR other") == []
    assert names(client, f"{many} OR address:orangers OR other") == ["Bob"]


def test_many_addresses_have_the_terms_of_each() -> None:
    """Long facets are searched by bisection, with the same result."""
    addresses = [
        {"line1": f"{n} Rue Numéro{n}", "city": f"Ville{n % 7} Basse", "zip": f"{n:05}"}
        for n in range(40)
    ]
    text = address_words.lines_of(addresses)
    facets = "\n" + "\n".join(
        f"{part}:{a[part].lower()}" for a in addresses for part in ("city", "zip")
    )
    expected = sorted(set(address_words.terms_of(text, facets + "\n")))
    original = address_words._LONG_LENGTH
    address_words._LONG_LENGTH = 10
    try:
        assert sorted(set(address_words.terms_of(text, facets + "\n"))) == expected
    finally:
        address_words._LONG_LENGTH = original
    assert "a:numero7" in expected
    assert "a:basse" in expected
    assert not {"a:rue", "a:ville1", "a:00007", "a:7"} & set(expected)
