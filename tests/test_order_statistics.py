"""Figures of the orders of a period: they equal what the orders say, and the searches find the customers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Client, Server, create_token

pytestmark = pytest.mark.both_databases

RECORD = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
READ = """query($since: String!, $until: String) { orderStatistics(since: $since, until: $until) {
  orders customers returning new_customers spend { currency amount orders_count average }
  top_customers { customer { email } currency amount orders_count } } }"""
TAGS = "{ statistics { tags { tag customers } } }"


@pytest.fixture
def owner(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as client:
        yield client


def figures(owner: Client, since: str, until: str | None = None) -> Any:
    return owner.data(READ, since=since, until=until)["orderStatistics"]


def test_an_account_without_orders_has_zeros(owner: Client) -> None:
    assert figures(owner, "2024-01-01") == {
        **dict.fromkeys(("orders", "customers", "returning", "new_customers"), 0),
        "spend": [],
        "top_customers": [],
    }


def test_the_figures_of_a_period_equal_a_recalculation(owner: Client) -> None:
    choose = random.Random(7)
    orders = []
    for number in range(60):
        order: dict[str, Any] = {
            "name": str(number),
            "email": f"{choose.randrange(9)}@example.com",
            "currency": choose.choice(("EUR", "JPY", "JPY")) if number else "EUR",
            "total": choose.randrange(1, 500),
            "created_at": f"2024-{choose.randrange(1, 7):02}-15T00:00:00Z",
            "test": choose.random() < 0.1 and number > 0,
            "cancelled_at": "2025-01-01" if choose.random() < 0.1 and number else None,
        }
        owner.data(RECORD, n=order)
        orders.append(order)
    counted = [o for o in orders if not o["test"] and not o["cancelled_at"]]
    for first, last in ((1, 7), (2, 4), (3, 4), (6, 7)):
        inside = [o for o in counted if first <= int(o["created_at"][5:7]) < last]
        before = [o for o in counted if int(o["created_at"][5:7]) < last]
        result = figures(owner, f"2024-{first:02}-01", f"2024-{last:02}-01")
        buyers = {o["email"] for o in inside}
        assert result["orders"] == len(inside)
        assert result["customers"] == len(buyers)
        assert result["returning"] == sum(
            1 for email in buyers if sum(o["email"] == email for o in before) > 1
        )
        assert [row["currency"] for row in result["spend"]] == sorted(
            {o["currency"] for o in inside}
        )
        for row in result["spend"]:
            rows = [o for o in inside if o["currency"] == row["currency"]]
            assert row["amount"] == sum(o["total"] for o in rows)
            assert row["orders_count"] == len(rows)
            assert row["average"] == pytest.approx(row["amount"] / len(rows))
        sums: dict[str, int] = {}
        for o in inside:
            if o["currency"] == result["spend"][0]["currency"]:
                sums[o["email"]] = sums.get(o["email"], 0) + o["total"]
        top = result["top_customers"]
        assert {row["customer"]["email"]: row["amount"] for row in top} == sums
        assert [row["amount"] for row in top] == sorted(sums.values(), reverse=True)
    # A period that ends now is that of the searches.
    result = figures(owner, "2024-03-01")
    found = owner.emails("last_order_at:>=2024-03-01", first=100)
    assert len(found) == result["customers"]
    found = owner.emails("last_order_at:>=2024-03-01 orders_count:>1", first=100)
    assert len(found) == result["returning"]


def test_new_customers_are_those_that_were_created(owner: Client) -> None:
    owner.create("ana@example.com")
    owner.data(RECORD, n={"name": "1", "email": "ben@example.com", "total": 1})
    assert figures(owner, "2024-01-01")["new_customers"] == 2
    assert figures(owner, "2024-01-01", "2024-02-01")["new_customers"] == 0


@pytest.mark.parametrize(
    ("since", "until", "path"),
    [
        ("yesterday", None, ["since"]),
        ("2024-01-01", "later", ["until"]),
        ("2024-02-01", "2024-01-01", ["since"]),
        ("2999-01-01", None, ["since"]),
    ],
)
def test_an_invalid_period_is_refused(
    owner: Client, since: str, until: str | None, path: list[str]
) -> None:
    error = owner.expect_error("errors_invalid_input", READ, since=since, until=until)
    assert error["extensions"]["input_path"] == path


def test_a_period_needs_the_scope_to_read_customers(server: Server) -> None:
    with Client(server, create_token(server, scopes=("orders:write",))) as shop:
        shop.expect_error("errors_scope", READ, since="2024-01-01")


def test_the_most_frequent_tags_are_counted(owner: Client) -> None:
    for number in range(12):
        owner.create(f"{number}@example.com", tags=[f"Tag {n}" for n in range(number + 1)])
    tags = owner.data(TAGS)["statistics"]["tags"]
    assert tags == [{"tag": f"Tag {n}", "customers": 12 - n} for n in range(10)]
