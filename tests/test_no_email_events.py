"""Events of a shop about customers without an email, and the events that Regulars sends of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Server, run_regulars
from tests.test_inbound import Shop, order
from tests.test_inbound_contacts import send_event
from tests.test_no_email import find, problems

pytestmark = pytest.mark.both_databases


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    shop = Shop(server)
    settings(shop, "email_or_phone")
    yield shop
    assert problems(server, shop.client) == []
    shop.close()


def settings(shop: Shop, value: str | None) -> None:
    database = ("--account", shop.name, *shop.database)
    change = ("--unset", "identify_by") if value is None else ("--set", f"identify_by={value}")
    assert run_regulars("account", "settings", *change, *database).returncode == 0


def people(shop: Shop) -> list[dict[str, Any]]:
    fields = "_id email phone full_name accepts_marketing external_ids { id }"
    page = shop.client.page(fields, query="order_by:id order_dir:asc")
    return [edge["node"] for edge in page["edges"]]


def waiting(shop: Shop) -> str:
    return run_regulars("inbox", "list", "--account", shop.name, *shop.database).stdout


def contact(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "email": None, "phone": "+212600000001", "first_name": "Ana", **more}


def test_orders_and_messages_create_and_find_customers(shop: Shop) -> None:
    event = order(email="", customer={"id": "cus_ana", "full_name": "Ana Sá"})
    shop.expect_understood("order/created", event)
    (ana,) = people(shop)
    assert (ana["email"], ana["phone"], ana["full_name"]) == ("", "+212600000000", "Ana Sá")
    assert ana["external_ids"] == [{"id": "cus_ana"}]
    # Without an id of the shop, the phone says who it is.
    event = order(id="order_2", name="#2", email=None, customer=None, phone="00212600000000")
    shop.send("order/created", event)
    message = {"name": "Ana", "phone": "+212600000000", "message": "Hi"}
    shop.expect_understood("contact-form/created", message)
    assert len(people(shop)) == 1
    assert find(shop.client, "orders_count:2") == [1]
    # Another customer of the shop with the same phone is another person.
    event = order(id="order_3", name="#3", email="", customer={"id": "cus_ben"})
    shop.send("order/created", event)
    assert len(people(shop)) == 2
    # Now the phone is not enough: the event waits in the inbox.
    event = order(id="order_4", name="#4", email="", customer=None)
    shop.send("order/created", event)
    assert "belongs to 2 customers" in waiting(shop)


def test_the_default_setting_keeps_events_without_an_email_in_the_inbox(shop: Shop) -> None:
    settings(shop, None)
    shop.send("order/created", order(email="", customer={"id": "cus_ana"}))
    assert people(shop) == []
    assert "email" in waiting(shop)


def test_contacts_without_an_email_are_kept_in_step(shop: Shop) -> None:
    created = contact("cus_1", accepts_marketing=True)
    shop.send("contact/signup", created)
    (ana,) = people(shop)
    assert (ana["email"], ana["phone"], ana["accepts_marketing"]) == ("", "+212600000001", False)
    shop.send("contact/updated", contact("cus_1", email="ana@x.test", first_name="Anna"))
    assert [p["email"] for p in people(shop)] == ["ana@x.test"]
    shop.send("contact/signup", contact("cus_2", first_name="Ben"))
    assert len(people(shop)) == 2
    shop.send("contact/updated", contact("cus_2", phone=None))
    assert [p["phone"] for p in people(shop)] == ["+212600000001", "+212600000001"]
    assert "needs an email or a phone" in waiting(shop)


def test_another_regulars_sends_each_of_a_family(shop: Shop) -> None:
    for event, (id_, name) in enumerate(
        (("Q3VzdG9tZXI6MQ==", "Ana"), ("Q3VzdG9tZXI6Mg==", "Ben")), 1
    ):
        node = contact(id_, email="", _id=event, first_name=name)
        response = send_event(shop, "contact/signup", node, event)
        assert response.status_code == 200, response.text
    assert [p["full_name"] for p in people(shop)] == ["Ana", "Ben"]
    node = contact("Q3VzdG9tZXI6MQ==", email="ana@x.test", _id=1)
    send_event(shop, "contact/updated", node, 3)
    assert [p["email"] for p in people(shop)] == ["ana@x.test", ""]
    send_event(shop, "contact/updated", {**node, "email": ""}, 4)
    assert [p["email"] for p in people(shop)] == ["", ""]


def test_an_event_that_waits_is_erased_with_the_customer(shop: Shop) -> None:
    client = shop.client
    client.data('mutation { createCustomer(node: {email: "", phone: "+212600000000"}) { _id } }')
    other = client.create("other@x.test", phone="+212600000000")
    shop.send("order/created", order(email="", customer=None, id=None))
    assert "belongs to 2 customers" in waiting(shop)
    client.delete(other["id"], permanent=True)
    assert "#1001" not in waiting(shop)


def test_the_key_of_a_deleted_customer_erases_no_other_event(shop: Shop) -> None:
    """The row of customer 1 has the key `#1`, which is the id of another customer in the shop."""
    client = shop.client
    ana = client.data('mutation { createCustomer(node: {email: "", phone: "1"}) { id } }')[
        "createCustomer"
    ]
    settings(shop, None)
    event = order(email="", customer={"id": "#1", "full_name": "Ben"})
    shop.send("order/created", event)
    before = waiting(shop)
    assert before.strip()
    client.delete(ana["id"], permanent=True)
    assert waiting(shop) == before


def test_an_event_that_waits_for_an_email_outlives_other_customers(shop: Shop) -> None:
    settings(shop, None)
    other = shop.client.create("other@x.test", phone="+212600000000")
    shop.send("order/created", order(email="", customer=None, id=None))
    before = waiting(shop)
    assert "email" in before
    shop.client.delete(other["id"], permanent=True)
    assert waiting(shop) == before
