"""Webhooks: their API, the bodies and signatures of events, attempts, retention and secrets."""

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

from regulars.core.clock import now_ms
from regulars.store import Store, tables
from regulars.store.writes import insert_one
from regulars.webhooks import delivery_queries
from regulars.webhooks.worker import RETENTION_MS, delete_old
from tests.conftest import DATABASES
from tests.receiver import ReceivedRequest, Receiver, run_receiver
from tests.support import (
    Client,
    Server,
    create_token,
    get,
    run_regulars,
    run_server,
    scratch_database,
    wait_until,
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
    """A server that may send to this machine, and retries an event for half a second."""
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
    """A client of a new account with all scopes for customers and webhooks."""
    with Client(open_server, create_token(open_server, scopes=SCOPES)) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


def create_webhook(client: Client, type_: str, url: str, **node: Any) -> dict[str, Any]:
    """Create a webhook and return it."""
    data = client.data(CREATE, node={"type": type_, "url": url, **node})
    webhook: dict[str, Any] = data["createWebhook"]
    return webhook


def list_deliveries(client: Client) -> list[dict[str, Any]]:
    """Return the deliveries of the account's only webhook, oldest first."""
    (webhook,) = client.data(DELIVERIES)["webhooks"]
    return [edge["node"] for edge in reversed(webhook["deliveries"]["edges"])]


def wait_until_settled(client: Client, count: int) -> list[dict[str, Any]]:
    """Wait until `count` deliveries of the only webhook have ended; return all of them."""
    deadline = time.monotonic() + 60
    while True:
        deliveries = list_deliveries(client)
        if sum(delivery["ended_at"] is not None for delivery in deliveries) >= count:
            return deliveries
        assert time.monotonic() < deadline, deliveries
        time.sleep(0.05)


def find_last_account(server: Server) -> str:
    """Return the name of the newest account: each test creates one."""
    result = run_regulars("account", "list", "--json", "--database-url", server.database_url)
    name: str = json.loads(result.stdout)[-1]["name"]
    return name


def read_secret(client: Client) -> str:
    """Return the signing secret of the client's account."""
    url = ("--database-url", client.server.database_url)
    name = find_last_account(client.server)
    return run_regulars("webhook-secret", "show", "--account", name, *url).stdout.strip()


def test_create_list_update_and_delete_a_webhook(client: Client) -> None:
    created = create_webhook(
        client, "contact/signup", "http://127.0.0.1:1/a#x", settings={"mine": [1]}
    )
    assert created == {
        "id": base64.b64encode(f"Webhook:{created['_id']}".encode()).decode(),
        "_id": 1,
        "type": "contact/signup",
        "url": "http://127.0.0.1:1/a",
        "version": "v2",
        "settings": {"mine": [1]},
        "disabled_at": None,
        "disabled_reason": None,
    }
    create_webhook(client, "contact/updated", "http://127.0.0.1:1/a")
    update = """mutation($node: WebhookUpdateInput!) {
        updateWebhook(id: "1", node: $node) { type url settings } }"""
    assert client.data(update, node={"url": "http://127.0.0.1:1/b"})["updateWebhook"] == {
        "type": "contact/signup",
        "url": "http://127.0.0.1:1/b",
        "settings": {"mine": [1]},
    }
    duplicate = {"url": "http://127.0.0.1:1/a", "type": "contact/updated"}
    client.expect_error("webhooks_duplicated", update, node=duplicate)
    listed = client.data("{ webhooks { _id url } }")["webhooks"]
    assert listed == [
        {"_id": 1, "url": "http://127.0.0.1:1/b"},
        {"_id": 2, "url": "http://127.0.0.1:1/a"},
    ]
    delete = "mutation($id: ID!) { deleteWebhook(id: $id) }"
    assert client.data(delete, id=created["id"]) == {"deleteWebhook": created["id"]}
    client.expect_error("webhooks_not_found", delete, id=created["id"])
    client.expect_error("webhooks_not_found", update, node={})
    assert [webhook["_id"] for webhook in client.data("{ webhooks { _id } }")["webhooks"]] == [2]
    assert create_webhook(client, "contact/signup", "http://127.0.0.1:1/a")["_id"] == 3


def test_webhook_returns_a_webhook_by_id(client: Client, open_server: Server) -> None:
    query = "query($id: ID!) { webhook(id: $id) { _id url deliveries { edges { cursor } } } }"
    first, second = (
        create_webhook(client, "contact/signup", f"http://127.0.0.1:1/{n}") for n in "ab"
    )
    shown = {"_id": 2, "url": "http://127.0.0.1:1/b", "deliveries": {"edges": []}}
    for id_ in (second["id"], second["id"].rstrip("="), f" {second['id']} ", "2", 2):
        assert client.data(query, id=id_) == {"webhook": shown}
    customer_id = base64.b64encode(b"Customer:1").decode()
    for unknown_id in ("3", "0", "01", "-1", "", "?", customer_id, "4000000000"):
        assert client.data(query, id=unknown_id) == {"webhook": None}
    client.data("mutation($id: ID!) { deleteWebhook(id: $id) }", id=first["id"])
    assert client.data(query, id=first["id"]) == {"webhook": None}
    with Client(open_server, create_token(open_server, scopes=("webhooks",))) as other:
        assert other.data(query, id=second["id"]) == {"webhook": None}
    with Client(open_server, create_token(open_server, scopes=("customers",))) as reader:
        error = reader.expect_error("errors_scope", query, id=second["id"])
        assert error["path"] == ["webhook"]


def test_create_webhook_rejects_invalid_input(client: Client) -> None:
    valid = {"type": "contact/signup", "url": "http://127.0.0.1:1/a"}
    client.data(CREATE, node=valid)
    client.expect_error("webhooks_duplicated", CREATE, node=valid)
    client.expect_error(
        "webhooks_version_error", CREATE, node={**valid, "version": "v1", "url": valid["url"] + "x"}
    )
    for invalid in (
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
        error = client.expect_error("errors_invalid_input", CREATE, node={**valid, **invalid})
        assert error["extensions"]["input_path"] == ["node", *invalid]
    assert (
        "Did you mean `contact/signup`?"
        in client.expect_error(
            "errors_invalid_input", CREATE, node={**valid, "type": "contact/signups"}
        )["message"]
    )


def test_create_webhook_requires_the_scope_to_read_customers(open_server: Server) -> None:
    with Client(open_server, create_token(open_server, scopes=("webhooks",))) as restricted_client:
        node = {"type": "contact/signup", "url": "http://127.0.0.1:1/a"}
        error = restricted_client.expect_error("webhooks_errors_permission", CREATE, node=node)
        assert "customers:read" in error["message"]
        assert restricted_client.data("{ webhooks { id } }") == {"webhooks": []}


CONTACT = {
    *("id", "_id", "tags", "email", "leads", "notes", "phone", "avatar", "custom", "location"),
    *("full_name", "last_name", "first_name", "accepts_marketing", "__typename"),
    *("billing_address", "shipping_address", "external_ids", "emails", "phones", "addresses"),
}
NO_ADDRESS = {
    **dict.fromkeys(("zip", "area", "city", "email", "line1", "line2", "phone", "state"), ""),
    "country": None,
    "last_name": "",
    "first_name": "",
    "company": "",
}


@pytest.mark.slow
def test_an_event_contains_the_customer_and_is_signed(client: Client, receiver: Receiver) -> None:
    create_webhook(client, "contact/signup", f"{receiver.url}/hook")
    customer = client.create(
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
    assert list(node)[-5:] == ["__typename", "external_ids", "emails", "phones", "addresses"]
    assert node["emails"] == [
        {"email": "Ana@example.com", "label": "", "default": True, "verified_at": None}
    ]
    assert node["phones"] == []
    assert node["id"] == customer["id"]
    assert node["email"] == "Ana@example.com"
    assert node["location"] == "MA, Fès"
    assert node["billing_address"] == NO_ADDRESS
    assert node["shipping_address"] == {**NO_ADDRESS, "city": "Fès", "country": "MA"}
    assert b'"custom":{"n":35}' in request.body
    headers = request.headers
    assert headers["lightfunnels-topic"] == "contact/signup"
    assert headers["content-type"] == "application/json"
    assert headers["regulars-attempt"] == "1"
    secret = read_secret(client).encode()
    signature = base64.b64encode(hmac.new(secret, request.body, hashlib.sha256).digest()).decode()
    assert headers["lightfunnels-hmac"] == signature
    timestamp, versioned_signature = headers["regulars-signature"].split(",")
    assert abs(int(timestamp.removeprefix("t=")) - time.time()) < 60
    signed = timestamp.removeprefix("t=").encode() + b"." + request.body
    assert versioned_signature == "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
    (delivery,) = wait_until_settled(client, 1)
    assert delivery["id"] == headers["regulars-delivery-id"]
    assert delivery["event_id"] == headers["regulars-event-id"]
    assert (delivery["state"], delivery["sequence"], delivery["customer_id"]) == (
        "delivered",
        1,
        customer["id"],
    )
    (attempt,) = delivery["attempts"]
    assert (attempt["attempt"], attempt["status"], attempt["response"]) == (1, 200, "ok")
    assert attempt["request"].encode() == request.body
    assert attempt["request_headers"]["lightfunnels-hmac"] == signature
    metrics = get(f"{client.server.url}/metrics").text
    assert re.search(
        r'^regulars_webhook_attempts_total{result="delivered"} [1-9]', metrics, re.MULTILINE
    )
    assert "regulars_webhooks_busy" in metrics


def test_each_delivery_of_long_pages_has_its_attempts(client: Client, receiver: Receiver) -> None:
    """The numbers of two webhooks are the same, and the attempts are read in parts."""
    for name in ("a", "b"):
        create_webhook(client, "contact/signup", f"{receiver.url}/{name}")
    nodes = [{"email": f"{n}@example.com"} for n in range(45)]
    document = "mutation($n: [InputSetCustomer!]!) { setCustomers(nodes: $n) { saved } }"
    client.data(document, n=nodes)
    receiver.wait(90)
    query = "{ webhooks { deliveries(first: 100) { edges { node { ended_at attempts { status } } } } } }"

    def pages() -> list[Any]:
        webhooks = client.data(query)["webhooks"]
        return [[edge["node"] for edge in each["deliveries"]["edges"]] for each in webhooks]

    wait_until(lambda: all(node["ended_at"] for page in pages() for node in page))
    assert [[node["attempts"] for node in page] for page in pages()] == [
        [[{"status": 200}]] * 45
    ] * 2


@pytest.mark.slow
def test_each_type_receives_only_its_events(client: Client, receiver: Receiver) -> None:
    types = (
        *("contact/signup", "contact/updated", "contact/deleted"),
        *("order/created", "order/confirmed", "order/refunded", "order/cancelled"),
    )
    for type_ in types:
        create_webhook(client, type_, f"{receiver.url}/{type_}", settings={"changes": True})
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
    requests = {type_: receiver.requests_to(f"/{type_}") for type_ in types}
    assert {type_: len(type_requests) for type_, type_requests in requests.items()} == {
        **dict.fromkeys(types, 1),
        "contact/updated": 2,
    }
    assert all(request.json["changes"] is not None for request in receiver.requests)


@pytest.mark.slow
def test_an_event_shows_the_customer_as_of_its_change(client: Client, receiver: Receiver) -> None:
    """Here, all changes are committed before the first event is sent."""
    receiver.respond = lambda _: (time.sleep(0.4) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
    create_webhook(client, "contact/updated", f"{receiver.url}/x", settings={"changes": True})
    document = """mutation {
        a: createCustomer(node: {email: "a@example.com", tags: ["0"], custom: {n: 0}}) { id }
        b: updateCustomer(id: 1, node: {tags: ["1"], notes: "one"}) { id }
        c: recordLead(node: {email: "a@example.com", message: "Hi"}) { id }
        d: updateCustomer(id: 1, node: {notes: null, custom: {n: null, m: [1.0]},
            shipping_address: {city: "Fes"}}) { id } }"""
    client.data(document)
    first, lead, last = [request.json for request in receiver.wait(3)]
    contents = [
        (body["node"]["tags"], body["node"]["notes"], body["node"]["custom"])
        for body in (first, lead, last)
    ]
    assert contents == [
        (["1"], "one", {"n": 0}),
        (["1"], "one", {"n": 0}),
        (["1"], None, {"m": [1]}),
    ]
    assert [len(body["node"]["leads"]) for body in (first, lead, last)] == [0, 1, 1]
    assert lead["node"]["leads"][0]["message"] == "Hi"
    assert first["changes"] == {"tags": ["0"], "notes": None}
    assert last["changes"] == {"notes": "one", "custom": {"n": 0}, "shipping_address": None}


@pytest.mark.slow
def test_an_event_shows_the_contact_points_as_of_its_change(
    client: Client, receiver: Receiver
) -> None:
    receiver.respond = lambda _: (time.sleep(0.4) or 200, {}, b"")  # type: ignore[func-returns-value]  # sleeping is None
    create_webhook(client, "contact/updated", f"{receiver.url}/x", settings={"changes": True})
    document = """mutation {
        a: createCustomer(node: {email: "a@x.test", phone: "1"}) { id }
        b: addEmails(id: 1, emails: [{email: "b@x.test", label: "work",
            verified_at: "2026-01-02T03:04:05Z"}, {email: "c@x.test"}]) { id }
        c: updateCustomer(id: 1, node: {email: "b@x.test", phones: [{phone: "<2>", label: "x"}]}) { id }
        d: removeEmails(id: 1, emails: ["a@x.test", "b@x.test"]) { id }
        e: updateCustomer(id: 1, node: {email: "d@x.test", phone: ""}) { id } }"""
    client.data(document)
    bodies = [request.json for request in receiver.wait(4)]
    shown = [
        (
            body["node"]["email"],
            [
                (e["email"], e["label"], e["default"], e["verified_at"])
                for e in body["node"]["emails"]
            ],
            [(e["phone"], e["label"], e["default"]) for e in body["node"]["phones"]],
        )
        for body in bodies
    ]
    verified = "2026-01-02T03:04:05.000Z"
    a, c = ("a@x.test", "", False, None), ("c@x.test", "", False, None)
    assert shown == [
        (
            "a@x.test",
            [("a@x.test", "", True, None), ("b@x.test", "work", False, verified), c],
            [("1", "", True)],
        ),
        ("b@x.test", [("b@x.test", "work", True, verified), a, c], [("<2>", "x", True)]),
        ("c@x.test", [("c@x.test", "", True, None)], [("<2>", "x", True)]),
        ("d@x.test", [("d@x.test", "", True, None)], []),
    ]
    assert bodies[0]["changes"] == {"emails": ["a@x.test"]}
    assert bodies[1]["changes"] == {
        "email": "a@x.test",
        "phone": "1",
        "emails": ["a@x.test", f"work <b@x.test> (verified {verified})", "c@x.test"],
        "phones": ["1"],
    }
    assert bodies[3]["changes"] == {"email": "c@x.test", "phone": "<2>", "phones": ["x <<2>>"]}


def test_the_body_of_an_order_event_has_the_form_of_the_api(
    client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "order/refunded", f"{receiver.url}/x")
    order = "mutation($node: InputRecordOrder!) { recordOrder(node: $node) { id } }"
    node = {"name": "1", "email": "a@example.com", "total": 12.5, "created_at": "2024-03-18"}
    client.data(order, node=node)
    client.data(order, node={"name": "1", "refunded_amount": 2.25, "tags": ["x"]})
    client.data(order, node={"name": "1", "refunded_amount": 12.5})
    first, second = [request.json["node"] for request in receiver.wait(2)]
    assert (first["refunded_amount"], second["refunded_amount"]) == (2.25, 12.5)
    assert (first["net_payment"], first["paid_by_customer"], first["total"]) == (10.25, 12.5, 12.5)
    assert first["created_at"] == "2024-03-18 00:00:00"
    assert first["tags"] == ["x"]
    assert first["customer"]["id"] == "Q3VzdG9tZXI6MQ=="
    assert first["shipping_address"] == NO_ADDRESS


@pytest.mark.slow
def test_events_arrive_in_order_and_a_failed_event_does_not_delay_others(
    client: Client, receiver: Receiver
) -> None:
    failed_event_ids: list[str] = []

    def respond(request: ReceivedRequest) -> tuple[int, dict[str, str], bytes]:
        if request.json["node"]["email"] == "2@example.com" and len(failed_event_ids) < 3:
            failed_event_ids.append(request.event_id)
            return 503, {}, b"later"
        return 200, {}, b""

    receiver.respond = respond
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    for number in range(6):
        client.create(f"{number}@example.com")
    deliveries = wait_until_settled(client, 6)
    emails = [request.json["node"]["email"][0] for request in receiver.requests]
    assert [email for email in emails if email != "2"] == ["0", "1", "3", "4", "5"]
    assert emails.count("2") == 4
    retried = deliveries[2]
    assert [attempt["status"] for attempt in retried["attempts"]] == [503, 503, 503, 200]
    assert [
        request.headers["regulars-attempt"]
        for request in receiver.requests
        if request.event_id == failed_event_ids[0]
    ] == [*("1", "2", "3", "4")]
    assert len({r.body for r in receiver.requests if r.event_id == failed_event_ids[0]}) == 1


@pytest.mark.slow
def test_a_webhook_is_disabled_after_eight_attempts_and_resumes_without_loss(
    client: Client, receiver: Receiver
) -> None:
    receiver.respond = lambda _: (500, {}, b"no")
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    (delivery,) = wait_until_settled(client, 1)
    assert delivery["state"] == "failed"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500] * 8
    (webhook,) = client.data(DELIVERIES)["webhooks"]
    assert webhook["disabled_at"]
    assert "8 attempts" in webhook["disabled_reason"]
    assert "500" in webhook["disabled_reason"]
    # A disabled webhook sends nothing, not even on request.
    client.create("1@example.com")
    retry = "mutation($id: ID!) { retryWebhookDelivery(id: $id) { state } }"
    for document in (retry, "mutation($id: ID!) { testWebhook(id: $id) { state } }"):
        id_ = delivery["id"] if document == retry else webhook["id"]
        assert (
            "Enable it with"
            in client.expect_error("errors_invalid_input", document, id=id_)["message"]
        )
    time.sleep(0.5)
    assert len(receiver.requests) == 8
    receiver.respond = lambda _: (200, {}, b"")
    enable = """mutation { updateWebhook(id: 1, node: {disabled: false}) { disabled_at } }"""
    assert client.data(enable) == {"updateWebhook": {"disabled_at": None}}
    assert receiver.wait(9)[-1].json["node"]["email"] == "1@example.com"
    assert client.data(retry, id=delivery["id"])["retryWebhookDelivery"]["state"] == "pending"
    assert receiver.wait(10)[-1].headers["regulars-attempt"] == "9"
    deliveries = wait_until_settled(client, 2)
    assert [delivery["state"] for delivery in deliveries] == ["delivered", "delivered"]


@pytest.mark.slow
def test_only_2xx_is_success_and_redirects_are_not_followed(
    client: Client, receiver: Receiver
) -> None:
    statuses = iter([301, 302, 307, 404, 410, 204])
    receiver.respond = lambda _: (next(statuses), {"location": receiver.url + "/elsewhere"}, b"")
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    (delivery,) = wait_until_settled(client, 1)
    attempt_statuses = [attempt["status"] for attempt in delivery["attempts"]]
    assert attempt_statuses == [301, 302, 307, 404, 410, 204]
    assert receiver.requests_to("/elsewhere") == []


@pytest.mark.slow
def test_refused_connections_are_recorded_as_errors(client: Client) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    create_webhook(client, "contact/signup", f"http://127.0.0.1:{port}/x")
    client.create("0@example.com")
    (delivery,) = wait_until_settled(client, 1)
    assert delivery["state"] == "failed"
    assert all("No connection" in attempt["error"] for attempt in delivery["attempts"])
    assert {attempt["status"] for attempt in delivery["attempts"]} == {None}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
def test_a_self_signed_certificate_is_rejected(
    client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ("-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate"))
    subprocess.run([*command, *files, "-days", "2"], check=True, capture_output=True)
    receiver.use_tls(tmp_path / "certificate", tmp_path / "key")
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    (delivery,) = wait_until_settled(client, 1)
    assert "CERTIFICATE_VERIFY_FAILED" in delivery["attempts"][0]["error"]
    assert receiver.requests == []


def test_long_bodies_are_truncated_in_the_log(client: Client, receiver: Receiver) -> None:
    receiver.respond = lambda _: (200, {}, b"\0\xff" + b"x" * 1_000_000)
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com", notes="n" * 60_000)
    (delivery,) = wait_until_settled(client, 1)
    (attempt,) = delivery["attempts"]
    assert attempt["response"] == "\ufffd\ufffd" + "x" * 4094
    assert len(attempt["request"]) == 4096


@pytest.mark.slow
def test_deleting_a_customer_clears_its_attempts(client: Client, receiver: Receiver) -> None:
    receiver.respond = lambda received: (200, {}, received.body)
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("secret@example.com")
    wait_until_settled(client, 1)
    assert "secret@example.com" in str(list_deliveries(client))
    client.data("mutation { deleteCustomers(items: [1]) }")
    (delivery,) = list_deliveries(client)
    (attempt,) = delivery["attempts"]
    assert attempt["status"] == 200
    assert (attempt["request"], attempt["response"], attempt["request_headers"]) == (None,) * 3
    # A retried event has the ids and no values.
    client.data("mutation($id: ID!) { retryWebhookDelivery(id: $id) { id } }", id=delivery["id"])
    retried_node = receiver.wait(2)[-1].json["node"]
    assert set(retried_node) == CONTACT
    assert (retried_node["_id"], retried_node["email"], retried_node["avatar"]) == (1, "", "")
    wait_until_settled(client, 1)
    assert "secret" not in str(list_deliveries(client))


@pytest.mark.slow
def test_test_webhook_sends_an_example(client: Client, receiver: Receiver) -> None:
    test = "mutation($id: ID!) { testWebhook(id: $id) { id event_id sequence customer_id state } }"
    for number, type_ in enumerate(("contact/updated", "order/created"), 1):
        create_webhook(client, type_, f"{receiver.url}/{type_}")
        examples = [client.data(test, id=str(number))["testWebhook"] for _ in range(2)]
        assert examples[0]["id"] != examples[1]["id"]
        assert (examples[0]["sequence"], examples[0]["customer_id"]) == (None, None)
        requests = receiver.wait(2, f"/{type_}")
        assert {request.event_id for request in requests} == {
            example["event_id"] for example in examples
        }
        assert requests[0].json["node"]["email"] == "test@example.com"
    client.expect_error("webhooks_not_found", test, id="99")
    client.expect_error("webhooks_not_found", test, id="nothing")
    retry = "mutation($id: ID!) { retryWebhookDelivery(id: $id) { id } }"
    for id_ in ("nothing", base64.b64encode(b"WebhookDelivery:1-99").decode(), "1"):
        client.expect_error("webhooks_not_found", retry, id=id_)


@pytest.mark.slow
def test_deliveries_are_paginated(client: Client, receiver: Receiver) -> None:
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    for number in range(5):
        client.create(f"{number}@example.com")
    wait_until_settled(client, 5)
    document = """query($after: String) { webhooks { deliveries(first: 2, after: $after) {
        edges { cursor node { sequence } } pageInfo { hasNextPage hasPreviousPage endCursor } } } }"""
    sequences, after = [], None
    for page_number in range(3):
        page_data = client.data(document, after=after)["webhooks"][0]["deliveries"]
        sequences += [edge["node"]["sequence"] for edge in page_data["edges"]]
        after = page_data["pageInfo"]["endCursor"]
        assert after == page_data["edges"][-1]["cursor"]
        assert page_data["pageInfo"]["hasNextPage"] == (page_number < 2)
    assert sequences == [5, 4, 3, 2, 1]
    client.expect_error("errors_invalid_cursor", document, after="x")
    wrong = "{ webhooks { deliveries(first: 999) { edges { cursor } } } }"
    client.expect_error("errors_page_size", wrong)


def test_bodies_of_attempts_require_the_scope_to_read_customers(
    open_server: Server, client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    wait_until_settled(client, 1)
    name = find_last_account(open_server)
    with Client(
        open_server, create_token(open_server, name, scopes=("webhooks",))
    ) as restricted_client:
        document = "{ webhooks { deliveries { edges { node { attempts { %s } } } } } }"
        assert "200" in str(restricted_client.data(document % "status milliseconds"))
        for field in ("request", "response", "request_headers", "response_headers"):
            restricted_client.expect_error("errors_scope", document % field)


@pytest.mark.slow
def test_a_webhook_receives_only_later_changes(client: Client, receiver: Receiver) -> None:
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


@pytest.mark.slow
def test_events_are_signed_with_the_new_and_the_previous_secret(
    client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    old = read_secret(client)
    assert read_secret(client) == old
    url = ("--database-url", client.server.database_url)
    name = find_last_account(client.server)
    result = run_regulars("webhook-secret", "rotate", "--account", name, "--json", *url)
    rotated = json.loads(result.stdout)
    assert rotated == {"account": name, "secret": read_secret(client), "previous": old}
    client.create("0@example.com")
    (request,) = receiver.wait(1)
    timestamp, *signatures = request.headers["regulars-signature"].split(",")
    signed = timestamp.removeprefix("t=").encode() + b"." + request.body
    assert signatures == [
        "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for secret in (rotated["secret"], old)
    ]


def test_deliveries_are_deleted_after_thirty_days(
    open_server: Server, client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "contact/signup", f"{receiver.url}/x")
    client.create("0@example.com")
    wait_until_settled(client, 1)

    async def delete_before_retention(store: Store) -> None:
        await delete_old(store, now_ms() + RETENTION_MS - 60_000)

    async def delete_after_retention(store: Store) -> None:
        await delete_old(store, now_ms() + RETENTION_MS + 60_000)

    with_store(open_server.database_url, delete_before_retention)
    assert len(list_deliveries(client)[0]["attempts"]) == 1
    with_store(open_server.database_url, delete_after_retention)
    assert list_deliveries(client) == []


def test_webhook_mutations_are_idempotent_with_a_key(client: Client) -> None:
    document = """mutation { createWebhook(node: {type: "contact/signup",
        url: "http://127.0.0.1:1/a"}) { id url created_at(format: "x") disabled_at } }"""
    update = "mutation { updateWebhook(id: 1, node: {settings: {a: 1}}) { settings } }"
    for text, key in ((document, "1"), (update, "2"), ("mutation { deleteWebhook(id: 1) }", "3")):
        responses = [client.post(text, headers={"Idempotency-Key": key}) for _ in range(2)]
        assert "errors" not in responses[0].json()
        assert responses[0].json() == responses[1].json()
        assert responses[1].headers["idempotent-replayed"] == "true"


@pytest.mark.slow
def test_a_retry_concurrent_with_a_release_is_not_lost(postgresql: str) -> None:
    """The worker releases a webhook while a retry of a delivery commits. In PostgreSQL, a statement
    that waited for a row sees that row's latest version, but older versions of all other rows."""
    webhook = {
        **dict.fromkeys(("account_id", "webhook_id", "position", "created_at", "updated_at"), 1),
        "type": "contact/created",
        "url": "https://x.test",
        "settings": "{}",
        "enabled_at": 1,
        "next_at": None,
        "disabled_at": None,
        "disabled_reason": None,
        "paused": False,
        "filtered": False,
        "claimed_by": "me",
        "claimed_until": 10,
    }
    delivery_key = {"account_id": 1, "webhook_id": 1, "number": 7}
    times = {"attempts": 8, "tries": 8, "due_at": None, "created_at": 1, "ended_at": 1}
    delivery = {**delivery_key, "customer_id": 1, "job_id": None, "state": "failed", **times}

    async def race(store: Store) -> int | None:
        await store.execute([(insert_one(tables.webhooks), webhook)])
        await store.execute([(insert_one(tables.deliveries), delivery)])
        other = await asyncpg.connect(url)
        retry_transaction = other.transaction()
        await retry_transaction.start()
        await other.execute("UPDATE deliveries SET state = 'pending', due_at = 5 WHERE number = 7")
        await other.execute("UPDATE webhooks SET next_at = 5 WHERE webhook_id = 1")
        parameters = {"account_id": 1, "webhook_id": 1, "worker_id": "me", "now": 6}
        release_task = asyncio.create_task(
            store.run(delivery_queries.release_statements(parameters))
        )
        await asyncio.sleep(0.3)
        await retry_transaction.commit()
        await release_task
        next_at: int | None = await other.fetchval("SELECT next_at FROM webhooks")
        await other.close()
        return next_at

    with scratch_database(postgresql) as url:
        env = {"REGULARS_DATABASE_URL": url}
        assert run_regulars("migrate", env=env).returncode == 0
        assert with_store(url, race) == 5
