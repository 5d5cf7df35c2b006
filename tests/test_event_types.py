"""Every documented event type is sent or rejected with a reason; and the events that shops send."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from regulars.webhooks.values import TYPES, UNSUPPORTED
from tests.receiver import Receiver
from tests.support import Client, run_regulars
from tests.test_inbound import Shop, order
from tests.test_webhooks import CREATE, create_webhook
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

DOCUMENTED = (
    *("order/created", "order/confirmed", "order/fulfilled", "order/cancelled"),
    *("order/uncancelled", "order/refunded", "order-item/created", "order/updated"),
    *("payment/created", "payment/paid", "contact-form/created", "contact/signup"),
    *("contact/updated", "checkout/created", "checkout/updated", "product/updated"),
    *("product/created", "product/deleted", "funnel/created", "funnel/updated"),
    *("funnel/deleted", "app/uninstalled"),
)
RECORD = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
ADDRESS = {"line1": "2 New Street", "city": "Rabat", "country": "MA"}


def record_order(client: Client, **node: Any) -> None:
    client.data(RECORD, n={"name": "#1", "email": "ana@example.com", "total": 10, **node})


def wait_for_nodes(receiver: Receiver, count: int, path: str) -> list[Any]:
    """Wait for `count` requests to a path; return the nodes of their bodies."""
    return [request.json["node"] for request in receiver.wait(count, path)]


def test_every_documented_type_is_accepted_or_rejected_with_a_reason(
    client: Client, receiver: Receiver
) -> None:
    assert len(DOCUMENTED) == 22
    own = ("contact/deleted", "contact/restored", "segment/entered", "segment/left", "job/ended")
    assert {*DOCUMENTED, *own} == TYPES.keys() | UNSUPPORTED.keys()
    for type_ in (*DOCUMENTED, *own):
        node = {"type": type_, "url": receiver.url + "/" + type_.replace("/", "-")}
        if type_ in TYPES:
            assert client.data(CREATE, node=node)["createWebhook"]["type"] == type_
        else:
            message = client.expect_error("errors_invalid_input", CREATE, node=node)["message"]
            assert f"Regulars does not store {UNSUPPORTED[type_]}" in message
            assert "Supported types: contact/signup" in message
    assert client.data("{ webhookTypes }")["webhookTypes"] == list(TYPES)


def test_order_events_contain_the_address_and_phone_of_the_order(
    client: Client, receiver: Receiver
) -> None:
    old = {"line1": "1 Old Street", "city": "Fès", "country": "MA"}
    client.create("ana@example.com", phone="+212600000000", shipping_address=old)
    create_webhook(client, "order/created", receiver.url + "/created")
    create_webhook(client, "order/updated", receiver.url + "/updated")
    record_order(client, phone="+33100000000", shipping_address=ADDRESS, financial_status="pending")
    (created,) = wait_for_nodes(receiver, 1, "/created")
    assert created["phone"] == "+33100000000"
    assert (created["shipping_address"]["line1"], created["shipping_address"]["city"]) == (
        "2 New Street",
        "Rabat",
    )
    record_order(client, tags=["gift"])  # the order keeps its phone and address
    (updated,) = wait_for_nodes(receiver, 1, "/updated")
    assert (updated["phone"], updated["shipping_address"]["line1"]) == (
        "+33100000000",
        "2 New Street",
    )
    customer = client.data("{ customers { edges { node { phone shipping_address { line1 } } } } }")
    (edge,) = customer["customers"]["edges"]
    assert edge["node"] == {"phone": "+212600000000", "shipping_address": {"line1": "1 Old Street"}}


def test_an_order_without_address_has_the_address_of_its_customer(
    client: Client, receiver: Receiver
) -> None:
    client.create("ana@example.com", phone="+212600000000", shipping_address=ADDRESS)
    create_webhook(client, "order/created", receiver.url + "/created")
    record_order(client)
    (body,) = wait_for_nodes(receiver, 1, "/created")
    assert (body["phone"], body["shipping_address"]["line1"]) == ("+212600000000", "2 New Street")


def test_the_company_is_the_last_key_of_an_address(client: Client, receiver: Receiver) -> None:
    create_webhook(client, "contact/signup", receiver.url + "/signup")
    create_webhook(client, "order/created", receiver.url + "/created")
    client.create("ana@example.com", shipping_address={"company": "Acme"})
    record_order(client, billing_address={"company": "Beta"})
    for path, companies in (("/signup", ("Acme", "")), ("/created", ("Acme", "Beta"))):
        (body,) = wait_for_nodes(receiver, 1, path)
        for name, company in zip(("shipping_address", "billing_address"), companies, strict=True):
            assert list(body[name])[-2:] == ["first_name", "company"]
            assert body[name]["company"] == company


def test_the_body_of_an_order_event_has_the_documented_values(
    client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "order/created", receiver.url + "/created")
    create_webhook(client, "contact/signup", receiver.url + "/signup")
    record_order(client, created_at="2024-03-18T14:20:37Z", cancelled_at="2024-03-19T00:00:00Z")
    (body,) = wait_for_nodes(receiver, 1, "/created")
    assert body["created_at"] == "2024-03-18 14:20:37"
    assert body["cancelled_at"] == "2024-03-19 00:00:00"
    assert (body["items"], body["custom"], body["notes"]) == ([], {}, "")
    assert body["account_id"] == client.data("{ account { id } }")["account"]["id"]
    (contact,) = wait_for_nodes(receiver, 1, "/signup")
    assert contact["custom"] == {}


@pytest.mark.slow
def test_each_change_of_status_is_an_event(client: Client, receiver: Receiver) -> None:
    types = ("created", "confirmed", "fulfilled", "refunded", "cancelled", "uncancelled", "updated")
    for type_ in types:
        create_webhook(client, f"order/{type_}", f"{receiver.url}/{type_}")
    record_order(client, financial_status="pending")
    record_order(client, financial_status="paid")
    record_order(client, fulfillment_status="fulfilled")
    record_order(client, refunded_amount=5)
    record_order(client, cancelled_at="2024-03-19T00:00:00Z")
    record_order(client, cancelled_at=None)
    record_order(client, tags=["x"])
    record_order(client, tags=["x"])  # changes nothing
    for type_ in types[:-1]:
        assert len(wait_for_nodes(receiver, 1, f"/{type_}")) == 1, type_
    assert len(wait_for_nodes(receiver, 6, "/updated")) == 6
    time.sleep(0.5)
    assert len(receiver.requests_to("/updated")) == 6
    assert receiver.requests_to("/fulfilled")[0].json["node"]["fulfillment_status"] == "fulfilled"


def test_an_order_created_as_fulfilled_causes_a_fulfilled_event(
    client: Client, receiver: Receiver
) -> None:
    create_webhook(client, "order/fulfilled", receiver.url + "/fulfilled")
    record_order(client, fulfillment_status="fulfilled")
    assert len(wait_for_nodes(receiver, 1, "/fulfilled")) == 1


def test_each_message_causes_a_contact_form_event(client: Client, receiver: Receiver) -> None:
    create_webhook(client, "contact-form/created", receiver.url + "/form")
    lead = {
        "email": "ana@example.com",
        "first_name": "Ana",
        "subject": "Size",
        "message": "Which one?",
    }
    document = "mutation($n: InputRecordLead!) { recordLead(node: $n) { id _id } }"
    recorded = client.data(document, n=lead)["recordLead"]
    client.data(document, n={**lead, "message": "Another"})
    first, second = wait_for_nodes(receiver, 2, "/form")
    assert first["id"] == recorded["id"]
    assert {
        name: first[name] for name in ("email", "first_name", "subject", "message", "custom")
    } == {
        **lead,
        "custom": {},
    }
    assert second["message"] == "Another"


@pytest.mark.parametrize("type_", ["contact-form/created", "app/uninstalled", "order/updated"])
def test_an_example_of_each_type_has_its_typename(
    client: Client, receiver: Receiver, type_: str
) -> None:
    webhook = create_webhook(client, type_, receiver.url + "/x")
    client.data("mutation($i: ID!) { testWebhook(id: $i) { id } }", i=webhook["id"])
    (body,) = wait_for_nodes(receiver, 1, "/x")
    assert (
        body["__typename"]
        == {
            "contact-form/created": "Lead",
            "app/uninstalled": "Account",
            "order/updated": "Order",
        }[type_]
    )


@pytest.fixture
def shop(server: Any) -> Iterator[Shop]:
    shop = Shop(server)
    yield shop
    shop.close()


def test_a_shop_deletes_a_contact_by_the_id_of_the_shop(shop: Shop) -> None:
    shop.expect_understood("contact/signup", {"id": "cus_ana", "email": "ana@example.com"})
    shop.expect_understood("contact/signup", {"id": "cus_ben", "email": "ben@example.com"})
    number = shop.client.data("{ customers { edges { node { _id } } } }")["customers"]["edges"][0]
    # The `_id` of another server matches no customer.
    shop.expect_understood("contact/deleted", {"id": "cus_other", "_id": number["node"]["_id"]})
    assert len(shop.client.page()["edges"]) == 2
    shop.expect_understood("contact/deleted", {"id": "cus_ben"})
    shop.expect_understood("contact/deleted", {"id": "cus_ben"})
    assert shop.client.emails() == ["ana@example.com"]


def test_order_events_set_the_fulfillment_and_cancellation(shop: Shop) -> None:
    fields = "summary { orders { list { order { fulfillment_status cancelled_at } } } }"

    def state() -> Any:
        return shop.customer(fields)["summary"]["orders"]["list"][0]["order"]

    shop.expect_understood("order/created", order())
    shop.expect_understood("order/fulfilled", order())
    assert state()["fulfillment_status"] == "fulfilled"
    shop.expect_understood(
        "order/confirmed", order(fulfillment_status="unfulfilled")
    )  # a late event
    assert state()["fulfillment_status"] == "fulfilled"
    cancelled = order(cancelled_at="2024-03-19 10:00:00")
    shop.expect_understood("order/cancelled", cancelled)
    assert state()["cancelled_at"]
    shop.expect_understood("order/uncancelled", order(tags=["a"]))
    assert state()["cancelled_at"] is None
    shop.expect_understood(
        "order/cancelled", {**cancelled, "tags": ["b"]}
    )  # the first cancellation, late
    assert state()["cancelled_at"] is None
    shop.expect_understood("order/cancelled", order(cancelled_at="2024-03-20 10:00:00"))
    assert state()["cancelled_at"]
    kinds = shop.list_kinds()
    assert kinds.count("order_fulfilled") == kinds.count("order_uncancelled") == 1
    assert kinds.count("order_cancelled") == 2


@pytest.mark.slow
def test_deleting_a_customer_deletes_its_inbox_events(shop: Shop) -> None:
    shop.expect_understood("contact/signup", {"id": "cus_ana", "email": "Ana.Marker@example.com"})
    for body in (
        {"node": {"email": "ana.marker@example.com", "strange": 1, "name": 5, "tags": "x"}},
        {"node": {"email": "other@example.com", "tags": "x"}},
    ):
        response = shop.post("order/created", json.dumps(body).encode())
        assert response.json()["data"]["understood"] is False
    escaped = json.dumps({"node": {"email": "ana.marker\\u0040example.com", "tags": "x"}})
    shop.post("order/created", escaped.replace("\\\\u", "\\u").encode())
    assert len(shop.list_inbox()) == 3
    customer_id = shop.customer("id")["id"]
    shop.client.delete(customer_id)
    events = shop.list_inbox()
    assert len(events) == 1
    assert "marker" not in json.dumps(events)
    assert run_regulars("verify", *shop.database).returncode == 0


def test_an_order_can_be_cancelled_and_uncancelled_twice(shop: Shop) -> None:
    """The last body repeats that of the first reversal."""
    shop.expect_understood("order/created", order())
    for day in (19, 20):
        shop.expect_understood("order/cancelled", order(cancelled_at=f"2024-03-{day} 10:00:00"))
        assert shop.customer("orders_count") == {"orders_count": 0}
        shop.expect_understood("order/uncancelled", order())
        assert shop.customer("orders_count") == {"orders_count": 1}
