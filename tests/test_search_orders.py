"""Customers found by the numbers of their orders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Client, Server, create_token

pytestmark = pytest.mark.both_databases

RECORD = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { _id } }"


@pytest.fixture(scope="module")
def shop(server: Server) -> Iterator[Client]:
    """An account with three customers and their orders; tests only read them."""
    token = create_token(server, scopes=("customers", "orders:write"))
    with Client(server, token) as client:
        orders = [
            ("ana", ["#1001", "#1002", "EU-2044/B"]),
            ("ben", ["2001", "#20010"]),
            ("cleo 1001", ["W-7"]),
        ]
        for number, (first_name, names) in enumerate(orders):
            email = f"{number}@example.com".replace("0", "zero")
            client.create(email, first_name=first_name)
            for name in names:
                client.data(RECORD, node={"name": name, "email": email, "total": 10})
        client.create("none@example.com", first_name="dora")
        yield client


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("order:#1001", ["ana"]),
        ("order:1001", ["ana"]),
        ('order:"№ 1001"', ["ana"]),
        ("order:2001", ["ben"]),
        ("order:#2001", ["ben"]),
        ("order:2001*", ["ben"]),
        ("order:100*", ["ana"]),
        ("order:100", []),
        ("order:eu-2044/b", ["ana"]),
        ("order:w-7", ["cleo 1001"]),
        ("-order:#1001", ["ben", "cleo 1001", "dora"]),
        ("order:#1001 OR order:w-7", ["ana", "cleo 1001"]),
        ("order:#1001 order:#1002", ["ana"]),
        ("order:#1001 order:2001", []),
        ("order:10*", ["ana"]),
        # Without the key: the whole number, besides the words of names.
        ("1001", ["ana", "cleo 1001"]),
        ("#1001", ["ana", "cleo 1001"]),
        ("eu-2044/b", ["ana"]),
        ("2001", ["ben"]),
        ("200", []),
        ("ana 1002", ["ana"]),
        ("ben 1002", []),
        ("orders_count:>2 1001", ["ana"]),
    ],
)
@pytest.mark.parametrize("order_by", ["id", "first_name", "expenses"])
def test_an_order_number_finds_its_customer(
    shop: Client, query: str, names: list[str], order_by: str
) -> None:
    page = shop.page("first_name", query=f"{query} order_by:{order_by} order_dir:asc", first=250)
    assert sorted(edge["node"]["first_name"] for edge in page["edges"]) == names
    count = shop.data("query($q: String) { customers(query: $q) { totalCount } }", q=query)
    assert count["customers"]["totalCount"] == len(names)


def test_an_order_number_needs_a_value(shop: Client) -> None:
    (error,) = shop.errors("{ customers(query: \"order:''\") { totalCount } }")
    assert error["extensions"]["position"] == 6
    assert error["extensions"]["expected"] == "a value"
