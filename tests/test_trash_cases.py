"""The trash in use: it changes no result, and a mistake of many deletions is undone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.support import Client, Server, create_token, find_account_name, run_regulars
from tests.test_inbound import Shop, order
from tests.test_inbound import shop as shop
from tests.test_restore import RECORD, RESTORE, restore, verify

pytestmark = pytest.mark.both_databases

SET = "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { saved rows { errors { message } } } }"
STATISTICS = """{ statistics { customers accepts_marketing ordered expenses
  new_by_week { customers } countries { country customers }
  spend_by_month { month currency amount orders } } }"""
CUSTOMER = """email full_name phone tags custom orders_count expenses external_ids { source id }
  summary { orders { list { order { name net_payment } } } } leads { subject }"""
ORDERS = [
    f"order_by:{name} order_dir:{direction}"
    for name in ("id", "email", "full_name", "expenses", "orders_count", "updated_at")
    for direction in ("asc", "desc")
]
SEARCHES = [
    *("person", "person 2", "tag:vip", "-tag:vip", "country:MA", "orders_count:>0", "expenses:>50"),
    *("accepts_marketing:true", "external_id:crm:*", "email:p1*", "note", "tag:vip OR expenses:<9"),
]


def fill(client: Client, numbers: list[int]) -> None:
    """Create customers with these numbers, and orders and messages of every third number."""
    nodes = [
        {
            "email": f"p{n}@example.com",
            "first_name": "Person",
            "last_name": str(n),
            "phone": f"+2126{n:08}",
            "tags": ["vip"] if n % 4 else [],
            "notes": f"A note of {n}.",
            "custom": {"n": n},
            "accepts_marketing": n % 2 == 0,
            "shipping_address": {"country": "MA" if n % 5 else "FR"},
            "external_ids": [{"source": "crm", "id": str(n)}],
        }
        for n in numbers
    ]
    result = client.data(SET, n=nodes)["setCustomers"]
    assert result["saved"], result
    lead = "mutation($n: InputRecordLead!) { recordLead(node: $n) { id } }"
    for n in (n for n in numbers if n % 3 == 0):
        person = {"email": f"p{n}@example.com"}
        client.data(RECORD, n={**person, "name": f"#{n}", "total": n})
        client.data(lead, n={**person, "subject": f"Question {n}", "message": "Hello"})


def read_everything(client: Client, folder: Path) -> dict[str, Any]:
    """Return the results of lists, searches, counts, statistics and an export, without the `_id`s
    and the times."""
    name = find_account_name(client.server, client.token)
    file = folder / "customers.csv"
    options = ("--account", name, "--database-url", client.server.database_url)
    assert run_regulars("export", str(file), *options).returncode == 0
    with file.open(newline="") as opened:
        rows = [
            {
                name: value
                for name, value in row.items()
                if name not in ("regulars_id", "created_at", "updated_at")
            }
            for row in csv.DictReader(opened)
        ]
    file.unlink()
    queries = [*ORDERS, *SEARCHES]
    first_pages = {query: client.page(CUSTOMER, query=query, first=7) for query in queries}
    results: dict[str, Any] = {
        "pages": {query: [e["node"] for e in page["edges"]] for query, page in first_pages.items()},
        "more": {query: page["pageInfo"]["hasNextPage"] for query, page in first_pages.items()},
        "searches": {query: client.emails(query, first=100) for query in queries},
        "counts": {query: count(client, query) for query in queries},
        "statistics": client.data(STATISTICS),
        "export": rows,
    }
    assert all(results["searches"].values()), results["searches"]
    return results


def count(client: Client, query: str) -> Any:
    return client.data("query($q: String!) { customersCount(query: $q) { count } }", q=query)


@pytest.mark.slow
def test_results_are_those_without_the_customers_in_the_trash(
    server: Server, tmp_path: Path
) -> None:
    """Every tenth customer is in the trash; another account has never had these."""
    numbers = list(range(1, 61))
    deleted = numbers[2::10]
    kept = [n for n in numbers if n not in deleted]
    scopes = ("customers", "orders:write")
    tokens = [create_token(server, scopes=scopes) for _ in range(2)]
    with Client(server, tokens[0]) as client, Client(server, tokens[1]) as without:
        fill(client, numbers)
        fill(without, kept)
        before = read_everything(client, tmp_path)
        client.delete(*map(str, deleted))
        assert client.data("{ trash { totalCount } }")["trash"]["totalCount"] == len(deleted)
        after, expected = read_everything(client, tmp_path), read_everything(without, tmp_path)
        for kind, results in expected.items():
            assert after[kind] == results, kind
            assert kind == "more" or before[kind] != results, kind


def test_an_agent_restores_forty_customers_of_which_one_has_ordered_again(shop: Shop) -> None:
    client = shop.client
    for n in range(40):
        node = order(
            id=f"order_{n}",
            name=f"#{n}",
            email=f"p{n}@example.com",
            customer={"id": f"cus_{n}"},
        )
        shop.expect_understood("order/created", {**node, "total": 10, "paid_by_customer": 10})
    edges = client.page("id email", first=40)["edges"]
    ids = {edge["node"]["email"]: edge["node"]["id"] for edge in edges}
    client.delete(*ids.values())
    again = order(id="order_40", name="#40", email="p7@example.com", customer={"id": "cus_7"})
    again |= {"total": 5, "paid_by_customer": 5, "created_at": "2100-01-01 00:00:00"}
    shop.expect_understood("order/created", again)
    new = shop.customer("id orders_count expenses")
    assert new == {"id": new["id"], "orders_count": 1, "expenses": 5}

    # All or none: the conflict names the new customer. A customer is never without its email.
    mine = ids.pop("p7@example.com")
    for policy in ("refuse", "skip"):
        document = client.expect_error(
            "errors_restore_conflict", RESTORE, i=[*ids.values(), mine], policy=policy
        )
        (conflict,) = document["extensions"]["conflicts"]
        assert conflict == {
            "customer_id": mine,
            "field": "email",
            "value": "p7@example.com",
            "taken_by": new["id"],
        }
    assert client.emails() == ["p7@example.com"]
    restored = restore(client, *ids.values())
    assert [each["expenses"] for each in restored["customers"]] == [10] * 39

    # The agent changes the email of the new customer, which keeps the id of the shop.
    client.update(new["id"], email="p7.new@example.com")
    document = client.expect_error("errors_restore_conflict", RESTORE, i=[mine], policy="refuse")
    (conflict,) = document["extensions"]["conflicts"]
    assert (conflict["field"], conflict["taken_by"]) == ("external_id", new["id"])
    result = restore(client, mine, policy="skip")
    assert result["skipped"] == [conflict]
    assert (result["customers"][0]["orders_count"], result["customers"][0]["expenses"]) == (1, 10)
    statistics = client.data("{ statistics { customers expenses } }")["statistics"]
    assert statistics == {"customers": 41, "expenses": 40 * 10 + 5}
    verify(client.server)
