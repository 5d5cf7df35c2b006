"""Orders, messages and visits: told by a shop, counted for the customer to the last cent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.support import Client, Server, new_token, regulars, running

ORDER = """_id name email total refunded_amount net_payment currency financial_status
    fulfillment_status tags test cancelled_at(format: "ISO") created_at(format: "ISO")"""
RECORD = """mutation($node: InputRecordOrder!) { recordOrder(node: $node) { %s
    customer { _id email first_name expenses orders_count version } } }"""


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of a new account that may tell of orders, too."""
    with a_client(server) as made:
        yield made


def a_client(server: Server) -> Client:
    return Client(server, new_token(server, scopes=("customers", "orders:write")))


def record(client: Client, name: str, **node: Any) -> Any:
    return client.data(RECORD % ORDER, node={"name": name, **node})["recordOrder"]


def customer(client: Client, fields: str = "expenses orders_count") -> Any:
    """The account's only customer."""
    (edge,) = client.data("{ customers { edges { node { %s } } } }" % fields)["customers"]["edges"]  # noqa: UP031  # GraphQL is full of braces
    return edge["node"]


def kinds(client: Client) -> list[str]:
    page = client.data("{ customerChanges(first: 100) { edges { node { kind } } } }")
    return [edge["node"]["kind"] for edge in page["customerChanges"]["edges"]]


def refused_paths(client: Client, **node: Any) -> list[list[str]]:
    errors = client.errors(RECORD % "_id", node={"name": "1", **node})
    assert {error["key"] for error in errors} == {"errors_invalid_input"}
    return [error["extensions"]["input_path"] for error in errors]


def test_a_new_order_finds_or_creates_its_customer(client: Client) -> None:
    found = record(
        client,
        "1001",
        email="Ana@example.com",
        total=35,
        first_name="Ana",
        created_at="2024-03-18 14:20:37",
        tags=["a", "a", " b "],
        referrer="https://example.com/x",
    )
    assert found == {
        "_id": 1,
        "name": "1001",
        "email": "Ana@example.com",
        "total": 35,
        "refunded_amount": 0,
        "net_payment": 35,
        "currency": "USD",
        "financial_status": "paid",
        "fulfillment_status": "unfulfilled",
        "tags": ["a", "b"],
        "test": False,
        "cancelled_at": None,
        "created_at": "2024-03-18T14:20:37.000Z",
        "customer": {
            "_id": 1,
            "email": "Ana@example.com",
            "first_name": "Ana",
            "expenses": 35,
            "orders_count": 1,
            "version": 2,
        },
    }
    again = record(client, "1002", email="ANA@example.com", total=12.5, first_name="Anna")
    assert again["customer"] == {
        "_id": 1,
        "email": "Ana@example.com",
        "first_name": "Ana",
        "expenses": 47.5,
        "orders_count": 2,
        "version": 3,
    }
    shown = customer(client, "summary { visits orders { count list { referrer order { name } } } }")
    assert shown["summary"]["orders"] == {
        "count": 2,
        "list": [
            {"referrer": None, "order": {"name": "1002"}},
            {"referrer": "https://example.com/x", "order": {"name": "1001"}},
        ],
    }
    confirmed = ["order_created", "order_confirmed"]
    assert kinds(client) == ["created", *confirmed, *confirmed]


def test_an_order_of_the_same_name_is_updated(client: Client) -> None:
    record(client, "1", email="a@example.com", total=0.3, financial_status="pending", tags=["x"])
    assert customer(client) == {"expenses": 0, "orders_count": 1}
    record(client, "1", financial_status="paid")
    assert customer(client) == {"expenses": 0.3, "orders_count": 1}
    found = record(
        client, "1", refunded_amount=0.1, financial_status="partially_refunded", email="b@b.co"
    )
    assert found["net_payment"] == 0.2
    assert found["email"] == "b@b.co"
    assert found["customer"]["email"] == "a@example.com"
    assert found["tags"] == ["x"]
    assert customer(client) == {"expenses": 0.2, "orders_count": 1}
    record(client, "1", cancelled_at="2024-03-18T14:20:37Z")
    assert customer(client) == {"expenses": 0, "orders_count": 0}
    record(client, "1", cancelled_at=None)
    assert customer(client) == {"expenses": 0.2, "orders_count": 1}
    record(client, "1", test=True)
    assert customer(client) == {"expenses": 0, "orders_count": 0}
    assert kinds(client) == [
        "created",
        "order_created",
        "order_confirmed",
        "order_refunded",
        "order_cancelled",
        "order_uncancelled",
        "order_updated",
    ]


def test_an_order_that_is_told_again_changes_nothing(client: Client) -> None:
    node = {"email": "a@example.com", "total": 5, "created_at": "2024-03-18", "tags": ["x"]}
    first = record(client, "1", **node)
    before = kinds(client)
    assert record(client, "1", **node) == first
    assert kinds(client) == before


def test_an_orders_change_tells_what_changed(client: Client) -> None:
    record(client, "1", email="a@example.com", total=5, financial_status="pending")
    record(client, "1", financial_status="paid", tags=["late"], cancelled_at="2024-03-18")
    document = """{ customerChanges { edges { node { kind order { name customer { email } }
        fields { name before after } } } } }"""
    created, ordered, confirmed, cancelled = [
        edge["node"] for edge in client.data(document)["customerChanges"]["edges"]
    ]
    assert created["order"] is None
    assert ordered["fields"] == [{"name": "orders_count", "before": 0, "after": 1}]
    assert ordered["order"] == {"name": "1", "customer": {"email": "a@example.com"}}
    assert (confirmed["kind"], cancelled["kind"]) == ("order_confirmed", "order_cancelled")
    assert confirmed["fields"] == [
        {"name": "orders_count", "before": 1, "after": 0},
        {"name": "order.net_payment", "before": 0, "after": 5},
        {"name": "order.financial_status", "before": "pending", "after": "paid"},
        {"name": "order.tags", "before": [], "after": ["late"]},
        {"name": "order.cancelled_at", "before": None, "after": "2024-03-18T00:00:00.000Z"},
    ]
    assert cancelled["fields"] == []


def test_what_was_paid_in_part_counts_in_part(client: Client) -> None:
    record(client, "1", email="a@example.com", total=100, paid=40, financial_status="pending")
    assert customer(client)["expenses"] == 40
    record(client, "1", refunded_amount=15)
    assert customer(client)["expenses"] == 25
    record(client, "1", paid=None, financial_status="paid")
    assert customer(client)["expenses"] == 85


def test_everything_that_is_wrong_is_told(client: Client) -> None:
    assert refused_paths(client) == [["node", "email"], ["node", "total"]]
    good = {"email": "a@example.com", "total": 1}
    for wrong in (
        {"total": -1},
        {"total": 0.00001},
        {"total": 1e12},
        {"currency": "Euro"},
        {"created_at": "yesterday"},
        {"cancelled_at": "2024-13-01"},
        {"referrer": "a\x00b"},
        {"tags": None},
        {"refunded_amount": 2},
        {"email": "nobody"},
        {"phone": "1" * 65},
    ):
        assert refused_paths(client, **{**good, **wrong}) == [["node", next(iter(wrong))]], wrong
    assert refused_paths(client, **{**good, "shipping_address": {"country": "Atlantis"}}) == [
        ["node", "shipping_address", "country"]
    ]
    assert len(refused_paths(client, email="x", total=-1, currency="", name="")) == 4
    assert kinds(client) == []


def test_a_customer_is_filled_and_never_overwritten(client: Client) -> None:
    client.create("a@example.com", first_name="Ana", shipping_address={"city": "Fès"})
    record(
        client,
        "1",
        email="A@example.com",
        total=1,
        first_name="Other",
        last_name="Sá",
        phone="1",
        shipping_address={"city": "Rabat"},
        billing_address={"city": "Rabat"},
    )
    assert customer(client, "full_name phone location billing_address { city }") == {
        "full_name": "Ana Sá",
        "phone": "1",
        "location": "Fès",
        "billing_address": {"city": "Rabat"},
    }
    assert kinds(client) == ["created", "updated", "order_created", "order_confirmed"]
    found = client.data('{ customers(query: "last_name:sa") { totalCount } }')
    assert found["customers"]["totalCount"] == 1


def test_an_order_goes_with_its_customer(client: Client) -> None:
    record(client, "1", email="a@example.com", total=5)
    client.data("mutation { deleteCustomers(items: [1]) }")
    found = record(client, "1", email="a@example.com", total=7)
    assert (found["_id"], found["customer"]["_id"]) == (2, 2)
    both = """mutation { deleteCustomers(items: [2])
        recordOrder(node: {name: "1", email: "b@example.com", total: 1}) { _id } }"""
    assert client.data(both)["recordOrder"] == {"_id": 3}
    assert customer(client, "email expenses") == {"email": "b@example.com", "expenses": 1}


def test_a_message_is_kept(client: Client) -> None:
    document = """mutation($node: InputRecordLead!) { recordLead(node: $node) {
        _id subject message custom created_at(format: "ISO") } }"""
    node = {
        "email": "a@example.com",
        "subject": "Hello",
        "message": "Is\nanybody there?",
        "custom": {"n": 1},
        "created_at": "2024-03-18T14:20:37Z",
        "first_name": "Ana",
    }
    found = client.data(document, node=node)["recordLead"]
    assert found == {
        "_id": 1,
        "subject": "Hello",
        "message": "Is\nanybody there?",
        "custom": {"n": 1},
        "created_at": "2024-03-18T14:20:37.000Z",
    }
    client.data(document, node={"email": "A@example.com", "message": "Still there"})
    shown = customer(client, "first_name version leads { message }")
    assert shown["first_name"] == "Ana"
    assert sorted(lead["message"] for lead in shown["leads"]) == [
        "Is\nanybody there?",
        "Still there",
    ]
    assert kinds(client) == ["created", "lead_created", "lead_created"]
    errors = client.errors(document, node={"email": "x", "message": "a\x07", "created_at": "no"})
    assert len(errors) == 3


def test_a_message_that_is_sent_again_with_its_key_is_kept_once(client: Client) -> None:
    document = 'mutation { recordLead(node: {email: "a@example.com", message: "x"}) { _id } }'
    answers = [client.post(document, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json() == {"data": {"recordLead": {"_id": 1}}}
    assert kinds(client) == ["created", "lead_created"]


def test_a_visit_is_counted(client: Client) -> None:
    client.create("a@example.com")
    document = "mutation($id: ID!) { recordVisit(id: $id) { summary { visits } } }"
    for number in (1, 2):
        found = client.data(document, id="1")["recordVisit"]
        assert found == {"summary": {"visits": number}}
    client.refused("errors_customer_not_found", document, id="99")
    assert kinds(client) == ["created", "visited", "visited"]


def test_an_order_told_a_hundred_times_from_ten_connections_counts_once(
    server: Server, client: Client
) -> None:
    def tell(number: int) -> Any:
        with Client(server, client.token) as one:
            return [
                record(one, "1", email="a@example.com", total=9.99, refunded_amount=0.99)["_id"]
                for _ in range(10)
            ]

    with ThreadPoolExecutor(10) as pool:
        ids = [one for each in pool.map(tell, range(10)) for one in each]
    assert ids == [1] * 100
    assert customer(client) == {"expenses": 9, "orders_count": 1}
    assert kinds(client) == ["created", "order_created", "order_confirmed", "order_refunded"]


def test_expenses_are_exact_whatever_is_told(new_database: str) -> None:
    """Random orders of three customers, told and told again: sums by Decimal are those shown."""
    # A server of its own: the database of all tests takes 10 s to verify.
    with running(new_database) as server, a_client(server) as client:
        record_random_orders(client)
        verified = regulars("verify", "--database-url", new_database)
        assert verified.returncode == 0, verified.stdout


def record_random_orders(client: Client) -> None:
    draw = random.Random(7)
    known: dict[str, dict[str, Any]] = {}
    for _ in range(60):
        name = str(draw.randrange(12))
        total = Decimal(draw.randrange(1, 10**6)) / draw.choice((1, 100, 10_000))
        node: dict[str, Any] = {"total": float(total), "refunded_amount": 0}
        if draw.random() < 0.3:
            node["refunded_amount"] = float(total)
        node["financial_status"] = draw.choice(("paid", "pending"))
        node["cancelled_at"] = draw.choice((None, None, "2024-03-18"))
        node["test"] = draw.random() < 0.1
        node["email"] = known.get(name, {}).get("email") or f"{draw.randrange(3)}@example.com"
        if node["financial_status"] == "pending":
            node["refunded_amount"] = 0
        record(client, name, **node)
        known[name] = node
    edges = client.data("{ customers { edges { node { email expenses orders_count } } } }")
    for edge in edges["customers"]["edges"]:
        mine = [
            one
            for one in known.values()
            if one["email"] == edge["node"]["email"]
            and not one["test"]
            and one["cancelled_at"] is None
        ]
        paid = [
            Decimal(repr(one["total"])) - Decimal(repr(one["refunded_amount"]))
            for one in mine
            if one["financial_status"] == "paid"
        ]
        assert edge["node"]["expenses"] == float(sum(paid))
        assert edge["node"]["orders_count"] == len(mine)
