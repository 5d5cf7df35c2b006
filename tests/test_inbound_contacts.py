"""Contact events: complete, late, about deleted customers, and from another Regulars."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from regulars.accounts.accounts import Accounts
from regulars.customers.field_rules import EMPTY
from regulars.store import Store
from regulars.store.relations import ORDERS, all_of_each
from regulars.webhooks.payloads import contact_body
from tests.support import Client, Server, create_token, run_regulars, wait_until, with_store
from tests.test_inbound import ADDRESS, Shop, order

FIELDS = """email phone first_name last_name accepts_marketing notes tags custom
  shipping_address { line1 city country } billing_address { city }"""
WHOLE: dict[str, Any] = {
    "id": "cus_1",
    "_id": 1,
    "email": "ana@example.com",
    "first_name": "Ana",
    "last_name": "Sá",
    "phone": "1",
    "tags": ["a"],
    "notes": "n",
    "custom": {"k": 1, "deep": {"x": 1, "y": 2}},
    "accepts_marketing": True,
    "shipping_address": ADDRESS,
    "billing_address": {"city": "Rabat"},
    "__typename": "Customer",
}


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    shop = Shop(server)
    yield shop
    shop.close()


def send_event(shop: Shop, type_: str, node: Any, event: int, attempt: int = 1) -> httpx.Response:
    """Send an event with the headers of another Regulars; return the response."""
    body = json.dumps({"node": node}).encode()
    headers = {
        "lightfunnels-hmac": shop.sign(body),
        "regulars-event-id": f"event-7-{event}",
        "regulars-attempt": str(attempt),
    }
    return shop.http.post(f"/in/{shop.name}/{type_}", content=body, headers=headers)


def expect_event_understood(
    shop: Shop, type_: str, node: Any, event: int, attempt: int = 1
) -> None:
    response = send_event(shop, type_, node, event, attempt)
    assert response.json() == {"data": {"understood": True}}, response.text


def test_bodies_of_a_deleted_customer_change_nothing(shop: Shop) -> None:
    shop.expect_understood("contact/updated", WHOLE)
    before = shop.list_kinds()
    for type_ in ("contact/signup", "contact/updated"):
        for number in (1, 2):
            node = contact_body(number, EMPTY, [])
            shop.expect_understood(type_, {**node, "id": f"cus_{number}"})
    ids = {"id": "order_1", "_id": 1, "__typename": "Order"}
    for type_ in ("order/created", "order/updated", "order/cancelled", "order/fulfilled"):
        shop.expect_understood(type_, ids)
    shop.expect_understood("contact-form/created", {"id": None, "_id": None, "__typename": "Lead"})
    assert shop.list_kinds() == before
    assert shop.list_inbox() == []
    # Other bodies without an email are stored in the inbox.
    assert not shop.send("contact/signup", {"id": "cus_9", "first_name": "Ben"})["understood"]
    assert not shop.send("order/created", {"id": "order_9"})["understood"]


def test_an_event_is_for_the_customer_with_any_email(shop: Shop) -> None:
    emails = [{"email": "other@example.com"}]
    shop.client.create("first@example.com", emails=emails)
    names = "... on Customer { email first_name emails { email } external_ids { id } }"
    shop.expect_understood(
        "contact/signup", {"id": "cus_1", "email": "OTHER@example.com", "first_name": "Ana"}
    )
    customer = shop.client.node("1", names)
    assert (customer["email"], customer["first_name"]) == ("first@example.com", "Ana")
    assert customer["external_ids"] == [{"id": "cus_1"}]
    shop.client.update("1", external_ids=[])
    shop.expect_understood(
        "contact/updated", {"id": "cus_2", "email": "other@example.com", "first_name": "Eva"}
    )
    customer = shop.client.node("1", names)
    assert (customer["email"], customer["first_name"]) == ("first@example.com", "Eva")
    # The customer of the shop has this email now.
    shop.expect_understood("contact/updated", {"id": "cus_2", "email": "other@example.com"})
    customer = shop.client.node("1", names)
    assert [e["email"] for e in customer["emails"]] == ["other@example.com", "first@example.com"]
    order = {"id": "order_1", "name": "#1", "email": "first@example.com", "total": 5}
    shop.expect_understood("order/created", order)
    selection = "... on Customer { orders_count }"
    assert shop.client.node("1", selection) == {"orders_count": 1}
    # The inbox names the customer by any email.
    assert not shop.send("order/created", {"email": "first@example.com"})["understood"]
    assert len(shop.list_inbox()) == 1
    shop.client.delete("1", permanent=True)
    assert shop.list_inbox() == []


def test_an_update_clears_empty_fields(shop: Shop) -> None:
    shop.expect_understood("contact/updated", WHOLE)
    empty = dict.fromkeys(("line1", "line2", "city", "zip"), "") | {"country": None}
    cleared = {
        **{name: WHOLE[name] for name in ("id", "email")},
        "phone": "",
        "last_name": None,
        "notes": None,
        "tags": [],
        "custom": {"deep": {"y": 3}},
        "accepts_marketing": False,
        "shipping_address": empty,
        "billing_address": None,
    }
    shop.expect_understood("contact/updated", cleared)
    assert shop.customer(FIELDS) == {
        "email": "ana@example.com",
        "phone": "",
        "first_name": "Ana",  # the event has no first name
        "last_name": "",
        "accepts_marketing": False,
        "notes": None,
        "tags": [],
        "custom": {"deep": {"y": 3}},
        "shipping_address": None,
        "billing_address": None,
    }
    shop.expect_understood("contact/updated", {"id": "cus_1", "custom": {}, "notes": "new"})
    assert shop.customer("custom notes") == {"custom": None, "notes": "new"}


def test_an_update_keeps_absent_fields(shop: Shop) -> None:
    shop.expect_understood("contact/updated", WHOLE)
    before = shop.customer(FIELDS)
    shop.expect_understood("contact/updated", {"id": "cus_1"})
    shop.expect_understood("contact/updated", {"id": "cus_1", "shipping_address": {"zip": "30000"}})
    assert shop.customer(FIELDS) == before


def test_a_reverted_and_repeated_change_is_applied(shop: Shop) -> None:
    """The third body repeats the first one."""
    for phone in ("1", "2", "1"):
        shop.expect_understood(
            "contact/updated", {"id": "cus_1", "email": "a@b.co", "phone": phone}
        )
        assert shop.customer("phone") == {"phone": phone}
    for number, phone in enumerate(("1", "2", "1")):
        expect_event_understood(
            shop, "contact/updated", {"id": "cus_1", "phone": phone}, number + 1
        )
        assert shop.customer("phone") == {"phone": phone}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["shop", "before", "api"])
def test_late_events_do_not_recreate_a_deleted_customer(shop: Shop, path: str) -> None:
    if path != "before":
        shop.expect_understood("contact/signup", WHOLE)
        shop.expect_understood(
            "order/created", order(customer={"id": "cus_1"}, email=WHOLE["email"])
        )
    if path == "api":
        shop.client.delete(shop.customer("id")["id"])
    else:
        shop.expect_understood("contact/deleted", {"id": "cus_1"})
    for type_ in ("contact/signup", "contact/updated", "checkout/created"):
        shop.expect_understood(
            type_, WHOLE if type_ != "checkout/created" else order(id="x", customer=WHOLE)
        )
    old = order(id="order_2", name="#2", customer={"id": "cus_1"})
    if path != "before":
        # The order was deleted with the customer.
        shop.expect_understood("order/updated", order(customer={"id": "cus_1"}, created_at=None))
    shop.expect_understood("order/created", old)
    assert shop.client.page()["edges"] == []
    assert shop.list_inbox() == []
    # A new order creates the customer again, with the shop's id.
    new = {**old, "id": "order_3", "name": "#3", "created_at": "2100-01-01 00:00:00"}
    shop.expect_understood("order/created", new)
    shop.expect_understood("contact/updated", {"id": "cus_1", "notes": "back"})
    assert shop.customer("notes orders_count") == {"notes": "back", "orders_count": 1}
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    shop.expect_understood("contact/signup", WHOLE)
    assert shop.client.page()["edges"] == []
    assert run_regulars("verify", *shop.database).returncode == 0


def test_a_deleted_customer_is_not_found_by_the_id_of_the_shop(shop: Shop) -> None:
    shop.expect_understood("contact/signup", WHOLE)
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    assert shop.client.node("cus_1", "id") is None


def test_an_import_can_recreate_a_deleted_customer(shop: Shop) -> None:
    shop.expect_understood("contact/signup", WHOLE)
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    file = b"id,email\ncus_1,ana@example.com\n"
    shop.client.http.post("/import", content=file, headers={"content-type": "text/csv"})
    wait_until(lambda: shop.client.emails() == ["ana@example.com"])
    shop.expect_understood("contact/updated", {"id": "cus_1", "notes": "n"})
    assert shop.customer("notes") == {"notes": "n"}


def test_an_event_of_another_regulars_waits_until_its_email_is_free(shop: Shop) -> None:
    """A customer is deleted, and another created with the email: the deletion arrives later."""
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    second = {**WHOLE, "id": "cus_2", "_id": 2, "first_name": "Second"}
    response = send_event(shop, "contact/signup", second, 3)
    assert (response.status_code, response.json()["errors"][0]["key"]) == (409, "errors_dup_email")
    assert shop.list_inbox() == []
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1"}, 2)
    expect_event_understood(shop, "contact/signup", second, 3, attempt=2)
    assert shop.customer("first_name") == {"first_name": "Second"}
    # An email moves from one customer to another.
    expect_event_understood(shop, "contact/signup", {"id": "cus_3", "email": "ben@example.com"}, 4)
    taken = {"id": "cus_3", "email": WHOLE["email"]}
    assert send_event(shop, "contact/updated", taken, 6).status_code == 409
    expect_event_understood(shop, "contact/updated", {"id": "cus_2", "email": "new@example.com"}, 5)
    expect_event_understood(shop, "contact/updated", taken, 6, attempt=2)
    assert sorted(shop.client.emails()) == [WHOLE["email"], "new@example.com"]


def test_the_fifth_attempt_of_an_event_updates_the_customer_with_its_email(shop: Shop) -> None:
    """No event frees the email: the event applies to the customer with the email, as for shops."""
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    second = {**WHOLE, "id": "cus_2", "_id": 2}
    assert [send_event(shop, "contact/signup", second, 2, n).status_code for n in range(1, 5)] == [
        409
    ] * 4
    expect_event_understood(shop, "contact/signup", second, 2, attempt=5)
    assert shop.client.emails() == [WHOLE["email"]]
    shop.expect_understood("contact/signup", {**second, "id": "cus_4"})


def test_late_attempts_of_another_regulars_change_nothing(shop: Shop) -> None:
    expect_event_understood(shop, "contact/updated", {**WHOLE, "phone": ""}, 3)
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    assert shop.customer("phone") == {"phone": ""}
    expect_event_understood(shop, "contact/updated", {**WHOLE, "phone": "2"}, 2, attempt=2)
    assert shop.customer("phone") == {"phone": ""}
    expect_event_understood(shop, "contact/updated", {**WHOLE, "phone": "4"}, 4)
    expect_event_understood(shop, "contact/updated", {**WHOLE, "phone": "4"}, 4, attempt=2)
    assert shop.customer("phone") == {"phone": "4"}


def test_a_mirrored_customer_is_found_by_its_id_on_the_sender(shop: Shop) -> None:
    server = shop.client.server
    with Client(server, create_token(server)) as sender:
        customers = [sender.create(f"c{n}@example.com") for n in range(3)]
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": sender.token}
        assert run_regulars("pull", server.url, "--account", shop.name, env=env).returncode == 0
        local = shop.client.create("local@example.com")
        assert local["_id"] == 4
        # The pull did not create this customer: on the sender, the number is another customer's.
        shop.expect_understood("contact/deleted", {"id": "Q3VzdG9tZXI6NA==", "_id": 4})
        shop.expect_understood(
            "contact/deleted", {"id": customers[0]["id"], "_id": customers[0]["_id"]}
        )
        changed = {"id": customers[1]["id"], "_id": customers[1]["_id"], "email": "new@example.com"}
        shop.expect_understood("contact/updated", changed)
        assert not shop.send("contact/deleted", {"_id": "2"})["understood"]
        emails = ["c2@example.com", "local@example.com", "new@example.com"]
        assert sorted(shop.client.emails()) == emails


def test_an_account_that_matches_by_email_ignores_foreign_numbers(shop: Shop) -> None:
    server = shop.client.server
    with Client(server, create_token(server)) as sender:
        sender.create("a@example.com")
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": sender.token}
        options = ("--account", shop.name, "--match", "email")
        assert run_regulars("pull", server.url, *options, env=env).returncode == 0
        shop.expect_understood("contact/deleted", {"id": "Q3VzdG9tZXI6MQ==", "_id": 1})
    assert shop.client.emails() == ["a@example.com"]


def read_details(shop: Shop) -> Any:
    """Return the details of the only order."""

    async def read(store: Store) -> Any:
        account = await Accounts(store).find(shop.name)
        assert account
        parameters = {"account_id": account.account_id, "ids": [1]}
        (row,) = await store.fetch(all_of_each(ORDERS, ("details",)), parameters)
        return json.loads(row[1] or "{}")

    return with_store(shop.client.server.database_url, read)


def test_an_order_stores_its_own_customer_details(shop: Shop) -> None:
    """An absent phone or address is stored as absent."""
    shop.expect_understood("contact/updated", WHOLE)
    node = order(email=WHOLE["email"], phone=None, customer={"id": "cus_1", "full_name": "Ben Ali"})
    shop.expect_understood("order/created", node)
    stored = read_details(shop)
    assert (stored["first_name"], stored["last_name"], stored["phone"]) == ("Ben", "Ali", "")
    assert (stored["shipping_address"], stored["billing_address"]["city"]) == ({}, "Fès")
    shop.expect_understood("order/updated", {"id": "order_abc", "name": "#1001", "tags": []})
    assert read_details(shop) == stored
    shop.expect_understood("order/updated", {**node, "billing_address": None, "phone": "5"})
    assert (read_details(shop)["billing_address"], read_details(shop)["phone"]) == ({}, "5")
    assert shop.customer("phone first_name") == {"phone": "1", "first_name": "Ana"}


def test_a_recorded_order_stores_its_own_customer_details(shop: Shop) -> None:
    token = create_token(shop.client.server, shop.name, scopes=("customers", "orders:write"))
    record = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
    node = {"name": "#1", "email": "ana@example.com", "total": 1}
    with Client(shop.client.server, token) as client:
        client.create("ana@example.com", phone="1", shipping_address=ADDRESS)
        customer_values = {
            "first_name": "Ben",
            "last_name": " Ali ",
            "phone": None,
            "shipping_address": None,
        }
        client.data(record, n=node | customer_values)
        assert read_details(shop) == {
            "first_name": "Ben",
            "last_name": "Ali",
            "phone": "",
            "shipping_address": {},
        }
        client.data(record, n=node | {"tags": ["x"]})
        assert read_details(shop)["first_name"] == "Ben"


def test_retrying_an_inbox_event_of_a_deleted_customer_deletes_it(shop: Shop) -> None:
    outcome = shop.send("order/created", order(email=None, customer={"id": "cus_7"}))
    assert not outcome["understood"]
    shop.expect_understood("contact/deleted", {"id": "cus_7"})
    result = run_regulars("inbox", "retry", "--account", shop.name, *shop.database)
    assert "Processed 1 event." in result.stdout
    assert shop.list_inbox() == []


def test_an_order_event_with_another_customer_keeps_the_owner(shop: Shop) -> None:
    """The id of the other customer must not refer to the order's owner."""
    anna = {"id": "cus_a", "full_name": "Anna A"}
    ben = {"id": "cus_b", "full_name": "Ben B", "email": "b@example.com"}
    first = order(id="o1", name="#1", email="a@example.com", phone=None, customer=anna)
    shop.expect_understood("order/created", first)
    second = order(id="o1", name="#1", email="b@example.com", phone="+212611111111", customer=ben)
    shop.expect_understood("order/updated", second)
    shop.expect_understood(
        "contact/updated", {**ben, "first_name": "Ben", "phone": "+212600000000"}
    )
    people = {
        edge["node"]["email"]: (edge["node"]["first_name"], edge["node"]["phone"])
        for edge in shop.client.page("email first_name phone")["edges"]
    }
    assert people == {"a@example.com": ("Anna", ""), "b@example.com": ("Ben", "+212600000000")}
    shop.expect_understood("contact/deleted", {"id": "cus_b"})
    assert shop.client.emails() == ["a@example.com"]


@pytest.mark.parametrize("node", [{}, {"id": 123}, {"id": None}, {"id": ""}, {"id": "x" * 300}])
def test_a_deletion_without_a_customer_id_is_stored_in_the_inbox(
    shop: Shop, node: dict[str, Any]
) -> None:
    shop.expect_understood("contact/signup", {"id": "cus_1", "email": "a@example.com"})
    event_outcome = shop.send("contact/deleted", {**node, "email": "a@example.com"})
    assert event_outcome["understood"] is False
    assert "identifies no customer" in event_outcome["problem"]
    assert shop.client.emails() == ["a@example.com"]


def test_a_repeated_cancellation_counts(shop: Shop) -> None:
    node = order(customer={"id": "cus_1"})
    for type_, expected in (
        ("order/confirmed", 1),
        ("order/cancelled", 0),
        ("order/cancelled", 0),
        ("order/uncancelled", 1),
        ("order/cancelled", 0),
    ):
        shop.expect_understood(type_, node)
        assert shop.customer("orders_count") == {"orders_count": expected}


@pytest.mark.parametrize(
    "change",
    [
        {"shipping_address": {"city": 5}},
        {"shipping_address": "Rue 1"},
        {"phone": 612345678},
        {"notes": 5},
        {"email": 5},
        {"custom": [1]},
        {"custom": "x"},
    ],
)
def test_an_invalid_update_is_stored_in_the_inbox_and_changes_nothing(
    shop: Shop, change: dict[str, Any]
) -> None:
    shop.expect_understood("contact/updated", WHOLE)
    before = shop.customer(FIELDS)
    assert shop.send("contact/updated", {"id": "cus_1", **change})["understood"] is False
    assert shop.customer(FIELDS) == before


def test_invalid_parts_of_an_address_are_ignored(shop: Shop) -> None:
    shop.expect_understood("contact/updated", WHOLE)
    before = shop.customer(FIELDS)
    for part in ({"country": "Nowhere"}, {"city": "x" * 5_000}):
        shop.expect_understood("contact/updated", {"id": "cus_1", "shipping_address": part})
    assert shop.customer(FIELDS) == before


LISTS: dict[str, Any] = {
    "emails": [
        {"email": "ana@example.com", "label": "work", "default": True, "verified_at": None},
        {"email": "second@example.com", "label": "", "default": False, "verified_at": None},
    ],
    "phones": [{"phone": "1", "label": "desk", "default": True}],
    "addresses": [
        {
            "id": "QWRkcmVzczoy",
            "label": "Home",
            "default_shipping": True,
            "default_billing": False,
            "address": {
                "id": "QWRkcmVzczoy",
                **ADDRESS,
                "company": "Acme",
                "__typename": "Address",
            },
        }
    ],
}
LABELS = """... on Customer { email emails { email label } phones { phone label }
  addresses { label address { city company } } }"""


def test_lists_of_another_regulars_replace_those_of_the_customer(shop: Shop) -> None:
    expect_event_understood(shop, "contact/signup", {**WHOLE, **LISTS}, 1)
    expected = {
        "email": "ana@example.com",
        "emails": [
            {"email": "ana@example.com", "label": "work"},
            {"email": "second@example.com", "label": ""},
        ],
        "phones": [{"phone": "1", "label": "desk"}],
        "addresses": [{"label": "Home", "address": {"city": ADDRESS["city"], "company": "Acme"}}],
    }
    assert shop.client.node("1", LABELS) == expected
    # A shop has no such lists, and neither has a signup that comes again.
    shop.expect_understood("contact/updated", {**WHOLE, "emails": [{"email": "x@example.com"}]})
    node = {**WHOLE, "emails": LISTS["emails"][:1], "phones": [], "addresses": []}
    expect_event_understood(shop, "contact/signup", node, 2)
    assert shop.client.node("1", LABELS)["emails"] == expected["emails"]
    # An email of the list that another customer has is awaited, and then refused.
    shop.client.create("other@example.com")
    taken = [*LISTS["emails"][:1], {"email": "other@example.com"}]
    answer = send_event(shop, "contact/updated", {**WHOLE, "emails": taken}, 3)
    assert answer.status_code == 409
    answer = send_event(shop, "contact/updated", {**WHOLE, "emails": taken}, 4, attempt=5)
    assert not answer.json()["data"]["understood"]
    assert "Another customer has this email." in str(shop.list_inbox())
    assert shop.client.node("1", LABELS)["emails"] == expected["emails"]


@pytest.mark.parametrize(
    "lists",
    [
        {"emails": {"email": "a@example.com"}},
        {"emails": ["a@example.com"]},
        {"emails": [{"email": 1}]},
        {"phones": [{"phone": "1", "default": "yes"}]},
        {"addresses": [{"label": "x"}]},
        {"addresses": [{"address": {"city": 1}}]},
    ],
)
def test_lists_of_another_form_are_stored_in_the_inbox(shop: Shop, lists: Any) -> None:
    answer = send_event(shop, "contact/updated", {**WHOLE, **lists}, 1)
    assert not answer.json()["data"]["understood"]
    (event,) = shop.list_inbox()
    assert f"{next(iter(lists))} is not a list of entries." in str(event)
    assert shop.list_kinds() == []
