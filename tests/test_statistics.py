"""The statistics of an account, and the description of the search language."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support import Client, Server, create_token

pytestmark = pytest.mark.both_databases

COUNTS = """{ statistics { customers accepts_marketing ordered expenses
    new_by_week { start(format: "ISO") customers } countries { country customers }
    spend_by_month { month currency amount orders } } }"""
ORDER = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"


def load_statistics(client: Client) -> dict[str, Any]:
    statistics: dict[str, Any] = client.data(COUNTS)["statistics"]
    return statistics


def test_the_statistics_of_an_empty_account_are_zero(client: Client) -> None:
    statistics = load_statistics(client)
    assert [
        statistics[name] for name in ("customers", "accepts_marketing", "ordered", "expenses")
    ] == [0] * 4
    assert statistics["countries"] == statistics["spend_by_month"] == []
    weeks = statistics["new_by_week"]
    assert [week["customers"] for week in weeks] == [0] * 26
    starts = [datetime.fromisoformat(week["start"]) for week in weeks]
    assert {start.weekday() for start in starts} == {0}
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {timedelta(days=7)}
    assert timedelta(0) <= datetime.now(UTC) - starts[-1] < timedelta(days=7)


def test_customers_and_orders_are_counted(server: Server, other: Client) -> None:
    with Client(server, create_token(server, scopes=("customers", "orders:write"))) as client:
        other.create("other@example.com", shipping_address={"country": "DE"})
        client.create("ana@example.com", accepts_marketing=True, shipping_address={"country": "MA"})
        client.create(
            "bo@example.com", shipping_address={"country": "MA"}, billing_address={"country": "FR"}
        )
        client.create("cy@example.com", billing_address={"country": "MA"})
        client.delete(client.create("gone@example.com", shipping_address={"country": "US"})["id"])
        now = datetime.now(UTC)
        last = (now.replace(day=1) - timedelta(days=1)).replace(day=1)
        paid: dict[str, Any] = {"email": "ana@example.com", "total": 20, "financial_status": "paid"}
        orders: list[dict[str, Any]] = [
            {"currency": "EUR"},
            {"currency": "EUR", "total": 12.5, "refunded_amount": 2.5},
            {"currency": "MAD", "created_at": f"{last:%Y-%m-%d}"},
            {"currency": "EUR", "test": True},
            {"currency": "EUR", "cancelled_at": "2024-03-18"},
            {"currency": "EUR", "created_at": "2001-01-01"},
        ]
        for n, node in enumerate(orders):
            client.data(ORDER, node={**paid, **node, "name": f"#{n}"})
        statistics = load_statistics(client)
        assert (
            statistics["customers"],
            statistics["accepts_marketing"],
            statistics["ordered"],
        ) == (3, 1, 1)
        assert statistics["expenses"] == 50  # in EUR, the currency of the first order
        assert statistics["new_by_week"][-1]["customers"] == 3
        assert statistics["countries"] == [
            {"country": "MA", "customers": 3},
            {"country": "FR", "customers": 1},
        ]
        months = statistics["spend_by_month"]
        assert len(months) == 24
        assert months == sorted(months, key=lambda month: (month["month"], month["currency"]))
        some = [month for month in months if month["orders"]]
        assert some == [
            {"month": f"{last:%Y-%m}", "currency": "MAD", "amount": 20, "orders": 1},
            {"month": f"{now:%Y-%m}", "currency": "EUR", "amount": 30, "orders": 2},
        ]


def test_statistics_have_the_cost_of_the_selected_fields(client: Client) -> None:
    answer = client.post("{ statistics { ordered } }", headers={"Regulars-Cost": "1"}).json()
    assert answer["data"] == {"statistics": {"ordered": 0}}
    assert answer["extensions"]["cost"]["requested"] > 200


def test_the_api_lists_the_keys_of_the_search_language(client: Client) -> None:
    client.data('mutation { createSegment(node: {name: "vip"}) { id } }')
    data = client.data("{ searchLanguage { words keys { name takes compared prefix values } } }")
    keys = {key["name"]: key for key in data["searchLanguage"]["keys"]}
    assert "last_week" in data["searchLanguage"]["words"]
    assert keys["accepts_marketing"]["values"] == ["true", "false"]
    assert keys["order_dir"]["values"] == ["asc", "desc"]
    values = {
        "a date": "2024-03-18", "a whole number": "5", "an amount": "12.5", "text": "a", "words": "a",
        "true or false": "true", "a country": "MA", "a phone number": "0612", "a key": "tag",
        "an id or _id": "7", "an email address": "ana@example.com", "an order": "email",
        "a segment": "vip", "SOURCE:ID": "stripe:cus_1", "an order number": "1001", "phone": "phone",
    }  # fmt: skip
    for name, key in keys.items():
        label = f"{name}key" if name == "custom." else name
        value = "asc" if name == "order_dir" else values[key["takes"]]
        for example in (value, *key["values"]):
            client.page(query=f"{label}:{example}")
        compared = "errors" not in client.run(
            "query($q: String) { customers(query: $q) { edges { cursor } } }", q=f"{label}:>{value}"
        )
        starred = "errors" not in client.run(
            "query($q: String) { customers(query: $q) { edges { cursor } } }", q=f"{label}:{value}*"
        )
        assert (compared, starred) == (key["compared"], key["prefix"]), name
    for word in data["searchLanguage"]["words"]:
        client.page(query=word)
