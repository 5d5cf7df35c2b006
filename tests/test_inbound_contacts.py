"""Events of contacts: whole, late, of deleted customers, and those of another Regulars."""

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
from regulars.webhooks.payloads import contact
from tests.support import Client, Server, create_token, run_regulars, wait_until, with_store
from tests.test_inbound import ADDRESS, Shop, order

pytestmark = pytest.mark.any_database

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
    made = Shop(server)
    yield made
    made.close()


def sent(shop: Shop, type_: str, node: Any, event: int, attempt: int = 1) -> httpx.Response:
    """What is answered to an event as another Regulars sends it."""
    body = json.dumps({"node": node}).encode()
    headers = {
        "lightfunnels-hmac": shop.proof(body),
        "regulars-event-id": f"event-7-{event}",
        "regulars-attempt": str(attempt),
    }
    return shop.http.post(f"/in/{shop.name}/{type_}", content=body, headers=headers)


def told(shop: Shop, type_: str, node: Any, event: int, attempt: int = 1) -> None:
    answer = sent(shop, type_, node, event, attempt)
    assert answer.json() == {"data": {"understood": True}}, answer.text


def test_bodies_of_a_deleted_customer_change_nothing(shop: Shop) -> None:
    shop.understood("contact/updated", WHOLE)
    before = shop.kinds()
    for type_ in ("contact/signup", "contact/updated"):
        for number in (1, 2):
            node = contact(number, EMPTY, [])
            shop.understood(type_, {**node, "id": f"cus_{number}"})
    ids = {"id": "order_1", "_id": 1, "__typename": "Order"}
    for type_ in ("order/created", "order/updated", "order/cancelled", "order/fulfilled"):
        shop.understood(type_, ids)
    shop.understood("contact-form/created", {"id": None, "_id": None, "__typename": "Lead"})
    assert shop.kinds() == before
    assert shop.inbox() == []
    # A body that is no such one is kept, as it was.
    assert not shop.tell("contact/signup", {"id": "cus_9", "first_name": "Ben"})["understood"]
    assert not shop.tell("order/created", {"id": "order_9"})["understood"]


def test_a_whole_update_clears_what_is_empty(shop: Shop) -> None:
    shop.understood("contact/updated", WHOLE)
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
    shop.understood("contact/updated", cleared)
    assert shop.customer(FIELDS) == {
        "email": "ana@example.com",
        "phone": "",
        "first_name": "Ana",  # it is not told
        "last_name": "",
        "accepts_marketing": False,
        "notes": None,
        "tags": [],
        "custom": {"deep": {"y": 3}},
        "shipping_address": None,
        "billing_address": None,
    }
    shop.understood("contact/updated", {"id": "cus_1", "custom": {}, "notes": "new"})
    assert shop.customer("custom notes") == {"custom": None, "notes": "new"}


def test_what_an_update_does_not_tell_stays(shop: Shop) -> None:
    shop.understood("contact/updated", WHOLE)
    before = shop.customer(FIELDS)
    shop.understood("contact/updated", {"id": "cus_1"})
    shop.understood("contact/updated", {"id": "cus_1", "shipping_address": {"zip": "30000"}})
    assert shop.customer(FIELDS) == before


def test_a_change_that_is_withdrawn_and_made_again_is_made(shop: Shop) -> None:
    """The third body is the first one again."""
    for phone in ("1", "2", "1"):
        shop.understood("contact/updated", {"id": "cus_1", "email": "a@b.co", "phone": phone})
        assert shop.customer("phone") == {"phone": phone}
    for number, phone in enumerate(("1", "2", "1")):
        told(shop, "contact/updated", {"id": "cus_1", "phone": phone}, number + 1)
        assert shop.customer("phone") == {"phone": phone}


@pytest.mark.parametrize("path", ["shop", "before", "api"])
def test_late_events_do_not_create_a_deleted_customer_again(shop: Shop, path: str) -> None:
    if path != "before":
        shop.understood("contact/signup", WHOLE)
        shop.understood("order/created", order(customer={"id": "cus_1"}, email=WHOLE["email"]))
    if path == "api":
        shop.client.delete(shop.customer("id")["id"])
    else:
        shop.understood("contact/deleted", {"id": "cus_1"})
    for type_ in ("contact/signup", "contact/updated", "checkout/created"):
        shop.understood(
            type_, WHOLE if type_ != "checkout/created" else order(id="x", customer=WHOLE)
        )
    old = order(id="order_2", name="#2", customer={"id": "cus_1"})
    if path != "before":
        # The order was deleted with the customer.
        shop.understood("order/updated", order(customer={"id": "cus_1"}, created_at=None))
    shop.understood("order/created", old)
    assert shop.client.page()["edges"] == []
    assert shop.inbox() == []
    # Who orders again is a customer again, and known to the shop.
    new = {**old, "id": "order_3", "name": "#3", "created_at": "2100-01-01 00:00:00"}
    shop.understood("order/created", new)
    shop.understood("contact/updated", {"id": "cus_1", "notes": "back"})
    assert shop.customer("notes orders_count") == {"notes": "back", "orders_count": 1}
    shop.understood("contact/deleted", {"id": "cus_1"})
    shop.understood("contact/signup", WHOLE)
    assert shop.client.page()["edges"] == []
    assert run_regulars("verify", *shop.database).returncode == 0


def test_a_deleted_customer_s_event_is_not_found_by_the_shop_s_id(shop: Shop) -> None:
    shop.understood("contact/signup", WHOLE)
    shop.understood("contact/deleted", {"id": "cus_1"})
    assert shop.client.node("cus_1", "id") is None


def test_an_import_may_bring_a_deleted_customer_back(shop: Shop) -> None:
    shop.understood("contact/signup", WHOLE)
    shop.understood("contact/deleted", {"id": "cus_1"})
    file = b"id,email\ncus_1,ana@example.com\n"
    shop.client.http.post("/import", content=file, headers={"content-type": "text/csv"})
    wait_until(lambda: shop.client.emails() == ["ana@example.com"])
    shop.understood("contact/updated", {"id": "cus_1", "notes": "n"})
    assert shop.customer("notes") == {"notes": "n"}


def test_the_first_attempts_of_another_regulars_wait_for_the_email(shop: Shop) -> None:
    """A customer was deleted, and another created with the email: the deletion comes later."""
    told(shop, "contact/signup", WHOLE, 1)
    second = {**WHOLE, "id": "cus_2", "_id": 2, "first_name": "Second"}
    answer = sent(shop, "contact/signup", second, 3)
    assert (answer.status_code, answer.json()["errors"][0]["key"]) == (409, "errors_dup_email")
    assert shop.inbox() == []
    told(shop, "contact/deleted", {"id": "cus_1"}, 2)
    told(shop, "contact/signup", second, 3, attempt=2)
    assert shop.customer("first_name") == {"first_name": "Second"}
    # The email of one customer becomes that of another.
    told(shop, "contact/signup", {"id": "cus_3", "email": "ben@example.com"}, 4)
    taken = {"id": "cus_3", "email": WHOLE["email"]}
    assert sent(shop, "contact/updated", taken, 6).status_code == 409
    told(shop, "contact/updated", {"id": "cus_2", "email": "new@example.com"}, 5)
    told(shop, "contact/updated", taken, 6, attempt=2)
    assert sorted(shop.client.emails()) == [WHOLE["email"], "new@example.com"]


def test_an_email_that_stays_held_is_taken_as_before(shop: Shop) -> None:
    """No event frees it: the customer with the email is the same, as for any other shop."""
    told(shop, "contact/signup", WHOLE, 1)
    second = {**WHOLE, "id": "cus_2", "_id": 2}
    assert [sent(shop, "contact/signup", second, 2, n).status_code for n in range(1, 5)] == [
        409
    ] * 4
    told(shop, "contact/signup", second, 2, attempt=5)
    assert shop.client.emails() == [WHOLE["email"]]
    shop.understood("contact/signup", {**second, "id": "cus_4"})


def test_late_attempts_of_another_regulars_change_nothing(shop: Shop) -> None:
    told(shop, "contact/updated", {**WHOLE, "phone": ""}, 3)
    told(shop, "contact/signup", WHOLE, 1)
    assert shop.customer("phone") == {"phone": ""}
    told(shop, "contact/updated", {**WHOLE, "phone": "2"}, 2, attempt=2)
    assert shop.customer("phone") == {"phone": ""}
    told(shop, "contact/updated", {**WHOLE, "phone": "4"}, 4)
    told(shop, "contact/updated", {**WHOLE, "phone": "4"}, 4, attempt=2)
    assert shop.customer("phone") == {"phone": "4"}


def test_a_mirrored_customer_is_known_by_its_own_id(shop: Shop) -> None:
    server = shop.client.server
    with Client(server, create_token(server)) as there:
        made = [there.create(f"c{n}@example.com") for n in range(3)]
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": there.token}
        assert run_regulars("pull", server.url, "--account", shop.name, env=env).returncode == 0
        local = shop.client.create("local@example.com")
        assert local["_id"] == 4
        # It was not created by the pull: the number there is of another customer.
        shop.understood("contact/deleted", {"id": "Q3VzdG9tZXI6NA==", "_id": 4})
        shop.understood("contact/deleted", {"id": made[0]["id"], "_id": made[0]["_id"]})
        changed = {"id": made[1]["id"], "_id": made[1]["_id"], "email": "new@example.com"}
        shop.understood("contact/updated", changed)
        assert not shop.tell("contact/deleted", {"_id": "2"})["understood"]
        emails = ["c2@example.com", "local@example.com", "new@example.com"]
        assert sorted(shop.client.emails()) == emails


def test_an_account_that_matches_by_email_ignores_foreign_numbers(shop: Shop) -> None:
    server = shop.client.server
    with Client(server, create_token(server)) as there:
        there.create("a@example.com")
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": there.token}
        options = ("--account", shop.name, "--match", "email")
        assert run_regulars("pull", server.url, *options, env=env).returncode == 0
        shop.understood("contact/deleted", {"id": "Q3VzdG9tZXI6MQ==", "_id": 1})
    assert shop.client.emails() == ["a@example.com"]


def details(shop: Shop) -> Any:
    """What is kept of the only order in addition to its columns."""

    async def read(store: Store) -> Any:
        account = await Accounts(store).find(shop.name)
        assert account
        given = {"account_id": account.account_id, "ids": [1]}
        (row,) = await store.fetch(all_of_each(ORDERS, ("details",)), given)
        return json.loads(row[1] or "{}")

    return with_store(shop.client.server.database_url, read)


def test_an_order_keeps_what_it_says_of_its_customer(shop: Shop) -> None:
    """Also that there is no phone, and no address."""
    shop.understood("contact/updated", WHOLE)
    mine = order(email=WHOLE["email"], phone=None, customer={"id": "cus_1", "full_name": "Ben Ali"})
    shop.understood("order/created", mine)
    kept = details(shop)
    assert (kept["first_name"], kept["last_name"], kept["phone"]) == ("Ben", "Ali", "")
    assert (kept["shipping_address"], kept["billing_address"]["city"]) == ({}, "Fès")
    shop.understood("order/updated", {"id": "order_abc", "name": "#1001", "tags": []})
    assert details(shop) == kept
    shop.understood("order/updated", {**mine, "billing_address": None, "phone": "5"})
    assert (details(shop)["billing_address"], details(shop)["phone"]) == ({}, "5")
    assert shop.customer("phone first_name") == {"phone": "1", "first_name": "Ana"}


def test_a_recorded_order_keeps_what_it_says_of_its_customer(shop: Shop) -> None:
    token = create_token(shop.client.server, shop.name, scopes=("customers", "orders:write"))
    record = "mutation($n: InputRecordOrder!) { recordOrder(node: $n) { id } }"
    node = {"name": "#1", "email": "ana@example.com", "total": 1}
    with Client(shop.client.server, token) as client:
        client.create("ana@example.com", phone="1", shipping_address=ADDRESS)
        said = {"first_name": "Ben", "last_name": " Ali ", "phone": None, "shipping_address": None}
        client.data(record, n=node | said)
        assert details(shop) == {
            "first_name": "Ben",
            "last_name": "Ali",
            "phone": "",
            "shipping_address": {},
        }
        client.data(record, n=node | {"tags": ["x"]})
        assert details(shop)["first_name"] == "Ben"


def test_a_kept_event_of_a_deleted_customer_goes_when_it_is_retried(shop: Shop) -> None:
    kept = shop.tell("order/created", order(email=None, customer={"id": "cus_7"}))
    assert not kept["understood"]
    shop.understood("contact/deleted", {"id": "cus_7"})
    done = run_regulars("inbox", "retry", "--account", shop.name, *shop.database)
    assert "1 understood" in done.stdout
    assert shop.inbox() == []


def test_an_order_that_names_another_customer_does_not_make_it_the_owner(shop: Shop) -> None:
    """The id of the new customer was noted for the order's owner, whom later events then changed."""
    anna = {"id": "cus_a", "full_name": "Anna A"}
    ben = {"id": "cus_b", "full_name": "Ben B", "email": "b@example.com"}
    first = order(id="o1", name="#1", email="a@example.com", phone=None, customer=anna)
    shop.understood("order/created", first)
    again = order(id="o1", name="#1", email="b@example.com", phone="+212611111111", customer=ben)
    shop.understood("order/updated", again)
    shop.understood("contact/updated", {**ben, "first_name": "Ben", "phone": "+212600000000"})
    people = {
        edge["node"]["email"]: (edge["node"]["first_name"], edge["node"]["phone"])
        for edge in shop.client.page("email first_name phone")["edges"]
    }
    assert people == {"a@example.com": ("Anna", ""), "b@example.com": ("Ben", "+212600000000")}
    shop.understood("contact/deleted", {"id": "cus_b"})
    assert shop.client.emails() == ["a@example.com"]


@pytest.mark.parametrize("node", [{}, {"id": 123}, {"id": None}, {"id": ""}, {"id": "x" * 300}])
def test_a_deletion_that_names_nobody_is_kept(shop: Shop, node: dict[str, Any]) -> None:
    shop.understood("contact/signup", {"id": "cus_1", "email": "a@example.com"})
    told = shop.tell("contact/deleted", {**node, "email": "a@example.com"})
    assert told["understood"] is False
    assert "names no customer" in told["problem"]
    assert shop.client.emails() == ["a@example.com"]


def test_a_cancellation_that_is_made_again_counts(shop: Shop) -> None:
    told = order(customer={"id": "cus_1"})
    for type_, expected in (
        ("order/confirmed", 1),
        ("order/cancelled", 0),
        ("order/cancelled", 0),
        ("order/uncancelled", 1),
        ("order/cancelled", 0),
    ):
        shop.understood(type_, told)
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
def test_an_update_that_cannot_be_read_is_kept_and_changes_nothing(
    shop: Shop, change: dict[str, Any]
) -> None:
    shop.understood("contact/updated", WHOLE)
    before = shop.customer(FIELDS)
    assert shop.tell("contact/updated", {"id": "cus_1", **change})["understood"] is False
    assert shop.customer(FIELDS) == before


def test_a_part_of_an_address_that_cannot_be_kept_stays_as_it_was(shop: Shop) -> None:
    shop.understood("contact/updated", WHOLE)
    before = shop.customer(FIELDS)
    for part in ({"country": "Nowhere"}, {"city": "x" * 5_000}):
        shop.understood("contact/updated", {"id": "cus_1", "shipping_address": part})
    assert shop.customer(FIELDS) == before
