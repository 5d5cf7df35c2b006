"""Every type of event that the API documents: sent, or refused with the reason; and what shops send."""

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
from tests.test_webhooks import CREATE, hook
from tests.test_webhooks import client as client
from tests.test_webhooks import open_server as open_server
from tests.test_webhooks import receiver as receiver

pytestmark = pytest.mark.any_database

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


def record(client: Client, **node: Any) -> None:
    client.data(RECORD, n={"name": "#1", "email": "ana@example.com", "total": 10, **node})


def bodies(receiver: Receiver, count: int, path: str) -> list[Any]:
    return [one.json["node"] for one in receiver.wait(count, path)]


def test_every_documented_type_is_accepted_or_refused_with_a_reason(
    client: Client, receiver: Receiver
) -> None:
    assert len(DOCUMENTED) == 22
    assert {*DOCUMENTED, "contact/deleted"} == TYPES.keys() | UNSUPPORTED.keys()
    for type_ in (*DOCUMENTED, "contact/deleted"):
        node = {"type": type_, "url": receiver.url + "/" + type_.replace("/", "-")}
        if type_ in TYPES:
            assert client.data(CREATE, node=node)["createWebhook"]["type"] == type_
        else:
            message = client.expect_error("errors_invalid_input", CREATE, node=node)["message"]
            assert f"Regulars stores no {UNSUPPORTED[type_]}" in message
            assert "Supported types: contact/signup" in message
    assert client.data("{ webhookTypes }")["webhookTypes"] == list(TYPES)


def test_an_order_s_own_address_and_phone_are_in_its_events(
    client: Client, receiver: Receiver
) -> None:
    old = {"line1": "1 Old Street", "city": "Fès", "country": "MA"}
    client.create("ana@example.com", phone="+212600000000", shipping_address=old)
    hook(client, "order/created", receiver.url + "/created")
    hook(client, "order/updated", receiver.url + "/updated")
    record(client, phone="+33100000000", shipping_address=ADDRESS, financial_status="pending")
    (created,) = bodies(receiver, 1, "/created")
    assert created["phone"] == "+33100000000"
    assert (created["shipping_address"]["line1"], created["shipping_address"]["city"]) == (
        "2 New Street",
        "Rabat",
    )
    record(client, tags=["gift"])  # what the order said stays
    (updated,) = bodies(receiver, 1, "/updated")
    assert (updated["phone"], updated["shipping_address"]["line1"]) == (
        "+33100000000",
        "2 New Street",
    )
    customer = client.data("{ customers { edges { node { phone shipping_address { line1 } } } } }")
    (edge,) = customer["customers"]["edges"]
    assert edge["node"] == {"phone": "+212600000000", "shipping_address": {"line1": "1 Old Street"}}


def test_an_order_that_says_nothing_has_its_customer_s_address(
    client: Client, receiver: Receiver
) -> None:
    client.create("ana@example.com", phone="+212600000000", shipping_address=ADDRESS)
    hook(client, "order/created", receiver.url + "/created")
    record(client)
    (body,) = bodies(receiver, 1, "/created")
    assert (body["phone"], body["shipping_address"]["line1"]) == ("+212600000000", "2 New Street")


def test_the_body_of_an_order_has_what_receivers_read(client: Client, receiver: Receiver) -> None:
    hook(client, "order/created", receiver.url + "/created")
    hook(client, "contact/signup", receiver.url + "/signup")
    record(client, created_at="2024-03-18T14:20:37Z", cancelled_at="2024-03-19T00:00:00Z")
    (body,) = bodies(receiver, 1, "/created")
    assert body["created_at"] == "2024-03-18 14:20:37"
    assert body["cancelled_at"] == "2024-03-19 00:00:00"
    assert (body["items"], body["custom"], body["notes"]) == ([], {}, "")
    assert body["account_id"] == client.data("{ account { id } }")["account"]["id"]
    (contact,) = bodies(receiver, 1, "/signup")
    assert contact["custom"] == {}


def test_each_change_of_status_is_an_event(client: Client, receiver: Receiver) -> None:
    types = ("created", "confirmed", "fulfilled", "refunded", "cancelled", "uncancelled", "updated")
    for type_ in types:
        hook(client, f"order/{type_}", f"{receiver.url}/{type_}")
    record(client, financial_status="pending")
    record(client, financial_status="paid")
    record(client, fulfillment_status="fulfilled")
    record(client, refunded_amount=5)
    record(client, cancelled_at="2024-03-19T00:00:00Z")
    record(client, cancelled_at=None)
    record(client, tags=["x"])
    record(client, tags=["x"])  # changes nothing
    for type_ in types[:-1]:
        assert len(bodies(receiver, 1, f"/{type_}")) == 1, type_
    assert len(bodies(receiver, 6, "/updated")) == 6
    time.sleep(0.5)
    assert len(receiver.at("/updated")) == 6
    assert receiver.at("/fulfilled")[0].json["node"]["fulfillment_status"] == "fulfilled"


def test_an_order_that_begins_fulfilled_is_fulfilled(client: Client, receiver: Receiver) -> None:
    hook(client, "order/fulfilled", receiver.url + "/fulfilled")
    record(client, fulfillment_status="fulfilled")
    assert len(bodies(receiver, 1, "/fulfilled")) == 1


def test_a_message_is_an_event_of_its_own(client: Client, receiver: Receiver) -> None:
    hook(client, "contact-form/created", receiver.url + "/form")
    lead = {
        "email": "ana@example.com",
        "first_name": "Ana",
        "subject": "Size",
        "message": "Which one?",
    }
    document = "mutation($n: InputRecordLead!) { recordLead(node: $n) { id _id } }"
    made = client.data(document, n=lead)["recordLead"]
    client.data(document, n={**lead, "message": "Another"})
    first, second = bodies(receiver, 2, "/form")
    assert first["id"] == made["id"]
    assert {
        name: first[name] for name in ("email", "first_name", "subject", "message", "custom")
    } == {
        **lead,
        "custom": {},
    }
    assert second["message"] == "Another"


@pytest.mark.parametrize("type_", ["contact-form/created", "app/uninstalled", "order/updated"])
def test_an_example_is_sent(client: Client, receiver: Receiver, type_: str) -> None:
    made = hook(client, type_, receiver.url + "/x")
    client.data("mutation($i: ID!) { testWebhook(id: $i) { id } }", i=made["id"])
    (body,) = bodies(receiver, 1, "/x")
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
    made = Shop(server)
    yield made
    made.close()


def test_a_shop_deletes_a_contact_by_its_own_id(shop: Shop) -> None:
    shop.understood("contact/signup", {"id": "cus_ana", "email": "ana@example.com"})
    shop.understood("contact/signup", {"id": "cus_ben", "email": "ben@example.com"})
    number = shop.client.data("{ customers { edges { node { _id } } } }")["customers"]["edges"][0]
    # A foreign `_id` names nobody here.
    shop.understood("contact/deleted", {"id": "cus_other", "_id": number["node"]["_id"]})
    assert len(shop.client.page()["edges"]) == 2
    shop.understood("contact/deleted", {"id": "cus_ben"})
    shop.understood("contact/deleted", {"id": "cus_ben"})
    assert shop.client.emails() == ["ana@example.com"]


def test_a_shop_tells_that_an_order_is_fulfilled_and_not_cancelled(shop: Shop) -> None:
    fields = "summary { orders { list { order { fulfillment_status cancelled_at } } } }"

    def state() -> Any:
        return shop.customer(fields)["summary"]["orders"]["list"][0]["order"]

    shop.understood("order/created", order())
    shop.understood("order/fulfilled", order())
    assert state()["fulfillment_status"] == "fulfilled"
    shop.understood("order/confirmed", order(fulfillment_status="unfulfilled"))  # it is late
    assert state()["fulfillment_status"] == "fulfilled"
    cancelled = order(cancelled_at="2024-03-19 10:00:00")
    shop.understood("order/cancelled", cancelled)
    assert state()["cancelled_at"]
    shop.understood("order/uncancelled", order(tags=["a"]))
    assert state()["cancelled_at"] is None
    shop.understood("order/cancelled", {**cancelled, "tags": ["b"]})  # the first one, late
    assert state()["cancelled_at"] is None
    shop.understood("order/cancelled", order(cancelled_at="2024-03-20 10:00:00"))
    assert state()["cancelled_at"]
    kinds = shop.kinds()
    assert kinds.count("order_fulfilled") == kinds.count("order_uncancelled") == 1
    assert kinds.count("order_cancelled") == 2


def test_the_inbox_forgets_a_customer_who_is_deleted(shop: Shop) -> None:
    shop.understood("contact/signup", {"id": "cus_ana", "email": "Ana.Marker@example.com"})
    for body in (
        {"node": {"email": "ana.marker@example.com", "strange": 1, "name": 5, "tags": "x"}},
        {"node": {"email": "other@example.com", "tags": "x"}},
    ):
        answer = shop.post("order/created", json.dumps(body).encode())
        assert answer.json()["data"]["understood"] is False
    escaped = json.dumps({"node": {"email": "ana.marker\\u0040example.com", "tags": "x"}})
    shop.post("order/created", escaped.replace("\\\\u", "\\u").encode())
    assert len(shop.inbox()) == 3
    number = shop.customer("id")["id"]
    shop.client.delete(number)
    kept = shop.inbox()
    assert len(kept) == 1
    assert "marker" not in json.dumps(kept)
    assert run_regulars("verify", *shop.database).returncode == 0


def test_an_order_is_cancelled_and_taken_back_twice(shop: Shop) -> None:
    """The last body is that of the first withdrawal."""
    shop.understood("order/created", order())
    for day in (19, 20):
        shop.understood("order/cancelled", order(cancelled_at=f"2024-03-{day} 10:00:00"))
        assert shop.customer("orders_count") == {"orders_count": 0}
        shop.understood("order/uncancelled", order())
        assert shop.customer("orders_count") == {"orders_count": 1}
