"""Orders, leads and visits of a shop, and the totals of their customers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.support import Client, Server, create_token, run_regulars, run_server

pytestmark = pytest.mark.both_databases

ORDER = """_id name email total refunded_amount net_payment currency financial_status
    fulfillment_status tags test cancelled_at(format: "ISO") created_at(format: "ISO")"""
RECORD = """mutation($node: InputRecordOrder!) { recordOrder(node: $node) { %s
    customer { _id email first_name expenses orders_count version } } }"""


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of a new account with the scope `orders:write`."""
    with create_client(server) as new_client:
        yield new_client


def create_client(server: Server) -> Client:
    return Client(server, create_token(server, scopes=("customers", "orders:write")))


def record(client: Client, name: str, **node: Any) -> Any:
    return client.data(RECORD % ORDER, node={"name": name, **node})["recordOrder"]


def customer(client: Client, fields: str = "expenses orders_count") -> Any:
    """Returns the only customer of the account."""
    (edge,) = client.data("{ customers { edges { node { %s } } } }" % fields)["customers"]["edges"]  # noqa: UP031  # GraphQL is full of braces
    return edge["node"]


def kinds(client: Client) -> list[str]:
    page = client.data("{ customerChanges(first: 100) { edges { node { kind } } } }")
    return [edge["node"]["kind"] for edge in page["customerChanges"]["edges"]]


def error_paths(client: Client, **node: Any) -> list[list[str]]:
    errors = client.errors(RECORD % "_id", node={"name": "1", **node})
    assert {error["key"] for error in errors} == {"errors_invalid_input"}
    return [error["extensions"]["input_path"] for error in errors]


def test_a_new_order_finds_or_creates_its_customer(client: Client) -> None:
    order = record(
        client,
        "1001",
        email="Ana@example.com",
        total=35,
        first_name="Ana",
        created_at="2024-03-18 14:20:37",
        tags=["a", "a", " b "],
        referrer="https://example.com/x",
    )
    assert order == {
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
    summary = customer(
        client, "summary { visits orders { count list { referrer order { name } } } }"
    )
    assert summary["summary"]["orders"] == {
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
    order = record(
        client, "1", refunded_amount=0.1, financial_status="partially_refunded", email="b@b.co"
    )
    assert order["net_payment"] == 0.2
    assert order["email"] == "b@b.co"
    assert order["customer"]["email"] == "a@example.com"
    assert order["tags"] == ["x"]
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


def test_recording_an_order_again_changes_nothing(client: Client) -> None:
    node = {"email": "a@example.com", "total": 5, "created_at": "2024-03-18", "tags": ["x"]}
    first = record(client, "1", **node)
    before = kinds(client)
    assert record(client, "1", **node) == first
    assert kinds(client) == before


def test_a_change_of_an_order_has_the_changed_fields(client: Client) -> None:
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


def test_a_partial_payment_counts_partially(client: Client) -> None:
    record(client, "1", email="a@example.com", total=100, paid=40, financial_status="pending")
    assert customer(client)["expenses"] == 40
    record(client, "1", refunded_amount=15)
    assert customer(client)["expenses"] == 25
    record(client, "1", paid=None, financial_status="paid")
    assert customer(client)["expenses"] == 85


def test_all_errors_of_an_order_are_reported(client: Client) -> None:
    assert error_paths(client) == [["node", "email"], ["node", "total"]]
    valid = {"email": "a@example.com", "total": 1}
    for invalid in (
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
        assert error_paths(client, **{**valid, **invalid}) == [["node", next(iter(invalid))]], (
            invalid
        )
    assert error_paths(client, **{**valid, "shipping_address": {"country": "Atlantis"}}) == [
        ["node", "shipping_address", "country"]
    ]
    assert len(error_paths(client, email="x", total=-1, currency="", name="")) == 4
    assert kinds(client) == []


def test_an_order_fills_only_empty_fields_of_the_customer(client: Client) -> None:
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
    matches = client.data('{ customers(query: "last_name:sa") { totalCount } }')
    assert matches["customers"]["totalCount"] == 1


def test_deleting_a_customer_deletes_its_orders(client: Client) -> None:
    record(client, "1", email="a@example.com", total=5)
    client.data("mutation { deleteCustomers(items: [1]) }")
    order = record(client, "1", email="a@example.com", total=7)
    assert (order["_id"], order["customer"]["_id"]) == (2, 2)
    delete_and_record = """mutation { deleteCustomers(items: [2])
        recordOrder(node: {name: "1", email: "b@example.com", total: 1}) { _id } }"""
    assert client.data(delete_and_record)["recordOrder"] == {"_id": 3}
    assert customer(client, "email expenses") == {"email": "b@example.com", "expenses": 1}


def test_a_lead_is_recorded(client: Client) -> None:
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
    lead = client.data(document, node=node)["recordLead"]
    assert lead == {
        "_id": 1,
        "subject": "Hello",
        "message": "Is\nanybody there?",
        "custom": {"n": 1},
        "created_at": "2024-03-18T14:20:37.000Z",
    }
    client.data(document, node={"email": "A@example.com", "message": "Still there"})
    recorded_customer = customer(client, "first_name version leads { message }")
    assert recorded_customer["first_name"] == "Ana"
    assert sorted(lead["message"] for lead in recorded_customer["leads"]) == [
        "Is\nanybody there?",
        "Still there",
    ]
    assert kinds(client) == ["created", "lead_created", "lead_created"]
    errors = client.errors(document, node={"email": "x", "message": "a\x07", "created_at": "no"})
    assert len(errors) == 3


def test_a_lead_with_an_idempotency_key_is_recorded_once(client: Client) -> None:
    document = 'mutation { recordLead(node: {email: "a@example.com", message: "x"}) { _id } }'
    responses = [client.post(document, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert responses[0].json() == responses[1].json() == {"data": {"recordLead": {"_id": 1}}}
    assert kinds(client) == ["created", "lead_created"]


def test_a_visit_is_counted(client: Client) -> None:
    client.create("a@example.com")
    document = "mutation($id: ID!) { recordVisit(id: $id) { summary { visits } } }"
    for number in (1, 2):
        visited = client.data(document, id="1")["recordVisit"]
        assert visited == {"summary": {"visits": number}}
    client.expect_error("errors_customer_not_found", document, id="99")
    assert kinds(client) == ["created", "visited", "visited"]


@pytest.mark.slow
def test_an_order_recorded_concurrently_counts_once(server: Server, client: Client) -> None:
    def record_repeatedly(_: int) -> Any:
        with Client(server, client.token) as connection:
            return [
                record(connection, "1", email="a@example.com", total=9.99, refunded_amount=0.99)[
                    "_id"
                ]
                for _ in range(10)
            ]

    with ThreadPoolExecutor(10) as pool:
        ids = [i for recorded in pool.map(record_repeatedly, range(10)) for i in recorded]
    assert ids == [1] * 100
    assert customer(client) == {"expenses": 9, "orders_count": 1}
    assert kinds(client) == ["created", "order_created", "order_confirmed", "order_refunded"]


@pytest.mark.slow
def test_expenses_are_exact_for_random_orders(new_database: str) -> None:
    """Random orders of three customers, recorded repeatedly, have the totals that Decimal computes."""
    # A separate server: verifying the shared database takes 10 s.
    with run_server(new_database) as server, create_client(server) as client:
        record_random_orders(client)
        verification = run_regulars("verify", "--database-url", new_database)
        assert verification.returncode == 0, verification.stdout


def record_random_orders(client: Client) -> None:
    draw = random.Random(7)
    orders: dict[str, dict[str, Any]] = {}
    for _ in range(60):
        name = str(draw.randrange(12))
        total = Decimal(draw.randrange(1, 10**6)) / draw.choice((1, 100, 10_000))
        node: dict[str, Any] = {"total": float(total), "refunded_amount": 0}
        if draw.random() < 0.3:
            node["refunded_amount"] = float(total)
        node["financial_status"] = draw.choice(("paid", "pending"))
        node["cancelled_at"] = draw.choice((None, None, "2024-03-18"))
        node["test"] = draw.random() < 0.1
        node["email"] = orders.get(name, {}).get("email") or f"{draw.randrange(3)}@example.com"
        if node["financial_status"] == "pending":
            node["refunded_amount"] = 0
        record(client, name, **node)
        orders[name] = node
    edges = client.data("{ customers { edges { node { email expenses orders_count } } } }")
    for edge in edges["customers"]["edges"]:
        counted = [
            order
            for order in orders.values()
            if order["email"] == edge["node"]["email"]
            and not order["test"]
            and order["cancelled_at"] is None
        ]
        payments = [
            Decimal(repr(order["total"])) - Decimal(repr(order["refunded_amount"]))
            for order in counted
            if order["financial_status"] == "paid"
        ]
        assert edge["node"]["expenses"] == float(sum(payments))
        assert edge["node"]["orders_count"] == len(counted)
