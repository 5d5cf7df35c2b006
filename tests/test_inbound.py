"""What a shop tells by its own events: verified, understood once, whatever their order."""

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

from regulars.accounts.accounts import Accounts, now_ms
from regulars.store import Store
from regulars.webhooks.inbox import CANONICAL_BYTES
from regulars.webhooks.javascript import stringify
from regulars.webhooks.payloads import example
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
    """An order as a shop tells it."""
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
    """A shop whose events an account takes."""

    def __init__(self, server: Server) -> None:
        self.name = f"shop {server.pid} {next(_numbers)}"
        self.database = ("--database-url", server.database_url)
        token, self.secret = with_store(server.database_url, self._made)
        self.client = Client(server, token)
        self.http = httpx.Client(base_url=server.url, verify=TLS, timeout=30)

    async def _made(self, store: Store) -> tuple[str, str]:
        """A new account: a token for it, and its secret."""
        accounts = Accounts(store)
        account = await accounts.create(self.name)
        token, _ = await accounts.create_token(account, "test")
        return token, (await secrets_of(store, account.account_id, now_ms())).current

    def close(self) -> None:
        self.client.http.close()
        self.http.close()

    def proof(self, body: bytes) -> str:
        mac = hmac.new(self.secret.encode(), body, hashlib.sha256)
        return base64.b64encode(mac.digest()).decode()

    def post(self, type_: str, body: bytes, proof: str | None = None) -> httpx.Response:
        given = self.proof(body) if proof is None else proof
        headers = {b"lightfunnels-hmac": given.encode("latin-1")}
        return self.http.post(f"/in/{self.name}/{type_}", content=body, headers=headers)

    def tell(self, type_: str, node: Any) -> dict[str, Any]:
        """Sends an event and answers what became of it."""
        answer = self.post(type_, json.dumps({"node": node}).encode())
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()["data"]
        return told

    def understood(self, type_: str, node: Any) -> None:
        assert self.tell(type_, node) == {"understood": True}

    def customer(self, fields: str) -> Any:
        """The only customer."""
        document = "{ customers { edges { node { " + fields + " } } } }"
        (edge,) = self.client.data(document)["customers"]["edges"]
        return edge["node"]

    def kinds(self) -> list[str]:
        return [edge["node"]["kind"] for edge in read_feed(self.client, first=100)["edges"]]

    def inbox(self) -> list[dict[str, Any]]:
        done = run_regulars("inbox", "list", "--json", "--account", self.name, *self.database)
        kept: list[dict[str, Any]] = json.loads(done.stdout)
        return kept


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    made = Shop(server)
    yield made
    made.close()


def test_an_order_comes_in(shop: Shop) -> None:
    shop.understood("order/created", order())
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


def test_an_event_is_answered_with_the_number_of_the_last_change(shop: Shop) -> None:
    answer = shop.post("order/created", json.dumps({"node": order()}).encode())
    read = shop.client.post("{ customers(first: 1) { totalCount } }")
    assert int(answer.headers["Regulars-Change"]) == len(shop.kinds()) > 0
    assert read.headers["Regulars-Change"] == answer.headers["Regulars-Change"]


def test_a_shops_own_ids_are_found_by_node(shop: Shop, client: Client) -> None:
    shop.understood("order/created", order())
    assert shop.client.node("cus_ana", "__typename ... on Customer { _id }") == {
        "__typename": "Customer",
        "_id": 1,
    }
    assert shop.client.node("order_abc", "... on Order { name }") == {"name": "#1001"}
    for unknown in ("cus_other", "order_ab", "x" * 300, ""):
        assert shop.client.node(unknown, "id") is None
    assert client.node("cus_ana", "id") is None
    # It finds the customer whatever the email is now.
    shop.understood("order/created", order(id="order_2", name="#1002", email="new@example.com"))
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


def test_an_order_goes_its_way(shop: Shop) -> None:
    for (type_, node), (expenses, count) in zip(
        STORY, ((0, 1), (35.5, 1), (25.25, 1), (0, 0)), strict=True
    ):
        shop.understood(type_, node)
        assert shop.customer("expenses orders_count") == {
            "expenses": expenses,
            "orders_count": count,
        }
    assert shop.kinds() == [
        "created",
        "order_created",
        "order_confirmed",
        "order_refunded",
        "order_refunded",
        "order_cancelled",
    ]


def test_the_order_in_which_events_come_does_not_matter(shop: Shop) -> None:
    """All of their orders, some events twice: the same in the end."""
    draw = random.Random(5)
    for turn, events in enumerate(itertools.permutations(STORY)):
        name = f"#{turn}"
        told = [*events, *draw.sample(STORY, 2)]
        for type_, node in told:
            shop.understood(type_, {**node, "name": name, "id": f"order_{turn}"})
        document = "{ node(id: $id) { ... on Order { %s cancelled_at } } }"
        fields = "name refunded_amount financial_status net_payment"
        found = shop.client.data("query($id: ID!) " + document % fields, id=f"order_{turn}")["node"]
        assert found.pop("cancelled_at") is not None, told
        assert found == {**LAST, "name": name}, told
    assert shop.customer("expenses orders_count") == {"expenses": 0, "orders_count": 0}


def test_the_same_order_a_hundred_times_from_ten_connections_counts_once(
    server: Server, shop: Shop
) -> None:
    bodies = [
        json.dumps({"node": order(paid_by_customer=35.5)}, indent=indent).encode()
        for indent in (None, 1)
    ]

    def send(number: int) -> set[int]:
        with httpx.Client(base_url=server.url, verify=TLS, timeout=30) as http:
            found = set()
            for turn in range(10):
                body = bodies[(number + turn) % 2]
                headers = {"lightfunnels-hmac": shop.proof(body)}
                path = f"/in/{shop.name}/order/created"
                found.add(http.post(path, content=body, headers=headers).status_code)
            return found

    with ThreadPoolExecutor(10) as pool:
        assert set().union(*pool.map(send, range(10))) == {200}
    assert shop.customer("expenses orders_count") == {"expenses": 35.5, "orders_count": 1}
    assert shop.kinds() == ["created", "order_created", "order_confirmed"]


def test_an_event_that_tells_nothing_new_changes_nothing(shop: Shop) -> None:
    """Not byte for byte the same, so that it is looked at."""
    paid = order(net_payment=0.1, refunded_amount=0.2)
    del paid["paid_by_customer"]
    shop.understood("order/confirmed", paid)
    before = shop.kinds()
    shop.understood("order/updated", {**paid, "unknown": 1})
    shop.understood("order/refunded", {"name": "#1001", "id": "order_abc"})
    assert shop.kinds() == before
    assert shop.customer("expenses orders_count") == {"expenses": 0.1, "orders_count": 1}


def test_what_nobody_says_was_paid_was_not(shop: Shop) -> None:
    bare = {"name": "#1", "email": "ana@example.com", "total": 20}
    shop.understood("order/updated", bare)
    assert shop.customer("expenses orders_count") == {"expenses": 0, "orders_count": 1}
    shop.understood("order/confirmed", {**bare, "phone": "1"})
    assert shop.customer("expenses") == {"expenses": 20}
    shop.understood("order/refunded", {**bare, "refunded_amount": 5})
    shop.understood("order/created", {**bare, "total": 99})
    assert shop.customer("expenses orders_count") == {"expenses": 15, "orders_count": 1}


def test_a_contact_comes_in(shop: Shop) -> None:
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
    shop.understood("contact/updated", node)
    assert shop.customer(fields) == {
        "email": "ana@example.com",
        "first_name": "Ana",
        "tags": ["a"],
        "notes": "n",
        "custom": {"k": 1},
        "accepts_marketing": True,
        "shipping_address": {"city": "Fès", "country": None},
    }
    shop.understood("contact/updated", {**node, "email": "new@example.com", "tags": []})
    # What the customer was at the beginning says nothing of what it is now.
    shop.understood("contact/signup", {**node, "first_name": "Old", "tags": ["old"]})
    shown = shop.customer("email first_name tags")
    assert shown == {"email": "new@example.com", "first_name": "Ana", "tags": ["old"]}
    assert shop.kinds() == ["created", "updated", "updated"]


def test_our_own_events_can_be_taken(shop: Shop) -> None:
    """What Regulars sends, it understands."""
    for type_ in ("contact/signup", "order/created", "order/confirmed"):
        body = stringify(example(type_))
        assert shop.post(type_, body).json() == {"data": {"understood": True}}
    shown = shop.customer("email full_name location expenses orders_count")
    assert shown["email"] == "test@example.com"
    assert shown["full_name"] == "Test Event"
    assert shown["location"] == "MA, Casablanca"


def test_a_form_and_a_checkout_come_in(shop: Shop) -> None:
    form = {
        "email": "ana@example.com",
        "name": "Ana Sá",
        "subject": "Hello",
        "message": "Is anybody there?",
        "custom": {"page": "/x"},
        "created_at": "2024-03-18 14:20:37",
    }
    shop.understood("contact-form/created", form)
    shop.understood("contact-form/created", form)
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
    shop.understood("checkout/created", {"email": "ANA@example.com", "phone": "1"})
    assert shop.customer("phone orders_count") == {"phone": "1", "orders_count": 0}


def test_a_moment_may_be_an_age(shop: Shop) -> None:
    for number, age in enumerate(("3 days ago", "a month ago", "an hour ago", "a few seconds ago")):
        shop.understood("order/created", order(name=f"{number}", created_at=age))
    document = """{ customers { edges { node { summary { orders { list { order {
        name created_at } } } } } } } }"""
    (edge,) = shop.client.data(document)["customers"]["edges"]
    found = [one["order"] for one in edge["node"]["summary"]["orders"]["list"]]
    assert {one["name"]: one["created_at"] for one in found} == {
        "0": "3 days ago",
        "1": "a month ago",
        "2": "an hour ago",
        "3": "a few seconds ago",
    }


def test_a_proof_covers_the_bytes_or_what_javascript_makes_of_them(shop: Shop) -> None:
    spaced = json.dumps({"node": order(total=35.0)}, indent=2).encode()
    rewritten = shop.proof(stringify(json.loads(spaced)))
    assert rewritten != shop.proof(spaced)
    for proof in (shop.proof(spaced), rewritten):
        assert shop.post("order/created", spaced, proof).status_code == 200
    for wrong in ("", "x", "é", rewritten[:-4] + "AAA=", shop.proof(spaced + b" ")):
        answer = shop.post("order/created", spaced, wrong)
        assert answer.status_code == 401, wrong
        assert answer.json()["errors"][0]["key"] == "errors_signature"
        assert answer.headers["x-request-id"]


def test_an_account_that_there_is_not_looks_like_a_wrong_proof(shop: Shop) -> None:
    body = json.dumps({"node": order()}).encode()
    here = shop.post("order/created", body, "x")
    there = shop.http.post(
        "/in/nobody/order/created", content=body, headers={"lightfunnels-hmac": "x"}
    )
    assert here.json() == there.json()
    assert here.status_code == there.status_code == 401
    for method in ("GET", "PUT"):
        answer = shop.http.request(method, f"/in/{shop.name}/order/created")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert answer.json()["errors"][0]["key"] == "errors_method"


def test_a_forged_event_costs_little_and_does_not_say_which_accounts_exist(shop: Shop) -> None:
    """A stranger sends the worst body of each size, in turn to an account that exists and to one
    that does not."""

    def send(account: str, body: bytes) -> tuple[float, httpx.Response]:
        headers = {"lightfunnels-hmac": base64.b64encode(b"x" * 32).decode(), "x-request-id": "r"}
        began = time.perf_counter()
        answer = shop.http.post(f"/in/{account}/order/created", content=body, headers=headers)
        return time.perf_counter() - began, answer

    large = b'{"node":[' + b"1.5," * 480_000 + b"1]}"
    small = b'{"node":[' + b"1.5," * 8_000 + b"1]}"
    assert len(small) < CANONICAL_BYTES < len(large) < 2 * 1024 * 1024
    for body in (large, small):
        times: dict[str, list[float]] = {shop.name: [], "nobody": []}
        for _ in range(9):
            answers = []
            for account, taken in times.items():
                seconds, answer = send(account, body)
                taken.append(seconds)
                answers.append(answer)
            here, there = answers
            assert here.status_code == there.status_code == 401
            assert here.content == there.content
            assert {**here.headers, "date": ""} == {**there.headers, "date": ""}
        exists, missing = (min(taken) for taken in times.values())  # least affected by load
        assert min(*times[shop.name], *times["nobody"]) < 0.25
        assert 0.5 < exists / missing < 2, (exists, missing)


def test_only_a_small_body_is_also_verified_as_javascript_writes_it(shop: Shop) -> None:
    node = order(custom={"text": "x" * CANONICAL_BYTES})
    body = json.dumps({"node": node}, indent=2).encode()
    assert (
        shop.post("order/created", body, shop.proof(stringify({"node": node}))).status_code == 401
    )
    assert shop.post("order/created", body).status_code == 200


def test_deeply_nested_custom_fields_are_kept_with_the_reason(shop: Shop) -> None:
    kept = set()
    types = ("order/created", "contact/signup", "contact-form/created")
    for type_, levels in itertools.product(types, (40, 300, 900, 2_000)):
        deep = "[" * levels + "]" * levels
        for name, value in (("custom", f'{{"a":{deep}}}'), ("payments", deep)):
            body = f'{{"node":{{"name":"#1","email":"a@x.test","{name}":{value}}}}}'
            answer = shop.post(type_, body.encode())
            assert answer.status_code == 200, answer.text
            told = answer.json()["data"]
            if name == "custom" or type_ == "order/created" or levels > 1_000:
                assert not told["understood"]
                assert ("nested deeper" if levels < 1_000 else "not JSON") in told["problem"]
                kept.add(told["inbox_id"])
    assert kept == {event["id"] for event in shop.inbox()}
    assert len(kept) == 18


def test_a_body_over_the_limit_is_refused(shop: Shop) -> None:
    answer = shop.post("order/created", b"x" * (2 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["key"] == "errors_body_limit"


def test_a_shop_may_have_a_secret_of_its_own(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"node": order()}).encode()
    shop.secret = "the-secret-of-the-shop"
    assert shop.post("order/created", body).status_code == 401
    monkeypatch.setattr(sys, "stdin", io.StringIO(shop.secret + "\n"))
    done = run_regulars("inbox", "secret", "--account", shop.name, *shop.database)
    assert done.returncode == 0, done.stderr
    assert shop.secret not in done.stdout
    assert shop.post("order/created", body).status_code == 200
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    refused = run_regulars("inbox", "secret", "--account", shop.name, *shop.database)
    assert refused.returncode == 2
    assert "at least 8 characters" in refused.stderr


NOT_UNDERSTOOD = [
    ("order/created", b"nonsense", "not JSON"),
    ("order/created", b"[]", "not of the form"),
    ("order/created", b'{"node":[]}', "not of the form"),
    ("order/created", b'{"node":{}}', "no name"),
    ("order/created", b'{"node":{"name":"1"}}', "needs its"),
    ("order/created", b'{"node":{"name":"1","email":"a@b.co","total":"5"}}', "not a number"),
    ("order/created", b'{"node":{"name":"1","email":"a@b.co","total":1,"tags":"x"}}', "list"),
    (
        "order/created",
        b'{"node":{"name":"1","email":"a@b.co","total":1,"created_at":"x"}}',
        "age",
    ),
    ("order/created", b'{"node":{"name":"1","email":"nobody","total":1}}', "email"),
    ("contact/updated", b'{"node":{"first_name":"x"}}', "needs an email"),
    ("contact-form/created", b'{"node":{"message":"x"}}', "no email"),
    ("order/shipped", b'{"node":{}}', "no event"),
    ("x/y/z", b'{"node":{}}', "no event"),
]


def test_what_is_not_understood_is_kept(shop: Shop) -> None:
    for type_, body, problem in NOT_UNDERSTOOD:
        told = [shop.post(type_, body).json()["data"] for _ in range(2)]
        assert told[0] == told[1]
        assert told[0]["understood"] is False
        assert problem in told[0]["problem"]
    kept = shop.inbox()
    assert [one["times"] for one in kept] == [2] * len(NOT_UNDERSTOOD)
    assert sorted((one["type"], one["body"].encode()) for one in kept) == sorted(
        (type_, body) for type_, body, _ in NOT_UNDERSTOOD
    )
    assert shop.kinds() == []


def test_a_kept_event_is_understood_later(shop: Shop) -> None:
    """An order without an email, of a customer who is told of afterwards."""
    late = order(email=None, name="#7")
    told = shop.tell("order/created", late)
    assert not told["understood"]
    options = ("--account", shop.name, *shop.database)
    done = run_regulars("inbox", "retry", *options)
    assert "needs its email" in done.stdout
    assert "0 understood, 1 still kept" in done.stdout
    shop.understood("contact/signup", {"id": "cus_ana", "email": "ana@example.com"})
    done = run_regulars("inbox", "retry", told["inbox_id"], *options)
    assert f"{told['inbox_id']}: understood" in done.stdout
    assert shop.inbox() == []
    assert shop.customer("email orders_count") == {"email": "ana@example.com", "orders_count": 1}
    assert run_regulars("inbox", "retry", "nothing", *options).returncode == 2
    # Sent again, it would be understood at once.
    kept = shop.tell("order/created", {"name": "x"})
    done = run_regulars("inbox", "forget", kept["inbox_id"], *options)
    assert done.stdout == "Forgot 1.\n"
    assert shop.inbox() == []


def test_an_event_that_was_refused_is_understood_when_it_comes_again(shop: Shop) -> None:
    body = json.dumps({"node": order(email=None)}).encode()
    assert not shop.post("order/created", body).json()["data"]["understood"]
    shop.understood("contact/signup", {"id": "cus_ana", "email": "ana@example.com"})
    assert shop.post("order/created", body).json() == {"data": {"understood": True}}


@pytest.mark.slow
def test_two_processes_are_told_of_one_order(postgresql: str) -> None:
    """Both read while the other writes: what does not go together is read again."""
    with scratch_database(postgresql) as url, run_server(url, "--workers", "2") as server:
        shop = Shop(server)
        for turn in range(15):
            names = {"name": f"#{turn}", "email": f"{turn}@example.com"}
            node = order(**names, customer={"id": f"cus_{turn}"}, id=f"order_{turn}")
            body = json.dumps({"node": node}).encode()
            proof = shop.proof(body)

            def send(_: int, body: bytes = body, proof: str = proof) -> int:
                headers = {"lightfunnels-hmac": proof}
                with httpx.Client(base_url=server.url, verify=TLS, timeout=30) as http:
                    path = f"/in/{shop.name}/order/created"
                    return http.post(path, content=body, headers=headers).status_code

            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(send, range(8))) == {200}
        assert shop.kinds() == ["created", "order_created"] * 15
        assert shop.inbox() == []
        shop.close()
