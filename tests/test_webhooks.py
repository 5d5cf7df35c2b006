"""Webhooks: what is told, to whom, how often, and what becomes of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from regulars.accounts.accounts import now_ms
from regulars.store import Store, tables
from regulars.store.writes import insert_one
from regulars.webhooks import delivery_queries
from regulars.webhooks.worker import RETENTION_MS, delete_old
from tests.conftest import DATABASES
from tests.receiver import Received, Receiver, receiving
from tests.support import (
    Client,
    Server,
    create_token,
    get,
    run_regulars,
    run_server,
    scratch_database,
    with_store,
)

SCOPES = ("customers", "orders:write", "webhooks")
CREATE = """mutation($node: WebhookInput!) { createWebhook(node: $node) {
    id _id type url version settings disabled_at disabled_reason } }"""
DELIVERIES = """{ webhooks { id disabled_at disabled_reason deliveries(first: 100) {
    edges { cursor node { id event_id sequence customer_id state next_attempt_at ended_at
      attempts { attempt status error milliseconds request request_headers response } } }
    pageInfo { hasNextPage endCursor } } } }"""


@pytest.fixture(scope="module", params=DATABASES)
def open_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that may send to this machine, and gives an event up after half a second."""
    options = ("--webhook-private-targets", "--webhook-retry-seconds", "0.5")
    if request.param == "sqlite":
        with run_server(
            f"sqlite:///{tmp_path_factory.mktemp('hooks') / 'r.db'}", *options
        ) as server:
            yield server
        return
    with scratch_database(request.getfixturevalue("postgresql")) as url:
        with run_server(url, *options) as server:
            yield server


@pytest.fixture
def client(open_server: Server) -> Iterator[Client]:
    """A client of a new account that may do everything with customers and webhooks."""
    with Client(open_server, create_token(open_server, scopes=SCOPES)) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def hook(client: Client, type_: str, url: str, **node: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.data(CREATE, node={"type": type_, "url": url, **node})[
        "createWebhook"
    ]
    return made


def deliveries(client: Client) -> list[dict[str, Any]]:
    """What was delivered to the account's only webhook, oldest first."""
    (webhook,) = client.data(DELIVERIES)["webhooks"]
    return [edge["node"] for edge in reversed(webhook["deliveries"]["edges"])]


def settled(client: Client, count: int) -> list[dict[str, Any]]:
    """The deliveries of the only webhook, once so many have ended."""
    deadline = time.monotonic() + 20
    while True:
        found = deliveries(client)
        if sum(one["ended_at"] is not None for one in found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def last_account(server: Server) -> str:
    """The name of the account that was made last: each test makes one."""
    done = run_regulars("account", "list", "--json", "--database-url", server.database_url)
    name: str = json.loads(done.stdout)[-1]["name"]
    return name


def secret_of(client: Client) -> str:
    url = ("--database-url", client.server.database_url)
    name = last_account(client.server)
    return run_regulars("webhook-secret", "show", "--account", name, *url).stdout.strip()


def test_a_webhook_is_made_shown_changed_and_deleted(client: Client) -> None:
    made = hook(client, "contact/signup", "http://127.0.0.1:1/a#x", settings={"mine": [1]})
    assert made == {
        "id": base64.b64encode(f"Webhook:{made['_id']}".encode()).decode(),
        "_id": 1,
        "type": "contact/signup",
        "url": "http://127.0.0.1:1/a",
        "version": "v2",
        "settings": {"mine": [1]},
        "disabled_at": None,
        "disabled_reason": None,
    }
    hook(client, "contact/updated", "http://127.0.0.1:1/a")
    update = """mutation($node: WebhookUpdateInput!) {
        updateWebhook(id: "1", node: $node) { type url settings } }"""
    assert client.data(update, node={"url": "http://127.0.0.1:1/b"})["updateWebhook"] == {
        "type": "contact/signup",
        "url": "http://127.0.0.1:1/b",
        "settings": {"mine": [1]},
    }
    same = {"url": "http://127.0.0.1:1/a", "type": "contact/updated"}
    client.expect_error("webhooks_duplicated", update, node=same)
    listed = client.data("{ webhooks { _id url } }")["webhooks"]
    assert listed == [
        {"_id": 1, "url": "http://127.0.0.1:1/b"},
        {"_id": 2, "url": "http://127.0.0.1:1/a"},
    ]
    delete = "mutation($id: ID!) { deleteWebhook(id: $id) }"
    assert client.data(delete, id=made["id"]) == {"deleteWebhook": made["id"]}
    client.expect_error("webhooks_not_found", delete, id=made["id"])
    client.expect_error("webhooks_not_found", update, node={})
    assert [one["_id"] for one in client.data("{ webhooks { _id } }")["webhooks"]] == [2]
    assert hook(client, "contact/signup", "http://127.0.0.1:1/a")["_id"] == 3


def test_one_webhook_is_returned_by_its_id(client: Client, open_server: Server) -> None:
    query = "query($id: ID!) { webhook(id: $id) { _id url deliveries { edges { cursor } } } }"
    first, second = (hook(client, "contact/signup", f"http://127.0.0.1:1/{n}") for n in "ab")
    shown = {"_id": 2, "url": "http://127.0.0.1:1/b", "deliveries": {"edges": []}}
    for one in (second["id"], second["id"].rstrip("="), f" {second['id']} ", "2", 2):
        assert client.data(query, id=one) == {"webhook": shown}
    customer_id = base64.b64encode(b"Customer:1").decode()
    for none in ("3", "0", "01", "-1", "", "?", customer_id, "4000000000"):
        assert client.data(query, id=none) == {"webhook": None}
    client.data("mutation($id: ID!) { deleteWebhook(id: $id) }", id=first["id"])
    assert client.data(query, id=first["id"]) == {"webhook": None}
    with Client(open_server, create_token(open_server, scopes=("webhooks",))) as other:
        assert other.data(query, id=second["id"]) == {"webhook": None}
    with Client(open_server, create_token(open_server, scopes=("customers",))) as reader:
        error = reader.expect_error("errors_scope", query, id=second["id"])
        assert error["path"] == ["webhook"]


def test_a_webhook_that_cannot_be_is_refused(client: Client) -> None:
    good = {"type": "contact/signup", "url": "http://127.0.0.1:1/a"}
    client.data(CREATE, node=good)
    client.expect_error("webhooks_duplicated", CREATE, node=good)
    client.expect_error(
        "webhooks_version_error", CREATE, node={**good, "version": "v1", "url": good["url"] + "x"}
    )
    for wrong in (
        {"type": "contact/sign"},
        {"url": "ftp://example.com"},
        {"url": "https://"},
        {"url": "example.com"},
        {"url": "https://user:pass@example.com"},
        {"url": "https://exämple.com"},
        {"url": "https://example.com/" + "x" * 2048},
        {"url": "https://[::1"},
        {"url": "https://example.com:99999"},
        {"settings": {"changes": "yes"}},
        {"settings": {"x": "y" * 4096}},
    ):
        error = client.expect_error("errors_invalid_input", CREATE, node={**good, **wrong})
        assert error["extensions"]["input_path"] == ["node", *wrong]
    assert (
        "Did you mean contact/signup?"
        in client.expect_error(
            "errors_invalid_input", CREATE, node={**good, "type": "contact/signups"}
        )["message"]
    )


def test_who_may_not_read_customers_is_not_told_of_them(open_server: Server) -> None:
    with Client(open_server, create_token(open_server, scopes=("webhooks",))) as blind:
        node = {"type": "contact/signup", "url": "http://127.0.0.1:1/a"}
        error = blind.expect_error("webhooks_errors_permission", CREATE, node=node)
        assert "customers:read" in error["message"]
        assert blind.data("{ webhooks { id } }") == {"webhooks": []}


CONTACT = {
    *("id", "_id", "tags", "email", "leads", "notes", "phone", "avatar", "custom", "location"),
    *("full_name", "last_name", "first_name", "accepts_marketing", "__typename"),
    *("billing_address", "shipping_address"),
}
NO_ADDRESS = {
    **dict.fromkeys(("zip", "area", "city", "email", "line1", "line2", "phone", "state"), ""),
    "country": None,
    "last_name": "",
    "first_name": "",
}


def test_an_event_tells_of_the_customer_and_is_signed(client: Client, receiver: Receiver) -> None:
    hook(client, "contact/signup", f"{receiver.url}/hook")
    made = client.create(
        "Ana@example.com",
        first_name="Ana",
        tags=["vip"],
        custom={"n": 35.0},
        shipping_address={"city": "Fès", "country": "MA"},
    )
    (request,) = receiver.wait(1)
    node = request.json["node"]
    assert set(request.json) == {"node"}
    assert set(node) == CONTACT
    assert node["id"] == made["id"]
    assert node["email"] == "Ana@example.com"
    assert node["location"] == "MA, Fès"
    assert node["billing_address"] == NO_ADDRESS
    assert node["shipping_address"] == {**NO_ADDRESS, "city": "Fès", "country": "MA"}
    assert b'"custom":{"n":35}' in request.body
    headers = request.headers
    assert headers["lightfunnels-topic"] == "contact/signup"
    assert headers["content-type"] == "application/json"
    assert headers["regulars-attempt"] == "1"
    secret = secret_of(client).encode()
    proof = base64.b64encode(hmac.new(secret, request.body, hashlib.sha256).digest()).decode()
    assert headers["lightfunnels-hmac"] == proof
    stamp, second = headers["regulars-signature"].split(",")
    assert abs(int(stamp.removeprefix("t=")) - time.time()) < 60
    signed = stamp.removeprefix("t=").encode() + b"." + request.body
    assert second == "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
    (delivery,) = settled(client, 1)
    assert delivery["id"] == headers["regulars-delivery-id"]
    assert delivery["event_id"] == headers["regulars-event-id"]
    assert (delivery["state"], delivery["sequence"], delivery["customer_id"]) == (
        "delivered",
        1,
        made["id"],
    )
    (attempt,) = delivery["attempts"]
    assert (attempt["attempt"], attempt["status"], attempt["response"]) == (1, 200, "ok")
    assert attempt["request"].encode() == request.body
    assert attempt["request_headers"]["lightfunnels-hmac"] == proof
    figures = get(f"{client.server.url}/metrics").text
    assert re.search(
        r'^regulars_webhook_attempts_total{result="delivered"} [1-9]', figures, re.MULTILINE
    )
    assert "regulars_webhooks_busy" in figures


def test_each_type_is_told_of_what_it_is_about(client: Client, receiver: Receiver) -> None:
    types = (
        *("contact/signup", "contact/updated", "contact/deleted"),
        *("order/created", "order/confirmed", "order/refunded", "order/cancelled"),
    )
    for type_ in types:
        hook(client, type_, f"{receiver.url}/{type_}", settings={"changes": True})
    client.create("ana@example.com", phone="1")
    client.update("1", phone="2")
    client.update("1", phone="2")
    order = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
    for node in (
        {"email": "ana@example.com", "total": 9.5, "financial_status": "pending"},
        {"financial_status": "paid"},
        {"refunded_amount": 2},
        {"cancelled_at": "2024-03-18"},
    ):
        client.data(order, node={"name": "1001", **node})
    lead = 'mutation { recordLead(node: {email: "ana@example.com", message: "Hi"}) { id } }'
    client.data(lead)
    client.data("mutation { deleteCustomers(items: [1]) }")
    receiver.wait(8)
    time.sleep(0.5)
    came = {type_: receiver.at(f"/{type_}") for type_ in types}
    assert {type_: len(found) for type_, found in came.items()} == {
        **dict.fromkeys(types, 1),
        "contact/updated": 2,
    }
    assert all(one.json["changes"] is not None for one in receiver.requests)


def test_an_event_shows_the_customer_as_it_was(client: Client, receiver: Receiver) -> None:
    """However late it is sent: here everything has happened before the first of it is."""
    receiver.answer = lambda _: (time.sleep(0.4) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
    hook(client, "contact/updated", f"{receiver.url}/x", settings={"changes": True})
    document = """mutation {
        a: createCustomer(node: {email: "a@example.com", tags: ["0"], custom: {n: 0}}) { id }
        b: updateCustomer(id: 1, node: {tags: ["1"], notes: "one"}) { id }
        c: recordLead(node: {email: "a@example.com", message: "Hi"}) { id }
        d: updateCustomer(id: 1, node: {notes: null, custom: {n: null, m: [1.0]},
            shipping_address: {city: "Fes"}}) { id } }"""
    client.data(document)
    first, lead, last = [one.json for one in receiver.wait(3)]
    shown = [
        (one["node"]["tags"], one["node"]["notes"], one["node"]["custom"])
        for one in (first, lead, last)
    ]
    assert shown == [(["1"], "one", {"n": 0}), (["1"], "one", {"n": 0}), (["1"], None, {"m": [1]})]
    assert [len(one["node"]["leads"]) for one in (first, lead, last)] == [0, 1, 1]
    assert lead["node"]["leads"][0]["message"] == "Hi"
    assert first["changes"] == {"tags": ["0"], "notes": None}
    assert last["changes"] == {"notes": "one", "custom": {"n": 0}, "shipping_address": None}


def test_an_order_is_told_as_a_shop_tells_it(client: Client, receiver: Receiver) -> None:
    hook(client, "order/refunded", f"{receiver.url}/x")
    order = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
    node = {"name": "1", "email": "a@example.com", "total": 12.5, "created_at": "2024-03-18"}
    client.data(order, node=node)
    client.data(order, node={"name": "1", "refunded_amount": 2.25, "tags": ["x"]})
    client.data(order, node={"name": "1", "refunded_amount": 12.5})
    first, second = [one.json["node"] for one in receiver.wait(2)]
    assert (first["refunded_amount"], second["refunded_amount"]) == (2.25, 12.5)
    assert (first["net_payment"], first["paid_by_customer"], first["total"]) == (10.25, 12.5, 12.5)
    assert first["created_at"] == "2024-03-18 00:00:00"
    assert first["tags"] == ["x"]
    assert first["customer"]["id"] == "Q3VzdG9tZXI6MQ=="
    assert first["shipping_address"] == NO_ADDRESS


def test_events_come_in_order_and_one_that_fails_delays_no_other(
    client: Client, receiver: Receiver
) -> None:
    failed: list[str] = []

    def answer(received: Received) -> tuple[int, dict[str, str], bytes]:
        if received.json["node"]["email"] == "2@example.com" and len(failed) < 3:
            failed.append(received.event)
            return 503, {}, b"later"
        return 200, {}, b""

    receiver.answer = answer
    hook(client, "contact/signup", f"{receiver.url}/x")
    for number in range(6):
        client.create(f"{number}@example.com")
    found = settled(client, 6)
    emails = [one.json["node"]["email"][0] for one in receiver.requests]
    assert [email for email in emails if email != "2"] == ["0", "1", "3", "4", "5"]
    assert emails.count("2") == 4
    late = found[2]
    assert [attempt["status"] for attempt in late["attempts"]] == [503, 503, 503, 200]
    assert [
        one.headers["regulars-attempt"] for one in receiver.requests if one.event == failed[0]
    ] == [*("1", "2", "3", "4")]
    assert len({one.body for one in receiver.requests if one.event == failed[0]}) == 1


@pytest.mark.slow
def test_after_eight_attempts_the_webhook_is_disabled_and_loses_nothing(
    client: Client, receiver: Receiver
) -> None:
    receiver.answer = lambda _: (500, {}, b"no")
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    (delivery,) = settled(client, 1)
    assert delivery["state"] == "failed"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500] * 8
    (webhook,) = client.data(DELIVERIES)["webhooks"]
    assert webhook["disabled_at"]
    assert "8 attempts" in webhook["disabled_reason"]
    assert "500" in webhook["disabled_reason"]
    # Nothing is sent meanwhile, not even when it is asked for.
    client.create("1@example.com")
    retry = "mutation($id: ID!) { retryWebhookDelivery(id: $id) { state } }"
    for document in (retry, "mutation($id: ID!) { testWebhook(id: $id) { state } }"):
        given = delivery["id"] if document == retry else webhook["id"]
        assert (
            "Enable it first"
            in client.expect_error("errors_invalid_input", document, id=given)["message"]
        )
    time.sleep(0.5)
    assert len(receiver.requests) == 8
    receiver.answer = lambda _: (200, {}, b"")
    enable = """mutation { updateWebhook(id: 1, node: {disabled: false}) { disabled_at } }"""
    assert client.data(enable) == {"updateWebhook": {"disabled_at": None}}
    assert receiver.wait(9)[-1].json["node"]["email"] == "1@example.com"
    assert client.data(retry, id=delivery["id"])["retryWebhookDelivery"]["state"] == "pending"
    assert receiver.wait(10)[-1].headers["regulars-attempt"] == "9"
    found = settled(client, 2)
    assert [one["state"] for one in found] == ["delivered", "delivered"]


def test_only_2xx_is_success_and_no_redirect_is_followed(
    client: Client, receiver: Receiver
) -> None:
    statuses = iter([301, 302, 307, 404, 410, 204])
    receiver.answer = lambda _: (next(statuses), {"location": receiver.url + "/elsewhere"}, b"")
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    (delivery,) = settled(client, 1)
    found = [attempt["status"] for attempt in delivery["attempts"]]
    assert found == [301, 302, 307, 404, 410, 204]
    assert receiver.at("/elsewhere") == []


@pytest.mark.slow
def test_who_does_not_answer_is_told_so(client: Client) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    hook(client, "contact/signup", f"http://127.0.0.1:{port}/x")
    client.create("0@example.com")
    (delivery,) = settled(client, 1)
    assert delivery["state"] == "failed"
    assert all("No connection" in attempt["error"] for attempt in delivery["attempts"])
    assert {attempt["status"] for attempt in delivery["attempts"]} == {None}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
def test_a_certificate_of_nobody_is_refused(
    client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ("-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate"))
    subprocess.run([*made, *files, "-days", "2"], check=True, capture_output=True)
    receiver.speak_tls(tmp_path / "certificate", tmp_path / "key")
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    (delivery,) = settled(client, 1)
    assert "CERTIFICATE_VERIFY_FAILED" in delivery["attempts"][0]["error"]
    assert receiver.requests == []


def test_long_answers_are_cut(client: Client, receiver: Receiver) -> None:
    receiver.answer = lambda _: (200, {}, b"\0\xff" + b"x" * 1_000_000)
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com", notes="n" * 60_000)
    (delivery,) = settled(client, 1)
    (attempt,) = delivery["attempts"]
    assert attempt["response"] == "\ufffd\ufffd" + "x" * 4094
    assert len(attempt["request"]) == 4096


def test_a_deleted_customer_is_in_no_log(client: Client, receiver: Receiver) -> None:
    receiver.answer = lambda received: (200, {}, received.body)
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("secret@example.com")
    settled(client, 1)
    assert "secret@example.com" in str(deliveries(client))
    client.data("mutation { deleteCustomers(items: [1]) }")
    (delivery,) = deliveries(client)
    (attempt,) = delivery["attempts"]
    assert attempt["status"] == 200
    assert (attempt["request"], attempt["response"], attempt["request_headers"]) == (None,) * 3
    # Sent again, it has the ids and none of the values.
    client.data("mutation($id: ID!) { retryWebhookDelivery(id: $id) { id } }", id=delivery["id"])
    again = receiver.wait(2)[-1].json["node"]
    assert set(again) == CONTACT
    assert (again["_id"], again["email"], again["avatar"]) == (1, "", "")
    settled(client, 1)
    assert "secret" not in str(deliveries(client))


def test_an_example_can_be_sent(client: Client, receiver: Receiver) -> None:
    test = "mutation($id: ID!) { testWebhook(id: $id) { id event_id sequence customer_id state } }"
    for number, type_ in enumerate(("contact/updated", "order/created"), 1):
        hook(client, type_, f"{receiver.url}/{type_}")
        sent = [client.data(test, id=str(number))["testWebhook"] for _ in range(2)]
        assert sent[0]["id"] != sent[1]["id"]
        assert (sent[0]["sequence"], sent[0]["customer_id"]) == (None, None)
        found = receiver.wait(2, f"/{type_}")
        assert {one.event for one in found} == {one["event_id"] for one in sent}
        assert found[0].json["node"]["email"] == "test@example.com"
    client.expect_error("webhooks_not_found", test, id="99")
    client.expect_error("webhooks_not_found", test, id="nothing")
    retry = "mutation($id: ID!) { retryWebhookDelivery(id: $id) { id } }"
    for given in ("nothing", base64.b64encode(b"WebhookDelivery:1-99").decode(), "1"):
        client.expect_error("webhooks_not_found", retry, id=given)


def test_deliveries_come_in_pages(client: Client, receiver: Receiver) -> None:
    hook(client, "contact/signup", f"{receiver.url}/x")
    for number in range(5):
        client.create(f"{number}@example.com")
    settled(client, 5)
    page = """query($after: String) { webhooks { deliveries(first: 2, after: $after) {
        edges { cursor node { sequence } } pageInfo { hasNextPage hasPreviousPage endCursor } } } }"""
    read, after = [], None
    for turn in range(3):
        found = client.data(page, after=after)["webhooks"][0]["deliveries"]
        read += [edge["node"]["sequence"] for edge in found["edges"]]
        after = found["pageInfo"]["endCursor"]
        assert after == found["edges"][-1]["cursor"]
        assert found["pageInfo"]["hasNextPage"] == (turn < 2)
    assert read == [5, 4, 3, 2, 1]
    client.expect_error("errors_invalid_cursor", page, after="x")
    wrong = "{ webhooks { deliveries(first: 999) { edges { cursor } } } }"
    client.expect_error("errors_page_size", wrong)


def test_bodies_are_shown_to_who_may_read_customers(
    open_server: Server, client: Client, receiver: Receiver
) -> None:
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    settled(client, 1)
    name = last_account(open_server)
    with Client(open_server, create_token(open_server, name, scopes=("webhooks",))) as blind:
        shown = "{ webhooks { deliveries { edges { node { attempts { %s } } } } } }"
        assert "200" in str(blind.data(shown % "status milliseconds"))
        for field in ("request", "response", "request_headers", "response_headers"):
            blind.expect_error("errors_scope", shown % field)


def test_a_webhook_is_told_of_what_comes_after_it(client: Client, receiver: Receiver) -> None:
    client.data(
        """mutation($url: String!) {
        a: createCustomer(node: {email: "before@example.com"}) { id }
        b: createWebhook(node: {type: "contact/signup", url: $url}) { id }
        c: createCustomer(node: {email: "after@example.com"}) { id } }""",
        url=f"{receiver.url}/x",
    )
    assert receiver.wait(1)[0].json["node"]["email"] == "after@example.com"
    time.sleep(0.5)
    assert len(receiver.requests) == 1


def test_a_secret_is_rotated_and_the_old_one_is_good_for_a_day(
    client: Client, receiver: Receiver
) -> None:
    hook(client, "contact/signup", f"{receiver.url}/x")
    old = secret_of(client)
    assert secret_of(client) == old
    url = ("--database-url", client.server.database_url)
    name = last_account(client.server)
    done = run_regulars("webhook-secret", "rotate", "--account", name, "--json", *url)
    told = json.loads(done.stdout)
    assert told == {"account": name, "secret": secret_of(client), "previous": old}
    client.create("0@example.com")
    (request,) = receiver.wait(1)
    stamp, *proofs = request.headers["regulars-signature"].split(",")
    signed = stamp.removeprefix("t=").encode() + b"." + request.body
    assert proofs == [
        "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for secret in (told["secret"], old)
    ]


def test_what_was_sent_is_kept_for_thirty_days(
    open_server: Server, client: Client, receiver: Receiver
) -> None:
    hook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    settled(client, 1)

    async def forget(store: Store) -> None:
        await delete_old(store, now_ms() + RETENTION_MS - 60_000)

    async def forget_more(store: Store) -> None:
        await delete_old(store, now_ms() + RETENTION_MS + 60_000)

    with_store(open_server.database_url, forget)
    assert len(deliveries(client)[0]["attempts"]) == 1
    with_store(open_server.database_url, forget_more)
    assert deliveries(client) == []


def test_a_webhook_is_made_once_by_a_request_that_is_sent_again(client: Client) -> None:
    document = """mutation { createWebhook(node: {type: "contact/signup",
        url: "http://127.0.0.1:1/a"}) { id url created_at(format: "x") disabled_at } }"""
    update = "mutation { updateWebhook(id: 1, node: {settings: {a: 1}}) { settings } }"
    for text, key in ((document, "1"), (update, "2"), ("mutation { deleteWebhook(id: 1) }", "3")):
        answers = [client.post(text, headers={"Idempotency-Key": key}) for _ in range(2)]
        assert "errors" not in answers[0].json()
        assert answers[0].json() == answers[1].json()
        assert answers[1].headers["idempotent-replayed"] == "true"


def test_a_retry_that_meets_a_release_is_not_forgotten(postgresql: str) -> None:
    """The worker leaves a webhook while a retry of one of its deliveries commits: who waits for a
    row sees, in PostgreSQL, that row as it is then, and all others as they were."""
    hook = {
        **dict.fromkeys(("account_id", "webhook_id", "position", "created_at", "updated_at"), 1),
        "type": "contact/created",
        "url": "https://x.test",
        "settings": "{}",
        "enabled_at": 1,
        "next_at": None,
        "disabled_at": None,
        "disabled_reason": None,
        "paused": False,
        "claimed_by": "me",
        "claimed_until": 10,
    }
    of_one = {"account_id": 1, "webhook_id": 1, "number": 7}
    times = {"attempts": 8, "tries": 8, "due_at": None, "created_at": 1, "ended_at": 1}
    delivery = {**of_one, "customer_id": 1, "state": "failed", **times}

    async def race(store: Store) -> int | None:
        await store.execute([(insert_one(tables.webhooks), hook)])
        await store.execute([(insert_one(tables.deliveries), delivery)])
        other = await asyncpg.connect(url)
        retrying = other.transaction()
        await retrying.start()
        await other.execute("UPDATE deliveries SET state = 'pending', due_at = 5 WHERE number = 7")
        await other.execute("UPDATE webhooks SET next_at = 5 WHERE webhook_id = 1")
        given = {"account_id": 1, "webhook_id": 1, "worker_id": "me", "now": 6}
        releasing = asyncio.create_task(store.run(delivery_queries.release_statements(given)))
        await asyncio.sleep(0.3)
        await retrying.commit()
        await releasing
        next_at: int | None = await other.fetchval("SELECT next_at FROM webhooks")
        await other.close()
        return next_at

    with scratch_database(postgresql) as url:
        env = {"REGULARS_DATABASE_URL": url}
        assert run_regulars("migrate", env=env).returncode == 0
        assert with_store(url, race) == 5
