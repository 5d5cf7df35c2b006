"""Events of a shop: verified, applied once, in any order, or stored in the inbox."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.store import Store
from regulars.webhooks.inbox import CANONICAL_BYTES
from regulars.webhooks.javascript import stringify
from regulars.webhooks.payloads import example_body
from regulars.webhooks.signatures import secrets_of
from tests.support import (
    TLS,
    Client,
    Server,
    run_regulars,
    run_server,
    scratch_database,
    with_store,
)
from tests.test_history import read_feed

_numbers = itertools.count(1)
ADDRESS = {"line1": "1 Rue X", "line2": "", "city": "Fès", "country": "MA", "zip": "30000"}


def order(**more: Any) -> dict[str, Any]:
    """Return the node of an order event of a shop."""
    return {
        "id": "order_abc",
        "_id": 77,
        "name": "#1001",
        "email": "Ana@example.com",
        "phone": "+212600000000",
        "total": 35.5,
        "subtotal": 30,
        "shipping": 5.5,
        "currency": "MAD",
        "tags": ["cod"],
        "test": False,
        "custom": {"gift": True},
        "customer": {
            "id": "cus_ana",
            "full_name": "Ana Sá Nunes",
            "avatar": "//www.gravatar.com/avatar/x",
            "location": "MA, Fès",
        },
        "billing_address": ADDRESS,
        "shipping_address": None,
        "payments": [],
        "refunded_amount": 0,
        "paid_by_customer": 0,
        "net_payment": 0,
        "created_at": "2024-03-18 14:20:37",
        "cancelled_at": None,
        **more,
    }


class Shop:
    """A shop that sends its events to a new account."""

    def __init__(self, server: Server) -> None:
        self.name = f"shop {server.pid} {next(_numbers)}"
        self.database = ("--database-url", server.database_url)
        token, self.secret = with_store(server.database_url, self._create_account)
        self.client = Client(server, token)
        self.http = httpx.Client(base_url=server.url, verify=TLS, timeout=120)

    async def _create_account(self, store: Store) -> tuple[str, str]:
        """Create an account; return a token for it, and its signing secret."""
        accounts = Accounts(store)
        account = await accounts.create(self.name)
        token, _ = await accounts.create_token(account, "test")
        return token, (await secrets_of(store, account.account_id, now_ms())).current

    def close(self) -> None:
        self.client.http.close()
        self.http.close()

    def sign(self, body: bytes) -> str:
        mac = hmac.new(self.secret.encode(), body, hashlib.sha256)
        return base64.b64encode(mac.digest()).decode()

    def post(self, type_: str, body: bytes, signature: str | None = None) -> httpx.Response:
        """Send an event, signed with the shop's secret unless a signature is passed."""
        value = self.sign(body) if signature is None else signature
        headers = {b"lightfunnels-hmac": value.encode("latin-1")}
        return self.http.post(f"/in/{self.name}/{type_}", content=body, headers=headers)

    def send(self, type_: str, node: Any) -> dict[str, Any]:
        """Send an event and return its outcome."""
        response = self.post(type_, json.dumps({"node": node}).encode())
        assert response.status_code == 200, response.text
        outcome: dict[str, Any] = response.json()["data"]
        return outcome

    def expect_understood(self, type_: str, node: Any) -> None:
        """Send an event that must be applied."""
        assert self.send(type_, node) == {"understood": True}

    def customer(self, fields: str) -> Any:
        """Return these fields of the only customer."""
        document = "{ customers { edges { node { " + fields + " } } } }"
        (edge,) = self.client.data(document)["customers"]["edges"]
        return edge["node"]

    def list_kinds(self) -> list[str]:
        """Return the kinds of the account's changes, oldest first."""
        return [edge["node"]["kind"] for edge in read_feed(self.client, first=100)["edges"]]

    def list_inbox(self) -> list[dict[str, Any]]:
        """Return the events in the account's inbox."""
        result = run_regulars("inbox", "list", "--json", "--account", self.name, *self.database)
        events: list[dict[str, Any]] = json.loads(result.stdout)
        return events


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    shop = Shop(server)
    yield shop
    shop.close()


def test_an_order_event_creates_the_order_and_its_customer(shop: Shop) -> None:
    shop.expect_understood("order/created", order())
    shown = shop.customer(
        """email full_name phone location expenses orders_count billing_address { city }
        summary { orders { list { order { name total currency financial_status tags test
          created_at(format: "ISO") } } } }"""
    )
    assert shown == {
        "email": "Ana@example.com",
        "full_name": "Ana Sá Nunes",
        "phone": "+212600000000",
        "location": "MA, Fès",
        "expenses": 0,
        "orders_count": 1,
        "billing_address": {"city": "Fès"},
        "summary": {
            "orders": {
                "list": [
                    {
                        "order": {
                            "name": "#1001",
                            "total": 35.5,
                            "currency": "MAD",
                            "financial_status": "pending",
                            "tags": ["cod"],
                            "test": False,
                            "created_at": "2024-03-18T14:20:37.000Z",
                        }
                    }
                ]
            }
        },
    }
    page = read_feed(shop.client)["edges"]
    assert page[1]["node"]["actor"] == {"kind": "inbound", "name": "order/created"}


def test_the_response_has_the_number_of_the_last_change(shop: Shop) -> None:
    response = shop.post("order/created", json.dumps({"node": order()}).encode())
    read = shop.client.post("{ customers(first: 1) { totalCount } }")
    assert int(response.headers["Regulars-Change"]) == len(shop.list_kinds()) > 0
    assert read.headers["Regulars-Change"] == response.headers["Regulars-Change"]


def test_node_finds_objects_by_the_ids_of_the_shop(shop: Shop, client: Client) -> None:
    shop.expect_understood("order/created", order())
    assert shop.client.node("cus_ana", "__typename ... on Customer { _id }") == {
        "__typename": "Customer",
        "_id": 1,
    }
    assert shop.client.node("order_abc", "... on Order { name }") == {"name": "#1001"}
    for unknown in ("cus_other", "order_ab", "x" * 300, ""):
        assert shop.client.node(unknown, "id") is None
    assert client.node("cus_ana", "id") is None
    # The shop's id identifies the customer, even with another email.
    shop.expect_understood(
        "order/created", order(id="order_2", name="#1002", email="new@example.com")
    )
    assert shop.customer("email orders_count") == {"email": "Ana@example.com", "orders_count": 2}
    shop.client.data("mutation { deleteCustomers(items: [1]) }")
    assert shop.client.node("cus_ana", "id") is None
    assert shop.client.node("order_abc", "id") is None


STORY = [
    ("order/created", order()),
    ("order/confirmed", order(paid_by_customer=35.5, net_payment=35.5)),
    ("order/refunded", order(paid_by_customer=35.5, refunded_amount=10.25, net_payment=25.25)),
    ("order/cancelled", order(paid_by_customer=35.5, refunded_amount=35.5, net_payment=0,
                              cancelled_at="2024-03-20 10:00:00")),
]  # fmt: skip
LAST = {"name": "#1001", "refunded_amount": 35.5, "financial_status": "refunded", "net_payment": 0}


def test_order_events_update_the_order_and_the_totals(shop: Shop) -> None:
    for (type_, node), (expenses, count) in zip(
        STORY, ((0, 1), (35.5, 1), (25.25, 1), (0, 0)), strict=True
    ):
        shop.expect_understood(type_, node)
        assert shop.customer("expenses orders_count") == {
            "expenses": expenses,
            "orders_count": count,
        }
    assert shop.list_kinds() == [
        "created",
        "order_created",
        "order_confirmed",
        "order_refunded",
        "order_refunded",
        "order_cancelled",
    ]


@pytest.mark.slow
def test_events_in_any_order_lead_to_the_same_state(shop: Shop) -> None:
    """Every permutation, with some events repeated, leads to the same state."""
    draw = random.Random(5)
    for index, events in enumerate(itertools.permutations(STORY)):
        name = f"#{index}"
        sequence = [*events, *draw.sample(STORY, 2)]
        for type_, node in sequence:
            shop.expect_understood(type_, {**node, "name": name, "id": f"order_{index}"})
        document = "{ node(id: $id) { ... on Order { %s cancelled_at } } }"
        fields = "name refunded_amount financial_status net_payment"
        order_node = shop.client.data("query($id: ID!) " + document % fields, id=f"order_{index}")[
            "node"
        ]
        assert order_node.pop("cancelled_at") is not None, sequence
        assert order_node == {**LAST, "name": name}, sequence
    assert shop.customer("expenses orders_count") == {"expenses": 0, "orders_count": 0}


def test_concurrent_repetitions_of_an_order_count_once(server: Server, shop: Shop) -> None:
    bodies = [
        json.dumps({"node": order(paid_by_customer=35.5)}, indent=indent).encode()
        for indent in (None, 1)
    ]

    def send(number: int) -> set[int]:
        with httpx.Client(base_url=server.url, verify=TLS, timeout=120) as http:
            statuses = set()
            for index in range(10):
                body = bodies[(number + index) % 2]
                headers = {"lightfunnels-hmac": shop.sign(body)}
                path = f"/in/{shop.name}/order/created"
                statuses.add(http.post(path, content=body, headers=headers).status_code)
            return statuses

    with ThreadPoolExecutor(10) as pool:
        assert set().union(*pool.map(send, range(10))) == {200}
    assert shop.customer("expenses orders_count") == {"expenses": 35.5, "orders_count": 1}
    assert shop.list_kinds() == ["created", "order_created", "order_confirmed"]


def test_an_event_without_new_values_changes_nothing(shop: Shop) -> None:
    """The bytes differ, so that the idempotency record does not apply."""
    paid = order(net_payment=0.1, refunded_amount=0.2)
    del paid["paid_by_customer"]
    shop.expect_understood("order/confirmed", paid)
    before = shop.list_kinds()
    shop.expect_understood("order/updated", {**paid, "unknown": 1})
    shop.expect_understood("order/refunded", {"name": "#1001", "id": "order_abc"})
    assert shop.list_kinds() == before
    assert shop.customer("expenses orders_count") == {"expenses": 0.1, "orders_count": 1}


def test_an_order_is_unpaid_until_an_event_reports_the_payment(shop: Shop) -> None:
    bare = {"name": "#1", "email": "ana@example.com", "total": 20}
    shop.expect_understood("order/updated", bare)
    assert shop.customer("expenses orders_count") == {"expenses": 0, "orders_count": 1}
    shop.expect_understood("order/confirmed", {**bare, "phone": "1"})
    assert shop.customer("expenses") == {"expenses": 20}
    shop.expect_understood("order/refunded", {**bare, "refunded_amount": 5})
    shop.expect_understood("order/created", {**bare, "total": 99})
    assert shop.customer("expenses orders_count") == {"expenses": 15, "orders_count": 1}


def test_contact_events_create_and_update_a_customer(shop: Shop) -> None:
    node = {
        "id": "cus_1",
        "_id": 1,
        "email": "ana@example.com",
        "first_name": "Ana",
        "last_name": "Sá",
        "phone": "1",
        "tags": ["a"],
        "notes": "n",
        "custom": {"k": 1},
        "accepts_marketing": True,
        "shipping_address": {**ADDRESS, "country": "Atlantis"},
        "leads": [],
        "__typename": "Customer",
    }
    fields = (
        "email first_name tags notes custom accepts_marketing shipping_address { city country }"
    )
    shop.expect_understood("contact/updated", node)
    assert shop.customer(fields) == {
        "email": "ana@example.com",
        "first_name": "Ana",
        "tags": ["a"],
        "notes": "n",
        "custom": {"k": 1},
        "accepts_marketing": True,
        "shipping_address": {"city": "Fès", "country": None},
    }
    shop.expect_understood("contact/updated", {**node, "email": "new@example.com", "tags": []})
    # A late signup does not overwrite newer values.
    shop.expect_understood("contact/signup", {**node, "first_name": "Old", "tags": ["old"]})
    shown = shop.customer("email first_name tags")
    assert shown == {"email": "new@example.com", "first_name": "Ana", "tags": ["old"]}
    assert shop.list_kinds() == ["created", "updated", "updated"]


def test_events_of_regulars_are_understood(shop: Shop) -> None:
    """Regulars can apply the events that Regulars sends."""
    for type_ in ("contact/signup", "order/created", "order/confirmed"):
        body = stringify(example_body(type_))
        assert shop.post(type_, body).json() == {"data": {"understood": True}}
    shown = shop.customer("email full_name location expenses orders_count")
    assert shown["email"] == "test@example.com"
    assert shown["full_name"] == "Test Event"
    assert shown["location"] == "MA, Casablanca"


def test_form_and_checkout_events_are_applied(shop: Shop) -> None:
    form = {
        "email": "ana@example.com",
        "name": "Ana Sá",
        "subject": "Hello",
        "message": "Is anybody there?",
        "custom": {"page": "/x"},
        "created_at": "2024-03-18 14:20:37",
    }
    shop.expect_understood("contact-form/created", form)
    shop.expect_understood("contact-form/created", form)
    shown = shop.customer('full_name leads { subject message custom created_at(format: "ISO") }')
    assert shown == {
        "full_name": "Ana Sá",
        "leads": [
            {
                "subject": "Hello",
                "message": "Is anybody there?",
                "custom": {"page": "/x"},
                "created_at": "2024-03-18T14:20:37.000Z",
            }
        ],
    }
    shop.expect_understood("checkout/created", {"email": "ANA@example.com", "phone": "1"})
    assert shop.customer("phone orders_count") == {"phone": "1", "orders_count": 0}


def test_a_timestamp_may_be_relative(shop: Shop) -> None:
    for number, age in enumerate(("3 days ago", "a month ago", "an hour ago", "a few seconds ago")):
        shop.expect_understood("order/created", order(name=f"{number}", created_at=age))
    document = """{ customers { edges { node { summary { orders { list { order {
        name created_at } } } } } } } }"""
    (edge,) = shop.client.data(document)["customers"]["edges"]
    orders = [order_node["order"] for order_node in edge["node"]["summary"]["orders"]["list"]]
    assert {order_node["name"]: order_node["created_at"] for order_node in orders} == {
        "0": "3 days ago",
        "1": "a month ago",
        "2": "an hour ago",
        "3": "a few seconds ago",
    }


def test_a_signature_covers_the_body_as_sent_or_as_javascript_writes_it(shop: Shop) -> None:
    spaced = json.dumps({"node": order(total=35.0)}, indent=2).encode()
    rewritten = shop.sign(stringify(json.loads(spaced)))
    assert rewritten != shop.sign(spaced)
    for signature in (shop.sign(spaced), rewritten):
        assert shop.post("order/created", spaced, signature).status_code == 200
    for wrong in ("", "x", "é", rewritten[:-4] + "AAA=", shop.sign(spaced + b" ")):
        response = shop.post("order/created", spaced, wrong)
        assert response.status_code == 401, wrong
        assert response.json()["errors"][0]["key"] == "errors_signature"
        assert response.headers["x-request-id"]


def test_an_unknown_account_looks_like_a_wrong_signature(shop: Shop) -> None:
    body = json.dumps({"node": order()}).encode()
    here = shop.post("order/created", body, "x")
    there = shop.http.post(
        "/in/nobody/order/created", content=body, headers={"lightfunnels-hmac": "x"}
    )
    assert here.json() == there.json()
    assert here.status_code == there.status_code == 401
    for method in ("GET", "PUT"):
        response = shop.http.request(method, f"/in/{shop.name}/order/created")
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert response.json()["errors"][0]["key"] == "errors_method"


def test_a_forged_event_costs_little_and_does_not_say_which_accounts_exist(shop: Shop) -> None:
    """An attacker sends the worst body of each size, in turn to an account that exists and to one
    that does not."""

    def send(account: str, body: bytes) -> tuple[float, httpx.Response]:
        headers = {"lightfunnels-hmac": base64.b64encode(b"x" * 32).decode(), "x-request-id": "r"}
        began = time.perf_counter()
        response = shop.http.post(f"/in/{account}/order/created", content=body, headers=headers)
        return time.perf_counter() - began, response

    large = b'{"node":[' + b"1.5," * 480_000 + b"1]}"
    small = b'{"node":[' + b"1.5," * 8_000 + b"1]}"
    assert len(small) < CANONICAL_BYTES < len(large) < 2 * 1024 * 1024
    for body in (large, small):
        times: dict[str, list[float]] = {shop.name: [], "nobody": []}
        for _ in range(9):
            responses = []
            for account, taken in times.items():
                seconds, response = send(account, body)
                taken.append(seconds)
                responses.append(response)
            here, there = responses
            assert here.status_code == there.status_code == 401
            assert here.content == there.content
            assert {**here.headers, "date": ""} == {**there.headers, "date": ""}
        exists, missing = (min(taken) for taken in times.values())  # least affected by load
        assert min(*times[shop.name], *times["nobody"]) < 0.25
        assert 0.5 < exists / missing < 2, (exists, missing)


def test_only_a_small_body_is_also_verified_as_javascript_writes_it(shop: Shop) -> None:
    node = order(custom={"text": "x" * CANONICAL_BYTES})
    body = json.dumps({"node": node}, indent=2).encode()
    assert shop.post("order/created", body, shop.sign(stringify({"node": node}))).status_code == 401
    assert shop.post("order/created", body).status_code == 200


def test_deeply_nested_events_are_stored_in_the_inbox(shop: Shop) -> None:
    inbox_ids = set()
    types = ("order/created", "contact/signup", "contact-form/created")
    for type_, levels in itertools.product(types, (40, 300, 900, 2_000)):
        nested = "[" * levels + "]" * levels
        for name, value in (("custom", f'{{"a":{nested}}}'), ("payments", nested)):
            body = f'{{"node":{{"name":"#1","email":"a@x.test","{name}":{value}}}}}'
            response = shop.post(type_, body.encode())
            assert response.status_code == 200, response.text
            outcome = response.json()["data"]
            if name == "custom" or type_ == "order/created" or levels > 1_000:
                assert not outcome["understood"]
                assert ("levels deep" if levels < 1_000 else "not JSON") in outcome["problem"]
                inbox_ids.add(outcome["inbox_id"])
    assert inbox_ids == {event["id"] for event in shop.list_inbox()}
    assert len(inbox_ids) == 18


def test_a_body_over_the_limit_is_rejected(shop: Shop) -> None:
    response = shop.post("order/created", b"x" * (2 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert response.json()["errors"][0]["key"] == "errors_body_limit"


def test_a_shop_can_have_its_own_secret(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"node": order()}).encode()
    shop.secret = "the-secret-of-the-shop"
    assert shop.post("order/created", body).status_code == 401
    monkeypatch.setattr(sys, "stdin", io.StringIO(shop.secret + "\n"))
    result = run_regulars("inbox", "secret", "--account", shop.name, *shop.database)
    assert result.returncode == 0, result.stderr
    assert shop.secret not in result.stdout
    assert shop.post("order/created", body).status_code == 200
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    rejected = run_regulars("inbox", "secret", "--account", shop.name, *shop.database)
    assert rejected.returncode == 2
    assert "at least 8 characters" in rejected.stderr


UNPARSEABLE_EVENTS = [
    ("order/created", b"nonsense", "not JSON"),
    ("order/created", b"[]", "does not have the form"),
    ("order/created", b'{"node":[]}', "does not have the form"),
    ("order/created", b'{"node":{}}', "no `name`"),
    ("order/created", b'{"node":{"name":"1"}}', "new order needs"),
    ("order/created", b'{"node":{"name":"1","email":"a@b.co","total":"5"}}', "not a number"),
    ("order/created", b'{"node":{"name":"1","email":"a@b.co","total":1,"tags":"x"}}', "list"),
    (
        "order/created",
        b'{"node":{"name":"1","email":"a@b.co","total":1,"created_at":"x"}}',
        "relative time",
    ),
    ("order/created", b'{"node":{"name":"1","email":"nobody","total":1}}', "email"),
    ("contact/updated", b'{"node":{"first_name":"x"}}', "needs an email"),
    ("contact-form/created", b'{"node":{"message":"x"}}', "no `email`"),
    ("order/shipped", b'{"node":{}}', "Unknown event"),
    ("x/y/z", b'{"node":{}}', "Unknown event"),
]


def test_events_that_cannot_be_parsed_are_stored_in_the_inbox(shop: Shop) -> None:
    for type_, body, problem in UNPARSEABLE_EVENTS:
        outcomes = [shop.post(type_, body).json()["data"] for _ in range(2)]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0]["understood"] is False
        assert problem in outcomes[0]["problem"]
    events = shop.list_inbox()
    assert [event["times"] for event in events] == [2] * len(UNPARSEABLE_EVENTS)
    assert sorted((event["type"], event["body"].encode()) for event in events) == sorted(
        (type_, body) for type_, body, _ in UNPARSEABLE_EVENTS
    )
    assert shop.list_kinds() == []


def test_an_inbox_event_can_be_retried_and_deleted(shop: Shop) -> None:
    """An order without an email, whose customer arrives later."""
    order_node = order(email=None, name="#7")
    outcome = shop.send("order/created", order_node)
    assert not outcome["understood"]
    options = ("--account", shop.name, *shop.database)
    result = run_regulars("inbox", "retry", *options)
    assert "new order needs `email`" in result.stdout
    assert "Processed 0 events. 1 event remains" in result.stdout
    shop.expect_understood("contact/signup", {"id": "cus_ana", "email": "ana@example.com"})
    result = run_regulars("inbox", "retry", outcome["inbox_id"], *options)
    assert f"{outcome['inbox_id']}: Processed." in result.stdout
    assert shop.list_inbox() == []
    assert shop.customer("email orders_count") == {"email": "ana@example.com", "orders_count": 1}
    assert run_regulars("inbox", "retry", "nothing", *options).returncode == 2
    second_outcome = shop.send("order/created", {"name": "x"})
    result = run_regulars("inbox", "forget", second_outcome["inbox_id"], *options)
    assert result.stdout == "Deleted 1 event.\n"
    assert shop.list_inbox() == []


def test_a_stored_event_is_applied_when_it_is_sent_again(shop: Shop) -> None:
    body = json.dumps({"node": order(email=None)}).encode()
    assert not shop.post("order/created", body).json()["data"]["understood"]
    shop.expect_understood("contact/signup", {"id": "cus_ana", "email": "ana@example.com"})
    assert shop.post("order/created", body).json() == {"data": {"understood": True}}


@pytest.mark.slow
def test_two_processes_apply_the_same_order_once(postgresql: str) -> None:
    """Each process reads while the other writes: a conflict makes it read again."""
    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        shop = Shop(server)
        for index in range(15):
            names = {"name": f"#{index}", "email": f"{index}@example.com"}
            node = order(**names, customer={"id": f"cus_{index}"}, id=f"order_{index}")
            body = json.dumps({"node": node}).encode()
            signature = shop.sign(body)

            def send(_: int, body: bytes = body, signature: str = signature) -> int:
                headers = {"lightfunnels-hmac": signature}
                with httpx.Client(base_url=server.url, verify=TLS, timeout=120) as http:
                    path = f"/in/{shop.name}/order/created"
                    return http.post(path, content=body, headers=headers).status_code

            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(send, range(8))) == {200}
        assert shop.list_kinds() == ["created", "order_created"] * 15
        assert shop.list_inbox() == []
        shop.close()
